//! Delivers mail to a client's model: printed under the record's lock, then recorded. A process killed in
//! between delivers it again; nothing else delivers twice.

use std::collections::BTreeSet;

use crate::adapters::os::clock;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::mail::agent_digest::{self, DigestItem, MailDigest};
use crate::domain::mail::message::Envelope;
use crate::store::health::clients;
use crate::store::mail::inbox::{Inbox, InboxMessage};

use crate::app::client::ClientHook;
use crate::app::error::Failure;
use crate::app::mail::session;

/// When mail is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryPoint {
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

/// The same, under the record's lock.
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
    let (to_tell, held_back) = sorted(client_hook, when, &news.messages);
    let told = agent_digest::compose(&client_hook.role, &to_tell, client_hook.call.budget);
    if let Some(told) = &told {
        if !print(&told.text) {
            return Ok(false);
        }
        let (whole, named) = (of(&to_tell, &told.whole), of(&to_tell, &told.named));
        inbox.mark_announced(&whole, &named, &client.session, how, now)?;
    }
    let numbers: Vec<u64> = told.iter().flat_map(MailDigest::numbers).collect();
    let before = client.clone();
    client.mark_announced(news.upto, &numbers, &held_back);
    if client != before {
        clients::write(disk, &client_hook.role, &client)?;
    }
    Ok(told.is_some())
}

/// What is to be told, and the numbers of what is held back.
fn sorted<'m>(
    client_hook: &ClientHook<'_>,
    when: DeliveryPoint,
    messages: &'m [InboxMessage],
) -> (Vec<DigestItem<'m>>, Vec<u64>) {
    let frozen = client_hook.state.system != FreezeState::Running;
    let roster = &client_hook.state.policy.roster;
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

/// Whether something is still to be done about a message that was read.
fn is_open(envelope: &Envelope) -> bool {
    envelope.ack_required || envelope.priority <= crate::domain::mail::priority::Priority::High
}

/// The messages of these numbers.
fn of<'m>(news: &[DigestItem<'m>], numbers: &[u64]) -> Vec<&'m Envelope> {
    let numbers: BTreeSet<u64> = numbers.iter().copied().collect();
    news.iter().map(|one| one.envelope).filter(|envelope| numbers.contains(&envelope.seq)).collect()
}
