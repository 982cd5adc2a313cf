//! Rebuilds `cmw/state.json` from the audit trail when the document is lost or unreadable.
//!
//! Invariants (tests of the same names in `tests/soak/store/rebuild.rs`):
//! * `a_rebuilt_state_is_what_the_audit_tells`
//! * `a_rebuild_can_stop_anywhere`: an interrupted rebuild is simply run again.
//! * `tokens_only_grow_across_a_rebuild`: the audit may lack the last grants, so tokens are skipped.
//! * `a_broken_audit_rebuilds_nothing`, but for the User, and then it stays frozen.
//!
//! And in `tests/fast/store/edited_state.rs`:
//! * `a_lost_state_and_a_lost_record_do_not_thaw`: where the damaged document, or the mail, says frozen, the
//!   system stays frozen.
//! * `what_was_noted_survives_a_rebuild`: the ref journal is read on from where it had been read.
//!
//! A rebuild that no person asked for, and one of a document that was changed by hand, is a violation
//! (docs/rules.md R6.8).
//!
//! The damaged file is kept beside the new one. Limitations: messages of a last publish that had not reached
//! the registry are lost with its outbox; when the power fails during a rebuild before the audit was synced,
//! and leaves a gap at its end, a person must decide.

use std::ops::ControlFlow;

use serde::Deserialize;

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::history;
use crate::domain::audit::journal_entry::ViolationCause;
use crate::domain::audit::record::Record;
use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::freeze::event::FreezeEvent;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::identity::actor::Actor;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::message::Draft;
use crate::domain::policy::compiled::Policy;
use crate::domain::policy::event::PolicyEvent;
use crate::domain::state::State;
use crate::domain::util::time::{Now, WallTime};

use crate::store::audit::log;
use crate::store::disk::Disk;
use crate::store::document::{DOCUMENT_BYTES_MAX, Document, EDITED};
use crate::store::error::{Doing, Result, StoreError};
use crate::store::gate;
use crate::store::mail::registry::{self, Registry, StoredMessage};
use crate::store::{GATE_WAIT_MS, Store, damage, jsonl, layout};

/// How many tokens are skipped: more than the number of grants that the audit can lack.
const TOKENS_LEFT_OUT: u64 = 16;

/// What a rebuild has where neither document nor mail is there.
const NOTHING_LEFT: &str = "nothing";

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
        let fault = match Document::load(disk) {
            Ok(_) => return Ok(None),
            Err(StoreError::Damaged { what, .. }) => what,
            Err(other) => return Err(other),
        };
        let mut records = log::read_all(disk)?;
        let whole = log::head(&records).and_then(|head| Ok((head, history::fold(&records, |_, _| {})?)));
        let (head, state, lost) = match whole {
            Ok((head, state)) => (head, state, Vec::new()),
            Err(why) => known_part(&mut records, by).ok_or_else(|| broken(why))?,
        };
        // The old document's outbox carried the last records; from now on only the log files have them.
        log::sync(disk, &records)?;
        let kept = keep(disk, now.wall)?;
        let end = jsonl::tail(disk, layout::JOURNAL)?.whole;
        let read = records.iter().rev().find_map(|record| record.document.as_ref()).map(|it| it.journal_read);
        let journal_read = read.map_or(end, |read| read.min(end));
        let by = by(&state);
        let of_loss = (!lost.is_empty()).then_some("a record that is lost may say frozen");
        let evidence = evidence_of_freeze(disk, now).or_else(|| no_evidence(disk, &by)).or(of_loss);
        let evidence = evidence.filter(|_| state.system == FreezeState::Running);
        let token = state.last.token + TOKENS_LEFT_OUT;
        let mut events = Vec::new();
        if !lost.is_empty() {
            let state = Box::new(state.clone());
            events.push(Event::Audit(AuditEvent::Checkpoint { state, lost }));
        }
        events.push(Event::Audit(AuditEvent::StateRebuilt {
            records: records.len() as u64,
            token,
            damaged_file: kept.clone(),
            // The audit can lack the last publish, and with it one policy.
            policy_version: state.last.policy + 1,
        }));
        if by != Actor::User || fault.starts_with(EDITED) {
            let cause = ViolationCause::State { why: fault };
            let (id, refs, grows) = (0, Vec::new(), false);
            events.push(Event::Audit(AuditEvent::ViolationFound { id, cause, refs, grows }));
        }
        if let Some(evidence) = evidence {
            let reason = match evidence {
                NOTHING_LEFT => {
                    "the state was rebuilt, and nothing that is left says whether it was frozen".to_owned()
                }
                evidence => format!("the state was rebuilt, and {evidence}"),
            };
            let (when, unsaved, pins) = (now.boot.clone(), None, None);
            events.push(Event::Freeze(FreezeEvent::SystemFrozen { reason, when, unsaved, pins }));
        }
        let old = Document::at(records.last().map_or(0, |last| last.seq), head, journal_read, state);
        let mut new = old.followed_by(events, journal_read, now.wall, &by);
        new.publish(disk, &now.boot.boot)?;
        log::append_missing(disk, &new.outbox.records)?;
        Ok(Some(Rebuilt { records: records.len(), token, kept }))
    }
}

