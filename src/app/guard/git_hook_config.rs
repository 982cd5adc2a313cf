//! The guard entries in git's configuration: git 2.54 and later asks them besides the hooks, so that a
//! commit does not pass unseen when git is told to look for hooks elsewhere.
//!
//! Older gits pass these entries by. A program that is gone refuses nothing: then the hooks are gone too,
//! and a repository that was moved must not become one in which nothing can be fetched.

use std::path::Path;

use crate::adapters::git::config::{Config, ConfigEntry};
use crate::adapters::git::{Repo, RepoError};
use crate::domain::guard::retry_command::shell_quote;
use crate::store::guard::hookdir;

/// The events at which it is asked.
pub const EVENTS: [&str; 3] = ["reference-transaction", "pre-commit", "pre-push"];

/// The first git that knows such entries.
pub const GIT_MIN: (u32, u32) = (2, 54);

/// The name of the program beside the hooks.
pub const PROGRAM: &str = "cmw-hook";

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookConfigProblem {
    /// Git asks nobody at this event, or somebody else.
    Missing {
        /// The event.
        event: &'static str,
    },
    /// Somebody switched it off.
    Disabled {
        /// By which key, and where it stands.
        entry: ConfigEntry,
    },
}

fn key(event: &str, name: &str) -> String {
    format!("hook.cmw-guard-{event}.{name}")
}

/// An event, and the two entries for it.
type WantedEntries = (&'static str, [(String, String); 2]);

/// The entries as they are to be; `None` when the path of the program cannot be a value.
fn wanted(repo: &Repo) -> Option<Vec<WantedEntries>> {
    let program = repo.common_dir.join(hookdir::DIR).join(PROGRAM);
    let program = shell_quote(program.to_str()?);
    let entries = |event: &'static str| {
        let command = format!("! test -x {program} || exec {program} guard {event}");
        (event, [(key(event, "command"), command), (key(event, "event"), event.to_owned())])
    };
    Some(EVENTS.into_iter().map(entries).collect())
}

/// What is wrong with the entries in a configuration.
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

/// Sets the entries, and switches on what the repository's own configuration switched off. Says whether
/// there was something to do.
///
/// # Errors
/// Git's own words.
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
/// Git's own words.
pub fn remove(repo: &Repo) -> Result<(), RepoError> {
    EVENTS.iter().try_for_each(|event| repo.remove_sections(&format!("hook.cmw-guard-{event}")))
}

/// Who told git to look for hooks elsewhere than in our directory; `None` when nobody did.
///
/// `overruled`: whether the environment carries configuration. Git is started only when the
/// repository's own file does not settle it.
///
/// # Errors
/// Git's own words.
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

/// Git does not look for hooks where ours are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// What says so; `None` when nothing tells git where ours are.
    pub by: Option<ConfigEntry>,
}
