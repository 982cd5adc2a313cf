//! Owns what can happen: the `Event` enum, the one `evolve`, and the audit record of an event.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::claim::Claim;
use super::policy::{Check, Policy, hex};
use super::process::Process;
use super::queue;
use super::role::{Actor, Role};
use super::state::{
    Held, Instance, Interval, Offer, Pause, Phase, Recovery, Session, State, System, Unsaved, Waiter,
    WriteLock, is_same,
};
use super::time::{Moment, Wall};

/// Something that happened. Each becomes exactly one audit record (I10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Event {
    /// The policy was compiled for the first time or changed.
    PolicySet {
        /// Names the repository for ever.
        repo_id: String,
        /// The policy as a whole.
        policy: Box<Policy>,
        /// Its digest.
        digest: String,
        /// What is less guarded than before; empty: nothing.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        weakens: Vec<String>,
    },
    /// Somebody without the right to do so wanted to weaken the policy.
    WeakeningRefused {
        /// Who.
        who: Actor,
        /// What would have been less guarded.
        weakens: Vec<String>,
        /// Why not.
        why: String,
    },
    /// The policy in the state was not the one that was settled, and was put back.
    PolicyRestored {
        /// The policy that was settled last.
        policy: Box<Policy>,
        /// Its digest.
        digest: String,
        /// What somebody had changed: configuration keys.
        changed: Vec<String>,
    },
    /// Hooks that another tool, or a person, had put in place of ours or beside them run after ours now.
    HooksAdopted {
        /// The directory whose hooks ran after ours before.
        former: String,
        /// The directory whose hooks do now.
        adopted: String,
        /// Hooks that git calls from now on, and did not before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hooks: Vec<String>,
    },
    /// A tmux session was started.
    SessionUp {
        /// Its name.
        name: String,
        /// Its server's socket name, when not the default.
        socket: Option<String>,
        /// The tmux server.
        server: Process,
    },
    /// The session is over.
    SessionDown,
    /// A pane runs for a role.
    InstanceLaunched {
        /// The role.
        role: Role,
        /// The pane's process.
        process: Process,
        /// The place in the session.
        pane: u32,
        /// tmux's name of the pane.
        pane_id: String,
    },
    /// An instance said that it is ready.
    InstanceRegistered {
        /// The role.
        role: Role,
        /// The agent's process.
        process: Process,
        /// The place in the session.
        pane: u32,
    },
    /// An instance was stopped on purpose.
    InstanceShutdown {
        /// The role.
        role: Role,
    },
    /// The Librarian looked at what the set-up made (DOMAIN section 2).
    InitializationVerified {
        /// What was wrong; empty: nothing.
        findings: Vec<String>,
    },
    /// Somebody asked for the lock and waits, or asked again.
    LockRequested {
        /// The ticket as it now is.
        waiter: Waiter,
    },
    /// Somebody got the lock.
    LockGranted {
        /// In the guide's form.
        lock_id: String,
        /// Who has it now.
        holder: Actor,
        /// What the holder says will change; its commits are compared with that.
        claimed_files: Claim,
        /// About how many lines.
        claimed_loc: Option<u32>,
        /// The lease as a whole.
        lease: Held,
    },
    /// The holder asked for more time or other files.
    LockRenewed {
        /// In the guide's form.
        lock_id: String,
        /// The lease's token.
        token: u64,
        /// When it now ends.
        expires: Moment,
        /// The same, for people.
        expires_at: Wall,
        /// The files now claimed.
        files: Claim,
        /// With whose end it now ends, when that is another process than before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<Process>,
    },
    /// The lease ended.
    LockReleased {
        /// In the guide's form.
        lock_id: String,
        /// The lease's token.
        token: u64,
        /// Who held it.
        holder: Actor,
        /// Why it ended.
        reason: Release,
    },
    /// The free lock is kept for a waiter whose command is away.
    LockOffered {
        /// For whom, until when.
        offer: Offer,
    },
    /// An offer, or a grant that nobody saw, was not taken up.
    OfferMissed {
        /// The ticket as it now is.
        waiter: Waiter,
    },
    /// The lock waits until what its former holder left is saved.
    RecoveryStarted {
        /// What is saved, and who does it.
        recovery: Recovery,
    },
    /// It could not be saved; after a while a command tries again.
    RecoveryFailed {
        /// The lease whose holder left it.
        token: u64,
        /// Who left it.
        former: Actor,
        /// Why not.
        why: String,
        /// Not before then.
        again: Moment,
    },
    /// What a former holder left is saved.
    WorkRescued {
        /// The lease, in the guide's form.
        lock_id: String,
        /// Its token.
        token: u64,
        /// Who left it.
        former: Actor,
        /// The ref of the snapshot; none when nothing was uncommitted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        /// How many files differ from the last commit.
        files: u64,
        /// What could not be saved, and why: the first of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        skipped: Vec<String>,
        /// What was taken out of the index again, so that nobody else commits it: the first of it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unstaged: Vec<String>,
    },
    /// Somebody with the right to do so gave up saving it.
    RescueAbandoned {
        /// The lease whose holder left it.
        token: u64,
        /// Who left it.
        former: Actor,
        /// Why.
        reason: String,
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
    /// A check would have said no, but the policy only lets it warn.
    CheckWarned {
        /// Who was warned.
        who: Actor,
        /// What was done.
        action: String,
        /// Which check.
        check: Check,
        /// What it said.
        why: String,
    },
    /// Somebody left the queue without the lock.
    WaiterRemoved {
        /// The ticket.
        ticket: u64,
        /// Whose it was.
        waiter: Actor,
        /// Why.
        reason: Removal,
    },
    /// Somebody asked for something of the lock and was refused.
    LockRefused {
        /// Who was refused.
        who: Actor,
        /// What was asked.
        action: String,
        /// Why not.
        why: String,
    },
    /// A commit under the lock was compared with what was claimed.
    CommitVerified {
        /// In the guide's form.
        lock_id: String,
        /// Who held the lock.
        holder: Actor,
        /// The branch's full name.
        branch: String,
        /// The new commit.
        commit: String,
        /// Whether all that changed was claimed.
        verification_status: Verification,
        /// What was committed, at most 100 names.
        files: Vec<String>,
        /// What of it was not claimed.
        outside: Vec<String>,
        /// Whether the lease ended while git was moving the ref.
        #[serde(default, skip_serializing_if = "is_false")]
        lease_was_over: bool,
    },
    /// The hooks' journal is not what it was, or not what hooks write.
    JournalLost {
        /// At which byte.
        byte: u64,
        /// What is wrong.
        why: String,
    },
    /// A message did not pass its check and was put aside.
    MessageQuarantined {
        /// Whose mailbox.
        mailbox: String,
        /// The file's name.
        file: String,
        /// What was wrong.
        why: String,
        /// Who sent the message whose place it had, when that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sender: Option<Actor>,
    },
    /// The state was lost and made again from the audit trail.
    StateRebuilt {
        /// From how many records.
        records: u64,
        /// Tokens up to this one may have been given, and are never given again (I2).
        token: u64,
        /// Where the damaged file was put; none when there was no file.
        damaged_file: Option<String>,
    },
    /// Everything stops.
    SystemFrozen {
        /// Why.
        reason: String,
        /// When, by the clock that rules use.
        when: Moment,
        /// What the holder of the lock left, when there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsaved: Option<Unsaved>,
    },
    /// Work goes on.
    SystemUnfrozen {
        /// Why.
        reason: String,
        /// For how long the clocks of the queue stood still.
        still: Interval,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Why a lease ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Release {
    /// The holder let go.
    Done,
    /// The holder gave it to a named waiter.
    Handover,
    /// Its time and the grace ran out.
    Expired,
    /// The holder's process is gone.
    HolderDied,
    /// The `git commit` that had taken it is over.
    CommandEnded,
    /// Its waiting command was gone before it saw the grant.
    NotTakenUp,
    /// The holder was shut down.
    Shutdown,
    /// Somebody with the right to do so ended it.
    Forced(String),
    /// The system was frozen.
    Freeze,
}

/// Why somebody left the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Removal {
    /// It said so.
    Cancelled,
    /// Its process is gone.
    Died,
    /// Nothing was heard of it for too long.
    Silent,
    /// It was shut down.
    Shutdown,
    /// It missed one offer too many.
    Missed,
}

/// Whether a commit was what had been claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verification {
    /// It was.
    Passed,
    /// It was not; the work tree is never touched for that (DOMAIN section 4).
    Failed,
}

