//! Finds messages in the User's name that the audit does not know (docs/decisions.md D37).
//!
//! Invariant (the test of the same name is in `tests/fast/mail/forged.rs`):
//! * `a_message_in_the_users_name_that_the_audit_does_not_know_is_found`

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::adapters::os::clock;
use crate::domain::audit::journal_entry::{JournalEntry, ViolationCause};
use crate::domain::identity::actor::Actor;
use crate::domain::mail::event::MessageMark;
use crate::domain::mail::id::MessageId;
use crate::store::audit::journal::{self, JournalContents};
use crate::store::audit::log;
use crate::store::error::Result;
use crate::store::mail::registry::StoredMessage;
use crate::store::mail::user_mail::claimed;

use crate::app::mail::session::registry;
use crate::app::workspace::Context;

/// Records each such message once, as a violation. `chain`: the journal, which says which are known.
///
/// # Errors
/// Damage to the registry, or the system's error.
pub(crate) fn record(context: &Context<'_>, chain: &JournalContents, by: &Actor) -> Result<()> {
    let mut claims: Vec<MessageMark> = Vec::new();
    // The registry first: a message is sent after its record was published.
    registry(context).scan_back("\"from\":\"User\"", &mut |message: &StoredMessage| {
        claims.extend(claimed(&message.envelope));
        Ok(ControlFlow::Continue(()))
    })?;
    if claims.is_empty() {
        return Ok(());
    }
    let disk = context.store.disk();
    let trail = log::read_published(disk, &context.store.document()?.outbox.records)?;
    let known: BTreeSet<&MessageMark> = trail.records.iter().flat_map(|record| record.user_mail()).collect();
    let recorded: BTreeSet<MessageId> = chain.entries.iter().filter_map(|line| id(&line.entry)).collect();
    let unknown = claims.iter().filter(|mark| !known.contains(mark) && !recorded.contains(&mark.id));
    let entry = |mark: &MessageMark| JournalEntry::Strayed {
        at: clock::now().wall,
        by: by.clone(),
        cause: ViolationCause::Message { id: mark.id },
        refs: Vec::new(),
    };
    let entries: Vec<JournalEntry> = unknown.map(entry).collect();
    if entries.is_empty() { Ok(()) } else { journal::append(disk, &entries) }
}

fn id(entry: &JournalEntry) -> Option<MessageId> {
    let JournalEntry::Strayed { cause: ViolationCause::Message { id }, .. } = entry else { return None };
    Some(*id)
}
