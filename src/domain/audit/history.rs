//! What the audit tells of the past: the state after each record, and whether it allowed a movement.
//!
//! Invariants (each has a test of the same name in `tests/fast/audit/open_movements.rs`):
//! * `a_movement_written_by_hand_is_found`
//! * `what_was_judged_just_before_a_publish_is_no_violation`

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::journal_entry::{JournalEntry, ViolationCause};
use crate::domain::audit::record::Record;
use crate::domain::audit::ref_ledger::Disbelieved;
use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::guard::git_ref::{RefName, RefTarget};
use crate::domain::guard::hook_input::RefLine;
use crate::domain::guard::ref_rules::{CurrentRef, RefContext, classify};
use crate::domain::identity::actor::Actor;
use crate::domain::policy::checks::{Check, Level};
use crate::domain::policy::event::PolicyEvent;
use crate::domain::state::State;
use crate::domain::util::path_encoding::from_text;
use crate::domain::util::time::BootId;

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

/// Returns the entries that are not believed. `journal`: each entry with the byte at which its line begins; `boot`:
/// the running one.
///
/// An entry must name the document that was current when it was written: the last one that counts at its place in
/// the journal, or a later one. By the state of that document it must have been allowed. A movement that was given up
/// and observed after all must have been allowed when it was observed. A baseline accepts a movement only after a
/// power cut, or where the policy was set just before.
#[must_use]
pub fn disbelieved<'e>(
    records: &[Record],
    boot: &BootId,
    journal: impl Iterator<Item = (u64, &'e JournalEntry)>,
) -> Disbelieved {
    let current = current_documents(records);
    let at_byte = |at: u64| {
        let before = current.partition_point(|(end, _)| *end <= at);
        before.checked_sub(1).map_or(0, |i| current[i].1)
    };
    let boots = Boots::of(records, boot);
    let policies: BTreeSet<u64> =
        records.iter().skip(1).filter(|r| sets_policy(&r.event)).map(|r| r.seq).collect();
    let last = records.last().map_or(0, |record| record.seq);
    let mut found = Disbelieved::default();
    let mut judged: BTreeMap<u64, Vec<(usize, &JournalEntry)>> = BTreeMap::new();
    let mut allowed: BTreeMap<(&str, &str), &JournalEntry> = BTreeMap::new();
    let mut given_up: BTreeMap<(&str, &str), &JournalEntry> = BTreeMap::new();
    let mut newest = 0;
    for (index, (at, entry)) in journal.enumerate() {
        let oldest = at_byte(at);
        match entry {
            JournalEntry::Intent { document, when, name, new, git_lock, by, .. } => {
                given_up.remove(&(name.as_str(), new.as_str()));
                allowed.insert((name, new), entry);
                let is_ours = git_lock.is_some() || (*by == Actor::System && name.starts_with("refs/cmw/"));
                let is_known = *document == 0 || (is_ours && boots.allow(*document, &when.boot));
                if *document < oldest || *document > last || !is_known {
                    found.entries.insert(index);
                } else if *document > 0 {
                    judged.entry(*document).or_default().push((index, entry));
                }
                newest = newest.max(*document);
            }
            JournalEntry::Aborted { name, new, .. } => {
                let movement = (name.as_str(), new.as_str());
                given_up.extend(allowed.get(&movement).map(|intent| (movement, *intent)));
            }
            JournalEntry::Observed { name, new, .. } => {
                // Under the same document git aborts one half of a transaction and carries out the other.
                if let Some(intent) = given_up.get(&(name.as_str(), new.as_str()))
                    && let JournalEntry::Intent { document, .. } = intent
                    && *document > 0
                    && *document < oldest
                {
                    judged.entry(oldest).or_default().push((index, intent));
                }
            }
            JournalEntry::Baseline { .. } => {
                let policy_was_set =
                    policies.range(oldest.saturating_sub(POLICY_BEFORE)..=oldest).next().is_some();
                if oldest > 0 && !policy_was_set && !boots.changed_since(newest) {
                    found.baselines.insert(index);
                }
            }
            JournalEntry::Strayed { .. } | JournalEntry::Refused { .. } | JournalEntry::Warned { .. } => {}
        }
    }
    // A damaged audit is reported for itself.
    let _ = fold(records, |seq, state| {
        let judged = judged.get(&seq).into_iter().flatten();
        found.entries.extend(judged.filter(|(_, entry)| !is_allowed(state, entry)).map(|(index, _)| *index));
    });
    found
}

