//! Incidents of instances: crashes and their impact, restarts, parking (docs/rules.md R8).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::session::process::Process;
use crate::domain::util::sanitize;
use crate::domain::util::time::{BootTime, WallTime};

/// So many restarts within [`WINDOW_MS`] are tried; then somebody has to look (docs/rules.md R8.5).
pub const ATTEMPTS_MAX: u32 = 3;
/// The time within which restarts are counted, in milliseconds (docs/rules.md R8.5).
pub const WINDOW_MS: u64 = 600_000;
/// How long each attempt waits after what went wrong, in milliseconds: the first one does not.
pub const BACK_OFF_MS: [u64; 3] = [0, 10_000, 60_000];
/// How long a program may take for one restart, in milliseconds: registration alone is waited for 60 s.
pub const RESTART_MS: u64 = 120_000;
/// The same for the whole session, whose instances are started in three groups, one after the other.
pub const SESSION_RESTART_MS: u64 = 180_000;
/// How long a role is parked that was not told for how long, in milliseconds.
pub const PARKED_MS: u64 = 600_000;
/// The longest time that a limit is believed, in milliseconds: a week and a day.
pub const PARKED_MS_MAX: u64 = 8 * 24 * 3_600_000;
/// Between two that are woken because the same limit is over, in milliseconds.
pub const STAGGER_MS: u64 = 20_000;

/// How a pane's process ended, as tmux tells.
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

/// An instance's process is gone, and nobody stopped it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// Whose.
    pub role: Role,
    /// The process that is gone.
    pub process: Process,
    /// How it ended, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<ProcessEnd>,
    /// What it leaves behind.
    pub impact: CrashImpact,
    /// What is done about it.
    pub plan: CrashResponse,
}

/// What a crash leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrashImpact {
    /// The write lock that it held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// Its place in the queue, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_place: Option<usize>,
    /// Its tasks that are not done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<u64>,
    /// Its kind, when no other one of it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sole: Option<RoleKind>,
}

impl CrashImpact {
    /// In words; empty: nobody is held up.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut words = Vec::new();
        words.extend(
            self.lock.as_ref().map(|lock| format!("it held the write lock ({})", sanitize::line(lock))),
        );
        words.extend(self.queue_place.map(|place| format!("it was {place}. in the queue")));
        words.extend((!self.tasks.is_empty()).then(|| {
            let ids: Vec<String> = self.tasks.iter().map(|id| format!("T{id}")).collect();
            format!("its open tasks: {}", ids.join(", "))
        }));
        words.extend(self.sole.as_ref().map(|kind| format!("no other {} runs", kind.as_str())));
        words.join("; ")
    }
}

/// What is done about a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CrashResponse {
    /// It is restarted.
    Restart {
        /// Which attempt within the last minutes it is, from 1.
        attempt: u32,
        /// Not before.
        due: BootTime,
    },
    /// It comes back with its session, which was lost.
    WithTheSession,
    /// Nothing: its tasks go to somebody else.
    Nothing {
        /// Why.
        why: String,
    },
}

/// How far a restart is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RestartState {
    /// It is to be tried.
    Due(BootTime),
    /// A program is at it.
    Running {
        /// Which.
        program: Process,
        /// Until then it is left alone.
        until: BootTime,
    },
    /// The program that brought its session back has it register, too.
    WithSession {
        /// Which.
        program: Process,
        /// Until then it is left alone.
        until: BootTime,
    },
}

impl RestartState {
    /// The program that is at it, when one is.
    #[must_use]
    pub fn program(&self) -> Option<&Process> {
        self.in_progress().map(|(program, _)| program)
    }

    /// The same, and until when it is left alone.
    #[must_use]
    pub fn in_progress(&self) -> Option<(&Process, &BootTime)> {
        match self {
            Self::Due(_) => None,
            Self::Running { program, until } | Self::WithSession { program, until } => Some((program, until)),
        }
    }

    /// Whether this program brought the session back, and waits for the instance.
    #[must_use]
    pub fn is_session_restart_by(&self, me: &Process) -> bool {
        matches!(self, Self::WithSession { program, .. } if program == me)
    }
}

/// A program begins to restart an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartBegun {
    /// Whose; none: the whole session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Which attempt within the last minutes, from 1.
    pub attempt: u32,
    /// When, by the clock that rules use.
    pub when: BootTime,
    /// Which program.
    pub program: Process,
    /// How long it is left alone.
    pub until: BootTime,
    /// How the crashed one ended, as far as tmux has told by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<ProcessEnd>,
}

/// The instance runs again, and has registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarted {
    /// Whose.
    pub role: Role,
    /// At which attempt, from 1.
    pub attempt: u32,
}

/// A restart did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartFailed {
    /// Whose; none: the whole session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Which attempt, from 1; 0: it was to come back with its session.
    pub attempt: u32,
    /// Why.
    pub why: String,
    /// When it is tried again; none: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<BootTime>,
}

/// An instance lives, and gives no sign of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceStale {
    /// Whose.
    pub role: Role,
    /// What is seen.
    pub why: String,
}

/// A role, and nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleOnly {
    /// Which.
    pub role: Role,
}

/// A usage limit stops an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceParked {
    /// Whose.
    pub role: Role,
    /// Until when it is left alone; where several wait for the same limit, one after the other is woken.
    pub until: BootTime,
    /// The same, for people.
    pub until_at: WallTime,
    /// Whether the client was told until when; else it is tried again then.
    pub told: bool,
}

/// The tmux server is gone, and with it every pane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLost {
    /// The session's name.
    pub name: String,
    /// Whose panes ran in it.
    pub roles: Vec<Role>,
    /// When it is to be brought back; none: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<BootTime>,
}

/// A session that was lost, until there is one again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LostSession {
    /// Whose panes ran in it.
    pub roles: Vec<Role>,
    /// How far its restart is; none: nobody tries it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartState>,
}

/// Which attempts of these lie within the window that ends now, and so count.
#[must_use]
pub fn recent(attempts: &[BootTime], now: &BootTime) -> u32 {
    let counts = attempts.iter().filter(|at| now.ms_since(at) < WINDOW_MS).count();
    u32::try_from(counts).unwrap_or(u32::MAX)
}

/// When the next attempt is due after so many recent ones; none: not at all.
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
        assert_eq!(recent(&tried, &now), 2, "what lies ten minutes back no longer counts");
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
            "it held the write lock (WL-0003); it was 2. in the queue; its open tasks: T4, T9; no other docs runs"
        );
    }
}
