//! The order in which messages are shown and told: by priority; within one priority the User and the programs
//! first, then the other senders in turns, so that many messages of one sender bury no other's
//! (docs/rules.md R3.9).
//!
//! Invariant (a test of the same name): `thirty_messages_of_one_sender_bury_no_other`.

use std::collections::HashMap;

use crate::domain::identity::actor::Actor;
use crate::domain::mail::message::Envelope;
use crate::domain::mail::priority::Priority;

/// The sort key of a message among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FairKey {
    priority: Priority,
    /// Whether it comes from a role, or from a sender who is not proven to be the one that it names.
    is_from_role: bool,
    /// How many earlier messages of the same priority its sender has among these.
    turn: usize,
    seq: u64,
}

/// Returns the keys of these messages, in the order in which they are given.
#[must_use]
pub fn fair_keys<'e>(envelopes: impl Iterator<Item = &'e Envelope>) -> Vec<FairKey> {
    let envelopes: Vec<&Envelope> = envelopes.collect();
    let mut by_age: Vec<usize> = (0..envelopes.len()).collect();
    by_age.sort_by_key(|at| envelopes[*at].seq);
    let mut turns: HashMap<(Priority, &Actor, bool), usize> = HashMap::new();
    let mut keys: Vec<Option<FairKey>> = vec![None; envelopes.len()];
    for at in by_age {
        let envelope = envelopes[at];
        let (priority, seq) = (envelope.priority, envelope.seq);
        let next = turns.entry((priority, &envelope.from, envelope.proven)).or_default();
        let is_from_role = !(envelope.proven && matches!(envelope.from, Actor::User | Actor::System));
        keys[at] = Some(FairKey { priority, is_from_role, turn: *next, seq });
        *next += 1;
    }
    keys.into_iter().flatten().collect()
}

/// Sorts messages into this order.
pub fn sort_fairly<T>(items: &mut Vec<T>, envelope: impl Fn(&T) -> &Envelope) {
    let keys = fair_keys(items.iter().map(envelope));
    let mut keyed: Vec<(FairKey, T)> = keys.into_iter().zip(items.drain(..)).collect();
    keyed.sort_by_key(|(key, _)| *key);
    items.extend(keyed.into_iter().map(|(_, item)| item));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::identity::actor::Mailbox;
    use crate::domain::identity::role::Role;
    use crate::domain::mail::id::MessageId;
    use crate::domain::mail::message::Draft;
    use crate::domain::util::time::WallTime;

    fn message(seq: u64, from: Actor, priority: Priority) -> Envelope {
        sealed(seq, from, priority, true)
    }

    fn sealed(seq: u64, from: Actor, priority: Priority, proven: bool) -> Envelope {
        let to = vec![Mailbox::Role(Role::parse("Dev-A").unwrap())];
        let mut draft =
            Draft::new(MessageId::from_parts(1, seq.into()), from, "Dev-A".to_owned(), to, WallTime(0));
        (draft.priority, draft.proven) = (priority, proven);
        draft.seal().unwrap().numbered(seq)
    }

    #[test]
    fn thirty_messages_of_one_sender_bury_no_other() {
        let role = |name: &str| Actor::Role(Role::parse(name).unwrap());
        let mut all: Vec<Envelope> =
            (1..=30).map(|seq| message(seq, role("Dev-B"), Priority::Critical)).collect();
        all.push(message(31, role("QA-A"), Priority::Critical));
        all.push(message(32, Actor::User, Priority::Critical));
        all.push(message(33, Actor::System, Priority::Critical));
        all.push(message(34, Actor::User, Priority::High));
        all.push(sealed(35, Actor::User, Priority::Critical, false));
        sort_fairly(&mut all, |envelope| envelope);
        let order: Vec<u64> = all.iter().map(|envelope| envelope.seq).collect();
        assert_eq!(order[..7], [32, 33, 1, 31, 35, 2, 3], "an unproven User waits its turn");
        assert_eq!(order[33..], [30, 34]);
    }
}
