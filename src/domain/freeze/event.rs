//! The events of freezes, pins, pauses and break-glass, with their log, severity and the actors they concern.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::audit::severity::Severity;
use crate::domain::freeze::freeze_state::BreakGlassEnd;
use crate::domain::freeze::pins::{PinId, PinRequest};
use crate::domain::guard::git_ref::RefName;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::lock::write_lock::UnsavedWork;
use crate::domain::util::tags::tags;
use crate::domain::util::time::{BootTime, Interval, WallTime};

/// An event of freezes, pins, pauses or break-glass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FreezeEvent {
    /// The system was frozen.
    SystemFrozen {
        /// The reason given.
        reason: String,
        /// The time, by the clock that rules use.
        when: BootTime,
        /// The work that the lock's holder left, when there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsaved: Option<UnsavedWork>,
        /// The branches to pin, in a hard freeze.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pins: Option<Box<PinRequest>>,
    },
    /// A freeze pins branches that it did not pin before.
    FreezeHardened {
        /// The reason given.
        reason: String,
        /// The branches to pin.
        pins: Box<PinRequest>,
    },
    /// These pins exist.
    PinsSet {
        /// The name of the freeze.
        freeze: String,
        /// Their directories.
        pins: BTreeMap<RefName, PinId>,
    },
    /// A pin is gone, or is another directory, although the system was not thawed.
    PinVanished {
        /// The branch.
        reference: RefName,
        /// The name of the freeze that had set it.
        freeze: String,
    },
    /// After the thaw: these branches no longer have a pin of ours.
    PinsRemoved {
        /// The name of the freeze.
        freeze: String,
        /// The branches.
        references: Vec<RefName>,
    },
    /// The system was thawed.
    SystemUnfrozen {
        /// The reason given.
        reason: String,
        /// The interval in which the clocks of the queue stood still.
        still: Interval,
    },
    /// The User may move protected refs without the lock for a while.
    BreakGlass {
        /// The reason given.
        reason: String,
        /// The end.
        until: BootTime,
        /// The same, in wall-clock time.
        until_at: WallTime,
    },
    /// Break-glass has ended.
    BreakGlassEnded {
        /// The reason.
        why: BreakGlassEnd,
    },
    /// Roles were paused.
    InstancesPaused {
        /// The roles.
        roles: Vec<Role>,
        /// The reason given; may be empty.
        reason: String,
    },
    /// Roles were resumed.
    InstancesResumed {
        /// The roles.
        roles: Vec<Role>,
    },
}

tags! { FreezeEvent:
    SystemFrozen => "SYSTEM_FROZEN",
    FreezeHardened => "FREEZE_HARDENED",
    PinsSet => "PINS_SET",
    PinVanished => "PIN_VANISHED",
    PinsRemoved => "PINS_REMOVED",
    SystemUnfrozen => "SYSTEM_UNFROZEN",
    BreakGlass => "BREAK_GLASS",
    BreakGlassEnded => "BREAK_GLASS_ENDED",
    InstancesPaused => "INSTANCES_PAUSED",
    InstancesResumed => "INSTANCES_RESUMED",
}

impl FreezeEvent {
    /// Returns the file of `audit/` that holds its record (the guide's names).
    #[must_use]
    pub fn log(&self) -> &'static str {
        match self {
            Self::SystemFrozen { .. }
            | Self::FreezeHardened { .. }
            | Self::PinsSet { .. }
            | Self::PinsRemoved { .. }
            | Self::SystemUnfrozen { .. }
            | Self::InstancesPaused { .. }
            | Self::InstancesResumed { .. } => "orchestrator-decisions.log",
            Self::PinVanished { .. } | Self::BreakGlass { .. } | Self::BreakGlassEnded { .. } => {
                "security-events.log"
            }
        }
    }

    /// Returns how much attention it needs.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::SystemFrozen { .. }
            | Self::FreezeHardened { .. }
            | Self::PinVanished { .. }
            | Self::BreakGlass { .. } => Severity::High,
            Self::PinsSet { .. }
            | Self::PinsRemoved { .. }
            | Self::SystemUnfrozen { .. }
            | Self::BreakGlassEnded { .. }
            | Self::InstancesPaused { .. }
            | Self::InstancesResumed { .. } => Severity::Info,
        }
    }

    /// Returns the actors it concerns, without the one that caused it.
    #[must_use]
    pub fn about(&self) -> Vec<Actor> {
        match self {
            Self::InstancesPaused { roles, .. } | Self::InstancesResumed { roles } => {
                roles.iter().cloned().map(Actor::Role).collect()
            }
            Self::SystemFrozen { .. }
            | Self::FreezeHardened { .. }
            | Self::PinsSet { .. }
            | Self::PinVanished { .. }
            | Self::PinsRemoved { .. }
            | Self::SystemUnfrozen { .. }
            | Self::BreakGlass { .. }
            | Self::BreakGlassEnded { .. } => Vec::new(),
        }
    }
}