/// How much somebody should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Severity {
    /// As expected.
    Info,
    /// Worth a look.
    Warning,
    /// Something that must not happen.
    High,
}

/// Applies an event. The only function that changes a [`State`].
pub fn evolve(state: &mut State, event: &Event, at: Wall, by: &Actor) {
    match event {
        Event::PolicySet { policy, digest, .. } | Event::PolicyRestored { policy, digest, .. } => {
            state.policy = (**policy).clone();
            state.policy_digest.clone_from(digest);
        }
        Event::SessionUp { name, socket, server } => {
            let (name, socket, server) = (name.clone(), socket.clone(), server.clone());
            state.session = Session::Up { name, socket, server, since: at };
        }
        Event::SessionDown => state.session = Session::Down,
        Event::InstanceLaunched { role, process, pane, pane_id } => {
            set_instance(state, role, Phase::Starting, process, *pane, Some(pane_id), at);
        }
        Event::InstanceRegistered { role, process, pane } => {
            // Another process than the pane's is not in that pane.
            let same = state.instances.get(role).filter(|i| i.process == *process);
            let pane_id = same.and_then(|i| i.pane_id.clone());
            set_instance(state, role, Phase::Ready, process, *pane, pane_id.as_ref(), at);
        }
        Event::InstanceShutdown { role } => {
            if let Some(instance) = state.instances.get_mut(role) {
                instance.phase = Phase::Shutdown;
                instance.pane_id = None;
                instance.since = at;
            }
        }
        Event::LockRequested { waiter } => {
            state.last.ticket = state.last.ticket.max(waiter.ticket);
            queue::enter(&mut state.queue, waiter.clone());
        }
        Event::LockGranted { lease, .. } => {
            state.last.token = lease.token;
            let stands_for =
                |w: &Waiter| w.actor == lease.holder && w.stand_in.as_ref() == Some(&lease.process);
            let is_granted =
                |w: &Waiter| stands_for(w) || is_same(&w.actor, &w.process, &lease.holder, &lease.process);
            state.queue.retain(|w| !is_granted(w));
            state.lock = WriteLock::Held(lease.clone());
        }
        Event::LockRenewed { expires, expires_at, files, process, .. } => {
            if let WriteLock::Held(held) = &mut state.lock {
                held.expires = expires.clone();
                held.expires_at = *expires_at;
                held.request.files = files.clone();
                // Whoever asks for more time has seen the grant.
                held.unseen = None;
                if let Some(process) = process {
                    held.process = process.clone();
                    held.auto = false;
                }
            }
        }
        Event::LockReleased { .. } => state.lock = WriteLock::Free,
        Event::LockOffered { offer } => state.lock = WriteLock::Offered(offer.clone()),
        Event::OfferMissed { waiter } => {
            if state.offer().is_some_and(|offer| offer.ticket == waiter.ticket) {
                state.lock = WriteLock::Free;
            }
            queue::put_back(&mut state.queue, waiter.clone());
        }
        Event::RecoveryStarted { recovery } => state.lock = WriteLock::Recovering(recovery.clone()),
        Event::RecoveryFailed { token, why, again, .. } => recovery_failed(state, *token, why, again),
        Event::WorkRescued { token, .. } | Event::RescueAbandoned { token, .. } => {
            work_is_safe(state, *token);
        }
        Event::WaiterRemoved { ticket, .. } => {
            if state.offer().is_some_and(|offer| offer.ticket == *ticket) {
                state.lock = WriteLock::Free;
            }
            state.queue.retain(|w| w.ticket != *ticket);
        }
        Event::InstancesPaused { roles, reason } => {
            let pause = Pause { by: by.clone(), reason: reason.clone(), since: at };
            // Who keeps still takes no offer up; that is no miss.
            let is_paused = |offer: &Offer| offer.to.role().is_some_and(|role| roles.contains(role));
            if state.offer().is_some_and(is_paused) {
                state.lock = WriteLock::Free;
            }
            state.paused.extend(roles.iter().map(|role| (role.clone(), pause.clone())));
        }
        Event::InstancesResumed { roles } => state.paused.retain(|role, _| !roles.contains(role)),
        Event::SystemFrozen { reason, when, unsaved } => {
            // Frozen holds no lock: neither an offer nor a recovery goes on (I9).
            state.lock = WriteLock::Free;
            let (by, reason, at_moment) = (by.clone(), reason.clone(), when.clone());
            state.system = System::Frozen { by, reason, since: at, at: at_moment, unsaved: unsaved.clone() };
        }
        Event::SystemUnfrozen { still, .. } => {
            state.system = System::Running;
            let ticket_ms = state.policy.lock.ticket_ms;
            state.stood_still.retain(|i| still.to.ms_since(&i.to) <= ticket_ms);
            state.stood_still.push(still.clone());
        }
        Event::StateRebuilt { token, .. } => state.last.token = state.last.token.max(*token),
        Event::InitializationVerified { .. }
        | Event::WeakeningRefused { .. }
        | Event::HooksAdopted { .. }
        | Event::LockRefused { .. }
        | Event::CheckWarned { .. }
        | Event::CommitVerified { .. }
        | Event::JournalLost { .. }
        | Event::MessageQuarantined { .. } => {}
    }
}

