//! Shared by the mail tools: the identity of sender and reader, how a sender is shown, and abbreviated
//! message ids.
//!
//! A process at a terminal that is not proven to be the person (docs/decisions.md D3: a session is up) writes
//! and reads as `User`, and every message says that it was not proven.

use std::ops::ControlFlow;

use serde_json::{Value, json};

use crate::adapters::os::clock;
use crate::domain::command::{Caller, Command};
use crate::domain::event::Event;
use crate::domain::identity::actor::{Actor, Mailbox};
use crate::domain::mail::event::MailEvent;
use crate::domain::mail::id::MessageId;
use crate::domain::mail::message::{DraftError, Envelope};
use crate::domain::mail::receipt::Delivery;
use crate::domain::session::instance::InstancePhase;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::store::disk::RealDisk;
use crate::store::mail::inbox::{InboxMessage, Quarantined};
use crate::store::mail::mail_query;
use crate::store::mail::registry::Registry;

use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::workspace::Context;

/// Shortest abbreviation of an id, in characters.
const ABBREVIATION_MIN: usize = 4;
/// How many messages are named when an abbreviation means several.
const NAMED_MAX: usize = 5;

/// The sender or reader.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The actor in whose name it sends or reads.
    pub actor: Actor,
    /// Whether its identity is proven.
    pub proven: bool,
    /// The caller, as the rules see it.
    pub caller: Caller,
}

impl Sender {
    /// Identifies the sender or reader.
    ///
    /// # Errors
    /// As [`Context::caller`].
    pub fn of(context: &Context<'_>, state: &State) -> Result<Self, Failure> {
        let caller = context.caller(state)?;
        let proven = caller.actor != Actor::Unproven;
        let actor = if !proven && is_person(context.env, state) { Actor::User } else { caller.actor.clone() };
        Ok(Self { actor, proven, caller })
    }

    /// Returns the mailbox to read.
    ///
    /// # Errors
    /// [`Failure`] when the caller cannot be identified.
    pub fn mailbox(&self) -> Result<Mailbox, Failure> {
        self.actor.mailbox().ok_or_else(|| {
            let actor = self.actor.in_sentence();
            let what = format!("no mailbox for {actor}: the caller is neither an instance nor at a terminal");
            Failure::with_next_step(Exit::NotPermitted, what, "cmw-session status")
        })
    }

    /// Returns the id of the reading session: the client's, or else the process's.
    #[must_use]
    pub fn session(&self, env: &Env) -> String {
        let named = env.get("CLAUDE_CODE_SESSION_ID").map(ToOwned::to_owned);
        named.unwrap_or_else(|| format!("process {}", self.caller.process.pid))
    }
}

/// Returns whether the caller is at a terminal that belongs to no instance.
fn is_person(env: &Env, state: &State) -> bool {
    let pane = env.get("TMUX_PANE");
    let is_ours = |pane: &str| {
        state
            .instances
            .values()
            .any(|i| i.phase != InstancePhase::Shutdown && i.pane_id.as_deref() == Some(pane))
    };
    env.has_terminal && env.get("CLAUDECODE").is_none() && !pane.is_some_and(is_ours)
}

/// Returns the message registry of this repository.
#[must_use]
pub fn registry<'a>(context: &'a Context<'_>) -> Registry<'a, RealDisk> {
    Registry::new(context.store.disk(), clock::boot_id())
}

/// Records that mailbox files failed their check: the Librarian and the sender are notified (docs/rules.md
/// R3.7). Mail continues when that fails; returns the reason.
pub fn report(
    context: &Context<'_>,
    registry: &Registry<'_, RealDisk>,
    mailbox: &Mailbox,
    caller: &Caller,
    quarantined: &[Quarantined],
) -> Option<Failure> {
    if quarantined.is_empty() {
        return None;
    }
    let sender = |q: &Quarantined| Some(registry.find(q.restored?).ok()??.envelope.from.clone());
    let event = |q: &Quarantined| {
        Event::Mail(MailEvent::MessageQuarantined {
            mailbox: mailbox.to_string(),
            file: q.file.clone(),
            why: q.why.clone(),
            sender: sender(q),
        })
    };
    context.transact(caller, &Command::Observe(quarantined.iter().map(event).collect())).err()
}

