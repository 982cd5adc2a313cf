//! Events of crashes, restarts and usage limits: their log, severity and the actors concerned.

use serde::{Deserialize, Serialize};

use crate::domain::audit::severity::Severity;
use crate::domain::health::incident::{
    Crash, InstanceParked, InstanceStale, RestartBegun, RestartFailed, Restarted, RoleOnly, SessionLost,
};
use crate::domain::identity::actor::Actor;
use crate::domain::util::tags::tags;

/// An event about the health of an instance or of the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HealthEvent {
    /// The tmux server is gone, although the session was not ended.
    SessionLost(SessionLost),
    /// An instance is being stopped; its end is not a crash.
    InstanceStopping(RoleOnly),
    /// An instance's process ended without having been stopped on purpose.
    InstanceCrashed(Crash),
    /// A program begins to restart an instance, or the whole session.
    RestartBegun(RestartBegun),
    /// The instance runs again.
    InstanceRestarted(Restarted),
    /// A restart did not succeed.
    RestartFailed(RestartFailed),
    /// An instance lives, but gives no sign of life.
    InstanceStale(InstanceStale),
    /// It gives signs of life again.
    InstanceRecovered(RoleOnly),
    /// A usage limit stops an instance.
    InstanceParked(InstanceParked),
    /// A usage limit no longer stops an instance.
    InstanceUnparked(RoleOnly),
}

tags! { HealthEvent:
    SessionLost => "SESSION_LOST",
    InstanceStopping => "INSTANCE_STOPPING",
    InstanceCrashed => "INSTANCE_CRASHED",
    RestartBegun => "RESTART_BEGUN",
    InstanceRestarted => "INSTANCE_RESTARTED",
    RestartFailed => "RESTART_FAILED",
    InstanceStale => "INSTANCE_STALE",
    InstanceRecovered => "INSTANCE_RECOVERED",
    InstanceParked => "INSTANCE_PARKED",
    InstanceUnparked => "INSTANCE_UNPARKED",
}

impl HealthEvent {
    /// Returns the file of `audit/` that holds its record, named as in the guide.
    #[must_use]
    pub fn log(&self) -> &'static str {
        match self {
            Self::SessionLost(_) | Self::InstanceCrashed(_) => "instance-crashes.log",
            Self::InstanceStopping(_) => "instance-registrations.log",
            Self::RestartBegun(_) | Self::InstanceRestarted(_) | Self::RestartFailed(_) => {
                "instance-restarts.log"
            }
            Self::InstanceStale(_)
            | Self::InstanceRecovered(_)
            | Self::InstanceParked(_)
            | Self::InstanceUnparked(_) => "instance-health.log",
        }
    }

    /// Returns how much attention it needs.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::SessionLost(_) => Severity::High,
            Self::RestartFailed(failed) if failed.again.is_none() => Severity::High,
            Self::InstanceCrashed(_) | Self::RestartFailed(_) | Self::InstanceStale(_) => Severity::Warning,
            Self::InstanceStopping(_)
            | Self::RestartBegun(_)
            | Self::InstanceRestarted(_)
            | Self::InstanceRecovered(_)
            | Self::InstanceParked(_)
            | Self::InstanceUnparked(_) => Severity::Info,
        }
    }

    /// Returns the actors concerned, other than the one that caused it.
    #[must_use]
    pub fn about(&self) -> Vec<Actor> {
        let roles = match self {
            Self::SessionLost(lost) => lost.roles.clone(),
            Self::InstanceCrashed(crash) => vec![crash.role.clone()],
            Self::RestartBegun(RestartBegun { role, .. })
            | Self::RestartFailed(RestartFailed { role, .. }) => role.iter().cloned().collect(),
            Self::InstanceRestarted(restarted) => vec![restarted.role.clone()],
            Self::InstanceStale(stale) => vec![stale.role.clone()],
            Self::InstanceParked(parking) => vec![parking.role.clone()],
            Self::InstanceStopping(it) | Self::InstanceRecovered(it) | Self::InstanceUnparked(it) => {
                vec![it.role.clone()]
            }
        };
        roles.into_iter().map(Actor::Role).collect()
    }
}
