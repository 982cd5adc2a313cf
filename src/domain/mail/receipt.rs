//! Receipts: the steps of a message's delivery to one recipient, and the state they add up to.
//!
//! queued → notified → seen → acknowledged (done or failed), or expired, or dead-lettered
//! (docs/rules.md R3.5). Every stamp is kept; the first final step counts.

use serde::{Deserialize, Serialize};

use crate::domain::mail::id::MessageId;
use crate::domain::util::time::WallTime;

/// The longest note or reason in a receipt, in characters; longer ones are cut.
pub const NOTE_CHARS_MAX: usize = 1_000;

/// The outcome of the work that a message asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkOutcome {
    /// Done as asked.
    Done,
    /// Not done as asked; the note says why.
    Failed,
}

/// A step of a message's delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ReceiptStep {
    /// The recipient was notified of mail.
    Notified {
        /// The channel: `hook`, `wakeup`, `doorbell`.
        how: String,
    },
    /// A session was given the content.
    Seen {
        /// The session.
        session: String,
        /// The time since it was sent, in milliseconds; 0 in receipts of an earlier version.
        #[serde(default)]
        waited_ms: u64,
    },
    /// The recipient has dealt with it.
    Acknowledged {
        /// The outcome.
        outcome: WorkOutcome,
        /// The recipient's note.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
        /// The session.
        session: String,
    },
    /// It was unseen when its deadline was over; it may still be seen.
    Undelivered {
        /// The obstacle, as far as it is known.
        why: String,
    },
    /// Its time was up before it was acknowledged.
    Expired,
    /// Its mailbox file was not what the registry says, and was put aside.
    Quarantined {
        /// The failed check.
        why: String,
    },
    /// It can never be delivered.
    DeadLettered {
        /// The reason.
        why: String,
    },
}

impl ReceiptStep {
    /// Whether the step is final: the message leaves the mailbox.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Acknowledged { .. } | Self::Expired | Self::DeadLettered { .. } => true,
            Self::Notified { .. }
            | Self::Seen { .. }
            | Self::Undelivered { .. }
            | Self::Quarantined { .. } => false,
        }
    }
}

/// One line of a recipient's receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The message's id.
    pub id: MessageId,
    /// Its number.
    pub seq: u64,
    /// The recipient's position in the registry; it never decreases from one receipt to the next.
    pub upto: u64,
    /// The time.
    pub at: WallTime,
    /// The step.
    #[serde(flatten)]
    pub step: ReceiptStep,
}

/// A step with its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceiptStamp {
    /// The time.
    pub at: WallTime,
    /// The step.
    #[serde(flatten)]
    pub step: ReceiptStep,
}

/// The state of a message's delivery to one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Sent; nothing else is known.
    Queued,
    /// The recipient was notified.
    Notified,
    /// Unseen within its deadline; it is still in the mailbox.
    Undelivered,
    /// A session has read it.
    Seen,
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Its time was up.
    Expired,
    /// It can never be delivered.
    DeadLettered,
}

/// All that is known of a message at one recipient: the first stamp of each step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The time at which the recipient was first notified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notified: Option<ReceiptStamp>,
    /// The time at which its deadline was over while it was unseen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undelivered: Option<ReceiptStamp>,
    /// The time at which a session first read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<ReceiptStamp>,
    /// The time at which a copy of it was first put aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<ReceiptStamp>,
    /// The final step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<ReceiptStamp>,
}

impl Delivery {
    /// Adds the next receipt.
    pub fn evolve(&mut self, receipt: &Receipt) {
        let slot = match &receipt.step {
            ReceiptStep::Notified { .. } => &mut self.notified,
            ReceiptStep::Seen { .. } => &mut self.seen,
            ReceiptStep::Undelivered { .. } => &mut self.undelivered,
            ReceiptStep::Quarantined { .. } => &mut self.quarantined,
            ReceiptStep::Acknowledged { .. } | ReceiptStep::Expired | ReceiptStep::DeadLettered { .. } => {
                &mut self.ended
            }
        };
        slot.get_or_insert_with(|| ReceiptStamp { at: receipt.at, step: receipt.step.clone() });
    }

