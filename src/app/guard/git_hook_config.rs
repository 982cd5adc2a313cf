//! The guard entries in git's configuration: git 2.54 and later runs them in addition to the hooks, so that a
//! commit does not pass unseen when git is told to look for hooks elsewhere.
//!
//! Older gits ignore these entries. A missing program refuses nothing: then the hooks are missing too, and a
//! repository that was moved must still be able to fetch.

use std::path::Path;

use crate::adapters::git::config::{Config, ConfigEntry};
use crate::adapters::git::{Repo, RepoError};
use crate::domain::guard::retry_command::shell_quote;
use crate::store::guard::hookdir;

/// The events that have a guard entry.
pub const EVENTS: [&str; 3] = ["reference-transaction", "pre-commit", "pre-push"];

/// The first version of git that supports such entries.
pub const GIT_MIN: (u32, u32) = (2, 54);

/// The name of the program beside the hooks.
pub const PROGRAM: &str = "cmw-hook";

/// A problem with an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookConfigProblem {
    /// Git runs no guard at this event, or another program.
    Missing {
        /// The event.
        event: &'static str,
    },
    /// The guard is disabled.
    Disabled {
        /// The entry that disables it, with its origin.
        entry: ConfigEntry,
    },
}

fn key(event: &str, name: &str) -> String {
    format!("hook.cmw-guard-{event}.{name}")
}

/// An event, and the two entries for it.
type WantedEntries = (&'static str, [(String, String); 2]);

/// Returns the wanted entries; `None` when the path of the program cannot be a value.
fn wanted(repo: &Repo) -> Option<Vec<WantedEntries>> {
    let program = repo.common_dir.join(hookdir::DIR).join(PROGRAM);
    let program = shell_quote(program.to_str()?);
    let entries = |event: &'static str| {
        let command = format!("! test -x {program} || exec {program} guard {event}");
        (event, [(key(event, "command"), command), (key(event, "event"), event.to_owned())])
    };
    Some(EVENTS.into_iter().map(entries).collect())
}

/// Returns the problems of the entries in a configuration.
#[must_use]
pub fn problems(repo: &Repo, config: &Config) -> Vec<HookConfigProblem> {
    let is = |(key, value): &(String, String)| config.get(key).is_some_and(|entry| entry.text() == value);
    let missing = wanted(repo).unwrap_or_default().into_iter().filter(|(_, pairs)| !pairs.iter().all(is));
    let mut gaps: Vec<HookConfigProblem> =
        missing.map(|(event, _)| HookConfigProblem::Missing { event }).collect();
    for event in EVENTS {
        let keys = [key(event, "enabled"), format!("hook.{event}.enabled")];
        let off = keys.iter().filter_map(|key| config.get(key)).filter(|e| e.truth() == Some(false));
        gaps.extend(off.map(|entry| HookConfigProblem::Disabled { entry: entry.clone() }));
    }
    gaps
}

/// Sets the entries, and removes what disables them in the repository's own configuration. Returns whether
/// anything has changed.
///
/// # Errors
/// [`RepoError`]: git's message.
pub fn set(repo: &Repo) -> Result<bool, RepoError> {
    let config = repo.read_all()?;
    let gaps = problems(repo, &config);
    let mut changed = false;
    for (event, pairs) in wanted(repo).unwrap_or_default() {
        if gaps.contains(&HookConfigProblem::Missing { event }) {
            changed = true;
            pairs.iter().try_for_each(|(key, value)| repo.set_local(key, value))?;
        }
    }
    for gap in &gaps {
        if let HookConfigProblem::Disabled { entry } = gap
            && entry.is_local()
        {
            changed |= repo.unset_local(&entry.key)?;
        }
    }
    Ok(changed)
}

/// Removes the entries.
///
/// # Errors
/// [`RepoError`]: git's message.
pub fn remove(repo: &Repo) -> Result<(), RepoError> {
    EVENTS.iter().try_for_each(|event| repo.remove_sections(&format!("hook.cmw-guard-{event}")))
}

/// Returns the setting that makes git look for hooks elsewhere than in our directory; `None` without one.
///
/// `overruled`: whether the environment carries configuration. Git is started only when the repository's own
/// file does not decide it.
///
/// # Errors
/// [`RepoError`]: git's message.
pub fn diverted(repo: &Repo, overruled: bool) -> Result<Option<Diversion>, RepoError> {
    let ours = repo.common_dir.join(hookdir::DIR);
    if !overruled && repo.plain_local("core.hooksPath").is_some_and(|path| Path::new(&path) == ours) {
        return Ok(None);
    }
    let config = repo.read_all()?;
    match config.get("core.hooksPath") {
        None => Ok(Some(Diversion { by: None })),
        Some(entry) if crate::app::guard::hook_chain::is_same_dir(repo, entry.text(), &ours) => Ok(None),
        Some(entry) => Ok(Some(Diversion { by: Some(entry.clone()) })),
    }
}

/// A diversion: git looks for hooks elsewhere than in our directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// The entry that causes it; `None` when no entry names our directory.
    pub by: Option<ConfigEntry>,
}
