//! The hooks that run after ours: those that were in effect before, and those that were installed in their
//! place or beside them later (docs/decisions.md D12).
//!
//! Invariant `without_authority_nothing_is_adopted` (`tests/fast/init/adopt_hooks.rs`): what another tool did
//! to `core.hooksPath` is adopted only by a caller that may change the policy, and is recorded.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::adapters::git::Repo;
use crate::adapters::git::config::{Config, Scope};
use crate::domain::command::Command;
use crate::domain::state::State;
use crate::store::disk::{Disk, RealDisk};
use crate::store::error::StoreError;
use crate::store::layout;

use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::workspace::Context;
use crate::store::guard::hookdir::{self, OWN_HOOKS};

/// The hook configuration to be set, and what runs after ours.
#[derive(Debug)]
pub(crate) struct HookChain {
    /// The value of `core.hooksPath` to be set.
    pub(crate) path: String,
    /// Its value before ours, to be restored.
    pub(crate) former: Option<String>,
    /// The directory whose hooks run after ours.
    pub(crate) chained: String,
    /// The names under which our program is installed.
    pub(crate) names: Vec<String>,
    /// The hooks that are adopted: those that were not there when ours were set up.
    pub(crate) adoption: Option<HookAdoption>,
}

/// Hooks that were installed in place of ours or beside them after the set-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookAdoption {
    /// The directory whose hooks ran after ours before.
    former: String,
    /// The directory whose hooks run after ours from now on.
    adopted: String,
    /// The hooks that git calls from now on, and did not call before.
    hooks: Vec<String>,
}

impl HookAdoption {
    pub(crate) fn command(&self) -> Command {
        let (former, adopted, hooks) = (self.former.clone(), self.adopted.clone(), self.hooks.clone());
        Command::AdoptHooks { former, adopted, hooks }
    }

    /// Returns the sentence about it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if self.former == self.adopted {
            let _ = write!(text, "adopted: new hooks in {}", self.adopted);
        } else {
            let _ = write!(text, "adopted: the hooks in {} (before: {})", self.adopted, self.former);
        }
        if !self.hooks.is_empty() {
            let _ = write!(text, "; called from now on: {}", self.hooks.join(" "));
        }
        text
    }
}

impl HookChain {
    /// Determines it. `config`: the lasting configuration; `old`: the state, when there is one.
    ///
    /// # Errors
    /// [`Failure`] when the path of our hooks cannot be a value of the configuration.
    pub(crate) fn of(context: &Context<'_>, config: &Config, old: Option<&State>) -> Result<Self, Failure> {
        let repo = &context.repo;
        let ours = repo.common_dir.join(hookdir::DIR);
        let path = ours.to_str().map(str::to_owned).ok_or_else(|| {
            let what = format!("{} is not UTF-8, and core.hooksPath must be", ours.display());
            Failure::with_next_step(Exit::Config, what, "")
        })?;
        let before = config.get("core.hooksPath").map(|e| (e.text().to_owned(), e.is_local()));
        let place =
            |(path, local): &(String, bool)| local.then(|| former_common_dir(path, &repo.common_dir))?;
        let moved = before.as_ref().and_then(place).filter(|_| old.is_some());
        let taken = before.filter(|(path, _)| !is_same_dir(repo, path, &ours) && moved.is_none());
        // Ours is in effect already: its chained hooks were determined then.
        let former = match (old, &taken) {
            (_, Some((path, true))) => Some(path.clone()),
            (Some(state), None) => state.policy.former_hooks_path.clone(),
            (None, None) | (_, Some((_, false))) => None,
        };
        let settled = read_chained(context.store.disk()).filter(|_| old.is_some());
        let settled = settled.map(|chained| moved_along(chained, moved.as_deref(), repo));
        let by_default = || repo.common_dir.join("hooks").display().to_string();
        let chained = match (&taken, &settled) {
            (Some((path, _)), _) => expanded(path, context.env.get("HOME")),
            (None, Some(chained)) => chained.clone(),
            (None, None) => by_default(),
        };
        let names = names(repo, &chained);
        let new = old.map(|_| not_called_yet(context.store.disk(), &names)).unwrap_or_default();
        let is_other = settled.as_ref().is_some_and(|before| *before != chained);
        let adoption = (old.is_some() && (is_other || !new.is_empty())).then(|| HookAdoption {
            former: settled.unwrap_or_else(by_default),
            adopted: chained.clone(),
            hooks: new,
        });
        Ok(Self { path, former, chained, names, adoption })
    }
}

