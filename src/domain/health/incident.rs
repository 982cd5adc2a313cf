//! Incidents of instances: crashes and their impact, restarts, parking (docs/rules.md R8).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::session::process::Process;
use crate::domain::util::sanitize;
use crate::domain::util::time::{BootTime, WallTime};

/// Maximum number of restarts within [`WINDOW_MS`]; after it the User must act (docs/rules.md R8.5).
pub const ATTEMPTS_MAX: u32 = 3;
/// The window within which restarts are counted, in milliseconds (docs/rules.md R8.5).
pub const WINDOW_MS: u64 = 600_000;
/// Delay of each attempt after the crash or failure, in milliseconds: none for the first.
pub const BACK_OFF_MS: [u64; 3] = [0, 10_000, 60_000];
/// Longest time of a program for one restart, in milliseconds: registration alone may take 60 s.
pub const RESTART_MS: u64 = 120_000;
/// The same for the whole session, whose instances are started in three groups, one after the other.
pub const SESSION_RESTART_MS: u64 = 180_000;
/// How long a role is parked when the end of its limit is unknown, in milliseconds.
pub const PARKED_MS: u64 = 600_000;
/// Longest time for which a role is parked, in milliseconds: a week and a day.
pub const PARKED_MS_MAX: u64 = 8 * 24 * 3_600_000;
/// Delay between two roles that are woken after the same limit, in milliseconds.
pub const STAGGER_MS: u64 = 20_000;

/// The end of a pane's process, as tmux reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProcessEnd {
    /// It ended with this status.
    Status(i32),
    /// A signal ended it.
    Signal(i32),
    /// Its pane was closed.
    PaneClosed,
}

impl fmt::Display for ProcessEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "it ended with {status}"),
            Self::Signal(signal) => write!(f, "it was ended by signal {signal}"),
            Self::PaneClosed => f.write_str("its pane was closed"),
        }
    }
}

/// A crash: an instance's process ended without having been stopped on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// The role.
    pub role: Role,
    /// The process that is gone.
    pub process: Process,
    /// The end of the process, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<ProcessEnd>,
    /// The impact.
    pub impact: CrashImpact,
    /// The response.
    pub plan: CrashResponse,
}

/// The impact of a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashImpact {
    /// The write lock that it held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// Its place in the queue, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_place: Option<usize>,
    /// Its unfinished tasks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<u64>,
    /// Its kind, if no other instance of that kind runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sole: Option<RoleKind>,
}

impl CrashImpact {
    /// Describes the impact in words; empty: there is none.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut words = Vec::new();
        words.extend(
            self.lock.as_ref().map(|lock| format!("it held the write lock ({})", sanitize::line(lock))),
        );
        words.extend(self.queue_place.map(|place| format!("it was number {place} in the queue")));
        words.extend((!self.tasks.is_empty()).then(|| {
            let ids: Vec<String> = self.tasks.iter().map(|id| format!("T{id}")).collect();
            format!("its open tasks: {}", ids.join(", "))
        }));
        words.extend(self.sole.as_ref().map(|kind| format!("no other {} runs", kind.as_str())));
        words.join("; ")
    }
}

/// The response to a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CrashResponse {
    /// It is restarted.
    Restart {
        /// The number of the attempt within the window, from 1.
        attempt: u32,
        /// The earliest time of the restart.
        due: BootTime,
    },
    /// It comes back with its session, which was lost.
    WithTheSession,
    /// It is not restarted, and its tasks are reassigned.
    Nothing {
        /// The reason.
        why: String,
    },
}

/// The state of a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RestartState {
    /// It is due at this time.
    Due(BootTime),
    /// A program performs it.
    Running {
        /// The program's process.
        program: Process,
        /// The end of the program's time.
        until: BootTime,
    },
    /// The program that restored the session waits for the instance to register.
    WithSession {
        /// The program's process.
        program: Process,
        /// The end of the program's time.
        until: BootTime,
    },
}

impl RestartState {
    /// Returns the program that performs the restart, if any.
    #[must_use]
    pub fn program(&self) -> Option<&Process> {
        self.in_progress().map(|(program, _)| program)
    }

    /// Returns the same, with the end of the program's time.
    #[must_use]
    pub fn in_progress(&self) -> Option<(&Process, &BootTime)> {
        match self {
            Self::Due(_) => None,
            Self::Running { program, until } | Self::WithSession { program, until } => Some((program, until)),
        }
    }

