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

pub use super::lease::{expiry, expiry_at, held_refusal, lapsed};

use super::claim::Claim;
use super::event::{Event, Release, Removal, evolve};
use super::policy::Policy;
use super::process::Process;
use super::queue;
use super::refusal::Refusal;
use super::role::{Actor, Kind, Role};
use super::state::{
    Facts, Held, Phase, Request, Session, State, System, Waiter, WriteLock, is_same, lock_id,
};
use super::time::Wall;

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
    },
    /// Go on.
    Thaw {
        /// Why.
        reason: String,
    },
    /// Record what was found outside (verified commits, quarantined messages), and tidy up.
    Observe(Vec<Event>),
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
    draft.sweep();
    let outcome = draft.run(command);
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

    /// Ends what is over by itself: leases of the dead and of the late, tickets of the dead and
    /// of the silent.
    fn sweep(&mut self) {
        if let Some(reason) = lapsed(&self.state, self.facts) {
            self.end_lease(reason);
        }
        let ticket_ms = self.state.policy.lock.ticket_ms;
        let now = &self.facts.now.boot;
        let silent = |w: &Waiter| !queue::is_calling(w, self.facts) && now.ms_since(&w.asked) > ticket_ms;
        let gone: Vec<(u64, Actor, Removal)> = self
            .state
            .queue
            .iter()
            .filter_map(|w| match (self.facts.dead.contains(&w.process), silent(w)) {
                (true, _) => Some((w.ticket, w.actor.clone(), Removal::Died)),
                (false, true) => Some((w.ticket, w.actor.clone(), Removal::Silent)),
                (false, false) => None,
            })
            .collect();
        for (ticket, waiter, reason) in gone {
            self.emit(Event::WaiterRemoved { ticket, waiter, reason });
        }
    }

    fn run(&mut self, command: &Command) -> Result<Reply, Refusal> {
        match command {
            Command::SetPolicy(policy) => self.set_policy(policy),
            Command::SessionUp { name, socket, server } => self.session_up(name, socket.as_ref(), server),
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
            Command::Release { token } => self.release(*token),
            Command::Renew => self.renew(None),
            Command::Cancel => self.cancel(),
            Command::Handover(to) => self.handover(to),
            Command::ForceRelease { reason } => self.force_release(reason),
            Command::Freeze { reason } => self.freeze(reason),
            Command::Thaw { reason } => self.thaw(reason),
            Command::Observe(events) => {
                for event in events {
                    self.emit(event.clone());
                }
                Ok(Reply::Done)
            }
        }
    }

    fn acquire(
        &mut self,
        request: &Request,
        caller: Option<&Process>,
        stand_in: Option<&Process>,
    ) -> Result<Reply, Refusal> {
        self.may_write("acquire")?;
        if self.holds() {
            return self.renew(Some(&request.files));
        }
        let mut waiter = self.ticket_for(request, caller, stand_in);
        let waits = waiter.caller.is_some();
        // Whoever asks without waiting is there at this moment: enough to be given a free lock.
        waiter.caller = caller.cloned().or_else(|| Some(self.asker.process.clone()));
        let first = {
            let mut with_me = self.state.clone();
            with_me.queue.retain(|w| w.ticket != waiter.ticket);
            with_me.queue.push(waiter.clone());
            queue::next(&with_me, self.facts).is_some_and(|next| next.ticket == waiter.ticket)
        };
        if self.state.lock == WriteLock::Free && first {
            let held = self.give(&waiter);
            return Ok(Reply::Granted(held));
        }
        if !waits {
            // Nobody runs a command under a lease that comes after it has given up.
            (waiter.caller, waiter.stand_in) = (None, None);
        }
        if !waits && self.asker.actor == Actor::Unproven {
            // Nobody could tell whose ticket it is: whoever is unproven waits in person, or not at all.
            let held = self.held_by_other();
            return Err(self.refuse("acquire", held));
        }
        let ticket = waiter.ticket;
        if self.is_news(&waiter) {
            self.emit(Event::LockRequested { waiter });
        }
        let place = queue::place(&self.state, ticket).unwrap_or(1);
        Ok(Reply::Queued { ticket, place })
    }

    /// The asker's ticket, as it will be: its old one, or a new one.
    fn ticket_for(&self, request: &Request, caller: Option<&Process>, stand_in: Option<&Process>) -> Waiter {
        let now = &self.facts.now;
        let old = self.my_ticket();
        Waiter {
            ticket: old.map_or(self.state.last.ticket + 1, |w| w.ticket),
            actor: self.asker.actor.clone(),
            process: self.asker.process.clone(),
            caller: caller.cloned(),
            stand_in: stand_in.cloned(),
            request: request.clone(),
            requested_at: old.map_or(now.wall, |w| w.requested_at),
            asked: now.boot.clone(),
        }
    }

    fn my_ticket(&self) -> Option<&Waiter> {
        let (actor, process) = (&self.asker.actor, &self.asker.process);
        self.state.queue.iter().find(|w| is_same(&w.actor, &w.process, actor, process))
    }

    /// Whether a repeated request says anything that the queue does not know yet.
    fn is_news(&self, waiter: &Waiter) -> bool {
        self.state.queue.iter().find(|w| w.ticket == waiter.ticket).is_none_or(|old| {
            old.caller != waiter.caller
                || old.stand_in != waiter.stand_in
                || old.request != waiter.request
                || old.process != waiter.process
                || waiter.asked.ms_since(&old.asked) >= 60_000
        })
    }

    /// Gives the free lock to a waiter.
    fn give(&mut self, waiter: &Waiter) -> Held {
        let now = &self.facts.now;
        let lease_ms = self.state.policy.lock.lease_for(waiter.request.estimate_ms);
        // A command that is gone cannot end the lease: then it is the agent's own.
        let stand_in = waiter.stand_in.as_ref().filter(|p| !self.facts.dead.contains(p));
        let lease = Held {
            token: self.state.last.token + 1,
            holder: waiter.actor.clone(),
            process: stand_in.unwrap_or(&waiter.process).clone(),
            request: waiter.request.clone(),
            granted: now.boot.clone(),
            granted_at: now.wall,
            expires: now.boot.plus(lease_ms),
            expires_at: Wall(now.wall.0.saturating_add_unsigned(lease_ms)),
        };
        self.emit(Event::LockGranted {
            lock_id: lease.lock_id(),
            holder: lease.holder.clone(),
            claimed_files: lease.request.files.clone(),
            claimed_loc: lease.request.loc,
            lease: lease.clone(),
        });
        lease
    }

    /// Gives a free lock to the first waiter whose command waits (I3, I4).
    fn grant_next(&mut self) {
        if self.state.lock != WriteLock::Free || self.state.system != System::Running {
            return;
        }
        if let Some(waiter) = queue::next(&self.state, self.facts).cloned() {
            self.give(&waiter);
        }
    }

    fn renew(&mut self, files: Option<&Claim>) -> Result<Reply, Refusal> {
        self.may_write("renew")?;
        if !self.holds() {
            return Err(self.refuse("renew", self.not_holder()));
        }
        let now = &self.facts.now;
        let held = self.state.held().expect("the asker holds it").clone();
        let lease_ms = self.state.policy.lock.lease_for(held.request.estimate_ms);
        self.emit(Event::LockRenewed {
            lock_id: held.lock_id(),
            token: held.token,
            expires: now.boot.plus(lease_ms),
            expires_at: Wall(now.wall.0.saturating_add_unsigned(lease_ms)),
            files: files.map_or_else(|| held.request.files.clone(), |more| held.request.files.with(more)),
        });
        Ok(Reply::Renewed(self.state.held().expect("a renewal ends no lease").clone()))
    }

    fn release(&mut self, token: Option<u64>) -> Result<Reply, Refusal> {
        let current = self.state.last.token;
        if let Some(given) = token.filter(|t| self.state.held().is_none_or(|h| h.token != *t)) {
            return Err(self.refuse("release", Refusal::StaleToken { given, current }));
        }
        if !self.holds() {
            return Err(self.refuse("release", self.not_holder()));
        }
        self.end_lease(Release::Done);
        Ok(Reply::Released { lock_id: lock_id(current), next: None })
    }

    fn cancel(&mut self) -> Result<Reply, Refusal> {
        let Some(mine) = self.my_ticket() else {
            return Err(self.refuse("cancel", Refusal::NotQueued { who: self.asker.actor.clone() }));
        };
        let (ticket, waiter) = (mine.ticket, mine.actor.clone());
        self.emit(Event::WaiterRemoved { ticket, waiter, reason: Removal::Cancelled });
        Ok(Reply::Done)
    }

    fn handover(&mut self, to: &Role) -> Result<Reply, Refusal> {
        self.may_write("hand over")?;
        if !self.holds() {
            return Err(self.refuse("handover", self.not_holder()));
        }
        let target = Actor::Role(to.clone());
        let Some(waiter) = self.state.queue.iter().find(|w| w.actor == target).cloned() else {
            return Err(self.refuse("handover", Refusal::NotQueued { who: target }));
        };
        let ended = self.state.last.token;
        self.end_lease(Release::Handover);
        self.give(&waiter);
        Ok(Reply::Released { lock_id: lock_id(ended), next: None })
    }

    fn force_release(&mut self, reason: &str) -> Result<Reply, Refusal> {
        let orchestrates = self.asker_kind().is_some_and(Kind::is_orchestrator);
        if !orchestrates && self.asker.actor != Actor::User {
            return Err(self.not_permitted("force-release", "the Orchestrator or the User"));
        }
        if self.state.lock == WriteLock::Free {
            return Err(self.refuse("force-release", Refusal::NotHolder { holder: None }));
        }
        let ended = self.state.last.token;
        self.end_lease(Release::Forced(reason.to_owned()));
        Ok(Reply::Released { lock_id: lock_id(ended), next: None })
    }

    fn end_lease(&mut self, reason: Release) {
        if let Some(held) = self.state.held() {
            let (token, holder) = (held.token, held.holder.clone());
            self.emit(Event::LockReleased { lock_id: lock_id(token), token, holder, reason });
        }
    }

    fn freeze(&mut self, reason: &str) -> Result<Reply, Refusal> {
        let allowed = self.asker_kind().is_some_and(Kind::is_librarian)
            || matches!(self.asker.actor, Actor::User | Actor::System);
        if !allowed {
            return Err(self.not_permitted("freezing", "the Librarian or the User"));
        }
        self.running()?;
        self.end_lease(Release::Freeze);
        self.emit(Event::SystemFrozen { reason: reason.to_owned() });
        Ok(Reply::Done)
    }

    fn thaw(&mut self, reason: &str) -> Result<Reply, Refusal> {
        if self.asker.actor != Actor::User {
            return Err(self.not_permitted("thawing", "the User"));
        }
        match self.state.system {
            System::Running => Err(Refusal::NotFrozen),
            System::Frozen { .. } => {
                self.emit(Event::SystemUnfrozen { reason: reason.to_owned() });
                Ok(Reply::Done)
            }
        }
    }

    /// Agents do not change the rules under which they work (DOMAIN section 5); a script without
    /// a terminal may, while no agent works.
    fn set_policy(&mut self, policy: &Policy) -> Result<Reply, Refusal> {
        if *policy != self.state.policy {
            let allowed = match self.asker.actor {
                Actor::User | Actor::System => true,
                Actor::Unproven => !self.state.session_is_up(self.facts),
                Actor::Role(_) => false,
            };
            if !allowed {
                return Err(self.not_permitted("changing the policy", "the User"));
            }
            let digest = policy.digest();
            let repo_id = self.state.repo_id.clone();
            self.emit(Event::PolicySet { repo_id, policy: Box::new(policy.clone()), digest });
        }
        Ok(Reply::Done)
    }

    fn session_up(
        &mut self,
        name: &str,
        socket: Option<&String>,
        server: &Process,
    ) -> Result<Reply, Refusal> {
        if let Session::Up { name, .. } = &self.state.session
            && self.state.session_is_up(self.facts)
        {
            return Err(Refusal::SessionUp { name: name.clone() });
        }
        let (name, socket, server) = (name.to_owned(), socket.cloned(), server.clone());
        self.emit(Event::SessionUp { name, socket, server });
        Ok(Reply::Done)
    }

    fn session_down(&mut self) -> Result<Reply, Refusal> {
        if self.state.session != Session::Down {
            self.emit(Event::SessionDown);
        }
        Ok(Reply::Done)
    }

    fn launch(&mut self, panes: &[(Role, Process, String)]) -> Result<Reply, Refusal> {
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
        match &self.state.system {
            System::Running => Ok(()),
            System::Frozen { by, reason, since } => {
                Err(Refusal::Frozen { by: by.clone(), reason: reason.clone(), since: *since })
            }
        }
    }

    /// Whether the asker may have the lock at all; a refusal is recorded.
    fn may_write(&mut self, action: &str) -> Result<(), Refusal> {
        if let Err(refusal) = self.running() {
            return Err(self.refuse(action, refusal));
        }
        if let Actor::Role(role) = &self.asker.actor {
            let role = role.clone();
            match self.asker_kind() {
                Some(kind) if kind.is_librarian() => {
                    return Err(self.refuse(action, Refusal::ReadOnly { role }));
                }
                Some(_) => {}
                None => {
                    let found = format!("{role} is not in the roster (any more)");
                    return Err(self.refuse(action, Refusal::UnknownIdentity { found }));
                }
            }
        }
        if self.asker.actor == Actor::System {
            return Err(self.not_permitted(action, "a role or the User"));
        }
        Ok(())
    }

    fn held_by_other(&self) -> Refusal {
        let place = self.my_ticket().and_then(|w| queue::place(&self.state, w.ticket));
        held_refusal(&self.state, self.facts, place)
            .unwrap_or_else(|| Refusal::NotHeld { action: "a request by somebody unknown".to_owned() })
    }

    fn not_holder(&self) -> Refusal {
        Refusal::NotHolder { holder: self.state.held().map(|h| h.holder.clone()) }
    }

    fn not_permitted(&mut self, action: &str, who_may: &str) -> Refusal {
        let actor = self.asker.actor.clone();
        let refusal = Refusal::NotPermitted { actor, action: action.to_owned(), who_may: who_may.to_owned() };
        self.refuse(action, refusal)
    }

    /// Records a refusal (DOMAIN section 4: every refusal is an intent record).
    fn refuse(&mut self, action: &str, refusal: Refusal) -> Refusal {
        let who = self.asker.actor.clone();
        self.emit(Event::LockRefused { who, action: action.to_owned(), why: refusal.why() });
        refusal
    }
}
