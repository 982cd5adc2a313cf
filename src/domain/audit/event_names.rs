//! Owns what events are called, and whom each is about.

use crate::domain::event::Event;
use crate::domain::health::incident::{
    Crash, OfRole, Parking, RestartBegun, RestartFailed, Restarted, Stale,
};
use crate::domain::identity::actor::Actor;
use crate::domain::work::task::{TaskFinished, TaskReassigned, TaskStarted, WorkBlocked};

/// What events are called in the audit.
pub const NAMES: [&str; 58] = [
    "POLICY_SET",
    "WEAKENING_REFUSED",
    "POLICY_RESTORED",
    "HOOKS_ADOPTED",
    "SESSION_UP",
    "SESSION_DOWN",
    "INSTANCE_LAUNCHED",
    "INSTANCE_REGISTERED",
    "INSTANCE_SHUTDOWN",
    "SESSION_LOST",
    "INSTANCE_STOPPING",
    "INSTANCE_CRASHED",
    "RESTART_BEGUN",
    "INSTANCE_RESTARTED",
    "RESTART_FAILED",
    "INSTANCE_STALE",
    "INSTANCE_RECOVERED",
    "INSTANCE_PARKED",
    "INSTANCE_UNPARKED",
    "TASK_ASSIGNED",
    "TASK_STARTED",
    "TASK_DONE",
    "TASK_CANCELLED",
    "TASK_REASSIGNED",
    "WORK_BLOCKED",
    "INITIALIZATION_VERIFIED",
    "LOCK_REQUESTED",
    "LOCK_GRANTED",
    "LOCK_RENEWED",
    "LOCK_RELEASED",
    "LOCK_OFFERED",
    "OFFER_MISSED",
    "RECOVERY_STARTED",
    "RECOVERY_FAILED",
    "WORK_RESCUED",
    "RESCUE_ABANDONED",
    "INSTANCES_PAUSED",
    "INSTANCES_RESUMED",
    "CHECK_WARNED",
    "WAITER_REMOVED",
    "LOCK_REFUSED",
    "COMMIT_VERIFIED",
    "VIOLATION_FOUND",
    "VIOLATIONS_ADOPTED",
    "REFS_BASELINED",
    "SELF_TESTED",
    "JOURNAL_LOST",
    "MESSAGE_QUARANTINED",
    "MESSAGES_UNDELIVERED",
    "STATE_REBUILT",
    "SYSTEM_FROZEN",
    "SYSTEM_UNFROZEN",
    "FREEZE_HARDENED",
    "PINS_SET",
    "PIN_VANISHED",
    "PINS_REMOVED",
    "BREAK_GLASS",
    "BREAK_GLASS_ENDED",
];

/// What an event is called in the audit.
#[must_use]
pub fn name(event: &Event) -> &'static str {
    match event {
        Event::PolicySet { .. } => "POLICY_SET",
        Event::WeakeningRefused { .. } => "WEAKENING_REFUSED",
        Event::PolicyRestored { .. } => "POLICY_RESTORED",
        Event::HooksAdopted { .. } => "HOOKS_ADOPTED",
        Event::SessionUp { .. } => "SESSION_UP",
        Event::SessionDown => "SESSION_DOWN",
        Event::InstanceLaunched { .. } => "INSTANCE_LAUNCHED",
        Event::InstanceRegistered { .. } => "INSTANCE_REGISTERED",
        Event::InstanceShutdown { .. } => "INSTANCE_SHUTDOWN",
        Event::SessionLost(_) => "SESSION_LOST",
        Event::InstanceStopping(_) => "INSTANCE_STOPPING",
        Event::InstanceCrashed(_) => "INSTANCE_CRASHED",
        Event::RestartBegun(_) => "RESTART_BEGUN",
        Event::InstanceRestarted(_) => "INSTANCE_RESTARTED",
        Event::RestartFailed(_) => "RESTART_FAILED",
        Event::InstanceStale(_) => "INSTANCE_STALE",
        Event::InstanceRecovered(_) => "INSTANCE_RECOVERED",
        Event::InstanceParked(_) => "INSTANCE_PARKED",
        Event::InstanceUnparked(_) => "INSTANCE_UNPARKED",
        Event::TaskAssigned(_) => "TASK_ASSIGNED",
        Event::TaskStarted(_) => "TASK_STARTED",
        Event::TaskDone(_) => "TASK_DONE",
        Event::TaskCancelled(_) => "TASK_CANCELLED",
        Event::TaskReassigned(_) => "TASK_REASSIGNED",
        Event::WorkBlocked(_) => "WORK_BLOCKED",
        Event::InitializationVerified { .. } => "INITIALIZATION_VERIFIED",
        Event::LockRequested { .. } => "LOCK_REQUESTED",
        Event::LockGranted { .. } => "LOCK_GRANTED",
        Event::LockRenewed { .. } => "LOCK_RENEWED",
        Event::LockReleased { .. } => "LOCK_RELEASED",
        Event::LockOffered { .. } => "LOCK_OFFERED",
        Event::OfferMissed { .. } => "OFFER_MISSED",
        Event::RecoveryStarted { .. } => "RECOVERY_STARTED",
        Event::RecoveryFailed { .. } => "RECOVERY_FAILED",
        Event::WorkRescued { .. } => "WORK_RESCUED",
        Event::RescueAbandoned { .. } => "RESCUE_ABANDONED",
        Event::InstancesPaused { .. } => "INSTANCES_PAUSED",
        Event::InstancesResumed { .. } => "INSTANCES_RESUMED",
        Event::CheckWarned { .. } => "CHECK_WARNED",
        Event::WaiterRemoved { .. } => "WAITER_REMOVED",
        Event::LockRefused { .. } => "LOCK_REFUSED",
        Event::CommitVerified { .. } => "COMMIT_VERIFIED",
        Event::ViolationFound { .. } => "VIOLATION_FOUND",
        Event::ViolationsAdopted { .. } => "VIOLATIONS_ADOPTED",
        Event::RefsBaselined { .. } => "REFS_BASELINED",
        Event::SelfTested { .. } => "SELF_TESTED",
        Event::JournalLost { .. } => "JOURNAL_LOST",
        Event::MessageQuarantined { .. } => "MESSAGE_QUARANTINED",
        Event::MessagesUndelivered { .. } => "MESSAGES_UNDELIVERED",
        Event::StateRebuilt { .. } => "STATE_REBUILT",
        Event::SystemFrozen { .. } => "SYSTEM_FROZEN",
        Event::SystemUnfrozen { .. } => "SYSTEM_UNFROZEN",
        Event::FreezeHardened { .. } => "FREEZE_HARDENED",
        Event::PinsSet { .. } => "PINS_SET",
        Event::PinVanished { .. } => "PIN_VANISHED",
        Event::PinsRemoved { .. } => "PINS_REMOVED",
        Event::BreakGlass { .. } => "BREAK_GLASS",
        Event::BreakGlassEnded { .. } => "BREAK_GLASS_ENDED",
    }
}

