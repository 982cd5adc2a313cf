//! The state of a role's client (Claude Code or another agent program): its session, its activity, and the
//! messages that it was notified of. Reported by the client's own hooks; not synced.
//!
//! Invariants (each has a test of the same name):
//! * `one_session_at_a_time`: a second one is refused while the first one's process lives.
//! * `what_was_told_is_not_told_again_and_what_was_held_back_is`

use serde::{Deserialize, Serialize};

use crate::domain::session::process::Process;
use crate::domain::util::time::{BootTime, WallTime};

/// Maximum number of messages remembered as announced out of order; older ones are announced again.
const AHEAD_MAX: usize = 100;

/// The activity of a client, as its hooks last reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "activity", rename_all = "snake_case")]
pub enum Activity {
    /// A turn is running.
    Working,
    /// It waits for the next prompt.
    Idle,
    /// A dialog asks the person whether a tool may be used.
    NeedsPermission,
    /// A dialog asks the person something else.
    NeedsInput,
    /// Its usage limit stopped it.
    LimitReached {
        /// The end of the limit, if it was reported.
        until: Option<WallTime>,
    },
    /// Its turn ended with an error of its service.
    Failed {
        /// The error, in the client's own word.
        error: String,
    },
    /// The session has ended.
    Ended,
}

impl Activity {
    /// Returns the words for a table column.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Working => "working".to_owned(),
            Self::Idle => "idle".to_owned(),
            Self::NeedsPermission => "needs permission".to_owned(),
            Self::NeedsInput => "needs input".to_owned(),
            Self::LimitReached { until: Some(until) } => format!("limit until {}", until.clock()),
            Self::LimitReached { until: None } => "limit reached".to_owned(),
            Self::Failed { error } => {
                format!("failed: {}", crate::domain::util::sanitize::shorten(error, 20))
            }
            Self::Ended => "session ended".to_owned(),
        }
    }

    /// Whether a turn runs, or may run again without outside input.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Working | Self::NeedsPermission | Self::NeedsInput => true,
            Self::Idle | Self::LimitReached { .. } | Self::Failed { .. } | Self::Ended => false,
        }
    }
}

/// The state of a role's client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// The name of its adapter, such as `claude`.
    pub adapter: String,
    /// The session's id.
    pub session: String,
    /// The path of its conversation record, if reported; without it nothing can be resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
    /// The client's process.
    pub process: Process,
    /// Its activity.
    #[serde(flatten)]
    pub activity: Activity,
    /// The start of the activity, for display.
    pub since: WallTime,
    /// The same moment, by the clock that rules use.
    pub since_boot: BootTime,
    /// Every message up to this number was considered, and announced if it is for the role.
    #[serde(default)]
    pub told: u64,
    /// Messages beyond `told` that were announced because an earlier one was held back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ahead: Vec<u64>,
    /// The process that waits to wake the client, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiter: Option<Process>,
}

/// The result of a session's claim to a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionClaim {
    /// It is the role's session already.
    Same,
    /// It becomes the role's session: there was none, its process is gone, or the process is the same.
    New,
    /// It does not: another living session is the role's.
    Second,
}

impl Client {
    /// Returns whether a session of this process may take a role whose client is `known`.
    #[must_use]
    pub fn claim(
        known: Option<&Self>,
        session: &str,
        process: &Process,
        is_alive: impl Fn(&Process) -> bool,
    ) -> SessionClaim {
        match known {
            Some(known) if known.session == session && known.process == *process => SessionClaim::Same,
            // `/clear` and `/resume` begin another session in the same process.
            Some(known) if known.process == *process => SessionClaim::New,
            Some(known) if known.activity != Activity::Ended && is_alive(&known.process) => {
                SessionClaim::Second
            }
            Some(_) | None => SessionClaim::New,
        }
    }

    /// Whether this message was announced.
    #[must_use]
    pub fn was_announced(&self, seq: u64) -> bool {
        seq <= self.told || self.ahead.contains(&seq)
    }

