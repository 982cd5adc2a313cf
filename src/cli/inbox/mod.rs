//! `cmw-inbox`: its arguments, and the mailbox that its verbs work on.

pub mod ack;
pub mod list;
pub mod sent;
pub mod show;
use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::adapters::os::clock;
use crate::domain::identity::actor::Mailbox;
use crate::domain::mail::id::MessageId;
use crate::domain::mail::kind::MessageType;
use crate::domain::mail::receipt::WorkOutcome;
use crate::domain::util::sanitize;
use crate::domain::util::time::{WallTime, parse_duration_ms};
use crate::store::disk::RealDisk;
use crate::store::mail::inbox::{Inbox, InboxMessage, Quarantined};
use crate::store::mail::registry::Registry;

use crate::adapters::os::stdio::write_err;
use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::mail::session::{self, Sender};
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::output::Style;

/// The width of a line, in characters, unless `COLUMNS` is set.
const COLUMNS: usize = 80;

/// List, read and acknowledge messages
///
/// A message stays in the mailbox until it is acknowledged. `next` and `show` take it up: `next` then does
/// not give it to another process of the same role. An id may be shortened to a part of at least four
/// characters from its end or its start, if that part is unique.
#[derive(Parser, Debug)]
#[command(name = "cmw-inbox", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// List the new messages, most urgent first (the default command); * marks those not taken up
    List {
        /// Also list those taken up but not acknowledged
        #[arg(long)]
        all: bool,
        /// First restore message files that were removed by hand: reads all messages
        #[arg(long)]
        recheck: bool,
    },
    /// Take up the most urgent new message and print it (exit 1 if there is none)
    Next,
    /// Print a message, also an old one to or from you; a new one is thereby taken up
    Show {
        /// The message's id
        id: String,
    },
    /// Acknowledge a message: it leaves the mailbox
    Ack {
        /// The message's id
        id: String,
        /// A note to the sender
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Report a message as failed: it leaves the mailbox, and the sender is notified
    Fail {
        /// The message's id
        id: String,
        /// Why
        #[arg(long)]
        note: String,
    },
    /// Wait for a new message, and list it (exit 75 if none arrives)
    Wait {
        /// Only messages of this type
        #[arg(long = "type", value_name = "TYPE", value_parser = MessageType::parse)]
        kind: Option<MessageType>,
        /// How long to wait
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "30s")]
        timeout: u64,
    },
    /// List the messages to or from you that contain a text, newest first
    Search {
        /// The text to find in subject or body, in any case
        text: String,
        /// At most this many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
    },
    /// Print a message and all replies to it, as far as they are to or from you
    Thread {
        /// The id of any of its messages
        id: String,
    },
    /// List the messages you sent, newest first, with their delivery status
    Sent {
        /// At most this many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
    },
}

/// Runs `cmw-inbox`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = cli.common.open(env)?;
    let state = context.state()?;
    let sender = Sender::of(&context, &state)?;
    let mailbox = sender.mailbox()?;
    let registry = session::registry(&context);
    let inbox = Inbox::open(&registry, mailbox.clone());
    let quiet = cli.common.quiet;
    let mail_session =
        MailSession { context: &context, registry: &registry, inbox, mailbox, sender: &sender, quiet };
    match cli.verb.as_ref().unwrap_or(&Verb::List { all: false, recheck: false }) {
        Verb::List { all, recheck } => {
            if *recheck {
                mail_session.inbox.verify_all()?;
            }
            list::list(&mail_session, *all)
        }
        Verb::Next => show::next(&mail_session),
        Verb::Show { id } => show::show(&mail_session, id),
        Verb::Ack { id, note } => ack::end(&mail_session, id, WorkOutcome::Done, note),
        Verb::Fail { id, note } => ack::end(&mail_session, id, WorkOutcome::Failed, note),
        Verb::Wait { kind, timeout } => list::wait(&mail_session, kind.as_ref(), *timeout),
        Verb::Search { text, limit } => list::search(&mail_session, text, *limit),
        Verb::Thread { id } => show::thread(&mail_session, id),
        Verb::Sent { limit } => sent::sent(&mail_session, *limit),
    }
}

/// An open mailbox, and its reader.
#[derive(Debug)]
pub struct MailSession<'a> {
    /// The repository and its state.
    pub context: &'a Context<'a>,
    /// All messages.
    pub registry: &'a Registry<'a, RealDisk>,
    /// The messages of this mailbox.
    pub inbox: Inbox<'a, RealDisk>,
    /// The mailbox.
    pub mailbox: Mailbox,
    /// The reader.
    pub sender: &'a Sender,
    quiet: bool,
}

impl MailSession<'_> {
    /// Returns the waiting messages; files quarantined in the process are reported.
    ///
    /// # Errors
    /// [`Failure`] of the store.
    pub fn waiting(&self) -> Result<Vec<InboxMessage>, Failure> {
        let listing = self.inbox.list(self.now())?;
        self.report(&listing.quarantined);
        Ok(listing.messages)
    }

    /// Returns the message that a full or shortened id identifies.
    ///
    /// # Errors
    /// As [`session::resolve`].
    pub fn resolve(&self, id: &str) -> Result<MessageId, Failure> {
        // A lookup expires no message: a reader that has taken it up may still acknowledge it.
        let long_ago = WallTime(i64::MIN);
        let waiting = || {
            let listing = self.inbox.list(long_ago)?;
            self.report(&listing.quarantined);
            Ok(listing.messages)
        };
        session::resolve(self.registry, Some(&self.mailbox), &waiting, id)
    }

    /// Returns the current wall-clock time.
    #[must_use]
    pub fn now(&self) -> WallTime {
        clock::now().wall
    }

    /// Returns the id of the reader's session.
    #[must_use]
    pub fn session(&self) -> String {
        self.sender.session(self.context.env)
    }

    /// Returns the width of a line, in characters.
    #[must_use]
    pub fn columns(&self) -> usize {
        let columns = self.context.env.get("COLUMNS").and_then(|n| n.parse().ok());
        columns.filter(|n| *n >= 20).unwrap_or(COLUMNS)
    }

    /// Warns about files that failed their check, and records them: the Librarian and the sender are notified
    /// (docs/rules.md R3.7). A failure to do so does not stop the mail.
    pub fn report(&self, quarantined: &[Quarantined]) {
        let recorded =
            session::report(self.context, self.registry, &self.mailbox, &self.sender.caller, quarantined);
        if self.quiet {
            return;
        }
        for q in quarantined {
            let restored = if q.restored.is_some() { "; the message itself is intact" } else { "" };
            let (why, file) = (sanitize::line(&q.why), sanitize::line(&q.file));
            write_err(&format!(
                "warning: a file in the mailbox was not shown ({why}); it was moved to {file}{restored}"
            ));
        }
        if let Some(failure) = recorded {
            write_err(&format!("warning: this could not be recorded\n{}", failure.text()));
        }
    }
}
