//! Tests of `cmw-rescue`: its output, and that applying a rescue loses no work.

#![expect(clippy::unwrap_used, reason = "what a test cannot do ends it")]

mod apply;
mod saving;
mod snapshot;

use std::path::Path;

use crate::support::{World, assert_transcript, gits};
use cmw::adapters::git::rescue::snapshot::{Snapshot, SnapshotLimits};
use cmw::adapters::git::{GitEnv, Repo, discover};
use cmw::domain::rescue::note::RescueNote;

const STAMP: &str = "20261124T161500Z";
const NAME: &str = "Dev-A/20261124T161500Z";

fn open(world: &World, dir: &str, git: &Path) -> Repo {
    let env = GitEnv { program: Some(git.to_owned()), ..GitEnv::default() };
    discover(&world.at(dir), &env).unwrap()
}

/// Saves what is uncommitted in `repo/` for a role, with this time.
fn rescue(world: &World, git: &Path, role: &str, stamp: &str) -> Snapshot {
    let text = |text: &str| text.to_owned();
    let note = RescueNote {
        role: text(role),
        reason: text("lease expired"),
        lock: Some(text("WL-0007")),
        work_tree: Some(world.at("repo").display().to_string()),
        ..RescueNote::default()
    };
    let limits = SnapshotLimits { file_bytes_max: 1 << 20, ..SnapshotLimits::default() };
    open(world, "repo", git).snapshot(role, stamp, &note.message(), limits).unwrap().unwrap()
}

/// Ages and short ids differ from run to run, and with them how wide a column is.
fn comparable(text: &str) -> String {
    let age = regex_lite::Regex::new(r"\d+[smhd]( \d+[smhd])? ago +").unwrap();
    let id = regex_lite::Regex::new(r"base [0-9a-f]{7}\b|index [0-9a-f]{7,}\.\.[0-9a-f]{7,}").unwrap();
    let blanks = regex_lite::Regex::new("not a rescue +").unwrap();
    let text = age.replace_all(text, "[AGE] ago  ");
    blanks.replace_all(&id.replace_all(&text, "[ID]"), "not a rescue  ").into_owned()
}

#[test]
fn a_rescue_is_found_shown_and_applied() {
    let (world, git) = (World::new(), gits().remove(0));
    world.unidentified().ok("echo 1 >b; echo 1 >c; echo 1 >d; git add .; git commit -qm two");
    let text = world.transcript(|t| {
        t.agent("Dev-B", "cmw-rescue list").ignored();
        t.agent("Dev-B", "cmw-rescue show Dev-A").ignored();
        world.unidentified().ok("echo 2 >>a; echo 2 >b; git add b; echo 3 >b; rm c; echo notes >notes.txt");
        world
            .unidentified()
            .ok("echo 2 >d; git add d; git checkout -q HEAD -- d; echo 2 >d; truncate -s 3M big.bin");
        rescue(&world, &git, "Dev-A", STAMP);
        world.unidentified().ok("git reset -q --hard; git clean -qfd; echo x >later");
        rescue(&world, &git, "Dev-A", "20261124T170000Z");
        rescue(&world, &git, "Dev-B", "20261124T160000Z");
        world.unidentified().ok("rm later");
        t.agent("Dev-B", "cmw-rescue list").ignored();
        t.agent("Dev-B", "cmw-rescue show Dev-A/20261124T16").ignored();
        t.agent("Dev-B", "cmw-rescue show dev-a").ignored();
        t.agent("Dev-B", "cmw-rescue show Dev-A/2026").ignored();
        t.agent("Dev-B", "cmw-rescue show Dev-C").ignored();
        t.agent("Dev-B", &format!("cmw-rescue show {NAME} --patch a notes.txt")).ignored();
        t.agent("Dev-B", &format!("cmw-rescue show {NAME} nothing")).ignored();
        t.agent("Dev-B", &format!("cmw-rescue show {NAME} /etc/passwd")).ignored();
        t.note("somebody goes on with a, and has notes too");
        world.unidentified().ok("echo mine >a; echo mine >notes.txt");
        t.agent("Dev-B", &format!("cmw-rescue apply {NAME}")).ignored();
        t.agent("Dev-B", &format!("cmw-rescue apply {NAME} --copies")).ignored();
        t.agent("Dev-B", &format!("cmw-rescue apply {NAME} --copies")).ignored();
        t.agent("Dev-B", &format!("cmw-rescue apply {NAME} b d")).ignored();
        t.agent("Dev-B", &format!("cmw-rescue apply {NAME} -- a")).ignored();
        t.agent("Dev-B", "cat a a.rescued b notes.txt notes.txt.rescued; ls; git diff --cached").ignored();
    });
    assert_transcript("rescue", &comparable(&text));
}

#[test]
fn everything_is_told_to_programs_too() {
    let (world, git) = (World::new(), gits().remove(0));
    world.unidentified().ok("echo 2 >>a; printf x >\"$(printf 'caf\\351\\033')\"");
    rescue(&world, &git, "Dev-A", STAMP);
    world.unidentified().ok("git update-ref refs/cmw/rescue/by-hand HEAD; git checkout -q a; git clean -qfd");
    let text = world.transcript(|t| {
        t.unidentified("cmw-rescue list --json").ignored();
        t.unidentified("cmw-rescue show Dev-A --json").ignored();
        t.unidentified("cmw-rescue show Dev-A --json --patch a").ignored();
        t.unidentified("cmw-rescue show by-hand --json").ignored();
        t.unidentified("echo mine >a; cmw-rescue apply Dev-A --json").ignored();
        t.unidentified("cmw-rescue apply Dev-A --json --copies").ignored();
        t.unidentified("cmw-rescue list --quiet").ignored();
    });
    assert_transcript("rescue-json", &comparable(&text));
}

