//! Messages in the User's name: the audit knows each that the User sent (docs/decisions.md D37). Anyone who may write
//! the registry can write one more; it is shown as unproven, and `cmw-audit verify` finds it.

use std::collections::BTreeSet;

use crate::domain::identity::actor::Actor;
use crate::domain::mail::event::MessageMark;
use crate::domain::mail::message::Envelope;
use crate::store::audit::reader::AuditReader;
use crate::store::disk::Disk;

/// How many records in a row have to be older than the message before it is given up: a clock that was set back made
/// some of them look so.
const OLDER_MAX: u32 = 2_000;

/// Returns the mark of a message that claims to be a proven one of the User.
#[must_use]
pub fn claimed(envelope: &Envelope) -> Option<MessageMark> {
    let is_claimed = envelope.from == Actor::User && envelope.proven;
    is_claimed.then_some(MessageMark { id: envelope.id, sha256: envelope.sha256 })
}

/// Takes the proof from those messages in the User's name that the audit does not know. It is read back from its end
/// as far as the oldest of them, when there are any.
pub(crate) fn check<'e, D: Disk>(disk: &D, envelopes: impl Iterator<Item = &'e mut Envelope>) {
    let mut claims: Vec<&mut Envelope> = envelopes.filter(|it| claimed(it).is_some()).collect();
    let Some(oldest) = claims.iter().map(|it| it.created_at).min() else { return };
    let mut unknown: BTreeSet<MessageMark> = claims.iter().filter_map(|it| claimed(it)).collect();
    if let Ok(mut audit) = AuditReader::open(disk) {
        let mut older = 0;
        while !unknown.is_empty()
            && older < OLDER_MAX
            && let Some(record) = audit.previous()
        {
            older = if record.at < oldest { older + 1 } else { 0 };
            for mark in record.user_mail() {
                unknown.remove(mark);
            }
        }
    }
    for envelope in &mut claims {
        if claimed(envelope).is_some_and(|mark| unknown.contains(&mark)) {
            envelope.draft.proven = false;
        }
    }
}
