//! Owns every decision: the `Command` enum and the one `decide`.
//!
//! Invariants (each has a test of the same name in `tests/rules/`, run over all reachable states):
//! * `one_holder`: a lease is given only while there is none (I1).
//! * `tokens_only_grow`: each lease has a larger token than every one before (I2).
//! * `grants_follow_the_queue`: the person, then priority, then order of arrival (I3).
//! * `a_caller_gets_the_free_lock`: no live holder and a waiting command means a grant now (I4).
//! * `only_the_holder_releases`: and a stale token has no effect (I6).
//! * `a_dead_waiter_delays_nobody` (I7).
//! * `frozen_holds_no_lock` (I9).
//! * `the_wall_clock_decides_nothing` (I11).
//! * `no_ghost_keeps_the_lock_longer_than_its_offer` (DECISIONS 5).
//! * `nobody_is_granted_before_the_work_is_saved` (DECISIONS 2).

mod ends;
mod freeze;
mod guarding;
mod health;
mod lock;
mod pause;
mod policy;
mod work;

pub use super::lease::{expiry, expiry_at, held_refusal, is_overdue, lapsed, leaves, next_change};

pub use health::{Care, comes_with_session, needs_its_session};
pub use work::{For, Work};

use super::event::{Event, Release, Removal, evolve};
use super::pins::{Findings, Wish};
use super::policy::Policy;
use super::process::Process;
use super::refusal::Refusal;
use super::role::{Actor, Kind, Role};
use super::state::{Facts, Held, Phase, Request, Session, State};

/// Who asks, from which process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
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
        request: Request,
        /// The command that waits, when it does.
        caller: Option<Process>,
        /// The process that the lease shall end with, when that is not the asker's.
        stand_in: Option<Process>,
    },
    /// Take the free lock for one `git commit`; when it is not free, wait for it.
    Commit {
        /// What for.
        request: Request,
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
        pins: Option<Wish>,
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
    Pinned(Findings),
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
        outcome: Rescue,
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
    Care(Care),
    /// Work items.
    Work(Work),
    /// Record what was found outside (verified commits, quarantined messages), and tidy up.
    Observe(Vec<Event>),
}

/// What came of saving a former holder's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rescue {
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
    Granted(Held),
    /// The asker had the lock already; its lease was renewed, its claim widened.
    Renewed(Held),
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

/// Decides. Pure: the same state, command and facts give the same decision.
#[must_use]
pub fn decide(state: &State, asker: &Asker, command: &Command, facts: &Facts) -> Decision {
    let mut draft = Draft { state: state.clone(), asker, facts, events: Vec::new() };
    draft.sweep_instances();
    draft.sweep(command);
    let outcome = draft.run(command);
    if outcome.is_err() {
        // Who might have gone on with its lease did not.
        draft.sweep(&Command::Observe(Vec::new()));
    }
    draft.grant_next();
    let outcome = match outcome {
        Ok(Reply::Released { lock_id, .. }) => {
            Ok(Reply::Released { lock_id, next: draft.state.held().map(|h| h.holder.clone()) })
        }
        other => other,
    };
    Decision { events: draft.events, outcome }
}

/// A decision in the making: a copy of the state that follows the events.
struct Draft<'a> {
    state: State,
    asker: &'a Asker,
    facts: &'a Facts,
    events: Vec<Event>,
}

