//! Rules for adopting violations and recording self-tests.

use crate::domain::audit::event::AuditEvent;
use crate::domain::command::Reply;
use crate::domain::decision::DecisionBuilder;
use crate::domain::identity::actor::Actor;
use crate::domain::refusal::Refusal;

impl DecisionBuilder<'_> {
    /// Adopts violations: their movements become lawful. Only the User may do it (docs/rules.md R6.4).
    pub(crate) fn adopt(&mut self, ids: &[u64], reason: &str) -> Result<Reply, Refusal> {
        if self.caller.actor != Actor::User {
            return Err(self.not_permitted("adopting a violation", "the User"));
        }
        let open: Vec<u64> = self.state.violations.iter().map(|v| v.id).collect();
        if let Some(id) = ids.iter().find(|id| !open.contains(id)) {
            return Err(Refusal::NoViolation { id: Some(*id) });
        }
        let mut ids = if ids.is_empty() { open } else { ids.to_vec() };
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Err(Refusal::NoViolation { id: None });
        }
        self.emit(AuditEvent::ViolationsAdopted { ids, reason: reason.to_owned() });
        Ok(Reply::Done)
    }

    pub(crate) fn self_test(&mut self, held: bool, what: &str) -> Result<Reply, Refusal> {
        self.emit(AuditEvent::SelfTested { held, what: what.to_owned() });
        Ok(Reply::Done)
    }
}
