//! Owns telling a client its mail: under the record's lock, printed before it is noted. Whoever is killed in
//! between tells it again, and nobody tells it twice otherwise.

use std::collections::BTreeSet;

use crate::adapters::os::clock;
use crate::domain::freeze::freeze_state::System;
use crate::domain::mail::agent_digest;
use crate::domain::mail::agent_digest::{News, Told};
use crate::domain::mail::message::Envelope;
use crate::store::health::clients;
use crate::store::mail::inbox::{Held, Inbox};

use crate::app::client::Caller;
use crate::app::error::Failure;
use crate::app::mail::session;

/// When mail is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// A session begins, or has forgotten what it was told: everything that waits.
    Beginning,
    /// A turn begins anyway.
    Prompt,
    /// Within a turn, or to begin one: only what is worth that.
    Turn,
}

/// Tells what waits, by `print`, which says whether it could; says whether there was anything.
///
/// # Errors
/// [`Failure`] of the store: then nothing is noted, and it is told another time.
pub fn tell(
    caller: &Caller<'_>,
    when: When,
    how: &str,
    print: &mut dyn FnMut(&str) -> bool,
) -> Result<bool, Failure> {
    let disk = caller.context.store.disk();
    let registry = session::registry(&caller.context);
    match caller.known()? {
        None => return Ok(false),
        Some(client) if client.told > 0 && client.ahead.is_empty() && registry.last_seq()? <= client.told => {
            return Ok(false);
        }
        Some(_) => {}
    }
    let _lock = clients::lock(disk, &caller.role)?;
    tell_locked(caller, when, how, print)
}

/// The same, under the record's lock.
///
/// # Errors
/// As [`tell`].
pub fn tell_locked(
    caller: &Caller<'_>,
    when: When,
    how: &str,
    print: &mut dyn FnMut(&str) -> bool,
) -> Result<bool, Failure> {
    let disk = caller.context.store.disk();
    let registry = session::registry(&caller.context);
    let Some(mut client) = caller.known()? else { return Ok(false) };
    let inbox = Inbox::open(&registry, caller.mailbox());
    let now = clock::now().wall;
    let news = inbox.news(client.told, |seq| !client.was_told(seq), now)?;
    session::report(&caller.context, &registry, &caller.mailbox(), &caller.asker, &news.quarantined);
    let (to_tell, held_back) = sorted(caller, when, &news.messages);
    let told = agent_digest::tell(&caller.role, &to_tell, caller.call.budget);
    if let Some(told) = &told {
        if !print(&told.text) {
            return Ok(false);
        }
        let (whole, named) = (of(&to_tell, &told.whole), of(&to_tell, &told.named));
        inbox.mark_told(&whole, &named, &client.session, how, now)?;
    }
    let numbers: Vec<u64> = told.iter().flat_map(Told::numbers).collect();
    let before = client.clone();
    client.tell(news.upto, &numbers, &held_back);
    if client != before {
        clients::write(disk, &caller.role, &client)?;
    }
    Ok(told.is_some())
}

/// What is to be told, and the numbers of what is held back.
fn sorted<'m>(caller: &Caller<'_>, when: When, messages: &'m [Held]) -> (Vec<News<'m>>, Vec<u64>) {
    let frozen = caller.state.system != System::Running;
    let roster = &caller.state.policy.roster;
    let (mut tell, mut held): (Vec<News<'m>>, Vec<u64>) = (Vec::new(), Vec::new());
    for message in messages {
        let envelope = &message.envelope;
        if frozen && !agent_digest::passes_a_freeze(envelope, roster) {
            held.push(envelope.seq);
        } else if !message.claimed {
            tell.push(News { envelope, again: false });
        } else if when == When::Beginning && is_open(envelope) {
            tell.push(News { envelope, again: true });
        }
    }
    let worth = tell.iter().any(|news| agent_digest::is_worth_a_turn(news.envelope));
    if when == When::Turn && !worth {
        held.extend(tell.drain(..).map(|news| news.envelope.seq));
    }
    (tell, held)
}

/// Whether something is still to be done about a message that was read.
fn is_open(envelope: &Envelope) -> bool {
    envelope.ack_required || envelope.priority <= crate::domain::mail::priority::Priority::High
}

/// The messages of these numbers.
fn of<'m>(news: &[News<'m>], numbers: &[u64]) -> Vec<&'m Envelope> {
    let numbers: BTreeSet<u64> = numbers.iter().copied().collect();
    news.iter().map(|one| one.envelope).filter(|envelope| numbers.contains(&envelope.seq)).collect()
}
