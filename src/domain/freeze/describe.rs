//! Sentences for freezes, pins, pauses and break-glass.

use crate::domain::freeze::event::FreezeEvent;
use crate::domain::freeze::freeze_state::BreakGlassEnd;
use crate::domain::guard::git_ref::branch;
use crate::domain::util::phrase::{bracketed, listed};
use crate::domain::util::sanitize;
use crate::domain::util::time::human;

/// Returns the sentence; it follows the name of the actor and the event's tag.
pub(crate) fn describe(event: &FreezeEvent) -> String {
    match event {
        FreezeEvent::InstancesPaused { roles, reason } => {
            format!("{}{}", listed(roles, ", "), bracketed(reason))
        }
        FreezeEvent::InstancesResumed { roles } => listed(roles, ", "),
        FreezeEvent::SystemFrozen { reason, pins: None, .. } => sanitize::line(reason),
        FreezeEvent::SystemFrozen { reason, pins: Some(wish), .. }
        | FreezeEvent::FreezeHardened { reason, pins: wish } => {
            format!("hard ({}): {}", sanitize::branches(wish.refs.len()), sanitize::line(reason))
        }
        FreezeEvent::PinsSet { pins, .. } => listed(&pins.keys().map(branch).collect::<Vec<_>>(), ", "),
        FreezeEvent::PinsRemoved { references, .. } => {
            listed(&references.iter().map(branch).collect::<Vec<_>>(), ", ")
        }
        FreezeEvent::PinVanished { reference, .. } => {
            format!("the pin of {} was taken away", branch(reference))
        }
        FreezeEvent::BreakGlass { reason, until_at, .. } => {
            format!("moves branches without the lock until {}: {}", until_at.clock(), sanitize::line(reason))
        }
        FreezeEvent::BreakGlassEnded { why: BreakGlassEnd::Ended } => String::new(),
        FreezeEvent::BreakGlassEnded { why: BreakGlassEnd::TimeOver } => "its time is over".to_owned(),
        FreezeEvent::SystemUnfrozen { reason, still } => {
            format!("after {}: {}", human(still.to.ms_since(&still.from)), sanitize::line(reason))
        }
    }
}
