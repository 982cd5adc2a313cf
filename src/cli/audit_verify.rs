//! Owns the words of `cmw-audit verify`, `violations` and `adopt`: whether everything that moved was allowed
//! to, and what becomes of what was not.

use std::time::Duration;

use serde_json::{Value, json};

use crate::adapters::clock;
use crate::adapters::git::anchors::Anchors;
use crate::domain::anchor::{Anchor, Point};
use crate::domain::decide::{Asker, Command};
use crate::domain::event::{Event, Record};
use crate::domain::state::State;
use crate::domain::text;
use crate::domain::time::human;
use crate::domain::violation::{Violation, told};
use crate::store::disk::Disk;
use crate::store::document::Document;
use crate::store::error::StoreError;
use crate::store::trail::Trail;
use crate::store::{audit, journal, layout};

use super::context::Context;
use super::enforcement;
use super::exit::Exit;
use super::failure::{Failure, with_causes};
use super::output::Answer;
use super::pins;
use super::self_test::{self, Tried};
use super::strays::{Looked, Looker, git_failure};

/// How many anchors are compared.
const ANCHORS_MAX: usize = 10_000;
/// How old the last anchor is when the next one is set.
const ANCHOR_AGE: Duration = Duration::from_secs(600);

/// How often it is tried to count what was noted.
const PORTIONS: u32 = 40;
/// How often the audit is read again, and nothing has come, before it counts as damaged.
const STILL: u32 = 4;

/// Everything that a look brought to light.
struct Verified {
    looked: Looked,
    tried: Option<Tried>,
    /// How many violations are noted and not counted yet.
    waiting: usize,
    records: usize,
    damage: Vec<String>,
    anchors: Anchors,
    state: State,
}

/// Runs `cmw-audit verify`.
///
/// # Errors
/// [`Failure`].
pub fn verify(context: &Context<'_>) -> Result<Answer, Failure> {
    let state = context.state()?;
    let asker = context.asker(&state)?;
    let verified = look(context, &state, &asker)?;
    Ok(answer(&verified))
}

/// Looks, and says nothing: what was found is recorded.
///
/// # Errors
/// [`Failure`].
pub fn quietly(context: &Context<'_>, state: &State, asker: &Asker) -> Result<(), Failure> {
    look(context, state, asker).map(drop)
}

fn look(context: &Context<'_>, state: &State, asker: &Asker) -> Result<Verified, Failure> {
    let disk = context.store.disk();
    // That its ref was damaged is found as any movement is: it must not keep us from looking.
    let unreadable = |_| Anchors { broken: 1, ..Anchors::default() };
    let anchors = context.repo.anchors(ANCHORS_MAX).unwrap_or_else(unreadable);
    let ours: Vec<&Anchor> = anchors.all.iter().filter(|anchor| anchor.repo == state.repo_id).collect();
    let points = ours.iter().map(|anchor| &anchor.journal).filter(|point| point.number > 0);
    let wanted: Vec<(u64, String)> = points.map(|point| (point.number, point.hash.clone())).collect();
    let looker = Looker { repo: &context.repo, disk, policy: &state.policy, by: &asker.actor };
    // A pin that was taken away is found here, too.
    let _ = pins::settle_beside(context, state, &Command::Observe(Vec::new()));
    let publish = || context.publish(asker, &Command::Observe(Vec::new()));
    let size = disk.size(layout::JOURNAL).map_err(|e| StoreError::io("look at", layout::JOURNAL, e))?;
    if size.unwrap_or(0) < context.store.document()?.journal_read {
        // It was cut: from its end on it is read again, so that comes before what is appended now.
        publish()?;
    }
    let looked = looker.all(&wanted)?;
    let tried = self_test::attempt(&context.repo);
    if let Some(tried) = &tried {
        self_test::record(context, state, asker, tried)?;
    }
    // What was noted becomes a violation with the next publish, unless there is too much before it, or a
    // movement that is under way.
    let mut done = publish()?;
    let waiting = || Ok::<_, Failure>(journal::waiting(disk, context.store.document()?.journal_read)?);
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
    let verified = Verified { looked, tried, waiting: left, records, damage, anchors, state: done.state };
    // A fault of the journal is reported by now, and what comes after it is worth an anchor too.
    if verified.damage.is_empty() {
        // Soft: an anchor that cannot be set now is set by the next look.
        let _ = anchor(context, &verified, &document.head, document.seq);
    }
    Ok(verified)
}

