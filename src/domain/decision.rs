//! The builder of a decision: a copy of the state that follows the events, and helpers for every rule.

use crate::domain::command::Caller;
use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::facts::Facts;
use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::lock::event::LockEvent;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;

/// The builder of a decision: a copy of the state that follows the events.
pub(crate) struct DecisionBuilder<'a> {
    pub(crate) state: State,
    pub(crate) caller: &'a Caller,
    pub(crate) facts: &'a Facts,
    pub(crate) events: Vec<Event>,
}

impl DecisionBuilder<'_> {
    pub(crate) fn emit(&mut self, event: impl Into<Event>) {
        let event = event.into();
        evolve(&mut self.state, &event, self.facts.now.wall, &self.caller.actor);
        self.events.push(event);
    }

    pub(crate) fn pane_of(&self, role: &Role) -> u32 {
        self.state.policy.roster.member(role).map_or(0, |m| m.pane)
    }

    pub(crate) fn asker_kind(&self) -> Option<&RoleKind> {
        self.caller.actor.role().and_then(|role| self.state.policy.roster.kind(role))
    }

    pub(crate) fn holds(&self) -> bool {
        self.state.is_holder(&self.caller.actor, &self.caller.process)
    }

    pub(crate) fn running(&self) -> Result<(), Refusal> {
        crate::domain::lock::checks::running(&self.state)
    }

    pub(crate) fn not_permitted(&mut self, action: &str, who_may: &str) -> Refusal {
        let actor = self.caller.actor.clone();
        let session_up = self.state.session_is_up(self.facts);
        let (action_name, who_may) = (action.to_owned(), who_may.to_owned());
        let refusal = Refusal::NotPermitted { actor, action: action_name, who_may, session_up };
        self.refuse(action, refusal)
    }

    /// Records a refusal (docs/rules.md R4.21: every refusal is an intent record).
    pub(crate) fn refuse(&mut self, action: &str, refusal: Refusal) -> Refusal {
        let who = self.caller.actor.clone();
        self.emit(LockEvent::LockRefused { who, action: action.to_owned(), why: refusal.why() });
        refusal
    }
}
