//! Owns what can happen: the `Event` enum.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::audit::journal_entry::{Cause, Stray};
use crate::domain::freeze::freeze_state::GlassEnd;
use crate::domain::freeze::pins::{PinId, Wish};
use crate::domain::guard::git_ref::RefName;
use crate::domain::health::incident::{
    Crash, OfRole, Parking, RestartBegun, RestartFailed, Restarted, SessionLost, Stale,
};
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::release::Release;
use crate::domain::lock::release::Removal;
use crate::domain::lock::request::Waiter;
use crate::domain::lock::verification::Verification;
use crate::domain::lock::write_lock::{Held, Offer, Recovery, Unsaved};
use crate::domain::policy::checks::Check;
use crate::domain::policy::compiled::Policy;
use crate::domain::session::process::Process;
use crate::domain::util::time::Interval;
use crate::domain::util::time::{Moment, Wall};
use crate::domain::work::task::{Task, TaskFinished, TaskReassigned, TaskStarted, WorkBlocked};

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
        /// The agents' program and arguments, when they were given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
    },
    /// The session is over.
    SessionDown,
    /// The tmux server is gone, and nobody ended the session.
    SessionLost(SessionLost),
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
    /// An instance is being stopped: that it ends now is no crash.
    InstanceStopping(OfRole),
    /// An instance's process is gone, and nobody stopped it.
    InstanceCrashed(Crash),
    /// A program begins to restart an instance, or the whole session.
    RestartBegun(RestartBegun),
    /// The instance runs again.
    InstanceRestarted(Restarted),
    /// A restart did not succeed.
    RestartFailed(RestartFailed),
    /// An instance lives, and gives no sign of it.
    InstanceStale(Stale),
    /// It gives signs of life again.
    InstanceRecovered(OfRole),
    /// A usage limit stops an instance.
    InstanceParked(Parking),
    /// It goes on.
    InstanceUnparked(OfRole),
    /// Somebody has something to do.
    TaskAssigned(Box<Task>),
    /// They are at it.
    TaskStarted(TaskStarted),
    /// It is done.
    TaskDone(TaskFinished),
    /// Nobody wants it any more.
    TaskCancelled(TaskFinished),
    /// It goes to somebody else.
    TaskReassigned(TaskReassigned),
    /// Nobody can do the work of a role.
    WorkBlocked(WorkBlocked),
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
    /// Refs have moved, and no check allowed it.
    ViolationFound {
        /// Its number, settled when it is published.
        id: u64,
        /// How it came about, as far as that is known.
        cause: Cause,
        /// The refs.
        refs: Vec<Stray>,
    },
    /// The person has looked at violations and lets them stand.
    ViolationsAdopted {
        /// Which.
        ids: Vec<u64>,
        /// Why.
        reason: String,
    },
    /// From here on refs are compared with how they stand now.
    RefsBaselined {
        /// How many.
        refs: u64,
        /// Why.
        why: String,
    },
    /// Somebody tried to get past the hooks, to see whether they hold.
    SelfTested {
        /// Whether they did.
        held: bool,
        /// What was seen.
        what: String,
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
    /// Nobody saw messages within their deadline; they stay where they are.
    MessagesUndelivered {
        /// Whose mailbox.
        mailbox: String,
        /// How many.
        count: u64,
        /// Who sent them.
        senders: Vec<Actor>,
        /// The id and the subject of the first.
        first: String,
        /// What stands in the way, as far as it is known.
        why: String,
        /// Whether one of them is urgent.
        #[serde(default, skip_serializing_if = "is_false")]
        urgent: bool,
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
        /// Hard: which branches are to be pinned.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pins: Option<Box<Wish>>,
    },
    /// A freeze pins branches that it did not pin before.
    FreezeHardened {
        /// Why.
        reason: String,
        /// Which branches are to be pinned.
        pins: Box<Wish>,
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
    /// The User moves protected refs without the lock for a while.
    BreakGlass {
        /// Why.
        reason: String,
        /// Until when.
        until: Moment,
        /// The same, for people.
        until_at: Wall,
    },
    /// No longer.
    BreakGlassEnded {
        /// Why it is over.
        why: GlassEnd,
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
