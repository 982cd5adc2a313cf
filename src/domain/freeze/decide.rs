//! The rules of the freeze: who may freeze and thaw, which branches are pinned, and break-glass.

use std::collections::BTreeMap;

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::journal_entry::ViolationCause;
use crate::domain::command::Reply;
use crate::domain::decision::DecisionBuilder;
use crate::domain::freeze::event::FreezeEvent;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::freeze::freeze_state::{BreakGlassEnd, GLASS_MS_MAX};
use crate::domain::freeze::pins::{PinFindings, PinRequest};
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::RoleKind;
use crate::domain::lock::release::Release;
use crate::domain::refusal::Refusal;
use crate::domain::util::time::Interval;

impl DecisionBuilder<'_> {
    pub(crate) fn freeze(&mut self, reason: &str, wish: Option<&PinRequest>) -> Result<Reply, Refusal> {
        let allowed = self.asker_kind().is_some_and(RoleKind::is_librarian)
            || matches!(self.caller.actor, Actor::User | Actor::System);
        if !allowed {
            return Err(self.not_permitted("freezing", "the Librarian or the User"));
        }
        if let (Err(frozen), wish) = (self.running(), wish) {
            return self.harden(reason, wish).ok_or(frozen);
        }
        let unsaved = self.unsaved(&Release::Freeze);
        self.release_lease(Release::Freeze);
        let when = self.facts.now.boot.clone();
        let pins = wish.cloned().map(Box::new);
        self.emit(FreezeEvent::SystemFrozen { reason: reason.to_owned(), when, unsaved, pins });
        Ok(Reply::Done)
    }

    /// Turns a soft freeze into a hard one, or pins more in a hard one; `None` when this would change
    /// nothing.
    fn harden(&mut self, reason: &str, wish: Option<&PinRequest>) -> Option<Reply> {
        let wish = wish?;
        let wanted = self.state.pins.as_ref().filter(|pins| pins.wanted);
        let is_new = wanted.is_none_or(|pins| wish.refs.iter().any(|name| !pins.refs.contains_key(name)));
        is_new.then(|| {
            self.emit(FreezeEvent::FreezeHardened {
                reason: reason.to_owned(),
                pins: Box::new(wish.clone()),
            });
            Reply::Done
        })
    }

    pub(crate) fn thaw(&mut self, reason: &str) -> Result<Reply, Refusal> {
        if self.caller.actor != Actor::User {
            return Err(self.not_permitted("thawing", "the User"));
        }
        match self.state.system.clone() {
            FreezeState::Running => Err(Refusal::NotFrozen),
            FreezeState::Frozen { at, unsaved, .. } => {
                let still = Interval { from: at, to: self.facts.now.boot.clone() };
                self.emit(FreezeEvent::SystemUnfrozen { reason: reason.to_owned(), still });
                if let Some(unsaved) = unsaved {
                    self.start_recovery(unsaved);
                }
                Ok(Reply::Done)
            }
        }
    }

    /// Records pins found on disk, if they are still wanted: another command may have been faster.
    pub(crate) fn pinned(&mut self, found: &PinFindings) -> Reply {
        let Some(pins) = self.state.pins.clone().filter(|pins| pins.freeze == found.freeze) else {
            return Reply::Done;
        };
        let freeze = pins.freeze.clone();
        if !pins.wanted {
            let its = found.removed.iter().filter(|name| pins.refs.contains_key(*name));
            let references: Vec<_> = its.cloned().collect();
            if !references.is_empty() {
                self.emit(FreezeEvent::PinsRemoved { freeze, references });
            }
            return Reply::Done;
        }
        for (reference, was) in &found.vanished {
            if pins.refs.get(reference) == Some(&Some(*was)) {
                let (reference, freeze) = (reference.clone(), freeze.clone());
                let cause = ViolationCause::Pin { reference: reference.clone() };
                self.emit(FreezeEvent::PinVanished { reference, freeze });
                self.emit(AuditEvent::ViolationFound { id: 0, cause, refs: Vec::new(), grows: false });
            }
        }
        let known = self.state.pins.as_ref().map(|pins| pins.refs.clone()).unwrap_or_default();
        let is_news = |(name, id): &(_, _)| known.get(*name).is_some_and(|had| had.as_ref() != Some(*id));
        let set: BTreeMap<_, _> = found.set.iter().filter(is_news).map(|(n, id)| (n.clone(), *id)).collect();
        if !set.is_empty() {
            self.emit(FreezeEvent::PinsSet { freeze, pins: set });
        }
        Reply::Done
    }

    /// Starts break-glass: only for the User, for a limited time, with an alert to all.
    pub(crate) fn break_glass(&mut self, reason: &str, for_ms: u64) -> Result<Reply, Refusal> {
        if self.caller.actor != Actor::User {
            return Err(self.not_permitted("break-glass", "the User"));
        }
        let ms = for_ms.min(GLASS_MS_MAX);
        let until = self.facts.now.boot.plus(ms);
        let wall = self.facts.now.wall.0.saturating_add_unsigned(ms);
        let until_at = crate::domain::util::time::WallTime(wall);
        self.emit(FreezeEvent::BreakGlass { reason: reason.to_owned(), until, until_at });
        Ok(Reply::Done)
    }

    /// Ends break-glass. This gives no actor a right, but agents may not take it from the User.
    pub(crate) fn end_break_glass(&mut self) -> Result<Reply, Refusal> {
        let allowed =
            self.asker_kind().is_some_and(RoleKind::is_librarian) || self.caller.actor == Actor::User;
        if !allowed {
            return Err(self.not_permitted("ending break-glass", "the User or the Librarian"));
        }
        if self.state.glass.is_some() {
            self.emit(FreezeEvent::BreakGlassEnded { why: BreakGlassEnd::Ended });
        }
        Ok(Reply::Done)
    }

    /// Records the end of break-glass when its time is over; any command does this.
    pub(crate) fn expire_break_glass(&mut self) {
        let is_over = |until: &crate::domain::util::time::BootTime| until.has_passed(&self.facts.now.boot);
        if self.state.glass.as_ref().is_some_and(|glass| is_over(&glass.until)) {
            self.emit(FreezeEvent::BreakGlassEnded { why: BreakGlassEnd::TimeOver });
        }
    }
}
