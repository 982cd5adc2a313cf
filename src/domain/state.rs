//! Owns the shape of the coordination state: lock, queue, freeze, registry, session, policy.

pub use crate::domain::session::instance::{Instance, Parked, Pause, Phase, Session};
pub use crate::domain::util::time::Interval;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::audit::violation::Violation;
use crate::domain::freeze::break_glass::Glass;
use crate::domain::freeze::pins::Pins;
use crate::domain::health::incident;
use crate::domain::health::incident::{Ending, Lost};
use crate::domain::identity::role::{Actor, Role};
use crate::domain::lock::claim::Claim;
use crate::domain::lock::release::Release;
use crate::domain::mail::priority::Priority;
use crate::domain::policy::Policy;
use crate::domain::session::process::Process;
use crate::domain::util::time::{Moment, Now, Wall};
use crate::domain::work::task::Tasks;

/// Everything that instances coordinate about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Names this repository for ever (a ULID).
    pub repo_id: String,
    /// What `cmw-init` settled.
    pub policy: Policy,
    /// The digest that was recorded when it was settled: a policy that was changed by hand differs.
    /// Empty in a state that an earlier version wrote.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub policy_digest: String,
    /// Whether anybody may work.
    pub system: System,
    /// Who has the write lock.
    pub lock: WriteLock,
    /// Who waits for it, in the order in which it will be given.
    pub queue: Vec<Waiter>,
    /// The last fencing token, ticket and lock number given; they only grow (I2).
    pub last: Counters,
    /// The tmux session.
    pub session: Session,
    /// What is known of each role's instance.
    pub instances: BTreeMap<Role, Instance>,
    /// Which roles shall keep still, and who wants that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paused: BTreeMap<Role, Pause>,
    /// When the clocks of the queue stood still because everything was frozen, latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stood_still: Vec<Interval>,
    /// What moved without having been allowed to, and nobody has adopted yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// When the hooks were last tried out, and whether they held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTest>,
    /// Which branches a hard freeze pins, or which pins are still to be taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pins: Option<Pins>,
    /// For a while the User moves protected refs without the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glass: Option<Glass>,
    /// What is to be done, and what was done last.
    #[serde(default, skip_serializing_if = "Tasks::is_empty")]
    pub tasks: Tasks,
    /// The session was lost, and there is none again yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// When restarts of the session were begun: those within the last minutes, and maybe some before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub session_restarts: Vec<Moment>,
}

/// The last time that somebody tried to get past the hooks, to see whether they hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// When.
    pub at: Wall,
    /// Whether they did.
    pub held: bool,
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
}

/// Whether anybody may work (DOMAIN section 7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "there is one of it, and a box would only be in the way")]
pub enum System {
    /// As ever.
    Running,
    /// Nothing protected moves.
    Frozen {
        /// Who froze it.
        by: Actor,
        /// Why.
        reason: String,
        /// Since when.
        since: Wall,
        /// The same, by the clock that rules use: the queue's clocks stand still from here on.
        at: Moment,
        /// The work of whoever held the lock then, until it is saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsaved: Option<Unsaved>,
    },
}

/// Who has the one right to move protected refs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "lock", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WriteLock {
    /// Nobody.
    Free,
    /// This one.
    Held(Held),
    /// Kept for a moment for a waiter whose command is away (DECISIONS 5).
    Offered(Offer),
    /// Nobody, until the uncommitted work of who had it last is saved (DECISIONS 2).
    Recovering(Recovery),
}

/// The free lock, kept for one waiter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Whose ticket.
    pub ticket: u64,
    /// The same, by name.
    pub to: Actor,
    /// Until when.
    pub until: Moment,
    /// The same, for people.
    pub until_at: Wall,
}

/// Uncommitted work that somebody left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unsaved {
    /// The lease that ended.
    pub token: u64,
    /// Whose it was.
    pub former: Actor,
    /// What it had claimed.
    pub files: Claim,
    /// In which work tree, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_tree: Option<String>,
    /// Why the lease ended.
    pub reason: Release,
    /// When, for people; it names the snapshot.
    pub ended_at: Wall,
    /// Whether what is staged stays staged.
    #[serde(default, skip_serializing_if = "is_false")]
    pub index_stays: bool,
}

/// Work that is being saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// What is to be saved.
    pub unsaved: Unsaved,
    /// The command that does it.
    pub by: Process,
    /// Until when it is left alone; later the next command does it.
    pub until: Moment,
    /// What the last attempt failed of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A lease of the write lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Its number, which is also its fencing token.
    pub token: u64,
    /// Who holds it.
    pub holder: Actor,
    /// The agent's process (never the short-lived command): when it dies, the lease ends.
    pub process: Process,
    /// What was asked for.
    pub request: Request,
    /// When it was granted.
    pub granted: Moment,
    /// The same, for people.
    pub granted_at: Wall,
    /// When it ends, unless it is renewed.
    pub expires: Moment,
    /// The same, for people.
    pub expires_at: Wall,
    /// Taken by `git commit` itself: `process` is that git, and its end is no crash.
    #[serde(default, skip_serializing_if = "is_false")]
    pub auto: bool,
    /// The ticket, while it is not sure that its waiting command has seen the grant: when that is
    /// dead and nothing is heard of the role, the lease is no more than an offer was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Box<Waiter>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Held {
    /// The lock's id in the guide's form: `WL-0001`.
    #[must_use]
    pub fn lock_id(&self) -> String {
        lock_id(self.token)
    }
}

/// The id of the lease with this token: `WL-0001`.
#[must_use]
pub fn lock_id(token: u64) -> String {
    format!("WL-{token:04}")
}

