//! Owns making `cmw/state.json` again from the audit trail, when it is lost or is garbage.
//!
//! Invariants (tests of the same names in `tests/rebuild.rs`):
//! * `a_rebuilt_state_is_what_the_audit_tells`
//! * `a_rebuild_can_stop_anywhere`, and is then simply run again.
//! * `tokens_only_grow_across_a_rebuild`: the audit may lack the last grants, so numbers are left out.
//! * `a_broken_audit_rebuilds_nothing`
//!
//! The damaged file is kept beside the new one. Limitations: messages of a last publish that had
//! not reached the registry are lost with its outbox; when the power fails during a rebuild before
//! the audit was on the disk, and leaves a gap at its end, a person must decide.

use std::collections::BTreeSet;

use crate::domain::audit::record::Record;
use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::identity::actor::Actor;
use crate::domain::policy::compiled::Policy;
use crate::domain::state::State;
use crate::domain::util::time::{Now, Wall};

use crate::store::audit::log;
use crate::store::disk::Disk;
use crate::store::document::{Document, FORMAT, Outbox};
use crate::store::error::{Doing, Result, StoreError};
use crate::store::gate;
use crate::store::{GATE_WAIT_MS, Store, jsonl, layout};

/// How many tokens are left out: more than grants that the audit can lack.
const TOKENS_LEFT_OUT: u64 = 16;

/// What a rebuild did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// From how many records.
    pub records: usize,
    /// The token after which the next one is given.
    pub token: u64,
    /// Where the damaged file now lies, when there was one.
    pub kept: Option<String>,
}

impl<D: Disk> Store<D> {
    /// Makes the document again when it is lost or damaged; `None`: it is fine as it is.
    ///
    /// `by` says who does it, given the state that the audit tells of.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the audit is no whole chain: then nothing was changed.
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
        // The old document's outbox carried the last records; from now on only their files do.
        log::sync(disk, &records)?;
        let kept = keep(disk, now.wall)?;
        let journal_read = jsonl::tail(disk, layout::JOURNAL)?.whole;
        let by = by(&state);
        let token = state.last.token + TOKENS_LEFT_OUT;
        let event = Event::StateRebuilt { records: records.len() as u64, token, damaged_file: kept.clone() };
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
    /// The policy that was settled last, as the audit tells it; `None` when its chain is not whole, or
    /// somebody publishes at this moment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn settled_policy(&self) -> Result<Option<Policy>> {
        let document = self.document()?;
        let mut records = log::read_all(&self.disk)?;
        // What was published and is not there yet, the next transaction brings there.
        let there: BTreeSet<u64> = records.iter().map(|record| record.seq).collect();
        let missing = document.outbox.records.iter().filter(|record| !there.contains(&record.seq));
        records.extend(missing.cloned());
        records.sort_by_key(|record| record.seq);
        if log::verify(&records, &document.head).is_err() {
            return Ok(None);
        }
        let policy = |record: Record| {
            let (Event::PolicySet { policy, .. } | Event::PolicyRestored { policy, .. }) = record.event
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

/// The state that a whole chain of records tells of; `None` when it does not begin with the policy.
#[must_use]
pub fn fold(records: &[Record]) -> Option<State> {
    let Event::PolicySet { repo_id, policy, .. } = &records.first()?.event else { return None };
    let mut state = State::new(repo_id.clone(), (**policy).clone());
    for record in records {
        evolve(&mut state, &record.event, record.at, &record.by);
    }
    Some(state)
}

/// Gives the damaged file a second name; it keeps its own until the new one takes it, so that
/// nobody finds nothing in between.
fn keep<D: Disk>(disk: &D, now: Wall) -> Result<Option<String>> {
    let name = format!("{}.damaged-{}", layout::STATE, now.to_string().replace(':', ""));
    match disk.link(layout::STATE, &name) {
        Ok(()) => Ok(Some(name)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        // A rebuild that was stopped in this very millisecond.
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(Some(name)),
        Err(e) => Err(e).doing("keep", layout::STATE),
    }
}
