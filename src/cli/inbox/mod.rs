//! Owns the words of `cmw-inbox`: its command line, and whose mailbox is open.

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
use crate::domain::mail::receipt::Outcome;
use crate::domain::util::sanitize;
use crate::domain::util::time::{Wall, parse_duration_ms};
use crate::store::disk::RealDisk;
use crate::store::mail::inbox::{Held, Inbox, Quarantined};
use crate::store::mail::registry::Registry;

use crate::adapters::os::stdio::write_err;
use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::mail::session;
use crate::app::mail::session::Party;
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::output::Style;

/// How wide a line is, in characters, when `COLUMNS` does not say.
const COLUMNS: usize = 80;

/// Read, acknowledge and look back at messages
///
/// A message waits in the mailbox until it is acknowledged. `next` and `show` take it up: nobody
/// else in the same role is given it by `next`. An id may be shortened to a part of at least four
/// characters from its end or its start, when that means one message.
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
    /// What is new, the most urgent first (the default); * marks what nobody has taken up
    List {
        /// What was taken up and not acknowledged, too
        #[arg(long)]
        all: bool,
        /// First bring back what somebody removed by hand: reads all messages there are
        #[arg(long)]
        recheck: bool,
    },
    /// Take up the most urgent new message and print it (exit 1 when there is none)
    Next,
    /// Print a message, also an old one that was for or from you; a new one is taken up by this
    Show {
        /// Which
        id: String,
    },
    /// Be done with a message: it leaves the mailbox
    Ack {
        /// Which
        id: String,
        /// What to tell the sender
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Give up on a message: it leaves the mailbox, and the sender is told why
    Fail {
        /// Which
        id: String,
        /// Why
        #[arg(long)]
        note: String,
    },
    /// Wait until there is a new message, and list it (exit 75 when none came)
    Wait {
        /// Only messages of this type
        #[arg(long = "type", value_name = "TYPE", value_parser = MessageType::parse)]
        kind: Option<MessageType>,
        /// How long
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "30s")]
        timeout: u64,
    },
    /// Messages for or from you that contain a text, newest first
    Search {
        /// What subject or body contain, in any case
        text: String,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
    },
    /// A message and all that answer it, as far as they are for or from you
    Thread {
        /// Any message of it
        id: String,
    },
    /// What you have sent, newest first, and what became of it
    Sent {
        /// At most so many
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
    let party = Party::of(&context, &state)?;
    let mailbox = party.mailbox()?;
    let registry = session::registry(&context);
    let inbox = Inbox::open(&registry, mailbox.clone());
    let quiet = cli.common.quiet;
    let desk = Desk { context: &context, registry: &registry, inbox, mailbox, party: &party, quiet };
    match cli.verb.as_ref().unwrap_or(&Verb::List { all: false, recheck: false }) {
        Verb::List { all, recheck } => {
            if *recheck {
                desk.inbox.recheck()?;
            }
            list::list(&desk, *all)
        }
        Verb::Next => show::next(&desk),
        Verb::Show { id } => show::show(&desk, id),
        Verb::Ack { id, note } => ack::end(&desk, id, Outcome::Done, note),
        Verb::Fail { id, note } => ack::end(&desk, id, Outcome::Failed, note),
        Verb::Wait { kind, timeout } => list::wait(&desk, kind.as_ref(), *timeout),
        Verb::Search { text, limit } => list::search(&desk, text, *limit),
        Verb::Thread { id } => show::thread(&desk, id),
        Verb::Sent { limit } => sent::sent(&desk, *limit),
    }
}

/// An open mailbox, and who sits before it.
#[derive(Debug)]
pub struct Desk<'a> {
    /// Repository and state.
    pub context: &'a Context<'a>,
    /// All messages.
    pub registry: &'a Registry<'a, RealDisk>,
    /// Those of this mailbox.
    pub inbox: Inbox<'a, RealDisk>,
    /// Whose.
    pub mailbox: Mailbox,
    /// Who reads.
    pub party: &'a Party,
    quiet: bool,
}

impl Desk<'_> {
    /// What waits here; what was put aside on this occasion is reported.
    ///
    /// # Errors
    /// [`Failure`] of the store.
    pub fn waiting(&self) -> Result<Vec<Held>, Failure> {
        let listing = self.inbox.list(self.now())?;
        self.report(&listing.quarantined);
        Ok(listing.messages)
    }

    /// The message that an id means, whole or in part.
    ///
    /// # Errors
    /// As [`session::resolve`].
    pub fn resolve(&self, id: &str) -> Result<MessageId, Failure> {
        // To look for a message expires none: who has it in hand may still acknowledge it.
        let long_ago = Wall(i64::MIN);
        let waiting = || {
            let listing = self.inbox.list(long_ago)?;
            self.report(&listing.quarantined);
            Ok(listing.messages)
        };
        session::resolve(self.registry, Some(&self.mailbox), &waiting, id)
    }

    /// The time, for people.
    #[must_use]
    pub fn now(&self) -> Wall {
        clock::now().wall
    }

    /// Which session reads.
    #[must_use]
    pub fn session(&self) -> String {
        self.party.session(self.context.env)
    }

    /// How wide a line may be, in characters.
    #[must_use]
    pub fn columns(&self) -> usize {
        let columns = self.context.env.get("COLUMNS").and_then(|n| n.parse().ok());
        columns.filter(|n| *n >= 20).unwrap_or(COLUMNS)
    }

    /// Says that files did not pass their check, and has it recorded: the Librarian and the sender
    /// are told (DOMAIN section 3). Mail goes on when that fails.
    pub fn report(&self, quarantined: &[Quarantined]) {
        let recorded =
            session::report(self.context, self.registry, &self.mailbox, &self.party.asker, quarantined);
        if self.quiet {
            return;
        }
        for q in quarantined {
            let restored = if q.restored.is_some() { "; the message itself is unharmed" } else { "" };
            let (why, file) = (sanitize::line(&q.why), sanitize::line(&q.file));
            write_err(&format!(
                "warning: a file in the mailbox was not shown ({why}); it lies in {file}{restored}"
            ));
        }
        if let Some(failure) = recorded {
            write_err(&format!("warning: that could not be recorded\n{}", failure.text()));
        }
    }
}
