//! The owner of an uncommitted file, as far as it is known: the role that edited it last, or claims it.
//!
//! A recorded edit counts only while the file has the change time and size that it had afterwards: an
//! unrecorded edit, such as by a shell command, ends what is known of it (docs/decisions.md S13).

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::adapters::os::clock;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::lock::checks::{Owners, claims, roles_claiming};
use crate::domain::policy::checks::Check;
use crate::domain::policy::checks::Level;
use crate::domain::policy::mode::Mode;
use crate::domain::state::State;
use crate::domain::util::path_encoding::to_text;
use crate::store::disk::{Disk, RealDisk};
use crate::store::guard::edits::{self, Edit};
use crate::store::layout;

use crate::app::workspace::Context;

/// Returns a file's change time in nanoseconds and its size in bytes; `None` when it does not exist.
fn fingerprint(work_tree: &Path, path: &[u8]) -> Option<(i64, u64)> {
    let meta = std::fs::symlink_metadata(work_tree.join(std::ffi::OsStr::from_bytes(path))).ok()?;
    Some((meta.ctime().saturating_mul(1_000_000_000).saturating_add(meta.ctime_nsec()), meta.len()))
}

/// Records that a role edited these paths. Soft: a failed write only leaves an owner unknown.
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

/// Returns whether a commit here is compared with the owners of its files: only where all share one index,
/// not for what a merge brings, and only when an owner may be known.
#[must_use]
pub fn matters(context: &Context<'_>, state: &State, me: &Actor) -> bool {
    let policy = &state.policy;
    policy.mode == Mode::Shared
        && policy.checks.level(Check::Claims) != Level::Off
        && context.repo.work_tree.is_some()
        && context.repo.operation_in_progress().is_none()
        && has_owners(context.store.disk(), state, me)
}

/// Returns whether an owner may be known: an edit was recorded, or another role claims files by name. Usually
/// there is none, and git need not be asked what is staged.
fn has_owners(disk: &RealDisk, state: &State, me: &Actor) -> bool {
    claims(state).any(|(role, _)| me.role() != Some(role))
        || disk.size(layout::EDITS).is_ok_and(|size| size.unwrap_or(0) > 0)
}

/// Returns the known owners of these paths.
#[must_use]
pub fn owners(disk: &RealDisk, work_tree: &Path, state: &State, me: &Actor, paths: &[Vec<u8>]) -> Owners {
    let mut owners = roles_claiming(state, me, paths);
    // Without records, or when they cannot be read, no editor is known.
    let last = edits::last(disk).unwrap_or_default();
    for path in paths {
        if let Some(edit) = last.get(path).filter(|edit| edit.looks == fingerprint(work_tree, path)) {
            owners.insert(path.clone(), edit.role.clone());
        }
    }
    owners
}
