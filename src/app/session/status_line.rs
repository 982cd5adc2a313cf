//! What tmux shows of the system's state: a segment of the status line, and each role's condition on its pane
//! border. Pushed by the monitor, and only when it has changed.

use std::collections::BTreeMap;

use crate::adapters::tmux::pane::{PaneId, PaneInfo};
use crate::adapters::tmux::status_line::{PaneBorder as Edge, StatusTone};
use crate::domain::facts::Facts;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::health::condition::{Concern, Condition};
use crate::domain::identity::role::Role;
use crate::domain::lock::write_lock::WriteLock;
use crate::domain::session::instance::Session;
use crate::domain::state::State;
use crate::domain::util::sanitize;

use crate::app::health::evidence::InstanceEvidence;
use crate::app::workspace::Context;

/// How many roles the segment names.
const NAMES_MAX: usize = 2;

/// What was shown last.
#[derive(Debug, Default)]
pub struct StatusLineCache {
    segment: Vec<(StatusTone, String)>,
    edges: BTreeMap<PaneId, Condition>,
}

impl StatusLineCache {
    /// Updates the status line and the pane borders where they differ from what was shown.
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
            let pane = state.instances.get(role).and_then(|i| PaneId::parse(i.pane_id.as_deref()?));
            edges.extend(pane.map(|pane| (pane, *condition)));
        }
        let is_news = |(pane, condition): &(&PaneId, &Condition)| self.edges.get(*pane) != Some(*condition);
        let changed: Vec<Edge<'_>> = edges.iter().filter(is_news).map(|(pane, c)| edge(*pane, *c)).collect();
        let pieces: Vec<(StatusTone, &str)> =
            segment.iter().map(|(tone, text)| (*tone, text.as_str())).collect();
        let news = (segment != self.segment).then_some(pieces.as_slice());
        if changed.is_empty() && news.is_none() {
            return;
        }
        let Ok(tmux) = crate::app::session::tmux::tmux(context.env, socket.as_deref()) else { return };
        // What cannot be shown now is shown by the next pass.
        if tmux.show(name, &changed, news).is_ok() {
            (self.segment, self.edges) = (segment, edges);
        }
    }
}

fn edge(pane: PaneId, condition: Condition) -> Edge<'static> {
    Edge { pane, tone: tone(condition.concern()), state: condition.words() }
}

fn tone(concern: Concern) -> StatusTone {
    match concern {
        Concern::Problem => StatusTone::Problem,
        Concern::Attention => StatusTone::Attention,
        Concern::None => StatusTone::Calm,
    }
}

/// Returns the condition of each role of the roster.
fn conditions(
    context: &Context<'_>,
    state: &State,
    facts: &Facts,
    panes: Option<&[PaneInfo]>,
) -> Vec<(Role, Condition)> {
    let disk = context.store.disk();
    let of = |role: &Role| (role.clone(), InstanceEvidence::of(disk, role, state, facts, panes).condition());
    state.policy.roster.members().iter().map(|member| of(&member.role)).collect()
}

/// Returns the segment: problems first, then how many roles are well, the lock with its queue, and a freeze.
#[must_use]
pub fn segment(state: &State, conditions: &[(Role, Condition)]) -> Vec<(StatusTone, String)> {
    let mut parts: Vec<(StatusTone, String)> = Vec::new();
    if let FreezeState::Frozen { by, .. } = &state.system {
        parts.push((StatusTone::Problem, format!("FROZEN by {by}")));
    }
    if !state.violations.is_empty() {
        parts.push((StatusTone::Problem, format!("VIOLATIONS {}", state.violations.len())));
    }
    let mut wrong: Vec<&(Role, Condition)> =
        conditions.iter().filter(|(_, condition)| condition.concern() != Concern::None).collect();
    wrong.sort_by_key(|(_, condition)| *condition);
    let named = wrong.iter().take(NAMES_MAX);
    parts.extend(named.map(|(role, c)| (tone(c.concern()), format!("{role} {}", c.words()))));
    if wrong.len() > NAMES_MAX {
        parts.push((StatusTone::Attention, format!("and {} more", wrong.len() - NAMES_MAX)));
    }
    let well = |condition: &Condition| matches!(condition, Condition::Working | Condition::Idle);
    let count = conditions.iter().filter(|(_, condition)| well(condition)).count();
    parts.push((StatusTone::Calm, format!("{count} ok")));
    let waits = match state.queue.len() {
        0 => String::new(),
        n => format!(" +{n}"),
    };
    let lock = match &state.lock {
        WriteLock::Free => format!("lock free{waits}"),
        WriteLock::Held(held) => format!("lock {}{waits}", held.holder),
        WriteLock::Offered(offer) => format!("lock for {}{waits}", offer.to),
        WriteLock::Recovering(recovery) => format!("saving {}{waits}", recovery.unsaved.former),
    };
    parts.push((StatusTone::Calm, lock));
    let mut pieces = Vec::new();
    for (tone, text) in parts {
        if !pieces.is_empty() {
            pieces.push((StatusTone::Calm, " | ".to_owned()));
        }
        pieces.push((tone, sanitize::line(&text)));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::identity::roster::Roster;
    use crate::domain::policy::compiled::Policy;

    #[test]
    fn what_is_wrong_comes_first_and_who_is_well_is_counted() {
        let state = State::new("01".to_owned(), Policy::of(Roster::of_size(6)));
        let all = [
            Condition::Working,
            Condition::WaitingForPermission,
            Condition::Idle,
            Condition::Crashed,
            Condition::LimitReached,
            Condition::ShutDown,
        ];
        let members = state.policy.roster.members();
        let conditions: Vec<(Role, Condition)> =
            members.iter().map(|member| member.role.clone()).zip(all).collect();
        let pieces = segment(&state, &conditions);
        let text: String = pieces.iter().map(|(_, text)| text.as_str()).collect();
        let (crashed, asks) = (&conditions[3].0, &conditions[1].0);
        assert_eq!(text, format!("{crashed} CRASHED | {asks} permission? | and 1 more | 2 ok | lock free"));
        assert_eq!(pieces[0].0, StatusTone::Problem);
        assert_eq!(pieces[2].0, StatusTone::Attention);
    }
}
