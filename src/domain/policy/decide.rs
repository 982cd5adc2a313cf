//! Rules for changing the policy and adopting other tools' hooks.
//!
//! Invariant `only_the_person_weakens_the_policy` (a test of that name in `tests/fast/rules/`): any other
//! attempt is refused, recorded and reported.

use crate::domain::command::Reply;
use crate::domain::decision::DecisionBuilder;
use crate::domain::identity::actor::Actor;
use crate::domain::policy::compiled::Policy;
use crate::domain::policy::event::PolicyEvent;
use crate::domain::refusal::Refusal;

impl DecisionBuilder<'_> {
    /// Sets the policy. Agents do not change their own rules (docs/rules.md R5.5); a script without a
    /// terminal may, while no agent works, as long as nothing becomes less guarded.
    pub(crate) fn set_policy(&mut self, policy: &Policy) -> Result<Reply, Refusal> {
        // A policy that was changed by hand is set again, even if it is the wanted one.
        if *policy == self.state.policy && self.state.policy_is_intact() {
            return Ok(Reply::Done);
        }
        let weakens = policy.weakens(&self.state.policy);
        if !self.may_settle(weakens.is_empty()) {
            return Err(self.refuse_policy(weakens));
        }
        let digest = policy.digest();
        let repo_id = self.state.repo_id.clone();
        let (policy, version) = (Box::new(policy.clone()), self.state.last.policy + 1);
        self.emit(PolicyEvent::PolicySet { repo_id, policy, digest, weakens, version });
        Ok(Reply::Done)
    }

    /// Restores the policy that was last set by an actor with the right to do so; any actor may restore it.
    pub(crate) fn restore_policy(&mut self, settled: &Policy) -> Result<Reply, Refusal> {
        let changed = self.state.policy.differing_keys(settled);
        if !changed.is_empty() || !self.state.policy_is_intact() {
            let (policy, digest) = (Box::new(settled.clone()), settled.digest());
            let version = self.state.last.policy + 1;
            self.emit(PolicyEvent::PolicyRestored { policy, digest, changed, version });
        }
        Ok(Reply::Done)
    }

    pub(crate) fn adopt_hooks(
        &mut self,
        former: &str,
        adopted: &str,
        hooks: &[String],
    ) -> Result<Reply, Refusal> {
        if !self.may_settle(true) {
            return Err(self.not_permitted("adopting hooks", self.who_settles()));
        }
        let (former, adopted, hooks) = (former.to_owned(), adopted.to_owned(), hooks.to_vec());
        self.emit(PolicyEvent::HooksAdopted { former, adopted, hooks });
        Ok(Reply::Done)
    }

    /// Whether the caller may change the policy; `harmless`: nothing becomes less guarded.
    fn may_settle(&self, harmless: bool) -> bool {
        match self.caller.actor {
            Actor::User | Actor::System => true,
            Actor::Unproven => harmless && !self.state.session_is_up(self.facts),
            Actor::Role(_) => false,
        }
    }

    fn who_settles(&self) -> &'static str {
        match self.caller.actor {
            Actor::Unproven => "the User, while no session is up,",
            Actor::Role(_) | Actor::User | Actor::System => "the User",
        }
    }

    fn refuse_policy(&mut self, weakens: Vec<String>) -> Refusal {
        if weakens.is_empty() {
            return self.not_permitted("changing the policy", self.who_settles());
        }
        let refusal = Refusal::NotPermitted {
            actor: self.caller.actor.clone(),
            action: "weakening the policy".to_owned(),
            who_may: self.who_settles().to_owned(),
            session_up: self.state.session_is_up(self.facts),
        };
        let (who, why) = (self.caller.actor.clone(), refusal.why());
        self.emit(PolicyEvent::WeakeningRefused { who, weakens, why });
        refusal
    }
}
