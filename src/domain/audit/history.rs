//! What the audit tells of the past: the state after each record, and whether it allowed a movement.
//!
//! Invariants (each has a test of the same name in `tests/fast/audit/open_movements.rs`):
//! * `a_movement_written_by_hand_is_found`
//! * `what_was_judged_just_before_a_publish_is_no_violation`

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::journal_entry::JournalEntry;
use crate::domain::audit::record::Record;
use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::guard::git_ref::{RefName, RefTarget};
use crate::domain::guard::hook_input::RefLine;
use crate::domain::guard::ref_rules::{CurrentRef, RefContext, classify};
use crate::domain::policy::checks::{Check, Level};
use crate::domain::policy::event::PolicyEvent;
use crate::domain::state::State;
use crate::domain::util::path_encoding::from_text;

/// Replays a whole chain of records into a state; `visit` sees the state after each record. A checkpoint must tell
/// what the records before it tell, unless some of them are lost: from such a gap on the state is not known until
/// a checkpoint that names it.
///
/// # Errors
/// Where the chain begins without the set-up, a checkpoint tells of another state, or no checkpoint follows a gap.
pub fn fold(records: &[Record], mut visit: impl FnMut(u64, &State)) -> Result<State, String> {
    let mut known = match records.first().map(|first| (first.seq, &first.event)) {
        Some((1, Event::Policy(PolicyEvent::PolicySet { repo_id, policy, .. }))) => {
            Some(State::new(repo_id.clone(), (**policy).clone()))
        }
        Some((1, _)) | None => return Err("it does not begin with the set-up".to_owned()),
        Some(_) => None,
    };
    let mut before = 0;
    for record in records {
        if record.seq != before + 1 {
            known = None;
        }
        before = record.seq;
        if let Event::Audit(AuditEvent::Checkpoint { state: whole, lost }) = &record.event {
            match &known {
                Some(state) if **whole != *state => {
                    let seq = record.seq;
                    return Err(format!("record {seq} tells of another state than the records before it"));
                }
                None if !lost.is_empty() => known = Some((**whole).clone()),
                Some(_) | None => {}
            }
        }
        if let Some(state) = &mut known {
            evolve(state, &record.event, record.at, &record.by);
            visit(record.seq, state);
        }
    }
    known.ok_or_else(|| "records are lost, and no later one tells the whole state".to_owned())
}

/// Returns the movements that no document allowed, by their index: written by hand, or by another program than the
/// authority. `journal`: each entry with the byte at which its line begins.
///
/// An entry must name the document that was current when it was written: the last one that counts at its place in
/// the journal, or a later one. By the state of that document it must have been allowed.
#[must_use]
pub fn not_allowed<'e>(
    records: &[Record],
    journal: impl Iterator<Item = (u64, &'e JournalEntry)>,
) -> BTreeSet<usize> {
    let current = current_documents(records);
    let last = records.last().map_or(0, |record| record.seq);
    let (mut found, mut by_document) = (BTreeSet::new(), BTreeMap::<u64, Vec<(usize, &JournalEntry)>>::new());
    for (index, (at, entry)) in journal.enumerate() {
        let JournalEntry::Intent { document, .. } = entry else { continue };
        let before = current.partition_point(|(end, _)| *end <= at);
        let oldest = before.checked_sub(1).map_or(0, |i| current[i].1);
        if *document < oldest || *document > last {
            found.insert(index);
        } else if *document > 0 {
            by_document.entry(*document).or_default().push((index, entry));
        }
    }
    // A damaged audit is reported for itself.
    let _ = fold(records, |seq, state| {
        let judged = by_document.get(&seq).into_iter().flatten();
        found.extend(judged.filter(|(_, entry)| !is_allowed(state, entry)).map(|(index, _)| *index));
    });
    found
}

/// Returns from which byte of the journal on which document was the current one, by byte.
fn current_documents(records: &[Record]) -> Vec<(u64, u64)> {
    let end = |record: &Record| Some((record.document.as_ref()?.journal_end?, record.seq));
    let mut ends: Vec<(u64, u64)> = records.iter().filter_map(end).collect();
    ends.sort_unstable();
    let mut last = 0;
    for (_, seq) in &mut ends {
        last = last.max(*seq);
        *seq = last;
    }
    ends
}

/// Whether the authority can have allowed it by this state: what it asked of others than the state (whether the
/// lease had run out, who acted) is not asked again.
fn is_allowed(state: &State, intent: &JournalEntry) -> bool {
    let JournalEntry::Intent { by, token, name, old, new, .. } = intent else { return true };
    let (Ok(name), Some(old), Some(new)) = (RefName::parse(&from_text(name)), target(old), target(new))
    else {
        return false;
    };
    let policy = &state.policy;
    let ctx = RefContext {
        own_role: by.role(),
        mode: policy.mode,
        protect: &policy.protect,
        prune_possible: false,
    };
    let line = RefLine { old: old.clone(), new, name };
    let verdict = classify(&line, &CurrentRef::of(old), &ctx);
    let enforces = |check: Check| policy.checks.level(check) == Level::Enforce && state.glass.is_none();
    let is_frozen = state.system != FreezeState::Running && enforces(Check::Freeze);
    if is_frozen && verdict.stops_when_frozen() {
        return false;
    }
    match token {
        0 => !(verdict.needs_lock() && enforces(Check::Lock)),
        token => state.held().is_some_and(|held| held.token == *token),
    }
}

/// Reads a value as the journal writes it.
fn target(text: &str) -> Option<RefTarget> {
    if text.is_empty() { Some(RefTarget::Zero) } else { RefTarget::parse(text.as_bytes()).ok() }
}
