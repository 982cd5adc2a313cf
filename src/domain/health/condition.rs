//! The condition of an instance: a table from evidence to state (docs/rules.md R8.2).
//!
//! What is believed, strongest first: what was done on purpose, then whether the process lives, then its pane,
//! then what a limit or its client says, then its beats. Invariants (each has a test of the same name):
//! * `every_evidence_has_one_state`
//! * `a_living_process_never_crashed` and `a_dead_one_never_works`
//! * `silence_alone_is_stale_and_no_crash`

use serde::Serialize;

use crate::domain::health::client::Activity;
use crate::domain::health::incident::RestartState;
use crate::domain::session::instance::InstancePhase;

/// How often an instance beats, in milliseconds.
pub const BEAT_EVERY_MS: u64 = 60_000;
/// From this age on a beat is stale, in milliseconds.
pub const STALE_AFTER_MS: u64 = 120_000;
/// How long after the last sign of work an agent that cannot say so counts as working, in milliseconds.
pub const WORKING_MS: u64 = 60_000;

/// What is known of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessStatus {
    /// It runs.
    Alive,
    /// It was suspended by a signal.
    Suspended,
    /// It is gone.
    Dead,
}

/// What tmux says of a pane.
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
    /// It is not there any more.
    Gone,
}

/// What is known of an instance at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence<'a> {
    /// How far it got; none: it was never heard of.
    pub phase: Option<InstancePhase>,
    /// How far its restart is.
    pub restart: Option<&'a RestartState>,
    /// Its process.
    pub life: ProcessStatus,
    /// Its pane.
    pub pane: PaneStatus,
    /// Milliseconds since its last beat.
    pub beat_age_ms: Option<u64>,
    /// Milliseconds since it last did something itself.
    pub active_age_ms: Option<u64>,
    /// Whether a program of its own runs below it, other than ours.
    pub has_children: bool,
    /// What its client says that it does.
    pub activity: Option<&'a Activity>,
    /// Whether a usage limit is known to stop it.
    pub parked: bool,
}

/// How an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Condition {
    /// Its process is gone, and nobody stopped it.
    Crashed,
    /// It lives, and gives no sign of it.
    Stale,
    /// A dialog asks the person whether a tool may be used.
    WaitingForPermission,
    /// A dialog asks the person something else.
    WaitingForInput,
    /// Its last turn ended with an error of its service.
    Failed,
    /// It crashed, and is brought back.
    Restarting,
    /// A usage limit stops it.
    LimitReached,
    /// Nothing was ever heard of it.
    NeverSeen,
    /// Its pane runs; it has not registered yet.
    Starting,
    /// It is at it.
    Working,
    /// It waits for something to do.
    Idle,
    /// It is being stopped.
    Stopping,
    /// It was stopped on purpose.
    ShutDown,
}

impl Condition {
    /// All of them, the worst first.
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

    /// The words for a column of a table.
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

    /// How much somebody should care.
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

/// How much somebody should care about a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// Something is wrong.
    Problem,
    /// Somebody may have to do something, or it passes by itself.
    Attention,
    /// All is well.
    None,
}

/// Judges the evidence.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> Condition {
    let Some(phase) = evidence.phase else { return Condition::NeverSeen };
    let dead = evidence.life == ProcessStatus::Dead;
    // One that is only due has crashed, and nobody is at it yet.
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

/// Of one that is ready and lives.
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

/// What is seen of one that lives, is ready, and gives no sign of it; none: it gives one.
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
