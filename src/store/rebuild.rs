//! Rebuilds `cmw/state.json` from the audit trail when the document is lost or unreadable.
//!
//! Invariants (tests of the same names in `tests/soak/store/rebuild.rs`):
//! * `a_rebuilt_state_is_what_the_audit_tells`
//! * `a_rebuild_can_stop_anywhere`: an interrupted rebuild is simply run again.
//! * `tokens_only_grow_across_a_rebuild`: the audit may lack the last grants, so tokens are skipped.
//! * `a_broken_audit_rebuilds_nothing`
//!
//! The damaged file is kept beside the new one. Limitations: messages of a last publish that had not reached
//! the registry are lost with its outbox; when the power fails during a rebuild before the audit was synced,
//! and leaves a gap at its end, a person must decide.

use std::collections::BTreeSet;

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::record::Record;
use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::identity::actor::Actor;
use crate::domain::policy::compiled::Policy;
use crate::domain::policy::event::PolicyEvent;
use crate::domain::state::State;
use crate::domain::util::time::{Now, WallTime};

use crate::store::audit::log;
use crate::store::disk::Disk;
use crate::store::document::{Document, FORMAT, Outbox};
use crate::store::error::{Doing, Result, StoreError};
use crate::store::gate;
use crate::store::{GATE_WAIT_MS, Store, jsonl, layout};

/// How many tokens are skipped: more than the number of grants that the audit can lack.
const TOKENS_LEFT_OUT: u64 = 16;

/// What a rebuild did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many audit records it was rebuilt from.
    pub records: usize,
    /// The last token counted as used: the next grant gets the one after it.
    pub token: u64,
    /// The path to which the damaged file was moved, when there was one.
    pub kept: Option<String>,
}

impl<D: Disk> Store<D> {
    /// Rebuilds the document when it is lost or damaged; returns `None` when it is intact.
    ///
    /// `by` names the actor of the rebuild, given the rebuilt state.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the audit chain is broken: then nothing was changed.
    pub fn rebuild(&self, now: &Now, by: &dyn Fn(&State) -> Actor) -> Result<Option<Rebuilt>> {
        let disk = &self.disk;
        let _gate = gate::take(disk, layout::GATE, GATE_WAIT_MS)?;
        match Document::load(disk) {
            Ok(_) => return Ok(None),
            Err(StoreError::Damaged { .. }) => {}
            Err(other) => return Err(other),
        }
        let records = log::read_all(disk)?;
        let head = log::head(&records).map_err(broken)?;
        let state = fold(&records).ok_or_else(|| broken("it does not begin with the set-up".to_owned()))?;
        // The old document's outbox carried the last records; from now on only the log files have them.
        log::sync(disk, &records)?;
        let kept = keep(disk, now.wall)?;
        let journal_read = jsonl::tail(disk, layout::JOURNAL)?.whole;
        let by = by(&state);
        let token = state.last.token + TOKENS_LEFT_OUT;
        let event = Event::Audit(AuditEvent::StateRebuilt {
            records: records.len() as u64,
            token,
            damaged_file: kept.clone(),
        });
        let old = Document {
            format: FORMAT,
            seq: records.len() as u64,
            head,
            journal_read,
            outbox: Outbox::default(),
            state,
        };
        let new = old.followed_by(vec![event], now.wall, &by);
        new.publish(disk)?;
        log::append_missing(disk, &new.outbox.records)?;
        Ok(Some(Rebuilt { records: records.len(), token, kept }))
    }
}

impl<D: Disk> Store<D> {
    /// Returns the policy of the last audit record that changed it; `None` when the chain is not whole or a
    /// publish is in progress.
    pub fn settled_policy(&self) -> Result<Option<Policy>> {
        let document = self.document()?;
        let mut records = log::read_all(&self.disk)?;
        // Records that were published but not yet appended are appended by the next transaction.
        let there: BTreeSet<u64> = records.iter().map(|record| record.seq).collect();
        let missing = document.outbox.records.iter().filter(|record| !there.contains(&record.seq));
        records.extend(missing.cloned());
        records.sort_by_key(|record| record.seq);
        if log::verify(&records, &document.head).is_err() {
            return Ok(None);
        }
        let policy = |record: Record| {
            let (Event::Policy(PolicyEvent::PolicySet { policy, .. })
            | Event::Policy(PolicyEvent::PolicyRestored { policy, .. })) = record.event
            else {
                return None;
            };
            Some(*policy)
        };
        Ok(records.into_iter().rev().find_map(policy))
    }
}

fn broken(what: String) -> StoreError {
    StoreError::Damaged {
        file: layout::AUDIT.to_owned(),
        what,
        remedy: "ls -l \"$(git rev-parse --git-common-dir)/audit\"",
    }
}

/// Replays a whole chain of records into a state; `None` when it does not begin with the set-up.
#[must_use]
pub fn fold(records: &[Record]) -> Option<State> {
    let Event::Policy(PolicyEvent::PolicySet { repo_id, policy, .. }) = &records.first()?.event else {
        return None;
    };
    let mut state = State::new(repo_id.clone(), (**policy).clone());
    for record in records {
        evolve(&mut state, &record.event, record.at, &record.by);
    }
    Some(state)
}

/// Links the damaged file under a second name; it keeps its own name until the new document replaces it, so
/// that the name always exists.
fn keep<D: Disk>(disk: &D, now: WallTime) -> Result<Option<String>> {
    let name = format!("{}.damaged-{}", layout::STATE, now.to_string().replace(':', ""));
    match disk.link(layout::STATE, &name) {
        Ok(()) => Ok(Some(name)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        // An earlier rebuild was interrupted in this same millisecond.
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(Some(name)),
        Err(e) => Err(e).doing("keep", layout::STATE),
    }
}
