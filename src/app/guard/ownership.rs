//! Whose an uncommitted file is, as far as that is known: who edited it last, and who claims it.
//!
//! A recorded edit counts only while the file looks as it did afterwards: one that nobody recorded, by
//! a shell command, ends what is known of it (docs/decisions.md S13).

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::adapters::os::clock;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::lock::checks::{Owners, claimants, claims};
use crate::domain::policy::checks::Check;
use crate::domain::policy::checks::Level;
use crate::domain::policy::mode::Mode;
use crate::domain::state::State;
use crate::domain::util::path_encoding::to_text;
use crate::store::disk::{Disk, RealDisk};
use crate::store::guard::edits::{self, Edit};
use crate::store::layout;

use crate::app::workspace::Context;

/// How a file looks now; `None` when it is gone.
fn fingerprint(work_tree: &Path, path: &[u8]) -> Option<(i64, u64)> {
    let meta = std::fs::symlink_metadata(work_tree.join(std::ffi::OsStr::from_bytes(path))).ok()?;
    Some((meta.ctime().saturating_mul(1_000_000_000).saturating_add(meta.ctime_nsec()), meta.len()))
}

/// Records that a role edited these paths. Soft: what cannot be written costs only a guess.
pub fn record(disk: &RealDisk, work_tree: &Path, role: &Role, paths: &[Vec<u8>]) {
    let at = clock::now().wall;
    let edit = |path: &Vec<u8>| Edit {
        at,
        role: role.clone(),
        path: to_text(path),
        looks: fingerprint(work_tree, path),
    };
    let edits: Vec<Edit> = paths.iter().map(edit).collect();
    let _ = edits::append(disk, &edits);
}

/// Whether a commit here is compared with whose files are whose: only where all share one index, not of what a
/// merge brings, and only when there is anything to know.
#[must_use]
pub fn matters(context: &Context<'_>, state: &State, me: &Actor) -> bool {
    let policy = &state.policy;
    policy.mode == Mode::Shared
        && policy.checks.level(Check::Claims) != Level::Off
        && context.repo.work_tree.is_some()
        && context.repo.operation_in_progress().is_none()
        && has_owners(context.store.disk(), state, me)
}

/// Whether there is anything to know: an edit that was recorded, or another role that claims files by name. As
/// a rule there is not, and git need not be asked what is staged.
fn has_owners(disk: &RealDisk, state: &State, me: &Actor) -> bool {
    claims(state).any(|(role, _)| me.role() != Some(role))
        || disk.size(layout::EDITS).is_ok_and(|size| size.unwrap_or(0) > 0)
}

/// Whose these paths are, as far as that is known.
#[must_use]
pub fn owners(disk: &RealDisk, work_tree: &Path, state: &State, me: &Actor, paths: &[Vec<u8>]) -> Owners {
    let mut owners = claimants(state, me, paths);
    // Nothing was ever recorded, or it cannot be read: then there is nothing to know.
    let last = edits::last(disk).unwrap_or_default();
    for path in paths {
        if let Some(edit) = last.get(path).filter(|edit| edit.looks == fingerprint(work_tree, path)) {
            owners.insert(path.clone(), edit.role.clone());
        }
    }
    owners
}
