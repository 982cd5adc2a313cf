//! Commands to the rules (`Command`), their caller (`Caller`), and the answer (`Decision`).

use crate::domain::event::Event;
use crate::domain::freeze::pins::{PinFindings, PinRequest};
use crate::domain::health::command::HealthCommand;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::lock::request::LockRequest;
use crate::domain::lock::write_lock::Lease;
use crate::domain::policy::compiled::Policy;
use crate::domain::refusal::Refusal;
use crate::domain::session::process::Process;
use crate::domain::work::command::WorkCommand;

/// The actor of a command, and its process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The actor.
    pub actor: Actor,
    /// The agent's process: the registered pane, or the shell's session leader.
    pub process: Process,
}

/// A command to the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Set the policy.
    SetPolicy(Box<Policy>),
    /// Restore the policy that was last set according to the audit trail.
    RestorePolicy(Box<Policy>),
    /// Let hooks of another tool, or of a person, run after cmw's.
    AdoptHooks {
        /// The directory whose hooks ran after cmw's before.
        former: String,
        /// The directory whose hooks are to run.
        adopted: String,
        /// Hooks that git did not call before.
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
        /// The agents' program and arguments, if given.
        agent: Option<String>,
    },
    /// The session is over.
    SessionDown,
    /// Panes run for these roles: role, process, the pane's id in tmux.
    Launch(Vec<(Role, Process, String)>),
    /// An instance is ready.
    Register,
    /// An instance was stopped on purpose.
    Shutdown(Role),
    /// The Librarian verified the set-up; the problems found.
    VerifyInitialization(Vec<String>),
    /// Take the write lock, or wait for it.
    Acquire {
        /// The request.
        request: LockRequest,
        /// The waiting command, if one waits.
        caller: Option<Process>,
        /// The process whose end ends the lease, if it is not the caller's.
        stand_in: Option<Process>,
    },
    /// Take the free lock for one `git commit`; when it is not free, wait for it.
    Commit {
        /// The request.
        request: LockRequest,
        /// The git that commits: the lease ends with it.
        git: Process,
    },
    /// Give the lock back.
    Release {
        /// The token of the lease; none: any lease of the caller.
        token: Option<u64>,
    },
    /// Ask for more time.
    Renew,
    /// Leave the queue.
    Cancel,
    /// Give the lock to a waiter, outside the order.
    Handover(Role),
    /// Take the lock from its holder.
    ForceRelease {
        /// The reason.
        reason: String,
    },
    /// Freeze the system.
    Freeze {
        /// The reason.
        reason: String,
        /// The branches to be pinned, for a hard freeze.
        pins: Option<PinRequest>,
    },
    /// End the freeze.
    Thaw {
        /// The reason.
        reason: String,
    },
    /// Adopt violations.
    Adopt {
        /// Their numbers; empty: all.
        ids: Vec<u64>,
        /// The reason.
        reason: String,
    },
    /// Record a self-test of the hooks.
    SelfTest {
        /// Whether the hooks refused the movement.
        held: bool,
        /// The result in words.
        what: String,
    },
    /// Record what was done with pins on disk.
    Pinned(PinFindings),
    /// Start break-glass: for a while the User moves protected refs without the lock.
    BreakGlass {
        /// The reason.
        reason: String,
        /// The duration, in milliseconds.
        for_ms: u64,
    },
    /// End break-glass.
    EndGlass,
    /// Record the result of saving a former holder's work.
    Rescued {
        /// The token of the former holder's lease.
        token: u64,
        /// The result.
        outcome: RescueOutcome,
    },
    /// Give up saving a former holder's work.
    AbandonRescue {
        /// The reason.
        reason: String,
    },
    /// Pause these roles; none named: all.
    Pause {
        /// The roles.
        roles: Vec<Role>,
        /// The reason; may be empty.
        reason: String,
    },
    /// Resume these roles; none named: all.
    Resume {
        /// The roles.
        roles: Vec<Role>,
    },
    /// The health of instances: crashes, restarts, limits.
    Care(HealthCommand),
    /// Work items.
    Work(WorkCommand),
    /// Record external findings (verified commits, quarantined messages), and perform what is due.
    Observe(Vec<Event>),
}

/// The result of saving a former holder's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RescueOutcome {
    /// It is saved, or nothing was uncommitted.
    Saved {
        /// The ref of the snapshot; none when nothing was uncommitted.
        reference: Option<String>,
        /// The number of files that differ from the last commit.
        files: u64,
        /// The first paths that could not be saved, with the reasons.
        skipped: Vec<String>,
        /// The first paths that were unstaged.
        unstaged: Vec<String>,
    },
    /// It could not be saved.
    Failed {
        /// The reason.
        why: String,
    },
}

/// The answer to a command that is not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Done,
    /// The lock was given.
    Granted(Lease),
    /// The caller had the lock already; its lease was renewed, its claim widened.
    Renewed(Lease),
    /// The caller waits.
    Queued {
        /// Its ticket.
        ticket: u64,
        /// Its place, from 1.
        place: usize,
    },
    /// The lock was given back.
    Released {
        /// The id of the lease.
        lock_id: String,
        /// The new holder, if any.
        next: Option<Actor>,
    },
}

/// Events and an answer. A refusal may have events too: it is recorded.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The answer.
    pub outcome: Result<Reply, Refusal>,
}
