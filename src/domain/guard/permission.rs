//! The one sequence of checks: whether a commit, a movement of a ref or a push is allowed at this moment.
//!
//! Early hooks, the authority, the hooks of a push, `cmw why`, the client's hook and `cmw-commit` all use
//! this module, each with what is known at its stage. The order is the same for all: freeze, refs of ours,
//! identity, violation, role, pause, lock, owners, claims. A stage may leave out checks
//! ([`Evidence::Skipped`]); evidence that must be read from disk or git is requested only when the sequence
//! gets that far ([`Need`]). Each check counts as far as the policy says (docs/rules.md R5.2); violations and
//! pauses always do.
//!
//! Invariant (a test of the same name): `the_first_refusal_is_the_first_in_the_order`.

use crate::domain::command::Caller;
use crate::domain::facts::Facts;
use crate::domain::freeze::break_glass;
use crate::domain::guard::ref_rules::{Harmless, RefVerdict};
use crate::domain::identity::actor::Actor;
use crate::domain::lock::checks::{self, Owners, Warnings, apply};
use crate::domain::lock::claim::Claim;
use crate::domain::lock::write_lock::Lease;
use crate::domain::policy::checks::Check;
use crate::domain::policy::checks::Level;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;

/// A movement to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Movement<'a> {
    /// Its classification.
    pub verdict: RefVerdict,
    /// Its name in a refusal.
    pub action: &'a str,
    /// Whether it leaves the repository: a freeze or a violation stops a push of any kind.
    pub leaves: bool,
    /// Whether the lock is acquired next for the changed files: then a refusal that waiting or a wider claim
    /// resolves does not count, and the checks after the lock are made first.
    pub takes_lock: bool,
    /// Whether files of others refuse on any branch, at any level of the policy for claims, and independent
    /// of the lease's claim.
    pub strict_owners: bool,
}

impl<'a> Movement<'a> {
    /// Returns a movement inside the repository, made under a lock that is held already.
    #[must_use]
    pub fn new(verdict: RefVerdict, action: &'a str) -> Self {
        Self { verdict, action, leaves: false, takes_lock: false, strict_owners: false }
    }

    /// Returns the same, leaving the repository.
    #[must_use]
    pub fn leaving(self) -> Self {
        Self { leaves: true, ..self }
    }

    /// Returns the same, acquiring the lock next.
    #[must_use]
    pub fn taking_the_lock(self) -> Self {
        Self { takes_lock: true, ..self }
    }
}

/// Evidence that must be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// [`Known::violation`].
    Violation,
    /// [`Known::paths`].
    Paths,
    /// [`Known::owners`].
    Owners,
}

/// One piece of evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Evidence<T> {
    /// This stage does not look at it: the check passes.
    #[default]
    Skipped,
    /// It is looked up when the sequence gets that far.
    Open,
    /// It was looked up.
    Known(T),
}

impl<T> Evidence<T> {
    /// Returns evidence to be looked up on the way, when this stage examines it.
    #[must_use]
    pub fn open_if(looks: bool) -> Self {
        if looks { Self::Open } else { Self::Skipped }
    }

    /// Returns what is known; `None` when this stage does not examine it.
    fn get(&self, need: Need) -> Result<Option<&T>, Stop> {
        match self {
            Self::Skipped => Ok(None),
            Self::Open => Err(Stop::Needs(need)),
            Self::Known(it) => Ok(Some(it)),
        }
    }
}

/// The evidence about a movement at this stage, apart from the state.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// A contradiction between the caller's variables and its pane, when there is one.
    pub contradiction: Option<Refusal>,
    /// The violation that this would carry further, as a refusal, when there is one.
    pub violation: Evidence<Option<Refusal>>,
    /// The paths that change.
    pub paths: Evidence<Vec<Vec<u8>>>,
    /// Their owners, as far as known.
    pub owners: Evidence<Owners>,
}

/// The reason for which the sequence stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A check refuses.
    Refused(Refusal),
    /// The next check needs this evidence: look it up, and judge again.
    Needs(Need),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The result of the sequence.
#[derive(Clone, Debug)]
pub struct Judgement<'a> {
    /// The lease under which it is allowed; `None` when none is needed.
    pub permit: Result<Option<&'a Lease>, Stop>,
    /// The refusals of checks that only warn, as far as the sequence went.
    pub warnings: Warnings,
}

/// Runs the sequence.
#[must_use]
pub fn judge<'a>(
    state: &'a State,
    caller: &Caller,
    facts: &Facts,
    movement: &Movement<'_>,
    known: &Known,
) -> Judgement<'a> {
    let mut warnings = Warnings::new();
    let permit = Sequence { state, caller, facts, movement, known, warnings: &mut warnings }.run();
    Judgement { permit, warnings }
}

/// Whether a movement that one state allows is allowed by the other too: nothing that [`judge`] reads differs.
#[must_use]
pub fn judge_alike(one: &State, other: &State) -> bool {
    one.policy == other.policy
        && one.system == other.system
        && one.lock == other.lock
        && one.glass == other.glass
        && one.violations == other.violations
        && one.paused == other.paused
        && one.session == other.session
        && one.instances == other.instances
        && one.queue == other.queue
}

