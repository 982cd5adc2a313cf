//! The coordination state: a field for each part of a subject.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::audit::self_test::SelfTest;
use crate::domain::audit::violation::Violation;
use crate::domain::facts::Facts;
use crate::domain::freeze::freeze_state::{BreakGlass, FreezeState};
use crate::domain::freeze::pins::Pins;
use crate::domain::health::incident::{LostSession, RestartState};
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::lock::request::{Waiter, is_same};
use crate::domain::lock::write_lock::{Lease, Offer, Recovery, WriteLock};
use crate::domain::policy::compiled::Policy;
use crate::domain::session::instance::{Instance, RolePause, Session};
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootTime, Interval};
use crate::domain::work::task::Tasks;

/// Everything that instances coordinate about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The permanent id of this repository (a ULID).
    pub repo_id: String,
    /// The policy.
    pub policy: Policy,
    /// The digest recorded when the policy was set: it differs if the policy was changed by hand.
    /// Empty in a state that an earlier version wrote.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub policy_digest: String,
    /// Whether the system is frozen.
    pub system: FreezeState,
    /// The write lock.
    pub lock: WriteLock,
    /// The waiters, in the order in which they get the lock.
    pub queue: Vec<Waiter>,
    /// The last fencing token, ticket and lock number given; they only grow (docs/rules.md I2).
    pub last: Counters,
    /// The tmux session.
    pub session: Session,
    /// The instance of each role.
    pub instances: BTreeMap<Role, Instance>,
    /// The paused roles.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paused: BTreeMap<Role, RolePause>,
    /// The intervals in which a freeze stopped the clocks of the queue, latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stood_still: Vec<Interval>,
    /// The violations that are not adopted yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// The last self-test of the hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTest>,
    /// The branches that a hard freeze pins, or whose pins are still to be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pins: Option<Pins>,
    /// The active break-glass, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glass: Option<BreakGlass>,
    /// The unfinished tasks, and the last finished ones.
    #[serde(default, skip_serializing_if = "Tasks::is_empty")]
    pub tasks: Tasks,
    /// The lost session, until there is one again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<LostSession>,
    /// The times of recent restarts of the session: those within the window, and maybe some before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub session_restarts: Vec<BootTime>,
}

/// Numbers that are never given twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// The last fencing token.
    pub token: u64,
    /// The last ticket.
    pub ticket: u64,
    /// The last ticket that left the queue without the lock.
    #[serde(default)]
    pub left: u64,
    /// The last violation.
    #[serde(default)]
    pub violation: u64,
    /// The last task.
    #[serde(default)]
    pub task: u64,
    /// The version of the policy: each change gets the next number.
    #[serde(default, skip_serializing_if = "crate::domain::util::is_zero")]
    pub policy: u64,
}

impl State {
    /// Returns the state of a new repository.
    #[must_use]
    pub fn new(repo_id: String, policy: Policy) -> Self {
        Self {
            repo_id,
            policy_digest: policy.digest(),
            policy,
            system: FreezeState::Running,
            lock: WriteLock::Free,
            queue: Vec::new(),
            last: Counters::default(),
            session: Session::Down,
            instances: BTreeMap::new(),
            paused: BTreeMap::new(),
            stood_still: Vec::new(),
            violations: Vec::new(),
            self_test: None,
            pins: None,
            glass: None,
            tasks: Tasks::new(),
            lost: None,
            session_restarts: Vec::new(),
        }
    }

    /// Whether the policy is the one whose digest was recorded when it was set.
    #[must_use]
    pub fn policy_is_intact(&self) -> bool {
        self.policy_digest.is_empty() || self.policy_digest == self.policy.digest()
    }

    /// Returns the lease, if any.
    #[must_use]
    pub fn held(&self) -> Option<&Lease> {
        match &self.lock {
            WriteLock::Held(held) => Some(held),
            WriteLock::Free | WriteLock::Offered(_) | WriteLock::Recovering(_) => None,
        }
    }

    /// Returns the recovery in progress, if any.
    #[must_use]
    pub fn recovery(&self) -> Option<&Recovery> {
        match &self.lock {
            WriteLock::Recovering(recovery) => Some(recovery),
            WriteLock::Free | WriteLock::Offered(_) | WriteLock::Held(_) => None,
        }
    }

    /// Returns the offer of the lock, if any.
    #[must_use]
    pub fn offer(&self) -> Option<&Offer> {
        match &self.lock {
            WriteLock::Offered(offer) => Some(offer),
            WriteLock::Free | WriteLock::Recovering(_) | WriteLock::Held(_) => None,
        }
    }

    /// Returns the milliseconds from `earlier` to `now`, without those of freezes.
    #[must_use]
    pub fn awake_ms_since(&self, earlier: &BootTime, now: &BootTime) -> u64 {
        let whole = now.ms_since(earlier);
        if whole == u64::MAX {
            return whole;
        }
        let still = match &self.system {
            FreezeState::Running => None,
            FreezeState::Frozen { at, .. } => Some((at, now)),
        };
        let intervals = self.stood_still.iter().map(|i| (&i.from, &i.to)).chain(still);
        let of_this_boot = intervals.filter(|(from, to)| from.boot == now.boot && to.boot == now.boot);
        let asleep =
            of_this_boot.map(|(from, to)| to.ms.min(now.ms).saturating_sub(from.ms.max(earlier.ms))).sum();
        whole.saturating_sub(asleep)
    }

    /// Returns every process that the state names.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        let holder = self.held().map(|h| &h.process);
        let unseen = self.held().and_then(|h| h.unseen.as_deref());
        let waiters = self.queue.iter().chain(unseen);
        let waiters = waiters.flat_map(|w| [Some(&w.process), w.caller.as_ref(), w.stand_in.as_ref()]);
        let server = match &self.session {
            Session::Down => None,
            Session::Up { server, .. } => Some(server),
        };
        holder
            .into_iter()
            .chain(self.restart_programs())
            .chain(self.recovery().map(|r| &r.by))
            .chain(waiters.flatten())
            .chain(self.instances.values().map(|i| &i.process))
            .chain(server)
    }

    /// Returns the programs that restart an instance or the session at this moment.
    pub fn restart_programs(&self) -> impl Iterator<Item = &Process> {
        let restarts = self.instances.values().map(|i| i.restart.as_ref());
        let restarts = restarts.chain([self.lost.as_ref().and_then(|lost| lost.restart.as_ref())]);
        restarts.flatten().filter_map(RestartState::program)
    }

    /// Whether a session of this repository runs: it was started and its tmux server lives.
    #[must_use]
    pub fn session_is_up(&self, facts: &Facts) -> bool {
        match &self.session {
            Session::Down => false,
            Session::Up { server, .. } => !facts.dead.contains(server),
        }
    }

    /// Returns the number of branches that are pinned, or about to be.
    #[must_use]
    pub fn pinned(&self) -> usize {
        self.pins.as_ref().map_or(0, Pins::count)
    }

    /// Whether a role is paused, or a usage limit stops it.
    #[must_use]
    pub fn is_paused_or_parked(&self, role: &Role) -> bool {
        self.paused.contains_key(role) || self.instances.get(role).is_some_and(|i| i.parked.is_some())
    }

    /// Whether this actor, running below this process, is the holder.
    #[must_use]
    pub fn is_holder(&self, actor: &Actor, process: &Process) -> bool {
        self.held().is_some_and(|held| is_same(&held.holder, &held.process, actor, process))
    }
}
