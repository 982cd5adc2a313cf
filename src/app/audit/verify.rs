//! Verifies that every movement was allowed: refs, ref journal, audit chain, anchors, self-test of the hooks.

use std::time::Duration;

use crate::adapters::git::anchors::Anchors;
use crate::adapters::os::clock;
use crate::domain::audit::anchor::{Anchor, ChainPoint};
use crate::domain::audit::history;
use crate::domain::audit::record::Record;
use crate::domain::command::{Caller, Command};
use crate::domain::event::Event;
use crate::domain::policy::event::PolicyEvent;
use crate::domain::state::State;
use crate::store::audit::log::{self, Trail};
use crate::store::audit::pending;
use crate::store::disk::Disk;
use crate::store::document::Document;
use crate::store::error::StoreError;
use crate::store::layout;

use crate::app::audit::ref_check::{CheckReport, RefChecker};
use crate::app::audit::unknown_mail;
use crate::app::error::git_ref_failure;
use crate::app::error::{Failure, with_causes};
use crate::app::freeze::pins;
use crate::app::guard::self_test::{self, SelfTestResult};
use crate::app::workspace::Context;

/// How many anchors are compared.
const ANCHORS_MAX: usize = 10_000;
/// The age of the last anchor from which on the next one is set.
const ANCHOR_AGE: Duration = Duration::from_secs(600);

/// How often counting the recorded violations is tried.
const PORTIONS: u32 = 40;
/// How many unchanged reads of the audit make a difference count as damage.
const STILL: u32 = 4;

/// The results of a verification.
pub struct VerifyReport {
    /// The result of comparing the refs.
    pub looked: CheckReport,
    /// The result of testing the hooks; none without a commit to test them with.
    pub tried: Option<SelfTestResult>,
    /// How many violations are recorded and not counted yet.
    pub waiting: usize,
    /// How many audit records there are.
    pub records: usize,
    /// Damage of the audit; empty when there is none.
    pub damage: Vec<String>,
    /// The anchors.
    pub anchors: Anchors,
    /// The state afterwards.
    pub state: State,
}

/// Compares refs, journal and audit with what was allowed, tests the hooks, records the findings, and sets an
/// anchor when the last one is old.
///
/// # Errors
/// [`Failure`] when the store or git failed.
pub fn verify(context: &Context<'_>, state: &State, caller: &Caller) -> Result<VerifyReport, Failure> {
    let disk = context.store.disk();
    // A damaged anchor ref is reported like any movement: it must not stop the verification.
    let unreadable = |_| Anchors { broken: 1, ..Anchors::default() };
    let anchors = context.repo.anchors(ANCHORS_MAX).unwrap_or_else(unreadable);
    let ours: Vec<&Anchor> = anchors.all.iter().filter(|anchor| anchor.repo == state.repo_id).collect();
    let points = ours.iter().map(|anchor| &anchor.journal).filter(|point| point.number > 0);
    let wanted: Vec<(u64, String)> = points.map(|point| (point.number, point.hash.clone())).collect();
    let looker = RefChecker { repo: &context.repo, disk, policy: &state.policy, by: &caller.actor };
    // A pin that was removed is detected here, too.
    let _ = pins::apply_pins_after(context, state, &Command::Observe(Vec::new()));
    let publish = || context.publish(caller, &Command::Observe(Vec::new()));
    let size = disk.size(layout::JOURNAL).map_err(|e| StoreError::io("look at", layout::JOURNAL, e))?;
    if size.unwrap_or(0) < context.store.document()?.journal_read {
        // The journal was cut: it is read again from its end on, before anything is appended.
        publish()?;
    }
    let looked = looker.check_all(&wanted)?;
    // Damage to the messages is reported for itself.
    let _ = unknown_mail::record(context, &looked.chain, &caller.actor);
    let tried = self_test::attempt(&context.repo);
    if let Some(tried) = &tried {
        self_test::record(context, state, caller, tried)?;
    }
    // A recorded finding becomes a violation with the next publish, unless too many entries precede it, or a
    // movement in progress does.
    let mut done = publish()?;
    let waiting =
        || Ok::<_, Failure>(pending::violation_count(disk, context.store.document()?.journal_read)?);
    let mut left = waiting()?;
    for _ in 0..PORTIONS {
        if left == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(25));
        done = publish()?;
        left = waiting()?;
    }
    let (document, records, damage) = audit_now(context, &ours)?;
    let verified = VerifyReport { looked, tried, waiting: left, records, damage, anchors, state: done.state };
    // A fault of the journal is reported by now, so that the part after it may be anchored too.
    if verified.damage.is_empty() {
        // Soft: an anchor that cannot be set now is set by the next check.
        let _ = anchor(context, &verified, &document.head, document.seq);
    }
    Ok(verified)
}