fn recovery_failed(state: &mut State, token: u64, why: &str, again: &Moment) {
    if let WriteLock::Recovering(recovery) = &mut state.lock
        && recovery.unsaved.token == token
    {
        recovery.failure = Some(why.to_owned());
        recovery.until = again.clone();
    }
}

/// What the lease with this token left is saved, or given up.
fn work_is_safe(state: &mut State, token: u64) {
    if state.recovery().is_some_and(|r| r.unsaved.token == token) {
        state.lock = WriteLock::Free;
    }
    if let System::Frozen { unsaved, .. } = &mut state.system
        && unsaved.as_ref().is_some_and(|u| u.token == token)
    {
        *unsaved = None;
    }
}

fn set_instance(
    state: &mut State,
    role: &Role,
    phase: Phase,
    process: &Process,
    pane: u32,
    pane_id: Option<&String>,
    since: Wall,
) {
    let before = state.instances.get(role);
    let starts = match before {
        Some(instance) if instance.process == *process => instance.starts,
        Some(instance) => instance.starts + 1,
        None => 1,
    };
    let instance =
        Instance { phase, process: process.clone(), pane, pane_id: pane_id.cloned(), since, starts };
    state.instances.insert(role.clone(), instance);
}

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
            | Self::InstanceShutdown { .. } => "instance-registrations.log",
            Self::PolicySet { .. } | Self::HooksAdopted { .. } | Self::InitializationVerified { .. } => {
                "orchestrator-startup.log"
            }
            Self::SessionUp { .. }
            | Self::SessionDown
            | Self::InstancesPaused { .. }
            | Self::InstancesResumed { .. }
            | Self::SystemFrozen { .. }
            | Self::SystemUnfrozen { .. } => "orchestrator-decisions.log",
            Self::MessageQuarantined { .. }
            | Self::CheckWarned { .. }
            | Self::JournalLost { .. }
            | Self::WeakeningRefused { .. }
            | Self::PolicyRestored { .. }
            | Self::StateRebuilt { .. } => "security-events.log",
        }
    }

    /// How much somebody should care.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::MessageQuarantined { .. }
            | Self::JournalLost { .. }
            | Self::StateRebuilt { .. }
            | Self::WeakeningRefused { .. }
            | Self::PolicyRestored { .. }
            | Self::RecoveryFailed { .. }
            | Self::RescueAbandoned { .. }
            | Self::SystemFrozen { .. } => Severity::High,
            Self::CommitVerified { verification_status: Verification::Failed, .. } => Severity::High,
            Self::PolicySet { weakens, .. } if !weakens.is_empty() => Severity::High,
            Self::LockReleased {
                reason: Release::Expired | Release::HolderDied | Release::Forced(_) | Release::NotTakenUp,
                ..
            }
            | Self::OfferMissed { .. }
            | Self::CheckWarned { .. }
            | Self::HooksAdopted { .. }
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
