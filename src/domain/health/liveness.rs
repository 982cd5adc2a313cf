//! Liveness: the condition of an instance in the seven words of the operations guide.

use std::fmt;

use serde::Serialize;

use crate::domain::health::condition::Condition;

/// The liveness of an instance. Problems sort first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Liveness {
    /// Its process ended without having been stopped on purpose.
    Crashed,
    /// Its process lives, but it has not beaten for too long.
    Stale,
    /// It crashed, and is being restarted.
    Restarting,
    /// It was never seen.
    NeverSeen,
    /// Its pane runs; it has not registered yet.
    Starting,
    /// All is well.
    Alive,
    /// It was stopped on purpose.
    Shutdown,
}

impl Liveness {
    /// Returns the name, as it is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crashed => "CRASHED",
            Self::Stale => "STALE",
            Self::Restarting => "RESTARTING",
            Self::NeverSeen => "NEVER_SEEN",
            Self::Starting => "STARTING",
            Self::Alive => "ALIVE",
            Self::Shutdown => "SHUTDOWN",
        }
    }
}

impl fmt::Display for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<Condition> for Liveness {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::Crashed => Self::Crashed,
            Condition::Stale => Self::Stale,
            Condition::Restarting => Self::Restarting,
            Condition::NeverSeen => Self::NeverSeen,
            Condition::Starting => Self::Starting,
            Condition::WaitingForPermission
            | Condition::WaitingForInput
            | Condition::Failed
            | Condition::LimitReached
            | Condition::Working
            | Condition::Idle
            | Condition::Stopping => Self::Alive,
            Condition::ShutDown => Self::Shutdown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_word_in_both_has_the_same() {
        let letters = |text: &str| -> String { text.chars().filter(char::is_ascii_alphabetic).collect() };
        for condition in Condition::ALL {
            let liveness = Liveness::from(condition);
            let same = letters(liveness.as_str()).eq_ignore_ascii_case(&letters(condition.words()));
            assert!(same || liveness == Liveness::Alive, "{condition:?} is {liveness}");
        }
    }
}
