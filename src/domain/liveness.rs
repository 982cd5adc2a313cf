//! Owns what the evidence says about an instance: a table from evidence to state (DOMAIN section 8).

use std::fmt;

use serde::Serialize;

use super::incident::Restart;
use super::state::{Instance, Phase};
use super::time::Moment;

/// How often an instance beats, in milliseconds.
pub const BEAT_EVERY_MS: u64 = 60_000;
/// From this age on a beat is stale, in milliseconds.
pub const STALE_AFTER_MS: u64 = 120_000;

/// How an instance is. Problems sort first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Liveness {
    /// Its process is gone, and nobody stopped it.
    Crashed,
    /// Its process lives, but it has not beaten for too long.
    Stale,
    /// It crashed, and is brought back.
    Restarting,
    /// Nothing was ever heard of it.
    NeverSeen,
    /// Its pane runs; it has not registered yet.
    Starting,
    /// All is well.
    Alive,
    /// It was stopped on purpose.
    Shutdown,
}

impl Liveness {
    /// The name, as it is shown.
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

/// Judges the evidence: what the registry says, whether the process is dead, and the last beat.
#[must_use]
pub fn judge(instance: Option<&Instance>, is_dead: bool, beat: Option<&Moment>, now: &Moment) -> Liveness {
    let Some(instance) = instance else { return Liveness::NeverSeen };
    let restarting = instance.restart.as_ref().and_then(Restart::program).is_some();
    match (instance.phase, is_dead) {
        (Phase::Shutdown, _) | (Phase::Stopping, true) => Liveness::Shutdown,
        (Phase::Crashed, _) | (Phase::Starting | Phase::Ready, true) if restarting => Liveness::Restarting,
        (Phase::Crashed, _) | (Phase::Starting | Phase::Ready, true) => Liveness::Crashed,
        (Phase::Starting, false) if restarting => Liveness::Restarting,
        (Phase::Starting, false) => Liveness::Starting,
        (Phase::Ready | Phase::Stopping, false) => match beat.map(|beat| now.ms_since(beat)) {
            Some(0..=STALE_AFTER_MS) => Liveness::Alive,
            Some(_) | None => Liveness::Stale,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::process::Process;
    use crate::domain::time::{BootId, Wall};

    #[test]
    fn every_evidence_has_its_state() {
        let boot = BootId("b".to_owned());
        let at = |ms| Moment { boot: boot.clone(), ms };
        let process = Process { pid: 1, start_ticks: 1, boot: boot.clone() };
        let of = |phase| Instance {
            phase,
            process: process.clone(),
            pane: 0,
            pane_id: None,
            since: Wall(0),
            starts: 1,
            stale: None,
            parked: None,
            restart: None,
            restarted: Vec::new(),
        };
        let (ready, starting, stopped) = (of(Phase::Ready), of(Phase::Starting), of(Phase::Shutdown));
        let (stopping, crashed) = (of(Phase::Stopping), of(Phase::Crashed));
        let now = at(1_000_000);
        let due = Instance { restart: Some(Restart::Due(now.clone())), ..crashed.clone() };
        let running = Some(Restart::Running { program: process.clone(), until: now.clone() });
        let again = Instance { restart: running.clone(), ..crashed.clone() };
        let begun = Instance { restart: running, ..starting.clone() };
        let fresh = at(1_000_000 - STALE_AFTER_MS);
        let old = at(1_000_000 - STALE_AFTER_MS - 1);
        let ahead = at(2_000_000);
        let other_boot = Moment { boot: BootId("c".to_owned()), ms: 1_000_000 };
        for (instance, dead, beat, expected) in [
            (None, false, None, Liveness::NeverSeen),
            (None, true, Some(&fresh), Liveness::NeverSeen),
            (Some(&starting), false, None, Liveness::Starting),
            (Some(&starting), true, None, Liveness::Crashed),
            (Some(&ready), false, Some(&fresh), Liveness::Alive),
            (Some(&ready), false, Some(&ahead), Liveness::Alive),
            (Some(&ready), false, Some(&old), Liveness::Stale),
            (Some(&ready), false, Some(&other_boot), Liveness::Stale),
            (Some(&ready), false, None, Liveness::Stale),
            (Some(&ready), true, Some(&fresh), Liveness::Crashed),
            (Some(&stopped), false, Some(&fresh), Liveness::Shutdown),
            (Some(&stopped), true, None, Liveness::Shutdown),
            (Some(&stopping), false, Some(&fresh), Liveness::Alive),
            (Some(&stopping), true, Some(&fresh), Liveness::Shutdown),
            (Some(&crashed), true, Some(&fresh), Liveness::Crashed),
            (Some(&due), true, Some(&fresh), Liveness::Crashed),
            (Some(&again), true, Some(&fresh), Liveness::Restarting),
            (Some(&begun), false, Some(&fresh), Liveness::Restarting),
            (Some(&begun), true, None, Liveness::Restarting),
        ] {
            assert_eq!(judge(instance, dead, beat, &now), expected, "{instance:?} {dead} {beat:?}");
        }
    }
}
