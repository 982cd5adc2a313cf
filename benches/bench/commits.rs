//! Owns the rows of `git commit`: bare, with hooks that do nothing, with ours, with peers.

use std::fs;
use std::path::{Path, PathBuf};

use super::round::Bench;
use super::yard::Yard;
use super::{Options, Result};

const TYPED: &str = "git commit -qam x";
const SHORT: &str = "lock held; git commit -qam x";

/// Adds them, for a small and a large repository.
pub(crate) fn commits(bench: &mut Bench, options: &Options) -> Result<()> {
    let large = if options.quick { 5_000 } else { 30_000 };
    for files in [700, large] {
        let bare = Yard::new(options, &format!("bare{files}"), files)?;
        let case = |what: &str| format!("commit, {files} files, {what}");
        add(bench, &case("bare"), &bare, None);
        bench.row("commit", &case("bare"), None, TYPED);
        for preset in ["solo", "team"] {
            ours(bench, options, files, preset, &case(preset))?;
        }
        let empty = do_nothing(options, &bare)?;
        let name = case("do-nothing hooks");
        add(bench, &name, &bare, Some(&empty));
        bench.row("commit", &name, Some((&case("bare"), None)), TYPED);
        for (preset, goal) in [("solo", 1.15), ("team", 1.35)] {
            bench.row("commit", &case(preset), Some((&name, Some(goal))), SHORT);
            let of_bare = if files == 700 { 1.6 } else { 1.4 };
            bench.row("commit", &case(preset), Some((&case("bare"), Some(of_bare))), SHORT);
        }
        if files == 700 {
            by_itself(bench, options, &case("bare"))?;
            peers(bench, options, &bare)?;
        }
    }
    Ok(())
}

fn add(bench: &mut Bench, name: &str, yard: &Yard, hooks: Option<&Path>) {
    let hooks = hooks.map(|dir| format!("core.hooksPath={}", dir.display()));
    let mut args: Vec<&str> = hooks.iter().flat_map(|setting| ["-c", setting.as_str()]).collect();
    args.extend(["commit", "-qam", "x"]);
    let yard = yard.clone();
    bench.programs(name, vec![yard.program("git", &args)], move || yard.change());
}

/// Ours, with the lock held; `team` with the very files claimed that are changed.
fn ours(bench: &mut Bench, options: &Options, files: usize, preset: &str, name: &str) -> Result<()> {
    let yard = Yard::ready(options, &format!("{preset}{files}"), files, &["--preset", preset, "--quiet"])?;
    let mut acquire = vec!["acquire", "--estimate", "15m"];
    if preset == "team" {
        acquire.extend(["--files", "d000/**"]);
    }
    yard.tool("cmw-lock", &acquire).run()?;
    add(bench, name, &yard, None);
    Ok(())
}

/// A commit that takes the free lock itself, in one call, and as three commands.
fn by_itself(bench: &mut Bench, options: &Options, bare: &str) -> Result<()> {
    let three = "acquire, commit, release";
    let yard = Yard::ready(options, "three", 700, &["--quiet"])?;
    let (acquire, release) = (yard.tool("cmw-lock", &["acquire"]), yard.tool("cmw-lock", &["release"]));
    let commit = yard.program("git", &["commit", "-qam", "x"]);
    let change = yard.clone();
    bench.programs(three, vec![acquire, commit, release], move || change.change());
    bench.row("commit", three, Some((bare, None)), "cmw-lock acquire; git commit -qam x; cmw-lock release");
    let yard = Yard::ready(options, "itself", 700, &["--quiet"])?;
    let name = "commit, takes the lock itself";
    add(bench, name, &yard, None);
    bench.row("commit", name, Some((three, Some(1.0))), TYPED);
    let yard = Yard::ready(options, "one-call", 700, &["--quiet"])?;
    let name = "cmw-commit, everything in one call";
    let change = yard.clone();
    let one = yard.tool("cmw-commit", &["-m", "x", "--", "."]);
    bench.programs(name, vec![one], move || change.change());
    bench.row("commit", name, Some((three, None)), "cmw-commit -m x -- .");
    Ok(())
}

/// As many hooks as ours, under the same names, that do nothing.
pub(crate) fn do_nothing(options: &Options, yard: &Yard) -> Result<PathBuf> {
    let dir = yard.git_dir().join("empty-hooks");
    fs::create_dir_all(&dir)?;
    for name in cmw::store::guard::hookdir::OWN_HOOKS {
        fs::copy(options.floors.join("floor-noop"), dir.join(name))?;
    }
    Ok(dir)
}

const JQ: &str = "#!/bin/sh\n\
    holder=$(jq -r '.current_lock.holder // empty' .git/lock.json) || exit 1\n\
    until=$(jq -r '.current_lock.until' .git/lock.json) || exit 1\n\
    [ \"$holder\" = \"$CLAUDE_ROLE\" ] && [ \"$until\" -gt 0 ]\n";

/// What else people use; each only when it is there.
fn peers(bench: &mut Bench, options: &Options, bare: &Yard) -> Result<()> {
    let base = "commit, 700 files, bare";
    if bare.program("jq", &["--version"]).run().is_ok() {
        let hooks = bare.git_dir().join("jq-hooks");
        Yard::script(&hooks.join("pre-commit"), JQ)?;
        fs::write(bare.git_dir().join("lock.json"), r#"{"current_lock":{"holder":"Dev-A","until":1}}"#)?;
        add(bench, "peer: sh and jq, 1 hook", bare, Some(&hooks));
        bench.row("commit", "peer: sh and jq, 1 hook", Some((base, None)), TYPED);
    }
    let Some(dir) = &options.peers else { return Ok(()) };
    let dir = dir.canonicalize()?;
    let yaml = "repos:\n- repo: local\n  hooks:\n  - {id: t, name: t, entry: 'true', language: system, pass_filenames: false}\n";
    let configured: [(&str, &str, &str, &str, &[&str]); 4] = [
        (
            "lefthook",
            "npm/node_modules/.bin",
            "lefthook.yml",
            "pre-commit:\n  commands:\n    t:\n      run: 'true'\n",
            &["install"],
        ),
        ("husky", "npm/node_modules/.bin", ".husky/pre-commit", "true\n", &[]),
        ("prek", "pip/bin", ".pre-commit-config.yaml", yaml, &["install"]),
        ("pre-commit", "pip/bin", ".pre-commit-config.yaml", yaml, &["install"]),
    ];
    for (name, bin, file, text, install) in configured {
        let bin = dir.join(bin);
        if !bin.join(name).exists() {
            continue;
        }
        let yard = Yard::new(options, name, 700)?;
        Yard::script(&yard.dir.join(file), text)?;
        // Installed hooks look for their program on PATH.
        yard.git(&["add", "."])?;
        yard.git(&["commit", "-qm", "configured"])?;
        yard.program(&bin.join(name).to_string_lossy(), install).run()?;
        let case = format!("peer: {name}, 1 hook");
        add(bench, &case, &yard, None);
        bench.row("commit", &case, Some((base, None)), TYPED);
    }
    Ok(())
}
