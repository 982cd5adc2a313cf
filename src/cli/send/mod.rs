//! `cmw-send`: its arguments, and sending a message.
//!
//! Sending is short: one read of the state, one durable append, one copy per mailbox. It takes no lock of the
//! coordination state, so mail works while that is busy.

pub mod body;
pub mod wait;
use std::ffi::OsString;
use std::path::PathBuf;
use std::slice;

use clap::Parser;

use crate::adapters::os::clock;
use crate::domain::command::Command;
use crate::domain::event::Event;
use crate::domain::identity::actor::{Actor, Address, Mailbox};
use crate::domain::mail::event::{MailEvent, MessageMark};
use crate::domain::mail::id::MessageId;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::message::{Body, Draft, Envelope, SealedMessage};
use crate::domain::mail::priority::Priority;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::domain::util::time::{WallTime, parse_duration_ms};
use crate::store::disk::RealDisk;
use crate::store::error::StoreError;
use crate::store::mail::mailbox;
use crate::store::mail::registry::Registry;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::{Failure, with_causes};
use crate::app::exit::Exit;
use crate::app::mail::session::{self, Sender};
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::output::Style;

/// The maximal length of a subject taken from the body's first line, in characters.
const SUBJECT_CHARS: usize = 80;

/// Send a message to a role, to the User, or to several recipients; prints its id
///
/// Once the id is printed, the message is on disk and will be delivered. The body is kept as given, including
/// a trailing newline of stdin or of a file. Put `--` before a body that starts with a dash.
#[derive(Parser, Debug)]
#[command(name = "cmw-send", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    /// A role, User, ALL (every role but yours), or @kind (each of its members); with --reply-to the default
    /// is the sender of that message
    #[arg(value_name = "TO")]
    to: Option<String>,
    /// The body; - reads it from stdin
    #[arg(value_name = "BODY")]
    body: Option<String>,
    /// The message type: capitals, digits and _, such as QUESTION
    #[arg(long = "type", value_name = "TYPE", default_value = "MESSAGE", value_parser = MessageType::parse)]
    kind: MessageType,
    /// One line (default: the first line of the body)
    #[arg(long)]
    subject: Option<String>,
    /// critical, high, normal or low
    #[arg(long, default_value = "normal")]
    priority: Priority,
    /// The id of the message this one replies to
    #[arg(long, value_name = "ID")]
    reply_to: Option<String>,
    /// Request an acknowledgement
    #[arg(long)]
    ack: bool,
    /// Wait until every recipient has seen it; with --ack, until each has acknowledged it
    #[arg(long, value_name = "TIME", value_parser = parse_duration_ms)]
    wait: Option<u64>,
    /// Time to live; a message unread by then expires
    #[arg(long, value_name = "TIME", value_parser = parse_duration_ms)]
    ttl: Option<u64>,
    /// The id of the message: sending it again under the same id has no further effect
    #[arg(long, value_name = "ID", value_parser = MessageId::parse)]
    id: Option<MessageId>,
    /// The body is JSON
    #[arg(long)]
    json_body: bool,
    /// Read the body from a file
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
}

/// Runs `cmw-send`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = cli.common.open(env)?;
    let state = context.state()?;
    let sender = Sender::of(&context, &state)?;
    let registry = session::registry(&context);
    let parent = cli.reply_to.as_deref().map(|id| parent(&registry, &sender, id)).transpose()?;
    let (to, body) = cli.arguments()?;
    let (to, recipients) = address(&state, &sender, to, parent.as_ref())?;
    let body = body::read(body, cli.file.as_deref())?;
    let subject = subject(cli.subject.as_deref(), &body)?;
    let body = if cli.json_body { Body::json(&body)? } else { Body::text(body)? };
    let now = clock::now().wall;
    let id = cli.id.unwrap_or_else(|| MessageId::from_parts(now.0, crate::adapters::os::random::bits()));
    let letter = MessageDraft { cli, id, sender: &sender, to, recipients, parent, subject, body };
    let record = |sealed: &SealedMessage| record_user_message(&context, &sender, sealed);
    let envelope = match post(&registry, &letter, now, &record) {
        // What is damaged is set aside: a message is not lost for it.
        Err(Failure::Store(StoreError::Damaged { .. })) => {
            context.set_damage_aside()?;
            post(&registry, &letter, now, &record)?
        }
        other => other?,
    };
    // The copies are optional: the reader of a mailbox fetches what could not be copied there.
    mailbox::deliver(context.store.disk(), slice::from_ref(&envelope));
    if let Some(wait_ms) = cli.wait {
        return wait::until_all(&context, &registry, &envelope, wait_ms);
    }
    let answer = Answer::done(session::headers_json(&envelope), envelope.id.to_string());
    Ok(answer.noting(note(&envelope)))
}

