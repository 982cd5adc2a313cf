//! Records in the ref journal what cmw does to its own refs, as hooks record what others do to theirs.

use std::io;
use std::path::Path;

use crate::adapters::git::own_refs::{OwnRefRecorder, OwnRefStep};
use crate::adapters::os::{clock, process};
use crate::domain::audit::journal_entry::JournalEntry;
use crate::domain::guard::git_ref::Oid;
use crate::domain::identity::actor::Actor;
use crate::store::audit::journal;
use crate::store::disk::RealDisk;

/// Returns the recorder for a repository.
#[must_use]
pub fn recorder(common_dir: &Path) -> OwnRefRecorder {
    let common_dir = common_dir.to_owned();
    OwnRefRecorder::new(move |step| {
        let disk = RealDisk::open(&common_dir)?;
        // Nothing in the state keeps our programs from moving a ref of ours.
        journal::append_allowed(&disk, 0, |_| true, &mut [entry(step)])
            .map(drop)
            .map_err(|error| io::Error::other(error.to_string()))
    })
}

fn entry(step: OwnRefStep<'_>) -> JournalEntry {
    let now = clock::now();
    let at = now.wall;
    match step {
        OwnRefStep::Begins { name, old, new } => JournalEntry::Intent {
            at,
            when: now.boot,
            by: Actor::System,
            token: 0,
            name: name.to_owned(),
            old: old.map_or_else(String::new, Oid::to_string),
            new: new.to_string(),
            files: Vec::new(),
            outside: Vec::new(),
            git: Some(process::current()),
            git_lock: None,
            document: 0,
        },
        OwnRefStep::Ended { name, new, moved: true } => {
            JournalEntry::Observed { at, name: name.to_owned(), new: new.to_string(), token: 0 }
        }
        OwnRefStep::Ended { name, new, moved: false } => {
            JournalEntry::Aborted { at, name: name.to_owned(), new: new.to_string(), expired: false }
        }
    }
}
