//! Delivers mail to a client's model: printed under the record's lock, then recorded. A process killed in
//! between delivers it again; nothing else delivers twice.

use std::collections::BTreeSet;

use crate::adapters::os::clock;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::mail::agent_digest::{self, DigestItem, MailDigest};
use crate::domain::mail::message::Envelope;
use crate::domain::state::State;
use crate::store::health::clients;
use crate::store::mail::inbox::{Inbox, InboxMessage};

use crate::app::client::ClientHook;
use crate::app::error::Failure;
use crate::app::mail::session;

/// The moment at which mail is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryPoint {
    /// A session begins, or has forgotten what it was told: all waiting mail is delivered.
    Beginning,
    /// A turn begins anyway.
    Prompt,
    /// Within a turn, or to begin one: only mail that is worth a turn is delivered.
    Turn,
}

/// Delivers waiting mail by `print`, which returns whether it succeeded; returns whether there was any.
///
/// # Errors
/// [`Failure`] of the store: nothing is recorded then, and the mail is delivered another time.
pub fn deliver_mail(
    client_hook: &ClientHook<'_>,
    when: DeliveryPoint,
    how: &str,
    print: &mut dyn FnMut(&str) -> bool,
) -> Result<bool, Failure> {
    let disk = client_hook.context.store.disk();
    let registry = session::registry(&client_hook.context);
    match client_hook.record()? {
        None => return Ok(false),
        Some(client) if client.told > 0 && client.ahead.is_empty() && registry.last_seq()? <= client.told => {
            return Ok(false);
        }
        Some(_) => {}
    }
    let _lock = clients::lock(disk, &client_hook.role)?;
    deliver_mail_locked(client_hook, when, how, print)
}

/// Does the same, under the record's lock.
///
/// # Errors
/// As [`deliver_mail`].
pub fn deliver_mail_locked(
    client_hook: &ClientHook<'_>,
    when: DeliveryPoint,
    how: &str,
    print: &mut dyn FnMut(&str) -> bool,
) -> Result<bool, Failure> {
    let disk = client_hook.context.store.disk();
    let registry = session::registry(&client_hook.context);
    let Some(mut client) = client_hook.record()? else { return Ok(false) };
    let inbox = Inbox::open(&registry, client_hook.mailbox());
    let now = clock::now().wall;
    let news = inbox.unread(client.told, |seq| !client.was_announced(seq), now)?;
    session::report(
        &client_hook.context,
        &registry,
        &client_hook.mailbox(),
        &client_hook.caller,
        &news.quarantined,
    );
    // Read after the messages: a freeze that one of them announces holds back the others.
    let fresh = if news.messages.is_empty() { None } else { Some(client_hook.context.state()?) };
    let (to_tell, mut held_back) = sorted(fresh.as_ref().unwrap_or(&client_hook.state), when, &news.messages);
    let told = agent_digest::compose(&client_hook.role, &to_tell, client_hook.call.budget);
    if let Some(told) = &told {
        if !print(&told.text) {
            return Ok(false);
        }
        let (whole, named) = (of(&to_tell, &told.whole), of(&to_tell, &told.named));
        inbox.mark_announced(&whole, &named, &client.session, how, now)?;
        held_back.extend(&told.left);
    }
    let numbers: Vec<u64> = told.iter().flat_map(MailDigest::numbers).collect();
    let before = client.clone();
    client.mark_announced(news.upto, &numbers, &held_back);
    if client != before {
        clients::write(disk, &client_hook.role, &client)?;
    }
    Ok(told.is_some())
}

/// Returns the messages to be told, and the numbers of those held back.
fn sorted<'m>(
    state: &State,
    when: DeliveryPoint,
    messages: &'m [InboxMessage],
) -> (Vec<DigestItem<'m>>, Vec<u64>) {
    let frozen = state.system != FreezeState::Running;
    let roster = &state.policy.roster;
    let (mut tell, mut held): (Vec<DigestItem<'m>>, Vec<u64>) = (Vec::new(), Vec::new());
    for message in messages {
        let envelope = &message.envelope;
        if frozen && !agent_digest::passes_a_freeze(envelope, roster) {
            held.push(envelope.seq);
        } else if !message.claimed {
            tell.push(DigestItem { envelope, again: false });
        } else if when == DeliveryPoint::Beginning && is_open(envelope) {
            tell.push(DigestItem { envelope, again: true });
        }
    }
    let worth = tell.iter().any(|news| agent_digest::is_worth_a_turn(news.envelope));
    if when == DeliveryPoint::Turn && !worth {
        held.extend(tell.drain(..).map(|news| news.envelope.seq));
    }
    (tell, held)
}

/// Returns whether a message that was read still needs an action.
fn is_open(envelope: &Envelope) -> bool {
    envelope.ack_required || envelope.priority <= crate::domain::mail::priority::Priority::High
}

/// Returns the messages with these numbers.
fn of<'m>(news: &[DigestItem<'m>], numbers: &[u64]) -> Vec<&'m Envelope> {
    let numbers: BTreeSet<u64> = numbers.iter().copied().collect();
    news.iter().map(|one| one.envelope).filter(|envelope| numbers.contains(&envelope.seq)).collect()
}