    /// Notes that every message up to `upto` was considered: `told` was announced, `held` was held back.
    pub fn mark_announced(&mut self, upto: u64, told: &[u64], held: &[u64]) {
        let first_held = held.iter().min();
        let reach = first_held.map_or(upto, |first| first.saturating_sub(1).min(upto));
        self.told = self.told.max(reach);
        self.ahead.extend(told.iter().filter(|seq| first_held.is_some_and(|first| *seq > first)));
        let told = self.told;
        self.ahead.retain(|seq| *seq > told);
        self.ahead.sort_unstable();
        self.ahead.dedup();
        let surplus = self.ahead.len().saturating_sub(AHEAD_MAX);
        self.ahead.drain(..surplus);
    }

    /// Sets the activity; returns whether it changed.
    pub fn set_activity(&mut self, activity: Activity, at: WallTime, boot: &BootTime) -> bool {
        if self.activity == activity {
            return false;
        }
        (self.activity, self.since, self.since_boot) = (activity, at, boot.clone());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::util::time::BootId;

    fn process(pid: u32) -> Process {
        Process { pid, start_ticks: 1, boot: BootId("b".to_owned()) }
    }

    fn client(session: &str, pid: u32) -> Client {
        Client {
            adapter: "claude".to_owned(),
            session: session.to_owned(),
            transcript: None,
            process: process(pid),
            activity: Activity::Idle,
            since: WallTime(0),
            since_boot: BootTime { boot: BootId("b".to_owned()), ms: 0 },
            told: 0,
            ahead: Vec::new(),
            waiter: None,
        }
    }

    #[test]
    fn one_session_at_a_time() {
        let known = client("s1", 1);
        let ended = Client { activity: Activity::Ended, ..known.clone() };
        for (known, session, pid, first_lives, claimed) in [
            (None, "s1", 1, true, SessionClaim::New),
            (Some(&known), "s1", 1, true, SessionClaim::Same),
            (Some(&known), "s2", 1, true, SessionClaim::New),
            (Some(&known), "s2", 2, true, SessionClaim::Second),
            (Some(&known), "s1", 2, true, SessionClaim::Second),
            (Some(&known), "s1", 2, false, SessionClaim::New),
            (Some(&ended), "s2", 2, true, SessionClaim::New),
        ] {
            let found = Client::claim(known, session, &process(pid), |_| first_lives);
            assert_eq!(found, claimed, "{known:?} {session} {pid} {first_lives}");
        }
    }

    #[test]
    fn what_was_told_is_not_told_again_and_what_was_held_back_is() {
        let mut client = client("s", 1);
        client.mark_announced(10, &[3, 9], &[]);
        assert!(client.was_announced(3) && client.was_announced(10) && !client.was_announced(11));
        client.mark_announced(20, &[12, 15, 18], &[14, 16]);
        let told: Vec<u64> = (1..=21).filter(|seq| client.was_announced(*seq)).collect();
        assert_eq!(told, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 18]);
        client.mark_announced(25, &[14, 16], &[]);
        assert!(client.was_announced(25) && client.ahead.is_empty());
        let many: Vec<u64> = (100..400).collect();
        client.mark_announced(500, &many, &[50]);
        assert!(client.ahead.len() <= AHEAD_MAX && client.was_announced(399) && !client.was_announced(100));
        client.mark_announced(499, &[], &[]);
        assert!(client.told >= 499, "it only grows");
    }

    #[test]
    fn what_it_does_reads_back() {
        for activity in [
            Activity::Working,
            Activity::LimitReached { until: Some(WallTime(1_000)) },
            Activity::LimitReached { until: None },
            Activity::Failed { error: "x".to_owned() },
        ] {
            let client = Client { activity, ..client("s", 1) };
            let json = serde_json::to_string(&client).unwrap();
            assert_eq!(serde_json::from_str::<Client>(&json).unwrap(), client, "{json}");
        }
    }
}