    /// Whether the recipient shows no sign of having been notified, and no message about that was sent. A
    /// line typed into its pane is no such sign.
    #[must_use]
    pub fn needs_announcement(&self) -> bool {
        let told = self
            .notified
            .as_ref()
            .is_some_and(|stamp| !matches!(&stamp.step, ReceiptStep::Notified { how } if how == "doorbell"));
        !told && self.seen.is_none() && self.ended.is_none() && self.undelivered.is_none()
    }

    /// Returns the state.
    #[must_use]
    pub fn state(&self) -> DeliveryState {
        match self.ended.as_ref().map(|stamp| &stamp.step) {
            Some(ReceiptStep::Acknowledged { outcome: WorkOutcome::Done, .. }) => DeliveryState::Done,
            Some(ReceiptStep::Acknowledged { outcome: WorkOutcome::Failed, .. }) => DeliveryState::Failed,
            Some(ReceiptStep::Expired) => DeliveryState::Expired,
            Some(ReceiptStep::DeadLettered { .. }) => DeliveryState::DeadLettered,
            Some(
                ReceiptStep::Notified { .. }
                | ReceiptStep::Seen { .. }
                | ReceiptStep::Undelivered { .. }
                | ReceiptStep::Quarantined { .. },
            )
            | None => match (&self.seen, &self.undelivered, &self.notified) {
                (Some(_), ..) => DeliveryState::Seen,
                (None, Some(_), _) => DeliveryState::Undelivered,
                (None, None, Some(_)) => DeliveryState::Notified,
                (None, None, None) => DeliveryState::Queued,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(at: i64, step: ReceiptStep) -> Receipt {
        Receipt { id: MessageId::from_parts(1, 1), seq: 1, upto: 1, at: WallTime(at), step }
    }

    fn done(note: &str) -> ReceiptStep {
        ReceiptStep::Acknowledged { outcome: WorkOutcome::Done, note: note.into(), session: "s".into() }
    }

    #[test]
    fn what_ended_it_first_ended_it_and_every_stamp_is_kept() {
        let mut delivery = Delivery::default();
        let mut states = vec![delivery.state()];
        for (at, step) in [
            (1, ReceiptStep::Notified { how: "hook".into() }),
            (2, ReceiptStep::Undelivered { why: "w".into() }),
            (3, ReceiptStep::Seen { session: "s".into(), waited_ms: 3 }),
            (4, ReceiptStep::Seen { session: "t".into(), waited_ms: 4 }),
            (5, done("")),
            (6, ReceiptStep::Expired),
            (7, done("again")),
        ] {
            delivery.evolve(&receipt(at, step));
            states.push(delivery.state());
        }
        use DeliveryState::{Done, Notified, Queued, Seen, Undelivered};
        assert_eq!(states, [Queued, Notified, Undelivered, Seen, Seen, Done, Done, Done]);
        let at = |stamp: &Option<ReceiptStamp>| stamp.as_ref().map(|s| s.at.0);
        assert_eq!(
            [at(&delivery.notified), at(&delivery.seen), at(&delivery.ended)],
            [Some(1), Some(3), Some(5)]
        );
    }

    #[test]
    fn a_receipt_of_an_earlier_version_reads() {
        let old = r#"{"id":"00000000010000000000000001","seq":1,"upto":1,"at":"2025-11-16T23:00:00.123Z","state":"seen","session":"s"}"#;
        let receipt: Receipt = serde_json::from_str(old).unwrap();
        assert_eq!(receipt.step, ReceiptStep::Seen { session: "s".into(), waited_ms: 0 });
    }

    #[test]
    fn a_receipt_reads_back() {
        for step in [done("n"), done(""), ReceiptStep::Expired, ReceiptStep::DeadLettered { why: "w".into() }]
        {
            let receipt = receipt(7, step);
            let json = serde_json::to_string(&receipt).unwrap();
            assert_eq!(serde_json::from_str::<Receipt>(&json).unwrap(), receipt, "{json}");
        }
    }
}