/// Whom an event is about, besides whoever brought it about: the lease of one ends by another's command.
#[must_use]
pub fn about(event: &Event) -> Option<Actor> {
    match event {
        Event::InstanceLaunched { role, .. }
        | Event::InstanceRegistered { role, .. }
        | Event::InstanceShutdown { role } => Some(Actor::Role(role.clone())),
        Event::InstanceStopping(OfRole { role })
        | Event::InstanceCrashed(Crash { role, .. })
        | Event::InstanceRestarted(Restarted { role, .. })
        | Event::InstanceStale(Stale { role, .. })
        | Event::InstanceRecovered(OfRole { role })
        | Event::InstanceParked(Parking { role, .. })
        | Event::InstanceUnparked(OfRole { role })
        | Event::WorkBlocked(WorkBlocked { role, .. }) => Some(Actor::Role(role.clone())),
        Event::RestartBegun(RestartBegun { role, .. }) | Event::RestartFailed(RestartFailed { role, .. }) => {
            role.clone().map(Actor::Role)
        }
        Event::TaskAssigned(task) => Some(Actor::Role(task.assignee.clone())),
        Event::TaskStarted(TaskStarted { assignee, .. })
        | Event::TaskDone(TaskFinished { assignee, .. })
        | Event::TaskCancelled(TaskFinished { assignee, .. })
        | Event::TaskReassigned(TaskReassigned { assignee, .. }) => Some(Actor::Role(assignee.clone())),
        Event::LockRequested { waiter } | Event::OfferMissed { waiter } => Some(waiter.actor.clone()),
        Event::LockGranted { holder, .. }
        | Event::LockReleased { holder, .. }
        | Event::CommitVerified { holder, .. } => Some(holder.clone()),
        Event::LockOffered { offer } => Some(offer.to.clone()),
        Event::RecoveryStarted { recovery } => Some(recovery.unsaved.former.clone()),
        Event::RecoveryFailed { former, .. }
        | Event::WorkRescued { former, .. }
        | Event::RescueAbandoned { former, .. } => Some(former.clone()),
        Event::CheckWarned { who, .. }
        | Event::LockRefused { who, .. }
        | Event::WeakeningRefused { who, .. } => Some(who.clone()),
        Event::WaiterRemoved { waiter, .. } => Some(waiter.clone()),
        Event::MessageQuarantined { sender, .. } => sender.clone(),
        Event::MessagesUndelivered { .. }
        | Event::PolicySet { .. }
        | Event::PolicyRestored { .. }
        | Event::HooksAdopted { .. }
        | Event::SessionUp { .. }
        | Event::SessionDown
        | Event::SessionLost(_)
        | Event::InitializationVerified { .. }
        | Event::LockRenewed { .. }
        | Event::InstancesPaused { .. }
        | Event::InstancesResumed { .. }
        | Event::ViolationFound { .. }
        | Event::ViolationsAdopted { .. }
        | Event::RefsBaselined { .. }
        | Event::SelfTested { .. }
        | Event::JournalLost { .. }
        | Event::StateRebuilt { .. }
        | Event::SystemFrozen { .. }
        | Event::FreezeHardened { .. }
        | Event::PinsSet { .. }
        | Event::PinVanished { .. }
        | Event::PinsRemoved { .. }
        | Event::BreakGlass { .. }
        | Event::BreakGlassEnded { .. }
        | Event::SystemUnfrozen { .. } => None,
    }
}
