//! The digest of its mail for an agent, within a budget of bytes: urgent messages in full, others by subject,
//! the rest as a count, to be told another time (docs/rules.md R3.9).
//!
//! Texts of senders stand behind `|`, so that they can never look like a line of cmw; nothing in them acts on
//! a terminal, and nothing in them looks like the client's own markup.
//!
//! Invariants (each has a test of the same name):
//! * `it_keeps_to_its_budget`
//! * `a_body_cannot_pretend_to_be_anything_else`

use std::borrow::Cow;

use crate::domain::identity::actor::{Actor, Mailbox};
use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::identity::roster::Roster;
use crate::domain::mail::fair_order::sort_fairly;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::message::{Body, Envelope};
use crate::domain::mail::priority::Priority;
use crate::domain::util::sanitize;

/// The largest size of a digest, in bytes, unless configured otherwise.
pub const BUDGET_BYTES: usize = 2_048;
/// The smallest size that can be configured.
pub const BUDGET_BYTES_MIN: usize = 512;
/// A cut body keeps at least this many bytes; else the message is only named.
const CUT_BYTES_MIN: usize = 120;
/// The longest subject that is shown, in characters.
const SUBJECT_CHARS: usize = 120;

/// A message for the digest.
#[derive(Clone, Copy, Debug)]
pub struct DigestItem<'a> {
    /// The message.
    pub envelope: &'a Envelope,
    /// Whether a session has read it before and it is not acknowledged.
    pub again: bool,
}

/// A digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailDigest {
    /// Its text.
    pub text: String,
    /// The numbers of the messages that it contains in full.
    pub whole: Vec<u64>,
    /// The numbers of the other messages that it names.
    pub named: Vec<u64>,
    /// The numbers of the messages for which there was no room: they are told another time.
    pub left: Vec<u64>,
}

impl MailDigest {
    /// Returns the numbers of the messages that it tells of.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        self.whole.iter().chain(&self.named).copied()
    }
}

/// Whether a message is worth a digest of its own: one of low priority waits for others.
#[must_use]
pub fn is_worth_a_turn(envelope: &Envelope) -> bool {
    envelope.priority < Priority::Low
}

/// Whether a message is delivered while everything is frozen (docs/rules.md R7.2).
#[must_use]
pub fn passes_a_freeze(envelope: &Envelope, roster: &Roster) -> bool {
    let kind = envelope.kind.as_str();
    let exempt = ["SYSTEM_", "REMEDIATION_", "INSTANCE_"].iter().any(|start| kind.starts_with(start))
        || ["REMAIN_FROZEN", "SECURITY_AUDIT_REPORT"].contains(&kind);
    let watches = |role: &Role| roster.kind(role).is_some_and(RoleKind::is_librarian);
    let from = match &envelope.from {
        Actor::User => true,
        Actor::Role(role) => watches(role),
        Actor::System | Actor::Unproven => false,
    };
    let to = envelope.recipients.iter().any(|to| match to {
        Mailbox::User => true,
        Mailbox::Role(role) => watches(role),
    });
    exempt || from || to
}

