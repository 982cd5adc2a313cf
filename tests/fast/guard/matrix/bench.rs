//! Runs rows with one git and one ref format, under each condition of lock and freeze.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::guard::matrix::picture::{self, Picture};
use crate::guard::matrix::row::{Kind, Left, Row};
use crate::guard::matrix::template;
use crate::support::damage::adopt;
use crate::support::{Agent, Output, World};

/// How things stand with the lock when Dev-A acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Condition {
    Mine,
    Others,
    Nobodys,
    Frozen,
}

pub(crate) const CONDITIONS: [Condition; 4] =
    [Condition::Mine, Condition::Others, Condition::Nobodys, Condition::Frozen];

/// One git and one format of refs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Axis {
    pub(crate) git: PathBuf,
    /// The x of its version 2.x.
    pub(crate) minor: u32,
    pub(crate) reftable: bool,
}

impl std::fmt::Display for Axis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "2.{} {}", self.minor, if self.reftable { "reftable" } else { "files" })
    }
}

/// A world with its template, and what each condition adds to it.
pub(crate) struct Bench {
    world: World,
    axis: Axis,
    actor: Agent,
    watcher: Agent,
    /// What `cmw-init` has put into the configuration.
    config: String,
    /// What it and the lock have put into `.git`, by name.
    added: Vec<String>,
    /// The picture of the template.
    fresh: Picture,
    has_pre_push: bool,
}

impl Bench {
    pub(crate) fn new(axis: &Axis) -> Self {
        let world = World::with(&axis.git);
        let (actor, other, person, watcher) =
            (world.agent("Dev-A"), world.agent("Dev-B"), world.person(), world.unidentified());
        template::make(&world, axis.reftable);
        template::copy(world.root(), &world.at("fresh"), &[]);
        let fresh = picture::take(&world, axis.reftable);
        let config = local_config(&world);
        person.ok("cmw-init --preset solo");
        let config = sections(&local_config(&world).difference(&config).cloned().collect());
        let names = |dir: &str| -> BTreeSet<String> {
            let entries = fs::read_dir(world.at(dir)).unwrap();
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
        };
        let added = names("repo/.git").difference(&names("fresh/repo/.git")).cloned().collect();
        let has_pre_push = world.at("repo/.git/cmw/hooks/pre-push").exists();
        let bench = Self { world, axis: axis.clone(), actor, watcher, config, added, fresh, has_pre_push };
        bench.keep("Nobodys");
        let free = bench.world.at("Nobodys");
        for (condition, who, line) in [
            (Condition::Mine, &bench.actor, "cmw-lock acquire"),
            (Condition::Others, &other, "cmw-lock acquire"),
            (Condition::Frozen, &person, "cmw-freeze now --reason matrix"),
        ] {
            who.ok(line);
            bench.keep(&format!("{condition:?}"));
            bench.overlay(&free);
        }
        bench
    }

    /// Keeps what stands in `.git` beside the repository under a condition's name.
    fn keep(&self, name: &str) {
        let dir = self.world.at(name);
        fs::create_dir(&dir).unwrap();
        for entry in &self.added {
            template::copy_any(&self.world.at("repo/.git").join(entry), &dir.join(entry));
        }
    }

    /// Puts it there again.
    fn overlay(&self, from: &Path) {
        for entry in &self.added {
            let (source, target) = (from.join(entry), self.world.at("repo/.git").join(entry));
            if source.exists() {
                template::copy_any(&source, &target);
            } else {
                template::remove(&target);
            }
        }
    }

    /// The repository as a row prepared it, without hooks.
    fn bare(&self, prepared: &Path) {
        template::copy(prepared, self.world.root(), &[]);
    }

    /// The same with hooks, under a condition.
    fn hooked(&self, prepared: &Path, condition: Condition) {
        template::copy(prepared, self.world.root(), &self.added);
        self.overlay(&self.world.at(&format!("{condition:?}")));
        let file = self.world.at("repo/.git/config");
        fs::write(&file, fs::read_to_string(&file).unwrap() + &self.config).unwrap();
    }

    fn picture(&self) -> Picture {
        picture::take(&self.world, self.axis.reftable)
    }

    /// Whether this git has the row, and whether there is a hook that it is about.
    pub(crate) fn has(&self, row: &Row) -> bool {
        row.since <= self.axis.minor
            && (self.has_pre_push || !matches!(row.kind, Kind::PushGuarded | Kind::PushFree))
    }

    /// Runs a row under these conditions; gives what is wrong.
    pub(crate) fn run(&self, row: &Row, conditions: &[Condition]) -> Vec<String> {
        let (prepared, before) = self.prepare(row);
        self.bare(&prepared);
        let output = self.actor.run(&row.line);
        let bare = Ended { picture: self.picture(), output };
        let kind = row.kind_with(self.axis.minor, self.axis.reftable);
        let mut wrong = Vec::new();
        let mut note = |condition: &str, found: Option<String>| {
            wrong.extend(found.map(|what| format!("{} ({}, {condition}): {what}", row.name, self.axis)));
        };
        note("without hooks", as_described(row, kind, &before, &bare));
        for &condition in conditions {
            if matches!(kind, Kind::Unseen(_)) && condition != Condition::Mine {
                continue;
            }
            self.hooked(&prepared, condition);
            if matches!(kind, Kind::PushGuarded | Kind::PushFree) && !row.before.is_empty() {
                // What was prepared went around the hooks, and that is not pushed.
                adopt(&self.world);
                self.world.git(&["update-ref", "-d", "refs/cmw/anchor"]);
            }
            let output = self.actor.run(&row.line);
            let ended = Ended { picture: self.picture(), output };
            let found = if allowed(kind, condition) {
                same(&bare, &ended)
            } else {
                refused(row, kind, &before, &ended)
                    .or_else(|| said_of_files(&before, &ended))
                    .or_else(|| self.way_back(row, &before, &ended))
            };
            note(&format!("{condition:?}"), found);
        }
        wrong
    }

