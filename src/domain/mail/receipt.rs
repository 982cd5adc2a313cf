//! Receipts: what became of a message for one recipient, and the state they add up to.
//!
//! queued → notified → seen → acknowledged (done or failed), or expired, or dead-lettered
//! (docs/rules.md R3.5). Every stamp is kept; what ended it first, ended it.

use serde::{Deserialize, Serialize};

use crate::domain::mail::id::MessageId;
use crate::domain::util::time::WallTime;

/// Longest note or reason in a receipt, in characters; longer ones are cut.
pub const NOTE_CHARS_MAX: usize = 1_000;

/// How the work that a message asked for ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkOutcome {
    /// As asked.
    Done,
    /// Not as asked; the note says why.
    Failed,
}

/// What happened to a message at its recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ReceiptStep {
    /// The recipient was told that there is mail.
    Notified {
        /// How: `hook`, `wakeup`, `doorbell`.
        how: String,
    },
    /// A session was given the content.
    Seen {
        /// Which session.
        session: String,
        /// How long after it was sent, in milliseconds; 0 in receipts of an earlier version.
        #[serde(default)]
        waited_ms: u64,
    },
    /// The recipient is finished with it.
    Acknowledged {
        /// How it ended.
        outcome: WorkOutcome,
        /// What the recipient has to say.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
        /// Which session.
        session: String,
    },
    /// Nobody had seen it when its deadline was over; it may still be seen.
    Undelivered {
        /// What stood in the way, as far as it is known.
        why: String,
    },
    /// Its time was up before it was acknowledged.
    Expired,
    /// Its mailbox file was not what the registry says, and was put aside.
    Quarantined {
        /// What was wrong.
        why: String,
    },
    /// It can never be delivered.
    DeadLettered {
        /// Why.
        why: String,
    },
}

impl ReceiptStep {
    /// Whether nothing comes after it: the message leaves the mailbox.
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
    /// Which message.
    pub id: MessageId,
    /// Its number.
    pub seq: u64,
    /// How far the recipient had followed the registry: receipts written later never say less.
    pub upto: u64,
    /// When.
    pub at: WallTime,
    /// What happened.
    #[serde(flatten)]
    pub step: ReceiptStep,
}

/// A step and when it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReceiptStamp {
    /// When.
    pub at: WallTime,
    /// What happened.
    #[serde(flatten)]
    pub step: ReceiptStep,
}

/// Where a message stands with one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Sent; nothing else is known.
    Queued,
    /// The recipient was told.
    Notified,
    /// Nobody saw it within its deadline; it is still there.
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

/// Everything that is known about a message at one recipient: the first stamp of each step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// When the recipient was first told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notified: Option<ReceiptStamp>,
    /// When its deadline was over without anybody having seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undelivered: Option<ReceiptStamp>,
    /// When a session first read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<ReceiptStamp>,
    /// When a copy of it was first put aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<ReceiptStamp>,
    /// How and when it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<ReceiptStamp>,
}

impl Delivery {
    /// Takes in the next receipt.
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

    /// Whether its recipient gave no sign of having been told, and nobody was told of that. A line that was
    /// typed into its pane is no sign of the recipient's.
    #[must_use]
    pub fn needs_announcement(&self) -> bool {
        let told = self
            .notified
            .as_ref()
            .is_some_and(|stamp| !matches!(&stamp.step, ReceiptStep::Notified { how } if how == "doorbell"));
        !told && self.seen.is_none() && self.ended.is_none() && self.undelivered.is_none()
    }

    /// Where it stands.
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