/// Adds the warnings that are not among them yet: a movement that is judged again warns once.
pub fn add_warnings(all: &mut Warnings, more: Warnings) {
    for warning in more {
        if !all.contains(&warning) {
            all.push(warning);
        }
    }
}

struct Sequence<'a, 'b> {
    state: &'a State,
    caller: &'b Caller,
    facts: &'b Facts,
    movement: &'b Movement<'b>,
    known: &'b Known,
    warnings: &'b mut Warnings,
}

impl<'a> Sequence<'a, '_> {
    fn run(mut self) -> Result<Option<&'a Lease>, Stop> {
        let Movement { verdict, leaves, .. } = *self.movement;
        if leaves || verdict.stops_when_frozen() {
            self.check(Check::Freeze, checks::not_frozen(self.state, self.caller, self.facts))?;
        }
        if verdict == RefVerdict::Harmless(Harmless::Cmw) {
            self.only_ours()?;
        }
        if verdict.needs_lock() {
            self.check(Check::Identity, self.known.contradiction.clone().map_or(Ok(()), Err))?;
        }
        if (leaves || verdict.needs_lock())
            && let Some(Some(refusal)) = self.known.violation.get(Need::Violation)?
        {
            return Err(refusal.clone().into());
        }
        if !verdict.needs_lock() {
            if self.movement.strict_owners {
                self.only_own(None)?;
            }
            return Ok(None);
        }
        self.check(Check::Role, checks::may_write(self.state, &self.caller.actor))?;
        checks::not_paused(self.state, &self.caller.actor)?;
        let lease = self.lease()?;
        self.only_own(lease)?;
        self.within_the_claim(lease)?;
        Ok(lease)
    }

    fn check(&mut self, check: Check, result: Result<(), Refusal>) -> Result<(), Refusal> {
        apply(&self.state.policy, check, result, self.warnings)
    }

    /// Refuses to move refs of ours to all but the User: deleting a rescue ref would lose saved work. Our own
    /// programs move them without hooks and record it themselves (docs/decisions.md D31).
    fn only_ours(&self) -> Result<(), Stop> {
        let actor = &self.caller.actor;
        if *actor == Actor::User {
            return Ok(());
        }
        let refusal = Refusal::NotPermitted {
            actor: actor.clone(),
            action: self.movement.action.to_owned(),
            who_may: "cmw itself or the User".to_owned(),
            session_up: self.state.session_is_up(self.facts),
        };
        Err(refusal.into())
    }

    /// Returns the lease; `None` when the policy requires none, break-glass is active, or the lock is
    /// acquired next.
    fn lease(&mut self) -> Result<Option<&'a Lease>, Refusal> {
        match checks::own_lease(self.state, self.caller, self.facts, self.movement.action) {
            Ok(held) => Ok(Some(held)),
            Err(_) if break_glass::active_for(self.state, &self.caller.actor, self.facts).is_some() => {
                Ok(None)
            }
            Err(refusal) if self.movement.takes_lock && refusal.is_about_waiting() => Ok(None),
            Err(refusal) => self.check(Check::Lock, Err(refusal)).map(|()| None),
        }
    }

    /// Refuses to commit files of others together with one's own (docs/rules.md R4.20: twelve agents stage
    /// into one index). Files that were claimed for this lease count as the holder's own.
    fn only_own(&mut self, lease: Option<&Lease>) -> Result<(), Stop> {
        let Some(owners) = self.known.owners.get(Need::Owners)? else { return Ok(()) };
        let claim =
            lease.filter(|held| !held.auto && !self.movement.strict_owners).map(|held| &held.request.files);
        let is_claimed = |path: &[u8]| claim.is_some_and(|claim| *claim != Claim::All && claim.covers(path));
        let mut owners = owners.clone();
        owners.retain(|path, _| !is_claimed(path));
        if owners.is_empty() {
            return Ok(());
        }
        let Some(paths) = self.known.paths.get(Need::Paths)? else { return Ok(()) };
        let result = checks::only_own_files(&owners, &self.caller.actor, paths);
        if self.movement.strict_owners { Ok(result?) } else { Ok(self.check(Check::Claims, result)?) }
    }

    /// Compares the changed files with the claim. A commit that took the lock itself has claimed its files;
    /// this holds for the second of several commits too.
    fn within_the_claim(&mut self, lease: Option<&Lease>) -> Result<(), Stop> {
        let lease = lease.filter(|held| !held.auto && !self.movement.takes_lock);
        let Some(claim) = lease.and_then(|held| checks::claim(&self.state.policy, held)) else {
            return Ok(());
        };
        let Some(paths) = self.known.paths.get(Need::Paths)? else { return Ok(()) };
        Ok(self.check(Check::Claims, checks::within(claim, paths))?)
    }
}

/// Whether acquiring the lock resolves this refusal, and the policy lets git acquire it.
#[must_use]
pub fn lock_helps(state: &State, refusal: &Refusal) -> bool {
    let policy = &state.policy;
    policy.lock.auto && policy.checks.level(Check::Lock) == Level::Enforce && refusal.is_about_waiting()
}

#[cfg(test)]
#[path = "permission_tests.rs"]
mod tests;
