//! A picture of a repository: everything that an operation of git may change, for comparison.

use std::collections::BTreeMap;
use std::fs;

use crate::support::World;

/// What tells that something is in progress.
const UNFINISHED: [&str; 7] = [
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "rebase-merge",
    "rebase-apply",
    "sequencer",
    "BISECT_LOG",
];

/// How a repository is, in parts that have names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Picture(BTreeMap<&'static str, String>);

/// Looks. Where refs are files, reflogs are read as files, all of them; so is the remote.
pub(crate) fn take(world: &World, reftable: bool) -> Picture {
    let status = ["status", "--porcelain=v2", "--branch", "--untracked-files=all"];
    let mut parts = BTreeMap::new();
    let mut part = |name, text: String| parts.insert(name, text + "\n");
    let refs = if reftable { vec!["--include-root-refs"] } else { Vec::new() };
    let refs = [&["for-each-ref", "--format=%(refname) %(objectname) %(symref)"], &refs[..]].concat();
    let (root, refs): (Vec<_>, Vec<_>) =
        world.git(&refs).lines().map(str::to_owned).partition(|line| !line.starts_with("refs/"));
    part("refs", refs.join("\n"));
    part("index", world.git(&["ls-files", "--stage"]));
    part("status", world.git(&status));
    part("stash", log(world, "refs/stash", reftable));
    if reftable {
        part("log", log(world, "refs/heads/main", reftable));
    } else {
        let logs = world.files("repo/.git/logs/refs/heads").into_iter();
        let logs: String = logs.map(|(name, log)| name + ":\n" + &String::from_utf8_lossy(&log)).collect();
        part("log", logs);
    }
    let mut unfinished: Vec<String> =
        root.into_iter().filter(|line| line.contains("_PICK_") || line.starts_with("REV")).collect();
    for dir in ["repo/.git", "repo/.git/worktrees/linked"] {
        let there = UNFINISHED.iter().filter(|name| world.at(&format!("{dir}/{name}")).exists());
        unfinished.extend(there.map(|name| format!("{dir}/{name}")));
    }
    parts.insert("unfinished", unfinished.join("\n"));
    let remote = world.files("side/origin.git/refs").into_iter();
    let remote = remote.map(|(name, value)| format!("{name} {}", String::from_utf8_lossy(&value)));
    let packed = fs::read_to_string(world.at("side/origin.git/packed-refs")).unwrap_or_default();
    parts.insert("remote", remote.chain([packed]).collect());
    if world.at("side/linked/.git").exists() {
        parts.insert("linked", world.git_in("side/linked", &status) + "\n");
    }
    Picture(parts)
}

/// A status without how far a branch is from its upstream, which is told by the refs.
fn without_distance(status: &str) -> String {
    status.lines().filter(|line| !line.starts_with("# branch.ab")).map(|line| format!("{line}\n")).collect()
}

/// A reflog: values and what was done.
fn log(world: &World, of: &str, reftable: bool) -> String {
    if !reftable {
        return fs::read_to_string(world.at(&format!("repo/.git/logs/{of}"))).unwrap_or_default();
    }
    let exists = world.git(&["for-each-ref", of]);
    if exists.is_empty() { exists } else { world.git(&["reflog", "show", "--format=%H %gs", of, "--"]) }
}

impl Picture {
    pub(crate) fn part(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn refs(&self) -> BTreeMap<&str, &str> {
        self.part("refs").lines().filter_map(|line| line.split_once(' ')).collect()
    }

    /// The refs that move only under the lock: all branches, notes, replacements; tags that are
    /// there.
    pub(crate) fn protected_differ(&self, after: &Self) -> Option<String> {
        let (old, new) = (self.refs(), after.refs());
        let is_guarded = |name: &str| {
            ["refs/heads/", "refs/notes/", "refs/replace/"].iter().any(|dir| name.starts_with(dir))
                || name.starts_with("refs/tags/") && old.contains_key(name)
                || new.get(name).is_some_and(|value| value.contains("refs/heads/"))
        };
        let mut names: Vec<&str> = old.keys().chain(new.keys()).copied().filter(|n| is_guarded(n)).collect();
        names.dedup();
        let moved = names.into_iter().find(|name| old.get(name) != new.get(name))?;
        Some(format!("{moved}: {:?} is {:?} now", old.get(moved), new.get(moved)))
    }

    /// Which of files, index, and what is in progress has changed, if any.
    pub(crate) fn files_differ(&self, after: &Self) -> Option<&'static str> {
        let kept = |picture: &Self, part| without_distance(picture.part(part));
        ["index", "status", "linked", "unfinished"]
            .into_iter()
            .find(|part| kept(self, part) != kept(after, part))
    }

    /// The first part that differs. `fetched`: remote-tracking refs and new tags do not count.
    pub(crate) fn differs(&self, after: &Self, fetched: bool) -> Option<String> {
        let names = self.0.keys().chain(after.0.keys());
        for name in names {
            let (mut old, mut new) = (self.part(name).to_owned(), after.part(name).to_owned());
            if fetched && *name == "refs" {
                let kept = |text: &str| -> String {
                    let known = |l: &&str| {
                        let is_tag = l.starts_with("refs/tags/") && !self.part("refs").contains(*l);
                        !l.starts_with("refs/remotes/") && !is_tag
                    };
                    text.lines().filter(known).map(|l| format!("{l}\n")).collect()
                };
                (old, new) = (kept(&old), kept(&new));
            }
            if *name == "status" {
                (old, new) = (without_distance(&old), without_distance(&new));
            }
            if old != new {
                return Some(format!("{name}\n--- was or should be\n{old}--- is\n{new}---"));
            }
        }
        None
    }
}