/// What somebody wants the lock for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The files that will be changed.
    pub files: Claim,
    /// What for, at most [`PURPOSE_CHARS_MAX`] characters.
    pub purpose: String,
    /// How long it will take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_ms: Option<u64>,
    /// About how many lines will change; only informative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loc: Option<u32>,
    /// Before whom.
    pub priority: Priority,
    /// In which work tree the work is done, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_tree: Option<String>,
    /// The files were not named by whoever asks: they are what happened to be staged, and tell nothing
    /// about whose they are.
    #[serde(default, skip_serializing_if = "is_false")]
    pub guessed: bool,
}

/// Longest purpose, reason or task text, in characters.
pub const PURPOSE_CHARS_MAX: usize = 200;

/// A ticket in the queue. It belongs to a role and its process, not to a waiting command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiter {
    /// The place in the order of arrival.
    pub ticket: u64,
    /// Who waits.
    pub actor: Actor,
    /// The agent's process; when it dies, the ticket goes.
    pub process: Process,
    /// The command that waits at this moment, if any: only then can the lock be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Process>,
    /// The process that the lease shall end with, when that is not the agent's: a command that runs
    /// another one under the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<Process>,
    /// What for.
    pub request: Request,
    /// Since when, for people.
    pub requested_at: Wall,
    /// When the role last asked.
    pub asked: Moment,
    /// How many offers were not taken up.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u8) -> bool {
    *count == 0
}

/// What a decision may know of the world besides the state.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Both clocks.
    pub now: Now,
    /// Which of the processes that the state names are dead.
    pub dead: BTreeSet<Process>,
    /// When holder and waiters were last active (their beats and their commits): it renews a lease,
    /// and an offer is made only to who is there.
    pub active: BTreeMap<Role, Moment>,
    /// The command that asks, since it can save what a former holder left; a hook cannot.
    pub saver: Option<Process>,
    /// How processes ended that are dead, as far as tmux told.
    pub endings: BTreeMap<Process, Ending>,
}

impl State {
    /// The state of a new repository.
    #[must_use]
    pub fn new(repo_id: String, policy: Policy) -> Self {
        Self {
            repo_id,
            policy_digest: policy.digest(),
            policy,
            system: System::Running,
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

    /// Whether the policy is the one whose digest was recorded when it was settled.
    #[must_use]
    pub fn policy_is_intact(&self) -> bool {
        self.policy_digest.is_empty() || self.policy_digest == self.policy.digest()
    }

    /// The lease, when there is one.
    #[must_use]
    pub fn held(&self) -> Option<&Held> {
        match &self.lock {
            WriteLock::Held(held) => Some(held),
            WriteLock::Free | WriteLock::Offered(_) | WriteLock::Recovering(_) => None,
        }
    }

    /// What is being saved, when something is.
    #[must_use]
    pub fn recovery(&self) -> Option<&Recovery> {
        match &self.lock {
            WriteLock::Recovering(recovery) => Some(recovery),
            WriteLock::Free | WriteLock::Offered(_) | WriteLock::Held(_) => None,
        }
    }

    /// For whom the lock is kept, when it is.
    #[must_use]
    pub fn offer(&self) -> Option<&Offer> {
        match &self.lock {
            WriteLock::Offered(offer) => Some(offer),
            WriteLock::Free | WriteLock::Recovering(_) | WriteLock::Held(_) => None,
        }
    }

    /// Milliseconds from `earlier` to `now`, without those during which everything was frozen.
    #[must_use]
    pub fn awake_ms_since(&self, earlier: &Moment, now: &Moment) -> u64 {
        let whole = now.ms_since(earlier);
        if whole == u64::MAX {
            return whole;
        }
        let still = match &self.system {
            System::Running => None,
            System::Frozen { at, .. } => Some((at, now)),
        };
        let intervals = self.stood_still.iter().map(|i| (&i.from, &i.to)).chain(still);
        let of_this_boot = intervals.filter(|(from, to)| from.boot == now.boot && to.boot == now.boot);
        let asleep =
            of_this_boot.map(|(from, to)| to.ms.min(now.ms).saturating_sub(from.ms.max(earlier.ms))).sum();
        whole.saturating_sub(asleep)
    }

    /// Every process that the state names.
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
            .chain(incident::programs(self))
            .chain(self.recovery().map(|r| &r.by))
            .chain(waiters.flatten())
            .chain(self.instances.values().map(|i| &i.process))
            .chain(server)
    }

    /// Whether a session of ours runs: it was started and its tmux server lives.
    #[must_use]
    pub fn session_is_up(&self, facts: &Facts) -> bool {
        match &self.session {
            Session::Down => false,
            Session::Up { server, .. } => !facts.dead.contains(server),
        }
    }

    /// How many branches are pinned, or are about to be.
    #[must_use]
    pub fn pinned(&self) -> usize {
        self.pins.as_ref().map_or(0, Pins::count)
    }

    /// Whether a role is paused, or a usage limit stops it.
    #[must_use]
    pub fn keeps_still(&self, role: &Role) -> bool {
        self.paused.contains_key(role) || self.instances.get(role).is_some_and(|i| i.parked.is_some())
    }

    /// Whether this actor, running below this process, is the holder.
    #[must_use]
    pub fn is_holder(&self, actor: &Actor, process: &Process) -> bool {
        self.held().is_some_and(|held| is_same(&held.holder, &held.process, actor, process))
    }
}

/// Whether two actors are the same one: nobody knows whether two unproven ones are, so for them
/// the process decides.
#[must_use]
pub fn is_same(one: &Actor, one_process: &Process, other: &Actor, other_process: &Process) -> bool {
    one == other && (*one != Actor::Unproven || one_process == other_process)
}
