//! What can be asked of the rules (`Command`), by whom (`Caller`), and what is answered (`Decision`).

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

/// Who asks, from which process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// The agent's process: the registered pane, or the shell's session leader.
    pub process: Process,
}

/// Something that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Settle the policy.
    SetPolicy(Box<Policy>),
    /// Put the policy back that the audit says was settled last.
    RestorePolicy(Box<Policy>),
    /// Let hooks of another tool, or of a person, run after ours.
    AdoptHooks {
        /// The directory whose hooks ran after ours before.
        former: String,
        /// The directory whose hooks shall.
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
        /// The agents' program and arguments, when they were given.
        agent: Option<String>,
    },
    /// The session is over.
    SessionDown,
    /// Panes run for these roles: role, process, tmux's name of the pane.
    Launch(Vec<(Role, Process, String)>),
    /// An instance is ready.
    Register,
    /// An instance was stopped on purpose.
    Shutdown(Role),
    /// The Librarian looked at the set-up.
    VerifyInitialization(Vec<String>),
    /// Take the write lock, or wait for it.
    Acquire {
        /// What for.
        request: LockRequest,
        /// The command that waits, when it does.
        caller: Option<Process>,
        /// The process that the lease shall end with, when that is not the asker's.
        stand_in: Option<Process>,
    },
    /// Take the free lock for one `git commit`; when it is not free, wait for it.
    Commit {
        /// What for.
        request: LockRequest,
        /// The git that commits: the lease ends with it.
        git: Process,
    },
    /// Give the lock back.
    Release {
        /// Only the lease with this token.
        token: Option<u64>,
    },
    /// Ask for more time.
    Renew,
    /// Leave the queue.
    Cancel,
    /// Give the lock to a waiter, outside the order.
    Handover(Role),
    /// Take the lock from whoever has it.
    ForceRelease {
        /// Why.
        reason: String,
    },
    /// Stop everything.
    Freeze {
        /// Why.
        reason: String,
        /// Hard: which branches are to be pinned.
        pins: Option<PinRequest>,
    },
    /// Go on.
    Thaw {
        /// Why.
        reason: String,
    },
    /// Let violations stand.
    Adopt {
        /// Which; empty: all.
        ids: Vec<u64>,
        /// Why.
        reason: String,
    },
    /// The hooks were tried out.
    SelfTest {
        /// Whether they hold.
        held: bool,
        /// What was seen.
        what: String,
    },
    /// What became of pins on disk.
    Pinned(PinFindings),
    /// For a while the User moves protected refs without the lock.
    BreakGlass {
        /// Why.
        reason: String,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// No longer.
    EndGlass,
    /// What a former holder left was saved, or could not be.
    Rescued {
        /// The lease that it was left by.
        token: u64,
        /// What came of it.
        outcome: RescueOutcome,
    },
    /// Give up saving what a former holder left.
    AbandonRescue {
        /// Why.
        reason: String,
    },
    /// These roles shall keep still; none named: all.
    Pause {
        /// Which.
        roles: Vec<Role>,
        /// Why; may be empty.
        reason: String,
    },
    /// These roles may go on; none named: all.
    Resume {
        /// Which.
        roles: Vec<Role>,
    },
    /// Look after instances: crashes, restarts, limits.
    Care(HealthCommand),
    /// Work items.
    Work(WorkCommand),
    /// Record what was found outside (verified commits, quarantined messages), and tidy up.
    Observe(Vec<Event>),
}

/// What came of saving a former holder's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RescueOutcome {
    /// It is safe, or there was nothing.
    Saved {
        /// The ref of the snapshot; none when nothing was uncommitted.
        reference: Option<String>,
        /// How many files differ from the last commit.
        files: u64,
        /// What could not be saved, and why: the first of them.
        skipped: Vec<String>,
        /// What was taken out of the index again: the first of it.
        unstaged: Vec<String>,
    },
    /// It could not be saved.
    Failed {
        /// Why not.
        why: String,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Done,
    /// The lock was given.
    Granted(Lease),
    /// The asker had the lock already; its lease was renewed, its claim widened.
    Renewed(Lease),
    /// The asker waits.
    Queued {
        /// Its ticket.
        ticket: u64,
        /// Its place, from 1.
        place: usize,
    },
    /// The lock was given back.
    Released {
        /// Which lease.
        lock_id: String,
        /// Who has it now.
        next: Option<Actor>,
    },
}

/// Events and an answer. A refusal may have events too: it is recorded.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What happened, in order.
    pub events: Vec<Event>,
    /// The answer.
    pub outcome: Result<Reply, Refusal>,
}