/// Has the audit know a message of the User before it is sent.
fn record_user_message(
    context: &Context<'_>,
    sender: &Sender,
    sealed: &SealedMessage,
) -> Result<(), Failure> {
    if sender.actor != Actor::User || !sender.proven {
        return Ok(());
    }
    let draft = sealed.draft();
    let message = MessageMark { id: draft.id, sha256: sealed.sha256() };
    let event = Event::Mail(MailEvent::UserMessageSent { to: draft.to.clone(), message });
    context.transact(&sender.caller, &Command::Observe(vec![event])).map(drop)
}

/// Notes for the sender, on stderr.
pub(crate) fn note(envelope: &Envelope) -> String {
    let mut notes = Vec::new();
    if !envelope.proven {
        notes.push(format!("note: sent as {}", envelope.sender()));
    }
    if !MessageType::KNOWN.contains(&envelope.kind) {
        notes.push(format!("note: cmw has no message type {}; it is delivered as is", envelope.kind));
    }
    notes.join("\n")
}

impl Cli {
    /// TO and BODY. With `--reply-to`, a lone argument is the body, unless that comes from a file.
    fn arguments(&self) -> Result<(Option<&str>, Option<&str>), Failure> {
        let (to, body) = match (self.to.as_deref(), self.body.as_deref()) {
            (Some(one), None) if self.reply_to.is_some() && self.file.is_none() => (None, Some(one)),
            both => both,
        };
        if to.is_none() && self.reply_to.is_none() {
            return Err(Failure::with_next_step(
                Exit::Usage,
                "no recipient: name a role, User, ALL or @kind",
                "cmw-send TO BODY",
            ));
        }
        Ok((to, body))
    }
}

/// Returns the message that is replied to.
fn parent(registry: &Registry<'_, RealDisk>, sender: &Sender, id: &str) -> Result<Envelope, Failure> {
    let mailbox = sender.actor.mailbox();
    let found = session::resolve(registry, mailbox.as_ref(), &|| Ok(Vec::new()), id)?;
    let record = registry.find(found)?.ok_or_else(|| {
        Failure::with_next_step(Exit::Refused, format!("message {found} not found"), "cmw-inbox list")
    })?;
    Ok(record.envelope)
}

/// Returns the address in its canonical form, and the mailboxes it resolves to.
fn address(
    state: &State,
    sender: &Sender,
    to: Option<&str>,
    parent: Option<&Envelope>,
) -> Result<(Address, Vec<Mailbox>), Failure> {
    let roster = &state.policy.roster;
    let to = match (to, parent) {
        (Some(to), _) => roster.address(to)?,
        // A reply to one's own message goes to its recipients.
        (None, Some(parent)) if parent.from == sender.actor => roster.address(&parent.to)?,
        (None, Some(parent)) => match parent.from.mailbox() {
            Some(Mailbox::Role(role)) => Address::Role(roster.resolve(role.as_str())?.role.clone()),
            Some(Mailbox::User) => Address::User,
            None => {
                let what = format!("{} has no mailbox to reply to", parent.from);
                return Err(Failure::with_next_step(
                    Exit::Refused,
                    what,
                    "name a recipient: cmw-send TO --reply-to ID BODY",
                ));
            }
        },
        (None, None) => return Err(Failure::usage("no recipient")),
    };
    let recipients = roster.recipients(&to, &sender.actor);
    Ok((to, recipients))
}

