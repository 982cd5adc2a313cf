//! Message types; unknown ones are delivered, not refused (docs/rules.md R3.3).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The type of a message, from the list below or any other word its sender chooses: capitals, digits and `_`, first a letter, at most 64.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageType(Cow<'static, str>);

/// The reason for which a text is not a type of message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a message type (capitals, digits and '_', first a letter, at most 64)")]
pub struct MessageTypeError(String);

macro_rules! known {
    ($($name:ident)*) => {
        #[expect(missing_docs, reason = "the names say what they mean")]
        impl MessageType {
            $(pub const $name: Self = Self(Cow::Borrowed(stringify!($name)));)*
            /// The types that the programs send themselves.
            pub const KNOWN: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

known! {
    MESSAGE
    ORCHESTRATOR_READY INSTANCE_REGISTRATION REGISTRATION_ACK HEARTBEAT
    INSTANCE_HEALTH_WARNING INSTANCE_CRASHED WORK_REASSIGNMENT WORK_BLOCKED
    EMERGENCY_BYPASS_REQUEST EMERGENCY_BYPASS_REVIEW BYPASS_APPROVED_PENDING_USER
    EMERGENCY_BYPASS_2FA_REQUEST BYPASS_GRANTED BYPASS_DENIED BYPASS_USED BYPASS_EXPIRED
    BYPASS_REMEDIATION_OVERDUE BYPASS_REMEDIATION_COMPLETE
    SYSTEM_FREEZE SECURITY_AUDIT_REPORT REMEDIATION_COMPLETE SYSTEM_UNFROZEN REMAIN_FROZEN
    WRITE_LOCK_OFFERED WRITE_LOCK_GRANTED WRITE_LOCK_QUEUED WRITE_LOCK_EXPIRED WRITE_LOCK_FORCE_RELEASED
    TASK_ASSIGNMENT TASK_COMPLETE TASK_CANCELLED
    INSTANCE_RESTARTED INSTANCE_PARKED SESSION_LOST
    PEER_REVIEW_REQUEST PEER_REVIEW_APPROVED PEER_REVIEW_REJECTED
    WORK_RESCUED INSTANCE_PAUSED INSTANCE_RESUMED POLICY_WEAKENED
    MESSAGE_UNDELIVERED SECURITY_ALERT SHUTDOWN_REQUEST TEXT QUESTION ANSWER
    GATE_ADVANCEMENT_REQUEST GATE_ADVANCEMENT_APPROVED GATE_ADVANCEMENT_DENIED
}

impl MessageType {
    /// Returns the type of a message whose sender names none.
    #[must_use]
    pub fn message() -> Self {
        Self::MESSAGE
    }

    /// Parses a name, known or not.
    ///
    /// # Errors
    /// [`MessageTypeError`].
    pub fn parse(text: &str) -> Result<Self, MessageTypeError> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_uppercase());
        let rest = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if first && rest && text.len() <= 64 {
            Ok(Self(Cow::Owned(text.to_owned())))
        } else {
            Err(MessageTypeError(text.chars().take(70).collect()))
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for MessageType {
    type Error = MessageTypeError;
    fn try_from(text: String) -> Result<Self, MessageTypeError> {
        Self::parse(&text)
    }
}

impl From<MessageType> for String {
    fn from(kind: MessageType) -> Self {
        kind.0.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_type_is_a_type_and_a_malformed_one_is_none() {
        for known in MessageType::KNOWN {
            assert_eq!(MessageType::parse(known.as_str()).as_ref(), Ok(known));
        }
        assert!(MessageType::parse("FROM_THE_FUTURE_2").is_ok());
        let long = "A".repeat(65);
        for wrong in ["", "a", "_A", "1A", "A B", "A\n", "Ä", "A/../B", &long] {
            assert!(MessageType::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