/// The document, how many records there are, and what is wrong with them. Others publish meanwhile, and bring
/// their records afterwards: only what stays as it is counts as damage.
fn audit_now(context: &Context<'_>, anchors: &[&Anchor]) -> Result<(Document, usize, Vec<String>), Failure> {
    let (mut before, mut same) = (None, 0);
    loop {
        let document = context.store.document()?;
        let (records, damage) = match audit::read_all(context.store.disk()) {
            Ok(mut records) => {
                // What a killed command has not brought there stands in the document.
                let last = records.last().map_or(0, |record| record.seq);
                records.extend(document.outbox.records.iter().filter(|r| r.seq > last).cloned());
                let damage = audit_faults(&records, &document.head, anchors);
                (records.len(), Vec::from_iter(damage))
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

/// What is wrong with the audit: its chain, or what an anchor says otherwise.
fn audit_faults(records: &[Record], head: &str, anchors: &[&Anchor]) -> Option<String> {
    if let Err(why) = audit::verify(records, head) {
        return Some(format!("the audit is damaged: {why}"));
    }
    anchors.iter().find_map(|anchor| {
        let Point { number, hash } = &anchor.audit;
        // The chain is whole: they are numbered from 1 without a gap.
        let at = usize::try_from(number.saturating_sub(1)).ok();
        let there = at.and_then(|at| records.get(at)).map(|record| record.hash.as_str());
        (*number > 0 && there != Some(hash)).then(|| {
            format!("record {number} of the audit is not the one that was anchored at {}", anchor.at)
        })
    })
}

/// Sets the next anchor, when the last one is old and there is something new to hold on to.
fn anchor(context: &Context<'_>, verified: &Verified, head: &str, seq: u64) -> Result<(), Failure> {
    let (disk, now) = (context.store.disk(), clock::now().wall);
    let last = verified.anchors.all.first();
    let chain = &verified.looked.chain;
    let is_old =
        |anchor: &Anchor| now.ms_since(anchor.at) >= ANCHOR_AGE.as_millis().try_into().unwrap_or(u64::MAX);
    let is_new = |anchor: &Anchor| anchor.repo != verified.state.repo_id;
    if !verified.looked.has_baseline || last.is_some_and(|anchor| !is_old(anchor) && !is_new(anchor)) {
        return Ok(());
    }
    if enforcement::gap(context).is_some() {
        // Git would ask nobody, and the anchor itself would be what moved unseen.
        return Ok(());
    }
    // What is anchored must be there after a power cut.
    disk.sync(layout::JOURNAL).map_err(|e| StoreError::io("sync", layout::JOURNAL, e))?;
    let anchor = Anchor {
        v: 1,
        repo: verified.state.repo_id.clone(),
        at: now,
        audit: Point { number: seq, hash: head.to_owned() },
        journal: Point { number: chain.lines, hash: chain.head().to_owned() },
        policy: verified.state.policy.digest(),
    };
    context.repo.set_anchor(&anchor, verified.anchors.tip.as_ref()).map_err(git_failure)
}

fn answer(verified: &Verified) -> Answer {
    let (looked, open) = (&verified.looked, &verified.state.violations);
    let mut lines: Vec<String> = open.iter().flat_map(lines_of).collect();
    lines.extend(looked.notices.iter().map(|notice| format!("note: {}", text::line(notice))));
    let new = if looked.new > 0 { format!(", {} of them new", looked.new) } else { String::new() };
    let chain = if looked.chain.faults.is_empty() { "whole" } else { "BROKEN" };
    lines.push(format!("violations: {} open{new}", open.len()));
    lines.push(format!("refs: {} compared", looked.refs));
    lines.push(format!("ref journal: {} lines, {chain}", looked.chain.lines));
    let audit = if verified.damage.is_empty() { "whole" } else { "BROKEN" };
    lines.push(format!("audit: {} records, {audit}", verified.records));
    lines.push(anchors_line(&verified.anchors));
    lines.push(match &verified.tried {
        None => "self-test: there is no commit yet with which the hooks could be tried".to_owned(),
        Some(tried) if tried.held => format!("self-test: the hooks hold {}", text::line(&tried.what)),
        Some(tried) => format!("self-test: THE HOOKS DO NOT HOLD, {}", text::line(&tried.what)),
    });
    let data = json!({
        "violations": open, "new": looked.new, "notices": looked.notices, "refs": looked.refs,
        "journal": {"lines": looked.chain.lines, "head": looked.chain.head(),
            "faults": looked.chain.faults.iter().map(|(line, why)| json!({"line": line, "why": why})).collect::<Vec<_>>()},
        "audit": {"records": verified.records, "damage": verified.damage},
        "anchors": verified.anchors.all.len(),
        "self_test": verified.tried.as_ref().map(|tried| json!({"held": tried.held, "what": tried.what})),
    });
    let answer = Answer::done(data, lines.join("\n"));
    if let Some(what) = verified.damage.first() {
        let note = format!("error: {}\nnothing was changed\nnext: cmw-doctor", text::line(what));
        return hinted(answer.exiting(Exit::Damaged), &note, "cmw-doctor");
    }
    if !looked.has_baseline {
        let note = "error: it is not written down how the refs stood, so nothing can be compared\nnext: cmw-init   # the User";
        return hinted(answer.exiting(Exit::Config), note, "cmw-init");
    }
    match open.first() {
        None if verified.waiting > 0 => {
            let note = "what was found is counted when the git that began before it has ended, or in a minute\nnext: cmw-audit verify";
            hinted(answer.exiting(Exit::Refused), note, "cmw-audit verify")
        }
        None if verified.tried.as_ref().is_some_and(|tried| !tried.held) => hinted(
            answer.exiting(Exit::Refused),
            "git does not ask the hooks\nnext: cmw-doctor",
            "cmw-doctor",
        ),
        None => answer,
        Some(first) => hinted(answer.exiting(Exit::Refused), &next_of(first), &adopt_command(first)),
    }
}

fn hinted(answer: Answer, note: &str, hint: &str) -> Answer {
    let mut answer = answer.noting(note.to_owned());
    answer.hint = Some(hint.to_owned());
    answer
}

fn adopt_command(violation: &Violation) -> String {
    format!("cmw-audit adopt V{} --reason '…'", violation.id)
}

fn next_of(violation: &Violation) -> String {
    let taints = violation.refs.iter().any(|place| place.name.starts_with("refs/heads/"));
    let taint = if taints {
        "until the User lets it stand, nothing of these branches is pushed or merged\n"
    } else {
        ""
    };
    format!("{taint}next: {}   # the User", adopt_command(violation))
}

fn anchors_line(anchors: &Anchors) -> String {
    let now = clock::now().wall;
    let broken = if anchors.broken > 0 { format!(", {} UNREADABLE", anchors.broken) } else { String::new() };
    match anchors.all.first() {
        None => format!("anchors: none yet{broken}"),
        Some(last) => {
            format!(
                "anchors: {}, the last one {} old{broken}",
                anchors.all.len(),
                human(now.ms_since(last.at))
            )
        }
    }
}

/// A violation for people.
fn lines_of(violation: &Violation) -> Vec<String> {
    let cause = told(&violation.cause);
    let cause = if cause.is_empty() { String::new() } else { format!(" ({cause})") };
    let mut lines = vec![format!("V{}, found {}{cause}", violation.id, violation.found)];
    lines.extend(violation.refs.iter().map(|place| format!("   {}", place.told())));
    lines
}

/// Runs `cmw-audit violations`: those that are open, with what is known of each.
///
/// # Errors
/// [`Failure`].
pub fn violations(context: &Context<'_>) -> Result<Answer, Failure> {
    let state = context.state()?;
    let evidence = evidence(context, &state)?;
    let mut lines = Vec::new();
    for violation in &state.violations {
        lines.extend(lines_of(violation));
        for stray in evidence.iter().filter(|(id, _)| *id == violation.id).flat_map(|(_, refs)| refs) {
            lines.extend(stray.said.iter().map(|said| format!("      {}", text::line(said))));
        }
    }
    let data = json!({
        "violations": state.violations,
        "evidence": evidence.iter().map(|(id, refs)| json!({"id": id, "refs": refs})).collect::<Vec<Value>>(),
    });
    Ok(match state.violations.first() {
        None => Answer::done(data, "no open violation").noting("next: cmw-audit verify"),
        Some(first) => {
            let answer = Answer::done(data, lines.join("\n")).exiting(Exit::Refused);
            hinted(answer, &next_of(first), &adopt_command(first))
        }
    })
}

/// The records of open violations, with their evidence.
fn evidence(
    context: &Context<'_>,
    state: &State,
) -> Result<Vec<(u64, Vec<crate::domain::entry::Stray>)>, Failure> {
    let mut found = Vec::new();
    let Some(oldest) = state.violations.iter().map(|v| v.found).min() else { return Ok(found) };
    let mut trail = Trail::open(context.store.disk())?;
    while let Some(record) = trail.back().filter(|record| record.at >= oldest) {
        if let Event::ViolationFound { id, refs, .. } = record.event
            && state.violations.iter().any(|v| v.id == id)
        {
            found.push((id, refs));
        }
    }
    found.reverse();
    Ok(found)
}

/// Runs `cmw-audit adopt`.
///
/// # Errors
/// [`Failure`]: the refusal, too.
pub fn adopt(context: &Context<'_>, ids: &[u64], reason: &str) -> Result<Answer, Failure> {
    let state = context.state()?;
    let asker = context.asker(&state)?;
    let command = Command::Adopt { ids: ids.to_vec(), reason: reason.to_owned() };
    let done = context.transact(&asker, &command)?;
    done.outcome?;
    let left = done.state.violations.len();
    let gone: Vec<String> = state
        .violations
        .iter()
        .filter(|v| !done.state.violations.iter().any(|other| other.id == v.id))
        .map(|v| format!("V{}", v.id))
        .collect();
    let data = json!({"adopted": gone, "open": left});
    let text = format!("adopted {}: {reason}", gone.join(", "));
    let next = if left > 0 { "next: cmw-audit violations" } else { "next: cmw-audit verify" };
    Ok(Answer::done(data, text).noting(next))
}

/// `V3` or `3`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_id(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix(['V', 'v']).unwrap_or(text);
    digits
        .parse()
        .ok()
        .filter(|id| *id > 0)
        .ok_or_else(|| "no violation has such a number; write one such as V3".to_owned())
}