    /// Whether this program restored the session and waits for the instance.
    #[must_use]
    pub fn is_session_restart_by(&self, me: &Process) -> bool {
        matches!(self, Self::WithSession { program, .. } if program == me)
    }
}

/// The beginning of a restart of an instance or of the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartBegun {
    /// The role; none: the whole session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The number of the attempt within the window, from 1.
    pub attempt: u32,
    /// The time, by the clock that rules use.
    pub when: BootTime,
    /// The program's process.
    pub program: Process,
    /// The end of the program's time.
    pub until: BootTime,
    /// The end of the crashed process, if tmux has reported it by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<ProcessEnd>,
}

/// The instance runs again, and has registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarted {
    /// The role.
    pub role: Role,
    /// The number of the attempt, from 1.
    pub attempt: u32,
}

/// A failed restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartFailed {
    /// The role; none: the whole session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The number of the attempt, from 1; 0: the instance was to return with its session.
    pub attempt: u32,
    /// The reason.
    pub why: String,
    /// The time of the next attempt; none: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<BootTime>,
}

/// An instance that lives, but gives no sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStale {
    /// The role.
    pub role: Role,
    /// The evidence.
    pub why: String,
}

/// An event's only field: the role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleOnly {
    /// The role.
    pub role: Role,
}

/// A usage limit that stops an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceParked {
    /// The role.
    pub role: Role,
    /// The time at which it is woken; roles that wait for the same limit are woken one after the other.
    pub until: BootTime,
    /// The same time, for display.
    pub until_at: WallTime,
    /// Whether the client was told the end of the limit; else `until` is the time of the next try.
    pub told: bool,
}

/// The loss of the tmux server, and with it of every pane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLost {
    /// The session's name.
    pub name: String,
    /// The roles whose panes ran in it.
    pub roles: Vec<Role>,
    /// The time of its restart; none: it is not restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<BootTime>,
}

/// A lost session, until there is one again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostSession {
    /// The roles whose panes ran in it.
    pub roles: Vec<Role>,
    /// The state of its restart; none: it is not tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartState>,
}

/// Returns how many of these attempts are within the window that ends now.
#[must_use]
pub fn recent(attempts: &[BootTime], now: &BootTime) -> u32 {
    let counts = attempts.iter().filter(|at| now.ms_since(at) < WINDOW_MS).count();
    u32::try_from(counts).unwrap_or(u32::MAX)
}

/// Returns when the next attempt is due after so many recent ones; none: no further attempt.
#[must_use]
pub fn next_attempt(recent: u32, now: &BootTime) -> Option<BootTime> {
    let at = usize::try_from(recent).ok().filter(|_| recent < ATTEMPTS_MAX)?;
    BACK_OFF_MS.get(at).map(|ms| now.plus(*ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::util::time::BootId;

    fn at(ms: u64) -> BootTime {
        BootTime { boot: BootId("b".to_owned()), ms }
    }

    #[test]
    fn three_attempts_in_ten_minutes_each_later_than_the_one_before() {
        let now = at(1_000_000);
        let tried: Vec<BootTime> = [399_999, 400_000, 400_001, 999_999].map(at).into();
        assert_eq!(recent(&tried, &now), 2, "an attempt ten minutes back no longer counts");
        let waits: Vec<Option<u64>> =
            (0..5).map(|n| next_attempt(n, &now).map(|due| due.ms - now.ms)).collect();
        assert_eq!(waits, [Some(0), Some(10_000), Some(60_000), None, None]);
        let other_boot = BootTime { boot: BootId("c".to_owned()), ms: 999_999 };
        assert_eq!(recent(&[other_boot], &now), 0);
    }

    #[test]
    fn an_impact_is_told_in_one_line() {
        assert_eq!(CrashImpact::default().describe(), "");
        let impact = CrashImpact {
            lock: Some("WL-0003".to_owned()),
            queue_place: Some(2),
            tasks: vec![4, 9],
            sole: Some(RoleKind::parse("docs").unwrap()),
        };
        let told = impact.describe();
        assert_eq!(
            told,
            "it held the write lock (WL-0003); it was number 2 in the queue; its open tasks: T4, T9; no other docs runs"
        );
    }
}