    /// The repository in which the row begins, and its picture.
    fn prepare(&self, row: &Row) -> (PathBuf, Picture) {
        let fresh = self.world.at("fresh");
        if row.before.is_empty() {
            return (fresh, self.fresh.clone());
        }
        self.bare(&fresh);
        self.watcher.run(&row.before).ignored();
        let prepared = self.world.at("prepared");
        template::copy(self.world.root(), &prepared, &[]);
        self.bare(&prepared);
        (prepared, self.picture())
    }

    /// What a refusal has left can be taken back with or without the lock: as it says itself, if it does.
    fn way_back(&self, row: &Row, before: &Picture, refusal: &Ended) -> Option<String> {
        let (line, fetched, to_before) = match row.left {
            Left::Anything => return None,
            Left::Nothing => (":", false, true),
            Left::Back(line) => (told_way_back(&refusal.output).unwrap_or(line), false, true),
            Left::Fetched(line) => (line, true, true),
            Left::Ends(line) => (line, false, false),
        };
        let output = self.actor.run(line);
        if output.code != 0 {
            return Some(format!("no way back:\n{output}"));
        }
        let after = self.picture();
        if !to_before {
            let busy = after.part("unfinished");
            return (!busy.is_empty()).then(|| format!("not ended: {busy}"));
        }
        let found = before.differs(&after, fetched);
        found.map(|what| format!("after the way back, {}: {what}", if line == ":" { "none" } else { line }))
    }
}

/// How a command line ended.
struct Ended {
    output: Output,
    picture: Picture,
}

fn allowed(kind: Kind, condition: Condition) -> bool {
    match kind {
        Kind::Harmless | Kind::Unseen(_) => true,
        Kind::Own | Kind::PushFree => condition != Condition::Frozen,
        Kind::Moves | Kind::Mistaken | Kind::PushGuarded => condition == Condition::Mine,
    }
}

/// Whether the row itself is what it says, without hooks.
fn as_described(row: &Row, kind: Kind, before: &Picture, bare: &Ended) -> Option<String> {
    if bare.output.code != row.code {
        return Some(format!("ends otherwise than the table says ({})\n{}", row.code, bare.output));
    }
    let moved = before.protected_differ(&bare.picture).is_some();
    let remote = before.part("remote") != bare.picture.part("remote");
    let good = match kind {
        Kind::Moves | Kind::Own => moved,
        Kind::Harmless | Kind::Mistaken => !moved,
        Kind::Unseen(_) => moved || remote || row.line.contains("stash"),
        Kind::PushGuarded | Kind::PushFree => !moved && (remote || row.code != 0 || row.line.contains("dry")),
    };
    (!good).then(|| format!("is no {kind:?}\n{}", bare.output))
}

fn same(bare: &Ended, ended: &Ended) -> Option<String> {
    if bare.output.code != ended.output.code {
        return Some(format!("ends otherwise than without hooks ({})\n{}", bare.output.code, ended.output));
    }
    let differs = bare.picture.differs(&ended.picture, false);
    differs.map(|what| format!("is not as without hooks: {what}\n{}", ended.output))
}

fn refused(row: &Row, kind: Kind, before: &Picture, ended: &Ended) -> Option<String> {
    let pushes = matches!(kind, Kind::PushGuarded | Kind::PushFree);
    let remote = || before.part("remote") != ended.picture.part("remote");
    if ended.output.code == 0 {
        Some(format!("is not refused\n{}", ended.output))
    } else if let Some(what) = before.protected_differ(&ended.picture) {
        Some(format!("has moved {what}\n{}", ended.output))
    } else if pushes && remote() {
        Some(format!("has moved the remote\n{}", ended.output))
    } else if !ended.output.all().contains("refused: ")
        && !row.line.contains("../side/said")
        && !row.line.contains("2>/dev/null")
    {
        Some(format!("says nothing of a refusal\n{}", ended.output))
    } else {
        None
    }
}

/// Whether it is true when a refusal says that nothing has changed.
fn said_of_files(before: &Picture, ended: &Ended) -> Option<String> {
    let says = ["the index are as they were", "nothing was changed"].iter();
    let says = says.into_iter().any(|words| ended.output.all().contains(words));
    let changed = before.files_differ(&ended.picture)?;
    says.then(|| format!("says that nothing has changed, but {changed} has\n{}", ended.output))
}

/// The command by which a refusal says that it is taken back.
fn told_way_back(output: &Output) -> Option<&str> {
    output.stderr.lines().find_map(|line| Some(line.split_once("this takes it back: ")?.1))
}

/// The local configuration, one `key=value` for each.
fn local_config(world: &World) -> BTreeSet<String> {
    world.git(&["config", "--local", "--list", "-z"]).split('\0').map(str::to_owned).collect()
}

/// The same as text of a configuration file.
fn sections(pairs: &BTreeSet<String>) -> String {
    let section = |pair: &String| {
        let (key, value) = pair.split_once('\n')?;
        let (section, name) = key.rsplit_once('.')?;
        let section = match section.split_once('.') {
            Some((section, sub)) => format!("{section} \"{sub}\""),
            None => section.to_owned(),
        };
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        Some(format!("[{section}]\n\t{name} = \"{value}\"\n"))
    };
    pairs.iter().filter_map(section).collect()
}
