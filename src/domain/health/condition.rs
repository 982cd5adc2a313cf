//! The condition of an instance: a table from evidence to state (docs/rules.md R8.2).
//!
//! Evidence, strongest first: what was done on purpose, then whether the process lives, then its pane, then a
//! limit or the client's report, then its beats. Invariants (each has a test of the same name):
//! * `every_evidence_has_one_state`
//! * `a_living_process_never_crashed` and `a_dead_one_never_works`
//! * `silence_alone_is_stale_and_no_crash`

use serde::Serialize;

use crate::domain::health::client::Activity;
use crate::domain::health::incident::RestartState;
use crate::domain::session::instance::InstancePhase;

/// Interval between an instance's beats, in milliseconds.
pub const BEAT_EVERY_MS: u64 = 60_000;
/// Age from which on a beat is stale, in milliseconds.
pub const STALE_AFTER_MS: u64 = 120_000;
/// How long after a sign of work an agent without activity reports counts as working, in milliseconds.
pub const WORKING_MS: u64 = 60_000;

/// The status of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessStatus {
    /// It runs.
    Alive,
    /// It was suspended by a signal.
    Suspended,
    /// It is gone.
    Dead,
}

/// The status of a pane, as tmux reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaneStatus {
    /// tmux was not asked, or there is no pane.
    Unknown,
    /// It shows the instance's process.
    Its,
    /// It shows another process.
    Anothers,
    /// Its process is dead; it stays to be read.
    Dead,
    /// It no longer exists.
    Gone,
}

/// The evidence about an instance at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence<'a> {
    /// Its phase; none: it was never seen.
    pub phase: Option<InstancePhase>,
    /// The state of its restart.
    pub restart: Option<&'a RestartState>,
    /// Its process.
    pub life: ProcessStatus,
    /// Its pane.
    pub pane: PaneStatus,
    /// Milliseconds since its last beat.
    pub beat_age_ms: Option<u64>,
    /// Milliseconds since its last sign of work.
    pub active_age_ms: Option<u64>,
    /// Whether it has child processes other than cmw's programs.
    pub has_children: bool,
    /// The activity that its client reports.
    pub activity: Option<&'a Activity>,
    /// Whether a usage limit is known to stop it.
    pub parked: bool,
}

/// The condition of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Condition {
    /// Its process ended without having been stopped on purpose.
    Crashed,
    /// It lives, but gives no sign of life.
    Stale,
    /// A dialog asks the person whether a tool may be used.
    WaitingForPermission,
    /// A dialog asks the person something else.
    WaitingForInput,
    /// Its last turn ended with an error of its service.
    Failed,
    /// It crashed, and is being restarted.
    Restarting,
    /// A usage limit stops it.
    LimitReached,
    /// It was never seen.
    NeverSeen,
    /// Its pane runs; it has not registered yet.
    Starting,
    /// It works.
    Working,
    /// It waits for something to do.
    Idle,
    /// It is being stopped.
    Stopping,
    /// It was stopped on purpose.
    ShutDown,
}

impl Condition {
    /// All conditions, the worst first.
    pub const ALL: [Self; 13] = [
        Self::Crashed,
        Self::Stale,
        Self::WaitingForPermission,
        Self::WaitingForInput,
        Self::Failed,
        Self::Restarting,
        Self::LimitReached,
        Self::NeverSeen,
        Self::Starting,
        Self::Working,
        Self::Idle,
        Self::Stopping,
        Self::ShutDown,
    ];

    /// Returns the words for a table column.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Crashed => "CRASHED",
            Self::Stale => "STALE",
            Self::WaitingForPermission => "permission?",
            Self::WaitingForInput => "input?",
            Self::Failed => "failed",
            Self::Restarting => "restarting",
            Self::LimitReached => "limit",
            Self::NeverSeen => "never seen",
            Self::Starting => "starting",
            Self::Working => "working",
            Self::Idle => "idle",
            Self::Stopping => "stopping",
            Self::ShutDown => "shut down",
        }
    }

    /// Returns how much attention the condition needs.
    #[must_use]
    pub fn concern(self) -> Concern {
        match self {
            Self::Crashed | Self::Stale => Concern::Problem,
            Self::WaitingForPermission
            | Self::WaitingForInput
            | Self::Failed
            | Self::Restarting
            | Self::LimitReached => Concern::Attention,
            Self::NeverSeen
            | Self::Starting
            | Self::Working
            | Self::Idle
            | Self::Stopping
            | Self::ShutDown => Concern::None,
        }
    }
}

/// The attention that a condition needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// Something is wrong.
    Problem,
    /// Action may be needed, or it passes by itself.
    Attention,
    /// All is well.
    None,
}

/// Returns the condition that the evidence shows.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> Condition {
    let Some(phase) = evidence.phase else { return Condition::NeverSeen };
    let dead = evidence.life == ProcessStatus::Dead;
    // A restart that is only due has not begun: the instance still counts as crashed.
    let restarting = evidence.restart.and_then(RestartState::program).is_some();
    match (phase, dead) {
        (InstancePhase::Shutdown, _) | (InstancePhase::Stopping, true) => Condition::ShutDown,
        (InstancePhase::Stopping, false) => Condition::Stopping,
        (InstancePhase::Crashed, _) | (InstancePhase::Starting | InstancePhase::Ready, true)
            if restarting =>
        {
            Condition::Restarting
        }
        (InstancePhase::Crashed, _) | (InstancePhase::Starting | InstancePhase::Ready, true) => {
            Condition::Crashed
        }
        (InstancePhase::Starting, false) if restarting => Condition::Restarting,
        (InstancePhase::Starting, false) => Condition::Starting,
        (InstancePhase::Ready, false) => alive(evidence),
    }
}

/// Returns the condition of an instance that is ready and lives.
fn alive(evidence: &Evidence<'_>) -> Condition {
    if stale(evidence).is_some() {
        return Condition::Stale;
    }
    if evidence.parked {
        return Condition::LimitReached;
    }
    match evidence.activity {
        Some(Activity::NeedsPermission) => Condition::WaitingForPermission,
        Some(Activity::NeedsInput) => Condition::WaitingForInput,
        Some(Activity::LimitReached { .. }) => Condition::LimitReached,
        Some(Activity::Failed { .. }) => Condition::Failed,
        Some(Activity::Working) => Condition::Working,
        Some(Activity::Idle | Activity::Ended) => Condition::Idle,
        None => {
            let active = evidence.active_age_ms.is_some_and(|age| age < WORKING_MS);
            if active || evidence.has_children { Condition::Working } else { Condition::Idle }
        }
    }
}

/// Returns why an instance that is ready and lives is stale; none: it is not.
#[must_use]
pub fn stale(evidence: &Evidence<'_>) -> Option<String> {
    if evidence.life == ProcessStatus::Suspended {
        return Some("its process is suspended (by a signal)".to_owned());
    }
    match evidence.pane {
        PaneStatus::Gone => return Some("its pane is gone, and its process lives".to_owned()),
        PaneStatus::Dead => return Some("its pane is dead, and its process lives".to_owned()),
        PaneStatus::Anothers => return Some("its pane shows another process".to_owned()),
        PaneStatus::Unknown | PaneStatus::Its => {}
    }
    match evidence.beat_age_ms {
        Some(0..=STALE_AFTER_MS) => None,
        Some(_) => Some("it has sent no heartbeat for over 2m".to_owned()),
        None => Some("it has never sent a heartbeat".to_owned()),
    }
}

#[cfg(test)]
#[path = "condition_tests.rs"]
mod tests;
