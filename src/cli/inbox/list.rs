//! `cmw-inbox list`, `wait` and `search`: messages, one line each.

use serde_json::{Value, json};

use crate::adapters::os::clock;
use crate::domain::mail::fair_order::sort_fairly;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::message::Envelope;
use crate::domain::util::sanitize;
use crate::domain::util::time::{WallTime, brief, human};
use crate::store::disk::Disk;
use crate::store::error::StoreError;
use crate::store::layout;
use crate::store::mail::inbox::InboxMessage;
use crate::store::mail::mail_query;
use crate::store::watch::Watch;

use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::mail::session;
use crate::cli::inbox::MailSession;

/// Widest column for a name or a type, in characters.
const COLUMN_MAX: usize = 24;

/// Lists the new messages; with `all`, also those taken up and not yet acknowledged.
pub fn list(mail_session: &MailSession<'_>, all: bool) -> Result<Answer, Failure> {
    let mut waiting = mail_session.waiting()?;
    let taken = waiting.iter().filter(|held| held.claimed).count();
    waiting.retain(|held| all || !held.claimed);
    let mut answer = listed(mail_session, waiting);
    if answer.text.is_empty() {
        answer.note = if taken > 0 && !all {
            format!("no new messages; taken up and not acknowledged: {taken} (cmw-inbox list --all)")
        } else {
            "no messages".to_owned()
        };
    }
    Ok(answer)
}

/// Waits for a new message, of this type if one is given.
///
/// # Errors
/// [`Failure`] of the store; a timeout is an answer with exit 75.
pub fn wait(
    mail_session: &MailSession<'_>,
    kind: Option<&MessageType>,
    timeout_ms: u64,
) -> Result<Answer, Failure> {
    let deadline = clock::now().boot.plus(timeout_ms);
    let watch = watch(mail_session)?;
    loop {
        let mut new = mail_session.waiting()?;
        new.retain(|held| !held.claimed && kind.is_none_or(|kind| held.envelope.kind == *kind));
        if !new.is_empty() {
            return Ok(listed(mail_session, new));
        }
        let now = clock::now().boot;
        if deadline.has_passed(&now) {
            let of = kind.map(|kind| format!(" of type {kind}")).unwrap_or_default();
            let mut answer = Answer::done(json!([]), "").exiting(Exit::Busy);
            answer.note = format!("no message{of} arrived within {}", human(timeout_ms));
            answer.hint = Some("cmw-inbox wait".to_owned());
            return Ok(answer);
        }
        watch.wait(None, deadline.ms_until(&now).max(1)).map_err(|e| unwatchable(&e))?;
    }
}

/// Watches what senders write last: the copy in `new/`, and, for a sender that died in between, the registry.
fn watch(mail_session: &MailSession<'_>) -> Result<Watch, Failure> {
    let disk = mail_session.context.store.disk();
    let new = format!("messages/{}/new", mail_session.mailbox);
    for dir in [new.as_str(), layout::REGISTRY] {
        disk.ensure_dir(dir).map_err(|e| StoreError::io("make", dir, e))?;
    }
    let mut watch = Watch::on(&disk.path().join(&new)).map_err(|e| unwatchable(&e))?;
    watch.add(&disk.path().join(layout::REGISTRY)).map_err(|e| unwatchable(&e))?;
    Ok(watch)
}

fn unwatchable(error: &std::io::Error) -> Failure {
    Failure::with_next_step(Exit::Unavailable, format!("cannot watch the mailbox: {error}"), "cmw-inbox list")
}

/// Lists the messages to or from this mailbox that contain a text.
pub fn search(mail_session: &MailSession<'_>, wanted: &str, limit: usize) -> Result<Answer, Failure> {
    let found = mail_query::search(mail_session.registry, &mail_session.mailbox, wanted, limit)?;
    let data: Value = found.iter().map(session::headers_json).collect();
    let rows: Vec<(bool, &Envelope)> = found.iter().map(|envelope| (false, envelope)).collect();
    let mut answer = Answer::done(data, lines(&rows, mail_session.now(), mail_session.columns()));
    if found.is_empty() {
        answer.note = "no messages found".to_owned();
    }
    Ok(answer)
}

/// Lists messages by priority, within one the senders in turns.
fn listed(mail_session: &MailSession<'_>, mut held: Vec<InboxMessage>) -> Answer {
    sort_fairly(&mut held, |held| &held.envelope);
    let data = held.iter().map(|held| {
        let mut value = session::headers_json(&held.envelope);
        if let Value::Object(fields) = &mut value {
            fields.insert("claimed".to_owned(), held.claimed.into());
        }
        value
    });
    let data: Value = data.collect();
    let rows: Vec<(bool, &Envelope)> = held.iter().map(|held| (!held.claimed, &held.envelope)).collect();
    Answer::done(data, lines(&rows, mail_session.now(), mail_session.columns()))
}

/// Returns one line per message, in columns: mark, id, sender, type, priority, age, subject.
fn lines(rows: &[(bool, &Envelope)], now: WallTime, width: usize) -> String {
    let cells = |(new, e): &(bool, &Envelope)| {
        let mark = if *new { "*" } else { " " };
        let cut = |text: &str| sanitize::shorten(text, COLUMN_MAX);
        let (from, kind) = (cut(&e.sender()), cut(e.kind.as_str()));
        let id = format!("{mark} {}", e.id.short());
        [id, from, kind, e.priority.to_string(), age(now, e.created_at), sanitize::line(&e.subject)]
    };
    table(&rows.iter().map(cells).collect::<Vec<_>>(), width)
}

/// Pads all columns but the last, and cuts each line to the width.
fn table<const N: usize>(rows: &[[String; N]], width: usize) -> String {
    let length = |text: &String| text.chars().count();
    let widest = |column: usize| rows.iter().map(|row| length(&row[column])).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(widest);
    let line = |row: &[String; N]| {
        let padded: Vec<String> = row.iter().zip(widths).map(|(cell, w)| format!("{cell:<w$}")).collect();
        sanitize::shorten(padded.join("  ").trim_end(), width)
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Returns the age in its largest unit.
#[must_use]
pub fn age(now: WallTime, then: WallTime) -> String {
    brief(now.ms_since(then))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_are_cut() {
        let rows = [["a", "bb", "subject"], ["aaa", "b", ""]].map(|row| row.map(ToOwned::to_owned));
        assert_eq!(table(&rows, 80), "a    bb  subject\naaa  b");
        assert_eq!(table(&rows, 12), "a    bb  su…\naaa  b");
        assert_eq!(age(WallTime(3_900_000), WallTime(0)), "1h");
    }
}
