//! Owns the rows of what moves many refs, and of looking back at all that moved.

use std::fs;
use std::path::Path;

use cmw::domain::audit::journal_entry::JournalEntry;
use cmw::domain::identity::actor::Actor;
use cmw::store::audit::journal;
use cmw::store::disk::RealDisk;

use super::round::Bench;
use super::yard::{Program, Yard};
use super::{Options, Result};

/// How many commits are rebased.
const PICKS: usize = 20;
/// How many branches are fetched.
const BRANCHES: usize = 200;
/// How long looking back at a hundred thousand lines may take, in microseconds.
const VERIFY_US: f64 = 1_000_000.0;

/// Adds them.
pub(crate) fn refs(bench: &mut Bench, options: &Options) -> Result<()> {
    let remote = Yard::new(options, "remote", 10)?;
    for n in 0..BRANCHES {
        remote.git(&["branch", &format!("b{n}")])?;
    }
    let from = remote.dir.to_string_lossy().into_owned();
    let mut floors: Vec<(String, String)> = Vec::new();
    for kind in [Kind::Bare, Kind::DoNothing, Kind::Ours] {
        let yard = match kind {
            Kind::Ours => Yard::ready(options, "refs-ours", 700, &["--preset", "solo", "--quiet"])?,
            Kind::Bare | Kind::DoNothing => Yard::new(options, &format!("refs-{}", kind.name()), 700)?,
        };
        let hooks = match kind {
            Kind::DoNothing => Some(super::commits::do_nothing(options, &yard)?),
            Kind::Bare | Kind::Ours => None,
        };
        if matches!(kind, Kind::Ours) {
            yard.tool("cmw-lock", &["acquire", "--estimate", "30m"]).run()?;
        }
        let names = (
            format!("rebase of {PICKS}, {}", kind.name()),
            format!("fetch of {BRANCHES} branches, {}", kind.name()),
        );
        rebase(bench, &names.0, &yard, hooks.as_deref())?;
        fetch(bench, &names.1, &yard, hooks.as_deref(), &from);
        for (name, floor) in
            [(&names.0, floors.last().map(|f| &f.0)), (&names.1, floors.last().map(|f| &f.1))]
        {
            bench.row("refs", name, floor.map(|f| (f.as_str(), None)), typed(name));
        }
        floors.push(names);
    }
    verify(bench, options)
}

#[derive(Clone, Copy)]
enum Kind {
    Bare,
    DoNothing,
    Ours,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::DoNothing => "do-nothing hooks",
            Self::Ours => "solo",
        }
    }
}

fn typed(name: &str) -> &'static str {
    if name.starts_with("rebase") {
        "git rebase -q main topic"
    } else {
        "git fetch -q remote +refs/heads/*:refs/remotes/o/*"
    }
}

fn git(yard: &Yard, hooks: Option<&Path>, args: &[&str]) -> Program {
    let setting = hooks.map(|dir| format!("core.hooksPath={}", dir.display()));
    let words: Vec<&str> =
        setting.iter().flat_map(|s| ["-c", s.as_str()]).chain(args.iter().copied()).collect();
    yard.program("git", &words)
}

/// A branch of so many commits, put upon another base each time.
fn rebase(bench: &mut Bench, name: &str, yard: &Yard, hooks: Option<&Path>) -> Result<()> {
    yard.git(&["switch", "-q", "-c", "topic"])?;
    for n in 0..PICKS {
        fs::write(yard.dir.join(format!("new{n}")), "x\n")?;
        yard.git(&["add", "."])?;
        yard.git(&["commit", "-q", "-m", "pick"])?;
    }
    yard.git(&["branch", "start"])?;
    yard.git(&["switch", "-q", "main"])?;
    yard.change()?;
    yard.git(&["commit", "-q", "-a", "-m", "ahead"])?;
    let back = [
        yard.program("git", &["switch", "-q", "topic"]),
        yard.program("git", &["reset", "-q", "--hard", "start"]),
    ];
    let prepare = move || back.iter().try_for_each(Program::run);
    bench.programs(name, vec![git(yard, hooks, &["rebase", "-q", "main", "topic"])], prepare);
    Ok(())
}

/// Branches that are all new, each time.
fn fetch(bench: &mut Bench, name: &str, yard: &Yard, hooks: Option<&Path>, from: &str) {
    let git_dir = yard.git_dir();
    let prepare = move || {
        for dir in ["refs/remotes", "logs/refs/remotes"] {
            match fs::remove_dir_all(git_dir.join(dir)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    };
    let args = ["fetch", "-q", "--no-tags", from, "+refs/heads/*:refs/remotes/o/*"];
    bench.programs(name, vec![git(yard, hooks, &args)], prepare);
}

/// A journal of a hundred thousand lines.
fn verify(bench: &mut Bench, options: &Options) -> Result<()> {
    let lines: usize = if options.quick { 10_000 } else { 100_000 };
    let yard = Yard::ready(options, "verify", 10, &["--quiet"])?;
    let disk = RealDisk::open(&yard.git_dir())?;
    let now = cmw::adapters::os::clock::now();
    let value = |n: usize| if n.is_multiple_of(2) { String::new() } else { format!("{n:040x}") };
    // Movements that are believed: a role's, on its own branches.
    let role = Actor::try_from("Dev-A".to_owned())?;
    let entries = (0..lines / 2).flat_map(|n| {
        let (name, old, new) = (format!("refs/heads/agent/Dev-A/b{}", n / 2 % 50), value(n), value(n + 1));
        let (at, when, by) = (now.wall, now.boot.clone(), role.clone());
        let (files, outside) = (Vec::new(), Vec::new());
        let intent = JournalEntry::Intent {
            at,
            when,
            by,
            token: 0,
            name: name.clone(),
            old,
            new: new.clone(),
            files,
            outside,
            git: None,
            git_lock: Some(1),
            document: 0,
        };
        [intent, JournalEntry::Observed { at, name, new, token: 0 }]
    });
    let mut entries: Vec<JournalEntry> = entries.collect();
    for portion in entries.chunks_mut(5_000) {
        journal::append_allowed(&disk, 0, |_| true, portion)?;
    }
    let name = format!("verify, {lines} journal lines");
    // What the hooks noted is taken over in portions; afterwards nothing is new any more.
    for _ in 0..lines / 10_000 + 2 {
        yard.tool("cmw-audit", &["verify"]).run()?;
    }
    bench.programs(&name, vec![yard.tool("cmw-audit", &["verify"])], || Ok(()));
    bench.within("refs", &name, VERIFY_US, "cmw-audit verify");
    Ok(())
}