/// Returns the document, the number of records, and the damage of the audit. Concurrent publishes append
/// their records later: only a difference that stays counts as damage.
fn audit_now(context: &Context<'_>, anchors: &[&Anchor]) -> Result<(Document, usize, Vec<String>), Failure> {
    let (mut before, mut same) = (None, 0);
    loop {
        let document = context.store.document()?;
        let (records, damage) = match log::read_published(context.store.disk(), &document.outbox.records) {
            Ok(Trail { records, damage, .. }) => {
                let faults = audit_faults(&records, &document.head, anchors)
                    .or_else(|| history_faults(&records, &document.state, anchors));
                let lines = damage.iter().map(|error| with_causes(error));
                (records.len(), lines.chain(faults).collect())
            }
            Err(error) => (0, vec![with_causes(&error)]),
        };
        let now = Some((document.seq, records));
        same = if before == now { same + 1 } else { 0 };
        before = now;
        if damage.is_empty() || same >= STILL {
            return Ok((document, records, damage));
        }
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// Returns the damage of the audit: in its chain, or a contradiction to an anchor.
fn audit_faults(records: &[Record], head: &str, anchors: &[&Anchor]) -> Option<String> {
    if let Err(why) = log::verify(records, head) {
        return Some(format!("the audit is damaged: {why}"));
    }
    let lost = log::declared_lost(records);
    anchors.iter().find_map(|anchor| {
        let ChainPoint { number, hash } = &anchor.audit;
        let at = records.binary_search_by_key(number, |record| record.seq).ok();
        let there = at.and_then(|at| records.get(at)).map(|record| record.hash.as_str());
        let is_lost = lost.iter().any(|(first, last)| (first..=last).contains(&number));
        (*number > 0 && there != Some(hash) && !is_lost).then(|| {
            format!("record {number} of the audit is not the one that was anchored at {}", anchor.at)
        })
    })
}

/// Returns where the state is not what the records tell, or a policy is older than one before it.
fn history_faults(records: &[Record], state: &State, anchors: &[&Anchor]) -> Option<String> {
    let told = match history::fold(records, |_, _| {}) {
        Ok(told) => told,
        Err(why) => return Some(format!("the audit is damaged: {why}")),
    };
    if told != *state {
        let part = differing_part(&told, state);
        return Some(format!("the state document is not what the audit tells: {part} differs"));
    }
    let mut version = 0;
    for record in records {
        let (Event::Policy(PolicyEvent::PolicySet { version: next, .. })
        | Event::Policy(PolicyEvent::PolicyRestored { version: next, .. })) = &record.event
        else {
            continue;
        };
        // Earlier versions of cmw did not number policies.
        if *next != 0 && *next <= version {
            return Some(format!("record {} sets policy {next} after policy {version}", record.seq));
        }
        version = version.max(*next);
    }
    let newest = anchors.iter().map(|anchor| anchor.policy_version).max().unwrap_or(0);
    (state.last.policy < newest)
        .then(|| format!("the policy has version {}, and version {newest} was anchored", state.last.policy))
}

/// Returns the name of the first field of the state that differs.
fn differing_part(told: &State, state: &State) -> String {
    let fields = |state: &State| serde_json::to_value(state).unwrap_or_default();
    let (told, state) = (fields(told), fields(state));
    let names = [&told, &state].into_iter().filter_map(serde_json::Value::as_object).flat_map(|f| f.keys());
    names.into_iter().find(|name| told.get(name) != state.get(name)).cloned().unwrap_or_default()
}

/// Sets the next anchor, when the last one is old and there are new records.
fn anchor(context: &Context<'_>, verified: &VerifyReport, head: &str, seq: u64) -> Result<(), Failure> {
    let (disk, now) = (context.store.disk(), clock::now().wall);
    let last = verified.anchors.all.first();
    let chain = &verified.looked.chain;
    let is_old =
        |anchor: &Anchor| now.ms_since(anchor.at) >= ANCHOR_AGE.as_millis().try_into().unwrap_or(u64::MAX);
    let is_new = |anchor: &Anchor| anchor.repo != verified.state.repo_id;
    if !verified.looked.has_baseline || last.is_some_and(|anchor| !is_old(anchor) && !is_new(anchor)) {
        return Ok(());
    }
    // The anchored lines must survive a power cut.
    disk.sync(layout::JOURNAL).map_err(|e| StoreError::io("sync", layout::JOURNAL, e))?;
    let anchor = Anchor {
        v: 1,
        repo: verified.state.repo_id.clone(),
        at: now,
        audit: ChainPoint { number: seq, hash: head.to_owned() },
        journal: ChainPoint { number: chain.lines, hash: chain.head().to_owned() },
        policy: verified.state.policy.digest(),
        policy_version: verified.state.last.policy,
    };
    context.repo.set_anchor(&anchor, verified.anchors.tip.as_ref()).map_err(|e| git_ref_failure(&e))
}