/// Returns the value that still precedes ours after the set-up, and the command that removes it: a value that
/// is not the repository's own is not ours to change.
pub(crate) fn remaining_diversion(repo: &Repo, ours: &str) -> Option<String> {
    let config = repo.read_all().ok()?;
    let entry = config.get("core.hooksPath").filter(|entry| entry.text() != ours)?;
    let remedy = match entry.scope {
        Scope::Worktree => "git config --worktree --unset-all core.hooksPath",
        Scope::Command => "unset GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS",
        Scope::System | Scope::Global | Scope::Local | Scope::Unknown => return None,
    };
    Some(format!("core.hooksPath is still {} by {}; to remove it:\n  {remedy}", entry.text(), entry.origin))
}

/// Expands a directory as git does: `~/` is the caller's home.
fn expanded(path: &str, home: Option<&str>) -> String {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => Path::new(home).join(rest).display().to_string(),
        (Some(_) | None, _) => path.to_owned(),
    }
}

/// Returns whether a value of `core.hooksPath` is our directory, in any spelling: our hooks must never run
/// after themselves.
#[must_use]
pub fn is_same_dir(repo: &Repo, path: &str, ours: &Path) -> bool {
    let full = root(repo).join(path);
    let real = |path: &Path| path.canonicalize().ok();
    full == ours || real(&full).is_some_and(|full| Some(full) == real(ours))
}

/// Returns the directory in which git runs hooks.
fn root(repo: &Repo) -> &Path {
    repo.work_tree.as_deref().unwrap_or(&repo.common_dir)
}

/// Returns those of these hooks that are not ours and that git does not call yet.
fn not_called_yet(disk: &RealDisk, names: &[String]) -> Vec<String> {
    let others = names.iter().filter(|name| !OWN_HOOKS.contains(&name.as_str()));
    let is_there = |name: &&String| matches!(disk.size(&format!("{}/{name}", hookdir::DIR)), Ok(Some(_)));
    others.filter(|name| !is_there(name)).cloned().collect()
}

/// Returns git's common directory at the time when `core.hooksPath` was set to our hooks, if that is another
/// one: the repository was moved or copied since.
#[must_use]
pub fn former_common_dir(hooks_path: &str, common_dir: &Path) -> Option<PathBuf> {
    let path = Path::new(hooks_path);
    let place = path.ends_with(hookdir::DIR).then(|| path.parent()?.parent())??;
    (path.is_absolute() && place != common_dir).then(|| place.to_owned())
}

/// Returns the present path of a directory of hooks, which moves with the repository when it is inside.
fn moved_along(chained: String, from: Option<&Path>, repo: &Repo) -> String {
    let inside = from.and_then(|from| Path::new(&chained).strip_prefix(from).ok());
    inside.map_or_else(|| chained.clone(), |inside| repo.common_dir.join(inside).display().to_string())
}

/// Returns the names of our own hooks, and of each executable hook that is chained.
fn names(repo: &Repo, chained: &str) -> Vec<String> {
    let mut names: Vec<String> = OWN_HOOKS.map(str::to_owned).to_vec();
    let found = executable_hooks(&root(repo).join(chained));
    names.extend(found.into_iter().filter(|n| !OWN_HOOKS.contains(&n.as_str())));
    names
}

/// Returns the names of the executable files in a directory of hooks that another tool installed.
#[must_use]
pub fn executable_hooks(dir: &Path) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt;
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let is_hook = |entry: &std::fs::DirEntry| {
        std::fs::metadata(entry.path()).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(is_hook)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        .collect();
    names.sort();
    names
}

/// Reads from the state directory the path of the directory whose hooks run after ours.
#[must_use]
pub fn read_chained(disk: &RealDisk) -> Option<String> {
    let bytes = disk.read(layout::CHAINED_HOOKS, 8 << 10).ok()??;
    Some(String::from_utf8(bytes).ok()?.trim_end_matches('\n').to_owned())
}

pub(crate) fn write_chained(disk: &RealDisk, chained: &str) -> Result<(), StoreError> {
    let (file, tmp) = (layout::CHAINED_HOOKS, "cmw/chained-hooks.tmp");
    if read_chained(disk).as_deref() == Some(chained) {
        return Ok(());
    }
    disk.remove(tmp)
        .and_then(|()| disk.create_new(tmp, format!("{chained}\n").as_bytes()))
        .and_then(|()| disk.sync(tmp))
        .and_then(|()| disk.rename(tmp, file))
        .and_then(|()| disk.sync_dir("cmw"))
        .map_err(|e| StoreError::io("write", file, e))
}