/// Returns the subject: as given, or the body's first non-empty line, shortened.
fn subject(given: Option<&str>, body: &str) -> Result<String, Failure> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let first = body.lines().map(str::trim).find(|line| !line.is_empty());
    let first = first.ok_or_else(|| {
        Failure::with_next_step(
            Exit::Usage,
            "the message is empty: it needs a body or a subject",
            "cmw-send TO BODY",
        )
    })?;
    // Cut first: a line of a megabyte is not escaped for eighty characters of it.
    let start: String = first.chars().take(SUBJECT_CHARS + 1).collect();
    Ok(sanitize::shorten(&sanitize::line(&start), SUBJECT_CHARS))
}

/// Everything that makes a message, except the time.
struct MessageDraft<'a> {
    cli: &'a Cli,
    id: MessageId,
    sender: &'a Sender,
    to: Address,
    recipients: Vec<Mailbox>,
    parent: Option<Envelope>,
    subject: String,
    body: Body,
}

impl MessageDraft<'_> {
    /// Seals the message. If one was sent under the same id, its time and recipients are reused, so that only
    /// a different content makes a different message.
    fn seal(&self, now: WallTime, sent: Option<&Envelope>) -> Result<SealedMessage, Failure> {
        let to = self.to.to_string();
        let recipients = match sent {
            Some(sent) if sent.to == to => sent.recipients.clone(),
            Some(_) | None => self.recipients.clone(),
        };
        let created_at = sent.map_or(now, |sent| sent.created_at);
        let mut draft = Draft::new(self.id, self.sender.actor.clone(), to, recipients, created_at);
        if let Some(parent) = &self.parent {
            draft = draft.replying_to(parent);
        }
        draft.proven = self.sender.proven;
        draft.kind = self.cli.kind.clone();
        draft.priority = self.cli.priority;
        draft.subject.clone_from(&self.subject);
        draft.body = self.body.clone();
        draft.ack_required = self.cli.ack;
        let ttl = self.cli.ttl.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        draft.expires_at = ttl.map(|ms| WallTime(created_at.0.saturating_add(ms)));
        Ok(draft.seal()?)
    }
}

/// Appends it to the registry; a message with a given id is appended once.
fn post(
    registry: &Registry<'_, RealDisk>,
    letter: &MessageDraft<'_>,
    now: WallTime,
    record: &dyn Fn(&SealedMessage) -> Result<(), Failure>,
) -> Result<Envelope, Failure> {
    let unconfirmed = |error: StoreError| {
        if !matches!(error, StoreError::Unconfirmed { .. }) {
            return error.into();
        }
        let what = format!("{}\nsending it again under the same id is safe", with_causes(&error));
        Failure::with_next_step(Exit::Unavailable, what, &format!("the same command with --id {}", letter.id))
    };
    let number = |sealed: &SealedMessage, seqs: Vec<u64>| {
        let seq = seqs.first().copied();
        seq.map(|seq| sealed.numbered(seq)).ok_or_else(|| {
            Failure::with_next_step(Exit::Bug, "no sequence number was assigned", "cmw-doctor")
        })
    };
    let sealed = letter.seal(now, None)?;
    record(&sealed)?;
    if letter.cli.id.is_none() {
        let seqs = registry.append(slice::from_ref(&sealed)).map_err(unconfirmed)?;
        return number(&sealed, seqs);
    }
    match registry.append_once(slice::from_ref(&sealed), 0) {
        Err(StoreError::IdTaken { id, seq }) => {
            let sent = registry.get(seq)?.ok_or(StoreError::IdTaken { id, seq })?;
            let again = letter.seal(now, Some(&sent.envelope))?;
            record(&again)?;
            let seqs = registry.append_once(slice::from_ref(&again), 0).map_err(unconfirmed)?;
            number(&again, seqs)
        }
        result => number(&sealed, result.map_err(unconfirmed)?),
    }
}
