//! Brings the pins on disk in line with the state: set during a hard freeze, removed after the thaw.
//!
//! Invariant: the state is published first and the disk follows it, outside the gate. The next command of any
//! role completes what a killed command left undone; hooks never do.

use serde_json::{Value, json};

use crate::adapters::git::RefFormat;
use crate::adapters::os::process;
use crate::domain::command::{Caller, Command};
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::freeze::pins::{PINS_MAX, PinFindings, PinId, PinRequest, Pins};
use crate::domain::guard::git_ref::RefName;
use crate::domain::guard::git_ref::branch;
use crate::domain::identity::actor::Actor;
use crate::domain::policy::event::PolicyEvent;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::store::audit::log;
use crate::store::disk::RealDisk;
use crate::store::error::StoreError;
use crate::store::freeze::pins as disk_pins;
use crate::store::freeze::pins::{PinMarker, PinSlot};
use crate::store::watch::Watch;

use crate::app::error::Failure;
use crate::app::error::git_config_failure;
use crate::app::rescue::save;
use crate::app::workspace::Context;

/// How long a freeze or a thaw waits for another command that changes the pins, in milliseconds.
const LOCK_WAIT_MS: u64 = 10_000;
/// How long a freeze waits in total for git processes that hold branches, in milliseconds.
const GITS_WAIT_MS: u64 = 1_000;
/// How often it checks whether they are done, in milliseconds.
const GITS_LOOK_MS: u64 = 50;

/// The pins on disk, compared with the state.
#[derive(Clone, Debug, Default)]
pub struct PinStatus {
    /// Whether the state wants pins.
    pub wanted: bool,
    /// How many branches are to be pinned, or freed.
    pub all: usize,
    /// Wanted and missing: the branch, and what occupies its place.
    pub missing: Vec<(RefName, &'static str)>,
    /// No longer wanted, and still there.
    pub left: Vec<RefName>,
    /// Obstacles that are not ours and stay.
    pub foreign: Vec<RefName>,
}

/// Returns what a hard freeze would pin, or why it can only be a soft one.
///
/// # Errors
/// [`Failure`] when the branches cannot be listed.
pub fn pin_request(context: &Context<'_>) -> Result<Result<PinRequest, String>, Failure> {
    if context.repo.ref_format != RefFormat::Files {
        let why = "branches can be pinned only where git keeps refs as files, and not in a reftable: \
                   the freeze is soft, enforced by the hooks";
        return Ok(Err(why.to_owned()));
    }
    let refs = context.repo.branches().map_err(|e| git_config_failure(&e))?;
    if refs.len() > PINS_MAX {
        let why =
            format!("{} are too many to be pinned (at most {PINS_MAX}): the freeze is soft", refs.len());
        return Ok(Err(why));
    }
    Ok(Ok(PinRequest { freeze: format!("{:032x}", crate::adapters::os::random::bits()), refs }))
}

/// Examines every pin; `None` when there is none and none is wanted.
#[must_use]
pub fn status(disk: &RealDisk, state: &State) -> Option<PinStatus> {
    let pins = state.pins.as_ref()?;
    let mut look = PinStatus { wanted: pins.wanted, all: pins.refs.len(), ..PinStatus::default() };
    for (name, known) in &pins.refs {
        let place = disk_pins::inspect_slot(disk, name, &pins.freeze, *known);
        let (missing, is_foreign) = match place {
            Ok(PinSlot::Pin(_) | PinSlot::Hollow(_)) if !pins.wanted => {
                look.left.push(name.clone());
                continue;
            }
            Ok(PinSlot::Pin(_)) => continue,
            Ok(PinSlot::Hollow(_)) => ("its directory is empty", false),
            Ok(PinSlot::Free) => ("it does not exist", false),
            Ok(PinSlot::Git) => ("a git process holds its lock", false),
            Ok(PinSlot::Foreign) => ("something else has its path", true),
            Err(_) => ("it cannot be examined", false),
        };
        look.missing.extend(pins.wanted.then(|| (name.clone(), missing)));
        look.foreign.extend(is_foreign.then(|| name.clone()));
    }
    Some(look)
}

impl PinStatus {
    /// Describes the pins in one line, for people.
    #[must_use]
    pub fn line(&self) -> String {
        if !self.wanted {
            return format!("the pins of {} are still to be removed", sanitize::branches(self.all));
        }
        let missing = match self.missing.len() {
            0 => String::new(),
            n => format!(", {n} of them MISSING: {}", self.named()),
        };
        format!("hard: {} pinned{missing}", sanitize::branches(self.all))
    }

