//! Owns what tmux shows of how things stand: a segment of the status line, and the state at each pane's edge.
//! Pushed by the monitor, and only when it differs from what was shown.

use std::collections::BTreeMap;

use crate::adapters::tmux::{PaneId, PaneInfo};
use crate::domain::health::{Concern, Condition};
use crate::domain::role::Role;
use crate::domain::state::{Facts, Session, State, System, WriteLock};
use crate::domain::text;

use super::context::Context;
use super::evidence::Gathered;

/// How many roles a segment names.
const NAMES_MAX: usize = 2;
/// Longest segment, in characters: tmux cuts what is longer.
pub const SEGMENT_CHARS_MAX: usize = 60;

/// What was shown last.
#[derive(Debug, Default)]
pub struct Shown {
    segment: String,
    edges: BTreeMap<String, Condition>,
}

impl Shown {
    /// Shows how things stand, when they stand otherwise than was shown.
    pub fn show(&mut self, context: &Context<'_>, state: &State, facts: &Facts, panes: Option<&[PaneInfo]>) {
        let Session::Up { name, socket, .. } = &state.session else { return };
        if state.lost.is_some() {
            *self = Self::default();
            return;
        }
        let conditions = conditions(context, state, facts, panes);
        let segment = segment(state, &conditions);
        let mut edges = BTreeMap::new();
        for (role, condition) in &conditions {
            let pane = state.instances.get(role).and_then(|i| i.pane_id.clone());
            edges.extend(pane.map(|pane| (pane, *condition)));
        }
        let changed: Vec<(PaneId, Condition)> = (edges.iter())
            .filter(|(pane, condition)| self.edges.get(*pane) != Some(*condition))
            .filter_map(|(pane, condition)| Some((PaneId::parse(pane)?, *condition)))
            .collect();
        let news = (segment != self.segment).then_some(segment.as_str());
        if changed.is_empty() && news.is_none() {
            return;
        }
        let Ok(tmux) = super::session::tmux(context.env, socket.as_deref()) else { return };
        // What cannot be shown now is shown by the next look.
        if tmux.set_status(name, &segment).is_ok() {
            (self.segment, self.edges) = (segment, edges);
        }
    }
}

/// How each role is that was ever heard of.
fn conditions(
    context: &Context<'_>,
    state: &State,
    facts: &Facts,
    panes: Option<&[PaneInfo]>,
) -> Vec<(Role, Condition)> {
    let disk = context.store.disk();
    let of = |role: &Role| (role.clone(), Gathered::of(disk, role, state, facts, panes).condition());
    state.policy.roster.members().iter().map(|member| of(&member.role)).collect()
}

/// The segment: what is wrong first, then who is well, the lock with its queue, and who is frozen.
#[must_use]
pub fn segment(state: &State, conditions: &[(Role, Condition)]) -> String {
    let mut parts = Vec::new();
    if let System::Frozen { by, .. } = &state.system {
        parts.push(format!("FROZEN by {by}"));
    }
    if !state.violations.is_empty() {
        parts.push(format!("VIOLATIONS {}", state.violations.len()));
    }
    let mut wrong: Vec<&(Role, Condition)> =
        conditions.iter().filter(|(_, condition)| condition.concern() != Concern::None).collect();
    wrong.sort_by_key(|(_, condition)| *condition);
    let named = wrong.iter().take(NAMES_MAX).map(|(role, condition)| format!("{role} {}", condition.words()));
    parts.extend(named);
    if wrong.len() > NAMES_MAX {
        parts.push(format!("and {} more", wrong.len() - NAMES_MAX));
    }
    let well = |condition: &Condition| matches!(condition, Condition::Working | Condition::Idle);
    parts.push(format!("{} ok", conditions.iter().filter(|(_, condition)| well(condition)).count()));
    let waits = match state.queue.len() {
        0 => String::new(),
        n => format!(" +{n}"),
    };
    parts.push(match &state.lock {
        WriteLock::Free => format!("lock free{waits}"),
        WriteLock::Held(held) => format!("lock {}{waits}", held.holder),
        WriteLock::Offered(offer) => format!("lock for {}{waits}", offer.to),
        WriteLock::Recovering(recovery) => format!("saving {}{waits}", recovery.unsaved.former),
    });
    text::shorten(&text::line(&parts.join(" | ")), SEGMENT_CHARS_MAX)
}
