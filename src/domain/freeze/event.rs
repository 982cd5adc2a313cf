//! What can happen to freezes, pins, pauses and break-glass: events, their log, severity and whom they are about.

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

/// Something that was stopped, or allowed to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FreezeEvent {
    /// Everything stops.
    SystemFrozen {
        /// Why.
        reason: String,
        /// When, by the clock that rules use.
        when: BootTime,
        /// What the holder of the lock left, when there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsaved: Option<UnsavedWork>,
        /// Hard: which branches are to be pinned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pins: Option<Box<PinRequest>>,
    },
    /// A freeze pins branches that it did not pin before.
    FreezeHardened {
        /// Why.
        reason: String,
        /// Which branches are to be pinned.
        pins: Box<PinRequest>,
    },
    /// These pins are there.
    PinsSet {
        /// For which freeze.
        freeze: String,
        /// Which directories.
        pins: BTreeMap<RefName, PinId>,
    },
    /// A pin that was there is gone, or is another directory, and nobody thawed.
    PinVanished {
        /// Of which branch.
        reference: RefName,
        /// Which freeze had set it.
        freeze: String,
    },
    /// After the thaw: no pin of ours holds these any more.
    PinsRemoved {
        /// Of which freeze.
        freeze: String,
        /// Which branches.
        references: Vec<RefName>,
    },
    /// Work goes on.
    SystemUnfrozen {
        /// Why.
        reason: String,
        /// For how long the clocks of the queue stood still.
        still: Interval,
    },
    /// The User moves protected refs without the lock for a while.
    BreakGlass {
        /// Why.
        reason: String,
        /// Until when.
        until: BootTime,
        /// The same, for people.
        until_at: WallTime,
    },
    /// No longer.
    BreakGlassEnded {
        /// Why it is over.
        why: BreakGlassEnd,
    },
    /// Roles shall keep still for a while.
    InstancesPaused {
        /// Which.
        roles: Vec<Role>,
        /// Why; may be empty.
        reason: String,
    },
    /// They may go on.
    InstancesResumed {
        /// Which.
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
    /// The file of `audit/` in which its record stands: the guide's names.
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

    /// How much attention it needs.
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

    /// Whom it is about, besides the one that caused it.
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