    /// Names the first missing pins, with the reasons.
    #[must_use]
    pub fn named(&self) -> String {
        let shown = self.missing.iter().take(3);
        let shown: Vec<String> = shown.map(|(name, why)| format!("{} ({why})", branch(name))).collect();
        shown.join(", ")
    }

    /// Returns the data for programs.
    #[must_use]
    pub fn data(&self) -> Value {
        let missing: Vec<&RefName> = self.missing.iter().map(|(name, _)| name).collect();
        json!({"wanted": self.wanted, "branches": self.all, "missing": missing, "left": self.left,
            "foreign": self.foreign})
    }
}

/// Returns whether pins need to be changed: one look at each directory that should exist.
#[must_use]
pub fn is_due(disk: &RealDisk, state: &State) -> bool {
    let Some(pins) = &state.pins else { return false };
    let stands = |(name, known): (&RefName, &Option<PinId>)| {
        known.is_some() && disk_pins::directory(disk, name) == *known
    };
    !pins.wanted || !pins.refs.iter().all(stands)
}

/// Brings the pins in line with the state, when that is due and no other command does it; returns the state
/// afterwards and what was done. `patiently`: for a freeze or a thaw, which must be complete when it returns.
///
/// # Errors
/// [`Failure`] when the store failed. The next command does what was not done.
pub fn apply_pins(
    context: &Context<'_>,
    state: &State,
    patiently: bool,
) -> Result<(Option<State>, Vec<String>), Failure> {
    let disk = context.store.disk();
    let mut said = Vec::new();
    if !is_due(disk, state) {
        return Ok((None, said));
    }
    let Ok(_lock) = disk_pins::lock(disk, if patiently { LOCK_WAIT_MS } else { 0 }) else {
        return Ok((None, said));
    };
    // The state that was read before may be outdated by now.
    let state = context.state()?;
    let Some(pins) = state.pins.clone() else { return Ok((Some(state), said)) };
    disk_pins::sweep(disk);
    let found = if pins.wanted {
        set_all(context, &state, &pins, patiently, &mut said)
    } else {
        remove_all(disk, &pins, &mut said)
    };
    disk_pins::sweep(disk);
    if found.is_empty() {
        return Ok((Some(state), said));
    }
    if let Err(error) = disk_pins::sync(disk) {
        said.push(format!("warning: the pins are not synced: {error}"));
    }
    disk_pins::step();
    let by = Caller { actor: Actor::System, process: process::current() };
    let state = context.publish_only(&by, &Command::Pinned(found))?.state;
    disk_pins::step();
    Ok((Some(state), said))
}

/// Sets missing pins, and reports those that have vanished.
fn set_all(
    context: &Context<'_>,
    state: &State,
    pins: &Pins,
    patiently: bool,
    said: &mut Vec<String>,
) -> PinFindings {
    let disk = context.store.disk();
    let mut found = PinFindings { freeze: pins.freeze.clone(), ..PinFindings::default() };
    let mut left_ms = if patiently { GITS_WAIT_MS } else { 0 };
    for (name, known) in &pins.refs {
        let is_hollow = known.is_some() && disk_pins::directory(disk, name).is_none();
        let now = set_one(context, state, pins, (name, *known), &mut left_ms);
        let is_other = now.as_ref().ok() != known.as_ref();
        if let (Some(was), true) = (*known, is_hollow || is_other) {
            found.vanished.push((name.clone(), was));
            said.push(format!("warning: the pin of {} had vanished", branch(name)));
        }
        match now {
            Ok(id) if is_hollow || is_other => {
                found.set.insert(name.clone(), id);
                let unpacked = match context.repo.read_packed(name) {
                    Ok(Some(oid)) => disk_pins::unpack(disk, name, &oid).map_err(|e| e.to_string()),
                    Ok(None) => Ok(()),
                    Err(error) => Err(error.to_string()),
                };
                if let Err(why) = unpacked {
                    said.push(format!("warning: {} is pinned, but may be deleted: {why}", branch(name)));
                }
            }
            Ok(_) => {}
            Err(why) if patiently => {
                let name = branch(name);
                said.push(format!("warning: {name} is not pinned: {why}; the next command tries again"));
            }
            Err(_) => {}
        }
    }
    found
}

/// Returns the pin of one branch, setting it when it is missing.
fn set_one(
    context: &Context<'_>,
    state: &State,
    pins: &Pins,
    (name, known): (&RefName, Option<PinId>),
    left_ms: &mut u64,
) -> Result<PinId, String> {
    let disk = context.store.disk();
    let marker = PinMarker {
        freeze: pins.freeze.clone(),
        repository: state.repo_id.clone(),
        common_dir: disk_pins::common_dir(disk),
        reference: name.clone(),
    };
    let mut has_cleared = false;
    loop {
        match disk_pins::inspect_slot(disk, name, &pins.freeze, known).map_err(|e| e.to_string())? {
            PinSlot::Pin(id) => return Ok(id),
            PinSlot::Hollow(id) => disk_pins::remove(disk, name, id).map_err(|e| e.to_string())?,
            PinSlot::Foreign => return Err("something that is not ours has its path".to_owned()),
            PinSlot::Free => match disk_pins::set(disk, &marker, &readme(state, name)) {
                Ok(id) => return Ok(id),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && *left_ms > 0 => pause(left_ms),
                Err(e) => return Err(e.to_string()),
            },
            PinSlot::Git if *left_ms > 0 => pause(left_ms),
            PinSlot::Git if !has_cleared => {
                has_cleared = true;
                context.env.report(&save::remove_stale_locks(&context.repo).join("\n"));
            }
            PinSlot::Git => return Err("a git process holds its lock".to_owned()),
        }
    }
}

fn pause(left_ms: &mut u64) {
    // Without a watch the retries are not paused, and as many.
    let _ = Watch::none().wait(None, GITS_LOOK_MS);
    *left_ms = left_ms.saturating_sub(GITS_LOOK_MS);
}

/// Returns the text of a pin's README.
fn readme(state: &State, name: &RefName) -> String {
    let (by, reason, since) = match &state.system {
        FreezeState::Frozen { by, reason, since, .. } => {
            (by.to_string(), sanitize::line(reason), since.to_string())
        }
        FreezeState::Running => (String::new(), String::new(), String::new()),
    };
    format!(
        "This directory pins the branch {}: while it exists, git cannot move the branch.\n\
         No git has crashed, and nothing is broken: the repository is frozen.\n\n\
         by:    {by}\nwhy:   {reason}\nsince: {since}\n\n\
         To end it, the person types: cmw-freeze thaw --reason '…'\n",
        branch(name)
    )
}

/// Removes our pins; anything else stays, and is reported once.
fn remove_all(disk: &RealDisk, pins: &Pins, said: &mut Vec<String>) -> PinFindings {
    let mut found = PinFindings { freeze: pins.freeze.clone(), ..PinFindings::default() };
    for (name, known) in &pins.refs {
        let removed = match disk_pins::inspect_slot(disk, name, &pins.freeze, *known) {
            Ok(PinSlot::Pin(id) | PinSlot::Hollow(id)) => disk_pins::remove(disk, name, id),
            Ok(PinSlot::Foreign) => {
                let path = sanitize::line(&disk_pins::path(disk, name).display().to_string());
                said.push(format!("warning: {path} is not one of our pins and stays"));
                Ok(())
            }
            Ok(PinSlot::Free | PinSlot::Git) => Ok(()),
            Err(error) => Err(error),
        };
        match removed {
            Ok(()) => found.removed.push(name.clone()),
            Err(error) => {
                said.push(format!("warning: the pin of {} could not be removed: {error}", branch(name)));
            }
        }
    }
    found
}

/// Returns our pins, according to their markers, that are not registered in the state.
#[must_use]
pub fn unregistered(context: &Context<'_>, state: Option<&State>) -> Vec<(RefName, PinId)> {
    let disk = context.store.disk();
    if context.repo.ref_format != RefFormat::Files {
        return Vec::new();
    }
    let repository = state.map(|state| state.repo_id.clone()).or_else(|| repository(disk));
    let here = disk_pins::common_dir(disk);
    let mut found =
        disk_pins::marked(disk, &|m| m.common_dir == here || Some(&m.repository) == repository.as_ref());
    let known = state.and_then(|state| state.pins.as_ref());
    found.retain(|(name, _)| known.is_none_or(|pins| !pins.refs.contains_key(name)));
    found
}

/// Returns the repository's id, from the audit.
fn repository(disk: &RealDisk) -> Option<String> {
    let first = log::read_all(disk).ok()?.into_iter().next()?;
    let crate::domain::event::Event::Policy(PolicyEvent::PolicySet { repo_id, .. }) = first.event else {
        return None;
    };
    Some(repo_id)
}

/// Removes every pin before an uninstallation: those of the state or, when it cannot be read, those whose
/// markers say that they are this repository's. Returns what stays.
///
/// # Errors
/// [`Failure`] when one of them cannot be removed: then nothing else may be removed.
pub fn remove_all_permanently(context: &Context<'_>, state: Option<&State>) -> Result<Vec<String>, Failure> {
    let disk = context.store.disk();
    let mut said = Vec::new();
    let failed = |e: std::io::Error| StoreError::io("remove the pins in", "refs/heads", e);
    let _lock = disk_pins::lock(disk, LOCK_WAIT_MS).map_err(failed)?;
    let others = unregistered(context, state);
    match state {
        Some(State { pins: Some(pins), .. }) => {
            let wished = pins.refs.len();
            if remove_all(disk, pins, &mut said).removed.len() < wished {
                let why = std::io::Error::other(said.join("; "));
                return Err(failed(why).into());
            }
        }
        Some(_) => {}
        None => {
            for (name, id) in &others {
                disk_pins::remove(disk, name, *id).map_err(failed)?;
            }
            return Ok(said);
        }
    }
    let left = others.iter().map(|(name, _)| disk_pins::path(disk, name).display().to_string());
    said.extend(
        left.map(|path| format!("warning: {} looks like a pin of ours and stays", sanitize::line(&path))),
    );
    Ok(said)
}

/// Returns what was done, as lines for `cmw-doctor --fix`.
pub fn repair(context: &Context<'_>) -> Vec<String> {
    let Ok(state) = context.state() else { return Vec::new() };
    let before = status(context.store.disk(), &state);
    match apply_pins(context, &state, true) {
        Ok((after, mut said)) => {
            let after = after.as_ref().unwrap_or(&state);
            if *after != state {
                let is =
                    status(context.store.disk(), after).map_or("the pins are gone".to_owned(), |l| l.line());
                said.push(format!("pins: {is}"));
            }
            said
        }
        Err(failure) => {
            let line = failure.text().lines().next().unwrap_or_default().to_owned();
            before.map(|_| format!("could not repair the pins: {line}")).into_iter().collect()
        }
    }
}

/// Applies the pins during another command, which continues in any case; returns the state afterwards.
pub fn apply_pins_after(context: &Context<'_>, state: &State, command: &Command) -> Option<State> {
    let patiently = matches!(command, Command::Freeze { .. } | Command::Thaw { .. });
    match apply_pins(context, state, patiently) {
        Ok((after, said)) => {
            context.env.report(&said.join("\n"));
            after
        }
        Err(failure) => {
            let line = failure.text().lines().next().unwrap_or_default().to_owned();
            context.env.report(&format!("warning: the pins are not settled: {line}"));
            None
        }
    }
}