/// Returns the digest of these messages; `None` when there are none.
#[must_use]
pub fn compose(role: &Role, news: &[DigestItem<'_>], budget: usize) -> Option<MailDigest> {
    if news.is_empty() {
        return None;
    }
    let mut news = news.to_vec();
    sort_fairly(&mut news, |one| one.envelope);
    news.sort_by_key(|one| one.again);
    let (head, tail) = (head(role, &news), tail());
    let room = budget.max(BUDGET_BYTES_MIN).saturating_sub(head.len() + tail.len());
    let mut told = MailDigest { text: head, whole: Vec::new(), named: Vec::new(), left: Vec::new() };
    let bytes = news.iter().map(|one| title(one).len() + shown(one.envelope).len()).sum::<usize>();
    let all: Option<Vec<String>> = (bytes <= room).then(|| news.iter().map(whole).collect());
    match all.filter(|all| all.iter().map(String::len).sum::<usize>() <= room) {
        Some(all) => {
            told.text.extend(all);
            told.whole = news.iter().map(|one| one.envelope.seq).collect();
        }
        None => fill(&mut told, &news, room),
    }
    told.text.push_str(&tail);
    Some(told)
}

/// Adds what fits: urgent messages in full as long as they do, then titles, then a count of what is left. Names one
/// message at least, so that each digest gets further.
fn fill(told: &mut MailDigest, news: &[DigestItem<'_>], room: usize) {
    let more = |count: usize| format!("and {count} more: cmw-inbox list\n");
    let mut left = room.saturating_sub(more(news.len()).len());
    for (at, one) in news.iter().enumerate() {
        let mut title = title(one);
        if title.len() > left && at == 0 {
            title = format!("{}\n", head_of(&title, left.saturating_sub(1)));
        }
        if title.len() > left {
            told.text.push_str(&more(news.len() - at));
            told.left.extend(news.iter().skip(at).map(|one| one.envelope.seq));
            return;
        }
        left -= title.len();
        told.text.push_str(&title);
        let is_urgent = one.envelope.priority <= Priority::High && !one.again;
        let fits = is_urgent && shown(one.envelope).len() <= left;
        let body = if fits { body(&shown(one.envelope)) } else { String::new() };
        if fits && body.len() <= left {
            left -= body.len();
            told.text.push_str(&body);
            told.whole.push(one.envelope.seq);
            continue;
        }
        told.named.push(one.envelope.seq);
        let cut = format!("  (cut; whole: cmw-inbox show {})\n", one.envelope.id.short());
        let space = left.saturating_sub(cut.len() + 1);
        if is_urgent && space >= CUT_BYTES_MIN {
            let begun = beginning(&shown(one.envelope), space);
            left = left.saturating_sub(begun.len() + cut.len());
            told.text.push_str(&begun);
            told.text.push_str(&cut);
        }
    }
}

/// Returns the beginning of a body, in at most this many bytes.
fn beginning(shown: &str, space: usize) -> String {
    let begun = body(head_of(shown, space));
    let begun = head_of(&begun, space);
    if begun.ends_with('\n') { begun.to_owned() } else { format!("{begun}\n") }
}

/// Returns a message with its title and its body.
fn whole(one: &DigestItem<'_>) -> String {
    format!("{}{}", title(one), body(&shown(one.envelope)))
}

fn head(role: &Role, news: &[DigestItem<'_>]) -> String {
    let again = news.iter().filter(|one| one.again).count();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match (news.len() - again, again) {
        (new, 0) => format!("cmw: {} for {role}\n", count(new, "new message")),
        (0, again) => {
            format!("cmw: {} for {role}, seen before and not acknowledged\n", count(again, "message"))
        }
        (new, again) => format!(
            "cmw: {} for {role}, and {again} seen before and not acknowledged\n",
            count(new, "new message")
        ),
    }
}

fn tail() -> String {
    "Lines behind | are the words of the sender named above them.\n\
     next: cmw-inbox show ID for what is only named; cmw-inbox ack ID for what is done\n"
        .to_owned()
}

/// Returns the title line of a message: priority, type, sender, subject.
fn title(one: &DigestItem<'_>) -> String {
    let e = one.envelope;
    let from = e.sender();
    let subject = neutralize_tags(&sanitize::shorten(&sanitize::line(&e.subject), SUBJECT_CHARS));
    let subject = if subject.is_empty() { String::new() } else { format!(": {subject}") };
    let again = if one.again { ", seen before" } else { "" };
    let wants = if e.ack_required { ", wants an ack" } else { "" };
    format!("[{}] {} from {from}{subject} (id {}{wants}{again})\n", e.priority, e.kind, e.id.short())
}

/// Returns the text of a message. Messages of the programs say everything in the subject; their bodies are
/// for programs.
fn shown(envelope: &Envelope) -> Cow<'_, str> {
    match &envelope.body {
        Body::Json(_) if envelope.from == Actor::System || is_routine(envelope) => Cow::Borrowed(""),
        Body::Text(text) => Cow::Borrowed(text.trim_end()),
        Body::Json(value) => Cow::Owned(value.to_string()),
    }
}

/// Whether a program wrote it in the name of a role.
fn is_routine(envelope: &Envelope) -> bool {
    let kinds =
        [MessageType::REGISTRATION_ACK, MessageType::ORCHESTRATOR_READY, MessageType::INSTANCE_REGISTRATION];
    kinds.contains(&envelope.kind)
}

/// Returns the body, each line behind its mark.
fn body(shown: &str) -> String {
    if shown.is_empty() {
        return String::new();
    }
    neutralize_tags(&sanitize::block(shown)).split('\n').map(|line| format!("  | {line}\n")).collect()
}

/// Defuses tags by which a client marks its own text, in any case.
fn neutralize_tags(text: &str) -> String {
    const TAGS: [&str; 4] = ["system-reminder", "task-notification", "user-prompt", "command-"];
    let lower = text.to_ascii_lowercase();
    let begins = |at: usize| {
        let rest = lower.get(at + 1..).unwrap_or_default().trim_start_matches(['/', ' ']);
        TAGS.iter().any(|tag| rest.starts_with(tag))
    };
    text.char_indices().map(|(at, c)| if c == '<' && begins(at) { '‹' } else { c }).collect()
}

/// Returns at most this many bytes from the beginning, without cutting a character.
fn head_of(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
#[path = "agent_digest_tests.rs"]
mod tests;
