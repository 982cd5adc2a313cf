//! Owns the audit record of an event: in which log it stands, how much somebody should care, and its
//! place in the chain.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::audit::severity::Severity;
use crate::domain::event::Event;
use crate::domain::identity::actor::Actor;
use crate::domain::lock::release::{Release, Removal};
use crate::domain::lock::verification::Verification;
use crate::domain::util::digest::hex;
use crate::domain::util::time::Wall;

impl Event {
    /// In which file of `audit/` its record stands: the guide's names.
    #[must_use]
    pub fn log(&self) -> &'static str {
        match self {
            Self::LockRequested { .. }
            | Self::LockGranted { .. }
            | Self::LockRenewed { .. }
            | Self::LockReleased { .. }
            | Self::LockOffered { .. }
            | Self::OfferMissed { .. }
            | Self::RecoveryStarted { .. }
            | Self::RecoveryFailed { .. }
            | Self::WorkRescued { .. }
            | Self::RescueAbandoned { .. }
            | Self::WaiterRemoved { .. }
            | Self::LockRefused { .. }
            | Self::CommitVerified { .. } => "write-lock-intents.json",
            Self::InstanceLaunched { .. }
            | Self::InstanceRegistered { .. }
            | Self::InstanceStopping(_)
            | Self::InstanceShutdown { .. } => "instance-registrations.log",
            Self::InstanceStale(_)
            | Self::InstanceRecovered(_)
            | Self::InstanceParked(_)
            | Self::InstanceUnparked(_) => "instance-health.log",
            Self::InstanceCrashed(_) | Self::SessionLost(_) => "instance-crashes.log",
            Self::RestartBegun(_) | Self::InstanceRestarted(_) | Self::RestartFailed(_) => {
                "instance-restarts.log"
            }
            Self::TaskReassigned(_) | Self::WorkBlocked(_) => "work-reassignment.log",
            Self::TaskAssigned(_) | Self::TaskStarted(_) | Self::TaskDone(_) | Self::TaskCancelled(_) => {
                "work-items.log"
            }
            Self::PolicySet { .. } | Self::HooksAdopted { .. } | Self::InitializationVerified { .. } => {
                "orchestrator-startup.log"
            }
            Self::SessionUp { .. }
            | Self::SessionDown
            | Self::InstancesPaused { .. }
            | Self::InstancesResumed { .. }
            | Self::MessagesUndelivered { .. }
            | Self::SystemFrozen { .. }
            | Self::FreezeHardened { .. }
            | Self::PinsSet { .. }
            | Self::PinsRemoved { .. }
            | Self::SystemUnfrozen { .. } => "orchestrator-decisions.log",
            Self::MessageQuarantined { .. }
            | Self::CheckWarned { .. }
            | Self::JournalLost { .. }
            | Self::ViolationFound { .. }
            | Self::ViolationsAdopted { .. }
            | Self::RefsBaselined { .. }
            | Self::SelfTested { .. }
            | Self::WeakeningRefused { .. }
            | Self::PolicyRestored { .. }
            | Self::PinVanished { .. }
            | Self::BreakGlass { .. }
            | Self::BreakGlassEnded { .. }
            | Self::StateRebuilt { .. } => "security-events.log",
        }
    }

    /// How much somebody should care.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::MessageQuarantined { .. }
            | Self::JournalLost { .. }
            | Self::ViolationFound { .. }
            | Self::SelfTested { held: false, .. }
            | Self::StateRebuilt { .. }
            | Self::WeakeningRefused { .. }
            | Self::PolicyRestored { .. }
            | Self::RecoveryFailed { .. }
            | Self::RescueAbandoned { .. }
            | Self::FreezeHardened { .. }
            | Self::PinVanished { .. }
            | Self::BreakGlass { .. }
            | Self::SessionLost(_)
            | Self::WorkBlocked(_)
            | Self::SystemFrozen { .. } => Severity::High,
            Self::RestartFailed(failed) if failed.again.is_none() => Severity::High,
            Self::CommitVerified { verification_status: Verification::Failed, .. } => Severity::High,
            Self::PolicySet { weakens, .. } if !weakens.is_empty() => Severity::High,
            Self::LockReleased {
                reason: Release::Expired | Release::HolderDied | Release::Forced(_) | Release::NotTakenUp,
                ..
            }
            | Self::OfferMissed { .. }
            | Self::ViolationsAdopted { .. }
            | Self::CheckWarned { .. }
            | Self::MessagesUndelivered { .. }
            | Self::HooksAdopted { .. }
            | Self::InstanceCrashed(_)
            | Self::RestartFailed(_)
            | Self::InstanceStale(_)
            | Self::TaskReassigned(_)
            | Self::WaiterRemoved { reason: Removal::Died | Removal::Silent | Removal::Missed, .. } => {
                Severity::Warning
            }
            Self::WorkRescued { reference, skipped, .. } if reference.is_some() || !skipped.is_empty() => {
                Severity::Warning
            }
            Self::InitializationVerified { findings } if !findings.is_empty() => Severity::Warning,
            Self::PolicySet { .. }
            | Self::SessionUp { .. }
            | Self::SessionDown
            | Self::InstanceLaunched { .. }
            | Self::InstanceRegistered { .. }
            | Self::InstanceShutdown { .. }
            | Self::InstanceStopping(_)
            | Self::InstanceRecovered(_)
            | Self::InstanceParked(_)
            | Self::InstanceUnparked(_)
            | Self::RestartBegun(_)
            | Self::InstanceRestarted(_)
            | Self::TaskAssigned(_)
            | Self::TaskStarted(_)
            | Self::TaskDone(_)
            | Self::TaskCancelled(_)
            | Self::InitializationVerified { .. }
            | Self::LockRequested { .. }
            | Self::LockGranted { .. }
            | Self::LockRenewed { .. }
            | Self::LockReleased { .. }
            | Self::LockOffered { .. }
            | Self::RecoveryStarted { .. }
            | Self::WorkRescued { .. }
            | Self::InstancesPaused { .. }
            | Self::InstancesResumed { .. }
            | Self::WaiterRemoved { .. }
            | Self::LockRefused { .. }
            | Self::CommitVerified { .. }
            | Self::RefsBaselined { .. }
            | Self::SelfTested { held: true, .. }
            | Self::PinsSet { .. }
            | Self::PinsRemoved { .. }
            | Self::BreakGlassEnded { .. }
            | Self::SystemUnfrozen { .. } => Severity::Info,
        }
    }
}

/// An event with its number, its time and its place in the chain: one line of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number; every record of the repository has the next one.
    pub seq: u64,
    /// When.
    pub at: Wall,
    /// Who.
    pub by: Actor,
    /// How much somebody should care.
    pub severity: Severity,
    /// What.
    #[serde(flatten)]
    pub event: Event,
    /// The hash of the record before, in whichever file that stands.
    pub prev: String,
    /// SHA-256 of `prev` and of this record without `hash`.
    pub hash: String,
}

impl Record {
    /// Chains an event to the record before.
    #[must_use]
    pub fn chain(seq: u64, at: Wall, by: &Actor, event: Event, prev: &str) -> Self {
        let severity = event.severity();
        let (by, prev) = (by.clone(), prev.to_owned());
        let mut record = Self { seq, at, by, severity, event, prev, hash: String::new() };
        record.hash = record.digest();
        record
    }

    /// Whether the record is what it was when it was written.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.hash == self.digest()
    }

    fn digest(&self) -> String {
        let blank = Self { hash: String::new(), ..self.clone() };
        let json = serde_json::to_vec(&blank).expect("a record has only texts and numbers");
        hex(&Sha256::new().chain_update(self.prev.as_bytes()).chain_update(json).finalize())
    }
}
