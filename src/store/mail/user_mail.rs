//! Messages in the User's name: the audit knows each that the User sent (docs/decisions.md D37). Anyone who may write
//! the registry can write one more; it is shown as unproven, and `cmw-audit verify` finds it.

use std::collections::BTreeSet;

use crate::domain::identity::actor::Actor;
use crate::domain::mail::event::MessageMark;
use crate::domain::mail::message::Envelope;
use crate::domain::util::time::WallTime;
use crate::store::audit::reader::AuditReader;
use crate::store::disk::Disk;

/// How much older than the message its record may be, in milliseconds: a clock may be set back a little meanwhile.
const OLDER_MS_MAX: i64 = 60_000;

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
        let limit = WallTime(oldest.0.saturating_sub(OLDER_MS_MAX));
        while !unknown.is_empty()
            && let Some(record) = audit.previous()
            && record.at >= limit
        {
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