impl Draft<'_> {
    fn emit(&mut self, event: Event) {
        evolve(&mut self.state, &event, self.facts.now.wall, &self.asker.actor);
        self.events.push(event);
    }

    fn run(&mut self, command: &Command) -> Result<Reply, Refusal> {
        match command {
            Command::SetPolicy(policy) => self.set_policy(policy),
            Command::RestorePolicy(policy) => self.restore_policy(policy),
            Command::AdoptHooks { former, adopted, hooks } => self.adopt_hooks(former, adopted, hooks),
            Command::SessionUp { name, socket, server, agent } => {
                self.session_up(name, socket.as_ref(), server, agent.as_ref())
            }
            Command::SessionDown => self.session_down(),
            Command::Launch(panes) => self.launch(panes),
            Command::Register => self.register(),
            Command::Shutdown(role) => self.shutdown(role),
            Command::VerifyInitialization(findings) => {
                self.emit(Event::InitializationVerified { findings: findings.clone() });
                Ok(Reply::Done)
            }
            Command::Acquire { request, caller, stand_in } => {
                self.acquire(request, caller.as_ref(), stand_in.as_ref())
            }
            Command::Commit { request, git } => self.commit(request, git),
            Command::Release { token } => self.release(*token),
            Command::Renew => self.renew(None),
            Command::Cancel => self.cancel(),
            Command::Handover(to) => self.handover(to),
            Command::ForceRelease { reason } => self.force_release(reason),
            Command::Freeze { reason, pins } => self.freeze(reason, pins.as_ref()),
            Command::Thaw { reason } => self.thaw(reason),
            Command::Adopt { ids, reason } => self.adopt(ids, reason),
            Command::SelfTest { held, what } => self.self_test(*held, what),
            Command::Pinned(found) => Ok(self.pinned(found)),
            Command::BreakGlass { reason, for_ms } => self.break_glass(reason, *for_ms),
            Command::EndGlass => self.end_glass(),
            Command::Rescued { token, outcome } => self.rescued(*token, outcome),
            Command::AbandonRescue { reason } => self.abandon_rescue(reason),
            Command::Pause { roles, reason } => self.pause(roles, reason),
            Command::Resume { roles } => self.resume(roles),
            Command::Care(care) => self.care(care),
            Command::Work(work) => self.work(work),
            Command::Observe(events) => {
                for event in events {
                    self.emit(event.clone());
                }
                Ok(Reply::Done)
            }
        }
    }

    fn session_up(
        &mut self,
        name: &str,
        socket: Option<&String>,
        server: &Process,
        agent: Option<&String>,
    ) -> Result<Reply, Refusal> {
        if let Session::Up { name, .. } = &self.state.session
            && self.state.session_is_up(self.facts)
        {
            return Err(Refusal::SessionUp { name: name.clone() });
        }
        if self.asker.actor == Actor::System && !self.brings_session_back() {
            return Err(self.not_permitted("bringing the session back", "the program that is at it"));
        }
        let (name, socket, server) = (name.to_owned(), socket.cloned(), server.clone());
        self.emit(Event::SessionUp { name, socket, server, agent: agent.cloned() });
        Ok(Reply::Done)
    }

    fn session_down(&mut self) -> Result<Reply, Refusal> {
        if self.state.session != Session::Down {
            self.emit(Event::SessionDown);
        }
        Ok(Reply::Done)
    }

    /// Who starts a role says what runs as it: a plain role would give itself another one's rights.
    fn launch(&mut self, panes: &[(Role, Process, String)]) -> Result<Reply, Refusal> {
        for (role, _, _) in panes {
            let plain = |me: &Role| {
                me != role && !self.state.policy.roster.kind(me).is_some_and(Kind::is_orchestrator)
            };
            if self.asker.actor.role().is_some_and(plain) {
                return Err(self.not_permitted(&format!("starting {role}"), "the Orchestrator or a person"));
            }
        }
        for (role, process, pane_id) in panes {
            let pane = self.pane_of(role);
            let (role, process, pane_id) = (role.clone(), process.clone(), pane_id.clone());
            self.emit(Event::InstanceLaunched { role, process, pane, pane_id });
        }
        Ok(Reply::Done)
    }

    fn register(&mut self) -> Result<Reply, Refusal> {
        let Actor::Role(role) = &self.asker.actor else {
            return Err(Refusal::UnknownIdentity { found: format!("{} is not a role", self.asker.actor) });
        };
        let process = self.asker.process.clone();
        if let Some(other) = self.state.instances.get(role)
            && other.phase != Phase::Shutdown
            && other.process != process
            && !self.facts.dead.contains(&other.process)
        {
            return Err(Refusal::RoleTaken { role: role.clone(), pid: other.process.pid });
        }
        let pane = self.pane_of(role);
        self.emit(Event::InstanceRegistered { role: role.clone(), process, pane });
        Ok(Reply::Done)
    }

    /// A role is stopped on purpose: its lock and its place in the queue go with it.
    fn shutdown(&mut self, role: &Role) -> Result<Reply, Refusal> {
        let actor = Actor::Role(role.clone());
        if self.state.held().is_some_and(|h| h.holder == actor) {
            self.end_lease(Release::Shutdown);
        }
        if let Some(ticket) = self.state.queue.iter().find(|w| w.actor == actor).map(|w| w.ticket) {
            self.emit(Event::WaiterRemoved { ticket, waiter: actor, reason: Removal::Shutdown });
        }
        if self.state.instances.get(role).is_some_and(|i| i.phase != Phase::Shutdown) {
            self.emit(Event::InstanceShutdown { role: role.clone() });
        }
        Ok(Reply::Done)
    }

    fn pane_of(&self, role: &Role) -> u32 {
        self.state.policy.roster.member(role).map_or(0, |m| m.pane)
    }

    fn asker_kind(&self) -> Option<&Kind> {
        self.asker.actor.role().and_then(|role| self.state.policy.roster.kind(role))
    }

    fn holds(&self) -> bool {
        self.state.is_holder(&self.asker.actor, &self.asker.process)
    }

    fn running(&self) -> Result<(), Refusal> {
        super::permit::running(&self.state)
    }

    fn not_permitted(&mut self, action: &str, who_may: &str) -> Refusal {
        let actor = self.asker.actor.clone();
        let session_up = self.state.session_is_up(self.facts);
        let (action_name, who_may) = (action.to_owned(), who_may.to_owned());
        let refusal = Refusal::NotPermitted { actor, action: action_name, who_may, session_up };
        self.refuse(action, refusal)
    }

    /// Records a refusal (DOMAIN section 4: every refusal is an intent record).
    fn refuse(&mut self, action: &str, refusal: Refusal) -> Refusal {
        let who = self.asker.actor.clone();
        self.emit(Event::LockRefused { who, action: action.to_owned(), why: refusal.why() });
        refusal
    }
}