/// How many records may lie between a policy and the baseline of what it protects from then on.
const POLICY_BEFORE: u64 = 3;

fn sets_policy(event: &Event) -> bool {
    matches!(event, Event::Policy(PolicyEvent::PolicySet { .. } | PolicyEvent::PolicyRestored { .. }))
}

/// Returns from which byte of the journal on which document was the current one, by byte. The journal grows: where
/// it was shorter for a while, the bytes that it had before were judged before.
fn current_documents(records: &[Record]) -> Vec<(u64, u64)> {
    let end = |record: &Record| Some((record.document.as_ref()?.journal_end?, record.seq));
    let mut longest = 0;
    let grown = |(end, seq): (u64, u64)| {
        longest = longest.max(end);
        (longest, seq)
    };
    records.iter().filter_map(end).map(grown).collect()
}

/// Returns the hash of the line that ends at each byte of the journal that a record names, since the journal was cut
/// or lost last, as far as a power cut cannot have taken it.
#[must_use]
pub fn journal_ends(records: &[Record], boot: &BootId) -> BTreeMap<u64, String> {
    let mut ends = BTreeMap::new();
    for record in records {
        // What was found of the journal is a violation already.
        if let Event::Audit(AuditEvent::ViolationFound { cause, .. }) = &record.event
            && is_of_journal(cause)
        {
            ends.clear();
        }
        let Some(seal) = &record.document else { continue };
        let (Some(end), Some(of)) = (seal.journal_end, &seal.boot) else { continue };
        // What is read is on the disk; what follows is not yet.
        if end > 0 && (end == seal.journal_read || of == boot) {
            ends.insert(end, seal.journal_head.clone());
        }
    }
    ends
}

fn is_of_journal(cause: &ViolationCause) -> bool {
    match cause {
        ViolationCause::Journal { .. } => true,
        ViolationCause::Damage(damaged) => damaged.file.ends_with("/journal.jsonl"),
        ViolationCause::Unknown
        | ViolationCause::HooksOff { .. }
        | ViolationCause::Pin { .. }
        | ViolationCause::State { .. }
        | ViolationCause::Message { .. } => false,
    }
}

/// The boots in which documents were published.
struct Boots<'a> {
    /// The number of the first document of each.
    first: Vec<(u64, &'a BootId)>,
    running: &'a BootId,
}

impl<'a> Boots<'a> {
    fn of(records: &'a [Record], running: &'a BootId) -> Self {
        let mut first: Vec<(u64, &BootId)> = Vec::new();
        for record in records {
            let Some(boot) = record.document.as_ref().and_then(|seal| seal.boot.as_ref()) else { continue };
            if first.last().is_none_or(|(_, last)| *last != boot) {
                first.push((record.seq, boot));
            }
        }
        Self { first, running }
    }

    /// Whether a movement judged by this document can be of that boot: the one in which it was published, or the
    /// next, in which nothing was published yet. Documents of the first versions name none.
    fn allow(&self, document: u64, boot: &BootId) -> bool {
        let Some(i) = self.first.partition_point(|(seq, _)| *seq <= document).checked_sub(1) else {
            return true;
        };
        let next = self.first.get(i + 1).map_or(self.running, |(_, boot)| boot);
        self.first[i].1 == boot || next == boot
    }

    /// Whether the machine was started again since this document was published, as far as it is known.
    fn changed_since(&self, document: u64) -> bool {
        let Some(i) = self.first.partition_point(|(seq, _)| *seq <= document).checked_sub(1) else {
            return true;
        };
        i + 1 < self.first.len() || self.first[i].1 != self.running
    }
}

/// Whether the authority can have allowed it by this state: what it asked of others than the state (whether the
/// lease had run out, who acted) is not asked again.
fn is_allowed(state: &State, intent: &JournalEntry) -> bool {
    let JournalEntry::Intent { by, token, name, old, new, .. } = intent else { return true };
    let (Ok(name), Some(old), Some(new)) = (RefName::parse(&from_text(name)), target(old), target(new))
    else {
        return false;
    };
    // Our programs only add to our own refs.
    if new == RefTarget::Zero && name.as_str().starts_with("refs/cmw/") && *by != Actor::User {
        return false;
    }
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
        token => state.held().is_some_and(|held| held.token == *token && held.holder == *by),
    }
}

/// Reads a value as the journal writes it.
fn target(text: &str) -> Option<RefTarget> {
    if text.is_empty() { Some(RefTarget::Zero) } else { RefTarget::parse(text.as_bytes()).ok() }
}
