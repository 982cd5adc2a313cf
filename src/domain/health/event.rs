//! What can happen to crashes, restarts and usage limits: events, their log, severity and whom they are about.

use serde::{Deserialize, Serialize};

use crate::domain::audit::severity::Severity;
use crate::domain::health::incident::{
    Crash, InstanceParked, InstanceStale, RestartBegun, RestartFailed, Restarted, RoleOnly, SessionLost,
};
use crate::domain::identity::actor::Actor;
use crate::domain::util::tags::tags;

/// Something that happened to the health of an instance or of the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HealthEvent {
    /// The tmux server is gone, and nobody ended the session.
    SessionLost(SessionLost),
    /// An instance is being stopped: that it ends now is no crash.
    InstanceStopping(RoleOnly),
    /// An instance's process is gone, and nobody stopped it.
    InstanceCrashed(Crash),
    /// A program begins to restart an instance, or the whole session.
    RestartBegun(RestartBegun),
    /// The instance runs again.
    InstanceRestarted(Restarted),
    /// A restart did not succeed.
    RestartFailed(RestartFailed),
    /// An instance lives, and gives no sign of it.
    InstanceStale(InstanceStale),
    /// It gives signs of life again.
    InstanceRecovered(RoleOnly),
    /// A usage limit stops an instance.
    InstanceParked(InstanceParked),
    /// It goes on.
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
    /// The file of `audit/` in which its record stands: the guide's names.
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

    /// How much attention it needs.
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

    /// Whom it is about, besides the one that caused it.
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