impl<D: Disk> Store<D> {
    /// Returns the policy of the last audit record that changed it; `None` when the chain is not whole or a
    /// publish is in progress.
    pub fn settled_policy(&self) -> Result<Option<Policy>> {
        let document = self.document()?;
        let records = log::read_published(&self.disk, &document.outbox.records)?.records;
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

/// Returns what says that the system was frozen, other than the audit: the damaged document, or the last message
/// about it.
fn evidence_of_freeze<D: Disk>(disk: &D, now: &Now) -> Option<&'static str> {
    #[derive(Deserialize)]
    struct Damaged {
        state: DamagedState,
    }
    #[derive(Deserialize)]
    struct DamagedState {
        system: FreezeState,
    }
    let bytes = disk.read(layout::STATE, DOCUMENT_BYTES_MAX).ok().flatten().unwrap_or_default();
    let old: Option<Damaged> = serde_json::from_slice(&bytes).ok();
    if old.is_some_and(|old| old.state.system != FreezeState::Running) {
        return Some("the damaged document says frozen");
    }
    let mut says_frozen = false;
    let about_it = &mut |message: &StoredMessage| {
        let Draft { kind, from, .. } = &message.envelope.draft;
        says_frozen = *kind == MessageType::SYSTEM_FREEZE;
        let ends = says_frozen || (*kind == MessageType::SYSTEM_UNFROZEN && *from == Actor::User);
        Ok(if ends { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    // Damaged mail says nothing.
    let _ = Registry::new(disk, now.boot.boot.clone()).scan_back("FR", about_it);
    says_frozen.then_some("the last message about it says frozen")
}

/// The head of the chain, the state, and the gaps in the records.
type KnownPart = (String, State, Vec<(u64, u64)>);

/// What is known of the state where records are lost: its head, the state that the others tell, and the gaps. Only
/// for the User, who then looks at it: it stays frozen.
fn known_part(records: &mut Vec<Record>, by: &dyn Fn(&State) -> Actor) -> Option<KnownPart> {
    let mut before = 0;
    records.retain(|record| {
        let is_near = record.seq - before <= damage::GAP_MAX;
        before = if is_near { record.seq } else { before };
        is_near
    });
    let last = records.last()?.seq;
    let (gaps, changed) = log::undeclared_gaps(records, last);
    records.retain(|record| !changed.contains(&record.seq));
    let Event::Policy(PolicyEvent::PolicySet { repo_id, policy, .. }) = &records.first()?.event else {
        return None;
    };
    let mut state = State::new(repo_id.clone(), (**policy).clone());
    for record in records.iter() {
        evolve(&mut state, &record.event, record.at, &record.by);
    }
    let head = records.last()?.hash.clone();
    (!gaps.is_empty() && by(&state) == Actor::User).then_some((head, state, gaps))
}

/// Returns why it is not known whether the system was frozen: then an agent's rebuild leaves it frozen.
fn no_evidence<D: Disk>(disk: &D, by: &Actor) -> Option<&'static str> {
    let has_mail = disk.size(registry::CURRENT).is_ok_and(|size| size.is_some());
    (*by != Actor::User && !has_mail).then_some(NOTHING_LEFT)
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