/// Returns a message as JSON, without its body.
#[must_use]
pub fn headers_json(envelope: &Envelope) -> Value {
    let mut value = envelope.to_value();
    if let Value::Object(fields) = &mut value {
        fields.remove("body");
    }
    value
}

/// Returns the delivery states of a message, for programs.
#[must_use]
pub fn deliveries(of: &[(Mailbox, Delivery)]) -> Value {
    let one = |(mailbox, delivery): &(Mailbox, Delivery)| {
        let mut value = json!(delivery);
        if let Value::Object(fields) = &mut value {
            fields.insert("mailbox".to_owned(), json!(mailbox));
            fields.insert("state".to_owned(), json!(delivery.state()));
        }
        value
    };
    of.iter().map(one).collect()
}

/// Returns the message of a full or abbreviated id, among the waiting messages and those that were to or from
/// this mailbox. A full id is not searched for.
///
/// # Errors
/// [`Failure`]: malformed or ambiguous (exit 2), unknown (exit 1), or the store's.
pub fn resolve(
    registry: &Registry<'_, RealDisk>,
    mailbox: Option<&Mailbox>,
    waiting: &dyn Fn() -> Result<Vec<InboxMessage>, Failure>,
    given: &str,
) -> Result<MessageId, Failure> {
    let wanted = given.to_ascii_uppercase();
    if let Ok(id) = MessageId::parse(&wanted) {
        return Ok(id);
    }
    let is_part = wanted.bytes().all(|b| b.is_ascii_alphanumeric()) && wanted.len() < 26;
    if !is_part || wanted.len() < ABBREVIATION_MIN {
        let what = format!(
            "{:?} is not a message id (26 characters, or at least {ABBREVIATION_MIN} from its end or start)",
            sanitize::shorten(given, 40)
        );
        return Err(Failure::with_next_step(Exit::Usage, what, "cmw-inbox list"));
    }
    let fits = |id: &MessageId| {
        // People abbreviate from the left, and also copy the displayed form, which is the end.
        let shown = id.short();
        let id = id.to_string();
        id.ends_with(&wanted) || id.starts_with(&wanted) || shown.starts_with(&wanted)
    };
    let mut found: Vec<Envelope> =
        waiting()?.into_iter().map(|held| held.envelope).filter(|e| fits(&e.id)).collect();
    if found.is_empty() {
        registry.scan_back(&wanted, &mut |record| {
            let envelope = &record.envelope;
            let concerns = mailbox.is_none_or(|mailbox| mail_query::concerns(envelope, mailbox));
            if concerns && fits(&envelope.id) {
                found.push(envelope.clone());
            }
            let more = found.len() <= NAMED_MAX;
            Ok(if more { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
    }
    match found.as_slice() {
        [] => Err(unknown(&wanted)),
        [one] => Ok(one.id),
        several => {
            let named: Vec<String> = several.iter().take(NAMED_MAX).map(ToString::to_string).collect();
            let more = if several.len() > NAMED_MAX { "\n  and more" } else { "" };
            let what = format!("{wanted} means more than one message:\n  {}{more}", named.join("\n  "));
            Err(Failure::with_next_step(Exit::Usage, what, "cmw-inbox show ID, with more of the id"))
        }
    }
}

/// Returns the failure for a message that does not exist or does not concern the caller.
#[must_use]
pub fn unknown(id: &str) -> Failure {
    Failure::with_next_step(
        Exit::Refused,
        format!("there is no message {id} for or from you"),
        "cmw-inbox list",
    )
}

/// A message that cannot be sent: a usage error, except for an address without a recipient.
impl From<DraftError> for Failure {
    fn from(error: DraftError) -> Self {
        let next = match &error {
            DraftError::BodyTooLarge { .. } | DraftError::TooLarge { .. } => {
                "put it in a file, and send the file's name"
            }
            DraftError::NoRecipient(_) => {
                return Self::with_next_step(Exit::Refused, error.to_string(), "cmw-session status");
            }
            DraftError::BodyNotJson(_) => "leave --json-body out, or check it: jq . FILE",
            DraftError::Subject | DraftError::TooDeep | DraftError::Field(_) => "cmw-send --help",
        };
        Self::with_next_step(Exit::Usage, sanitize::line(&error.to_string()), next)
    }
}