#[test]
fn damaged_and_foreign_refs_are_told_and_break_nothing() {
    for git in gits() {
        let world = World::with(&git);
        world.unidentified().ok("echo 2 >>a");
        let good = rescue(&world, &git, "Dev-A", STAMP);
        // Nothing there, something else, a commit by hand, one that lies about its base, a name for
        // a shell, a terminal's nightmare, one whose object is gone, one whose object is damaged.
        world.unidentified().ok(
            "echo garbage >.git/refs/cmw/rescue/garbage
             echo 'ref: refs/heads/none' >.git/refs/cmw/rescue/dangling
             echo 1111111111111111111111111111111111111111 >.git/refs/cmw/rescue/missing
             git update-ref refs/cmw/rescue/blob $(git rev-parse HEAD:a)
             git update-ref refs/cmw/rescue/tree $(git rev-parse HEAD^{tree})
             git update-ref refs/cmw/rescue/by-hand HEAD
             git update-ref 'refs/cmw/rescue/$(touch${IFS}pwned)' HEAD
             lie=$(printf 'x\\n\\nCmw-Role: \\033[2J\\nCmw-Base: 1234\\n' | git commit-tree HEAD^{tree} -p HEAD)
             git update-ref refs/cmw/rescue/lie $lie
             no=$(printf 'x\\n\\nCmw-Role: R\\nCmw-Reason: \\033]0;x\\a\\nCmw-Base: none\\n' | git commit-tree HEAD^{tree})
             git update-ref refs/cmw/rescue/alone $no
             it=$(printf 'x\\n\\nCmw-Role: \\033[1mR\\nCmw-Lock: \\302\\233\\nCmw-Base: none\\n' | git commit-tree HEAD^{tree} -p $no)
             git update-ref refs/cmw/rescue/odd $it
             bad=$(git commit-tree HEAD^{tree} -m damaged); git update-ref refs/cmw/rescue/damaged $bad
             file=.git/objects/$(echo $bad | cut -c1-2)/$(echo $bad | cut -c3-); chmod u+w $file; echo x >$file",
        );
        let stranger = world.unidentified();
        let listed = stranger.run("cmw-rescue list");
        assert_eq!(listed.code, 0, "{listed}");
        assert!(!listed.all().replace('\n', "").chars().any(char::is_control), "{listed}");
        let line = |name: &str| {
            let found = listed.stdout.lines().find(|line| line.starts_with(name));
            found.unwrap_or_else(|| panic!("no {name}: {listed}")).to_owned()
        };
        assert!(line(NAME).contains("lease expired (WL-0007)"), "{listed}");
        for (name, why) in [
            ("garbage", "damaged"),
            ("missing", "missing"),
            ("blob", "it is a blob"),
            ("tree", "it is a tree"),
            ("by-hand", "not a commit made by a rescue"),
            ("$(touch", "not a commit made by a rescue"),
            ("lie", "its parent is not the commit"),
            ("alone", "has no commit for the index"),
            ("damaged", "r"),
        ] {
            assert!(line(name).contains("not a rescue  ") && line(name).contains(why), "{name}: {listed}");
            let name = line(name).split(' ').next().unwrap().to_owned();
            for verb in ["show", "show --patch", "apply"] {
                let output = stranger.run(&format!("cmw-rescue {verb} '{name}'"));
                assert_eq!(output.code, 1, "{output}");
                assert!(output.stderr.contains("is not a rescue: ") && output.stdout.is_empty(), "{output}");
            }
        }
        let odd = stranger.run("cmw-rescue show odd");
        assert!(odd.code == 0 && !odd.all().replace('\n', "").chars().any(char::is_control), "{odd}");
        let shown = stranger.run("cmw-rescue show '$(touch'");
        assert!(shown.stderr.contains("next: git show 'refs/cmw/rescue/$(touch${IFS}pwned)'"), "{shown}");
        assert!(stranger.ok("cmw-rescue show Dev-A").contains(" M a  (unstaged)"));
        assert_eq!(good.changed, 1);
        // What a rescue needs may be gone too.
        world.git(&["update-ref", "-d", "refs/cmw/rescue/damaged"]);
        let tree = world.git(&["rev-parse", &format!("{}^{{tree}}", good.commit)]);
        std::fs::remove_file(world.at(&format!("repo/.git/objects/{}/{}", &tree[..2], &tree[2..]))).unwrap();
        let output = stranger.run("cmw-rescue apply Dev-A");
        assert_eq!(output.code, 65, "{output}");
        assert!(output.stderr.contains("cannot be read completely"), "{output}");
    }
}

#[test]
fn a_patch_is_whole_for_programs_and_harmless_for_terminals() {
    let (world, git) = (World::new(), gits().remove(0));
    world
        .unidentified()
        .ok("printf 'caf\\351 \\033[2J\\r\\n' >>a; printf 'x\\0y' >binary; ln -s a l; chmod +x a");
    rescue(&world, &git, "Dev-A", STAMP);
    let files = world.files("repo");
    world.unidentified().ok("git checkout -q a; rm binary l");
    world.unidentified().ok("cmw-rescue show Dev-A --patch | git apply");
    for name in ["a", "binary", "l"] {
        assert_eq!(world.files("repo")[name], files[name], "{name}");
    }
    let shown = world.person().ok("script -qec 'cmw-rescue show Dev-A --patch' /dev/null </dev/null");
    assert!(shown.contains(r"\u{1b}[2J") && !shown.contains('\x1b'), "{shown:?}");
}
