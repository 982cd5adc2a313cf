//! Pausing roles for a while (docs/rules.md R7.6); not a freeze.

use crate::domain::command::Reply;
use crate::domain::decision::DecisionBuilder;
use crate::domain::freeze::event::FreezeEvent;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::refusal::Refusal;

impl DecisionBuilder<'_> {
    /// Pauses roles. A pause harms no work, so every caller but a plain role may ask for it, including a
    /// person at a second terminal, who is an unidentified process while a session is up.
    pub(crate) fn pause(&mut self, roles: &[Role], reason: &str) -> Result<Reply, Refusal> {
        self.may_pause("pausing")?;
        let wanted = self.selected_roles(roles);
        let roles: Vec<Role> = wanted.filter(|role| !self.state.paused.contains_key(role)).collect();
        if !roles.is_empty() {
            self.emit(FreezeEvent::InstancesPaused { roles, reason: reason.to_owned() });
        }
        Ok(Reply::Done)
    }

    pub(crate) fn resume(&mut self, roles: &[Role]) -> Result<Reply, Refusal> {
        self.may_pause("resuming")?;
        let mut paused: Vec<Role> = self.state.paused.keys().cloned().collect();
        paused.retain(|role| roles.is_empty() || roles.contains(role));
        if !paused.is_empty() {
            self.emit(FreezeEvent::InstancesResumed { roles: paused });
        }
        Ok(Reply::Done)
    }

    fn may_pause(&mut self, action: &str) -> Result<(), Refusal> {
        let plain = |kind: &RoleKind| !kind.is_orchestrator() && !kind.is_librarian();
        let allowed = match &self.caller.actor {
            Actor::User | Actor::System | Actor::Unproven => true,
            Actor::Role(_) => !self.asker_kind().is_none_or(plain),
        };
        if allowed {
            Ok(())
        } else {
            Err(self.not_permitted(action, "a person, the Orchestrator or the Librarian"))
        }
    }

    /// Returns these roles of the roster; all when none is named.
    fn selected_roles(&self, roles: &[Role]) -> std::vec::IntoIter<Role> {
        let all = self.state.policy.roster.members().iter().map(|m| m.role.clone());
        let those: Vec<Role> = if roles.is_empty() { all.collect() } else { roles.to_vec() };
        those.into_iter()
    }
}
