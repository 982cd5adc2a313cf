//! Gathers the evidence about an instance at one moment; `domain/health.rs` judges it.

use crate::adapters::os::process;
use crate::adapters::tmux::pane::PaneInfo;
use crate::domain::facts::Facts;
use crate::domain::health::client::Activity;
use crate::domain::health::condition;
use crate::domain::health::condition::{Condition, Evidence, Life, PaneLook};
use crate::domain::identity::role::Role;
use crate::domain::session::instance::{Instance, Phase};
use crate::domain::state::State;
use crate::domain::util::time::Moment;
use crate::store::disk::RealDisk;
use crate::store::health::clients;
use crate::store::health::heartbeats;
use crate::store::health::heartbeats::Beat;

/// The prefix of our own programs' names.
const OURS: &str = "cmw-";

/// The evidence about an instance.
#[derive(Clone, Debug)]
pub struct Gathered<'a> {
    /// Its registry entry.
    pub instance: Option<&'a Instance>,
    /// The state of its process.
    pub life: Life,
    /// What tmux shows, when tmux was asked.
    pub pane: PaneLook,
    /// Its last beat, when it is of this process.
    pub beat: Option<Beat>,
    /// Its client's activity, and since when.
    pub activity: Option<(Activity, Moment)>,
    has_children: bool,
    now: Moment,
}

impl<'a> Gathered<'a> {
    /// Gathers the evidence; `panes`: what tmux shows, when tmux was asked.
    #[must_use]
    pub fn of(
        disk: &RealDisk,
        role: &Role,
        state: &'a State,
        facts: &Facts,
        panes: Option<&[PaneInfo]>,
    ) -> Self {
        Self::after(heartbeats::read(disk, role).ok().flatten(), disk, role, state, facts, panes)
    }

    /// Gathers the evidence with a beat of the role that was already read, of whichever process.
    #[must_use]
    pub fn after(
        beat: Option<Beat>,
        disk: &RealDisk,
        role: &Role,
        state: &'a State,
        facts: &Facts,
        panes: Option<&[PaneInfo]>,
    ) -> Self {
        let instance = state.instances.get(role);
        let life = instance.map_or(Life::Dead, |i| match facts.dead.contains(&i.process) {
            true => Life::Dead,
            false => process::life(&i.process),
        });
        let is_ready = instance.is_some_and(|i| i.phase == Phase::Ready) && life != Life::Dead;
        let beat = beat.filter(|_| is_ready);
        let client = if is_ready { clients::read(disk, role).ok().flatten() } else { None };
        let activity = client.map(|client| (client.activity, client.since_boot));
        // No guess is needed when the client reports its activity.
        let guess = is_ready && activity.is_none();
        let has_children = guess && instance.is_some_and(|i| process::has_child_beside(i.process.pid, OURS));
        let pane = panes.map_or(PaneLook::Unknown, |panes| pane_look(instance, panes));
        Self { instance, life, pane, beat, activity, has_children, now: facts.now.boot.clone() }
    }

    /// Converts the evidence to the form that is judged.
    #[must_use]
    pub fn evidence(&self) -> Evidence<'_> {
        let age = |moment: &Moment| Some(self.now.ms_since(moment)).filter(|age| *age != u64::MAX);
        Evidence {
            phase: self.instance.map(|i| i.phase),
            restart: self.instance.and_then(|i| i.restart.as_ref()),
            life: self.life,
            pane: self.pane,
            beat_age_ms: self.beat.as_ref().and_then(|beat| age(&beat.beat)),
            active_age_ms: self.beat.as_ref().and_then(|beat| age(&beat.active)),
            has_children: self.has_children,
            activity: self.activity.as_ref().map(|(activity, _)| activity),
            parked: self.instance.is_some_and(|i| i.parked.is_some()),
        }
    }

    /// Returns the condition of the instance.
    #[must_use]
    pub fn condition(&self) -> Condition {
        condition::judge(&self.evidence())
    }
}

fn pane_look(instance: Option<&Instance>, panes: &[PaneInfo]) -> PaneLook {
    let Some(instance) = instance else { return PaneLook::Unknown };
    let Some(id) = instance.pane_id.as_deref() else { return PaneLook::Unknown };
    match panes.iter().find(|pane| pane.pane_id.to_string() == id) {
        None => PaneLook::Gone,
        Some(pane) if pane.dead => PaneLook::Dead,
        Some(pane) if pane.pid == instance.process.pid => PaneLook::Its,
        Some(_) => PaneLook::Anothers,
    }
}
