//! `cmw-audit verify`, `violations` and `adopt`: whether every ref update was allowed, and the handling of
//! those that were not.

use serde_json::{Value, json};

use crate::adapters::git::anchors::Anchors;
use crate::adapters::os::clock;
use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::violation::{Violation, describe_cause, describe_movements};
use crate::domain::command::Command;
use crate::domain::event::Event;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::domain::util::time::human;
use crate::store::audit::reader::AuditReader;

use crate::app::answer::Answer;
use crate::app::audit::verify as app_verify;
use crate::app::audit::verify::VerifyReport;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::workspace::Context;

/// Runs `cmw-audit verify`.
pub fn verify(context: &Context<'_>) -> Result<Answer, Failure> {
    let state = context.state()?;
    let caller = context.caller(&state)?;
    let verified = app_verify::verify(context, &state, &caller)?;
    Ok(answer(&verified))
}

fn answer(verified: &VerifyReport) -> Answer {
    let (looked, open) = (&verified.looked, &verified.state.violations);
    let mut lines: Vec<String> = open.iter().flat_map(lines_of).collect();
    lines.extend(looked.notices.iter().map(|notice| format!("note: {}", sanitize::line(notice))));
    let new = if looked.new > 0 { format!(", {} of them new", looked.new) } else { String::new() };
    let is_known = open.is_empty() && looked.new == 0 && verified.waiting == 0;
    let chain = match looked.chain.faults.len() {
        0 => "whole".to_owned(),
        1 if is_known => "whole but for a fault that was adopted".to_owned(),
        n if is_known => format!("whole but for {n} faults that were adopted"),
        _ => "BROKEN".to_owned(),
    };
    lines.push(format!("violations: {} open{new}", open.len()));
    lines.push(format!("refs: {} compared", looked.refs));
    lines.push(format!("ref journal: {} lines, {chain}", looked.chain.lines));
    let audit = if verified.damage.is_empty() { "whole" } else { "BROKEN" };
    lines.push(format!("audit: {} records, {audit}", verified.records));
    lines.push(anchors_line(&verified.anchors));
    lines.push(match &verified.tried {
        None => "self-test: there is no commit yet to test the hooks with".to_owned(),
        Some(tried) if tried.held => format!("self-test: the hooks work {}", sanitize::line(&tried.what)),
        Some(tried) => format!("self-test: THE HOOKS DO NOT WORK, {}", sanitize::line(&tried.what)),
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
        let note = format!("error: {}\nnothing was changed\nnext: cmw-doctor", sanitize::line(what));
        return hinted(answer.exiting(Exit::Damaged), &note, "cmw-doctor");
    }
    if !looked.has_baseline {
        let note = "error: no baseline of the refs is recorded, so nothing can be compared\nnext: cmw-init   # the User";
        return hinted(answer.exiting(Exit::Config), note, "cmw-init");
    }
    match open.first() {
        None if verified.waiting > 0 => {
            let note = "what was found is recorded once the git commands that began earlier have ended, or in a minute\nnext: cmw-audit verify";
            hinted(answer.exiting(Exit::Refused), note, "cmw-audit verify")
        }
        None if verified.tried.as_ref().is_some_and(|tried| !tried.held) => hinted(
            answer.exiting(Exit::Refused),
            "git does not run the hooks\nnext: cmw-doctor",
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
    let taint =
        if taints { "until the User adopts it, these branches cannot be pushed or merged\n" } else { "" };
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

/// Returns a violation as text.
fn lines_of(violation: &Violation) -> Vec<String> {
    let cause = describe_cause(&violation.cause);
    let cause = if cause.is_empty() { String::new() } else { format!(" ({cause})") };
    let mut lines = vec![format!("V{}, found {}{cause}", violation.id, violation.found)];
    lines.extend(describe_movements(&violation.refs).into_iter().map(|line| format!("   {line}")));
    lines
}

/// Runs `cmw-audit violations`: the open ones, with their evidence.
pub fn violations(context: &Context<'_>) -> Result<Answer, Failure> {
    let state = context.state()?;
    let evidence = evidence(context, &state)?;
    let mut lines = Vec::new();
    for violation in &state.violations {
        lines.extend(lines_of(violation));
        for stray in evidence.iter().filter(|(id, _)| *id == violation.id).flat_map(|(_, refs)| refs) {
            lines.extend(stray.said.iter().map(|said| format!("      {}", sanitize::line(said))));
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

/// Returns the evidence recorded for open violations.
fn evidence(
    context: &Context<'_>,
    state: &State,
) -> Result<Vec<(u64, Vec<crate::domain::audit::journal_entry::UnauthorizedUpdate>)>, Failure> {
    let mut found = Vec::new();
    let Some(oldest) = state.violations.iter().map(|v| v.found).min() else { return Ok(found) };
    let mut trail = AuditReader::open(context.store.disk())?;
    while let Some(record) = trail.previous().filter(|record| record.at >= oldest) {
        if let Event::Audit(AuditEvent::ViolationFound { id, refs, .. }) = record.event
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
    let caller = context.caller(&state)?;
    let command = Command::Adopt { ids: ids.to_vec(), reason: reason.to_owned() };
    let done = context.transact(&caller, &command)?;
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
/// A message that says what is wrong with it.
pub fn parse_id(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix(['V', 'v']).unwrap_or(text);
    digits
        .parse()
        .ok()
        .filter(|id| *id > 0)
        .ok_or_else(|| "not a violation id; expected for example V3".to_owned())
}
