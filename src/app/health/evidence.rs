//! Gathers the evidence about an instance at one moment; `domain/health.rs` judges it.

use crate::adapters::os::process;
use crate::adapters::tmux::pane::PaneInfo;
use crate::domain::facts::Facts;
use crate::domain::health::client::Activity;
use crate::domain::health::condition::{self, Condition, Evidence, PaneStatus, ProcessStatus};
use crate::domain::identity::role::Role;
use crate::domain::session::instance::{Instance, InstancePhase};
use crate::domain::state::State;
use crate::domain::util::time::BootTime;
use crate::store::disk::RealDisk;
use crate::store::health::clients;
use crate::store::health::heartbeats::{self, Heartbeat};

/// The prefix of our own programs' names.
const OURS: &str = "cmw-";

/// The evidence about an instance.
#[derive(Clone, Debug)]
pub struct InstanceEvidence<'a> {
    /// Its registry entry.
    pub instance: Option<&'a Instance>,
    /// The state of its process.
    pub life: ProcessStatus,
    /// What tmux shows, when tmux was asked.
    pub pane: PaneStatus,
    /// Its last beat, when it is of this process.
    pub beat: Option<Heartbeat>,
    /// Its client's activity, and since when.
    pub activity: Option<(Activity, BootTime)>,
    has_children: bool,
    now: BootTime,
}

impl<'a> InstanceEvidence<'a> {
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
        beat: Option<Heartbeat>,
        disk: &RealDisk,
        role: &Role,
        state: &'a State,
        facts: &Facts,
        panes: Option<&[PaneInfo]>,
    ) -> Self {
        let instance = state.instances.get(role);
        let life = instance.map_or(ProcessStatus::Dead, |i| match facts.dead.contains(&i.process) {
            true => ProcessStatus::Dead,
            false => process::status(&i.process),
        });
        let is_ready =
            instance.is_some_and(|i| i.phase == InstancePhase::Ready) && life != ProcessStatus::Dead;
        let beat = beat.filter(|_| is_ready);
        let client = if is_ready { clients::read(disk, role).ok().flatten() } else { None };
        let activity = client.map(|client| (client.activity, client.since_boot));
        // No guess is needed when the client reports its activity.
        let guess = is_ready && activity.is_none();
        let has_children = guess && instance.is_some_and(|i| process::has_child_beside(i.process.pid, OURS));
        let pane = panes.map_or(PaneStatus::Unknown, |panes| pane_look(instance, panes));
        Self { instance, life, pane, beat, activity, has_children, now: facts.now.boot.clone() }
    }

    /// Converts the evidence to the form that is judged.
    #[must_use]
    pub fn evidence(&self) -> Evidence<'_> {
        let age = |moment: &BootTime| Some(self.now.ms_since(moment)).filter(|age| *age != u64::MAX);
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

fn pane_look(instance: Option<&Instance>, panes: &[PaneInfo]) -> PaneStatus {
    let Some(instance) = instance else { return PaneStatus::Unknown };
    let Some(id) = instance.pane_id.as_deref() else { return PaneStatus::Unknown };
    match panes.iter().find(|pane| pane.pane_id.to_string() == id) {
        None => PaneStatus::Gone,
        Some(pane) if pane.dead => PaneStatus::Dead,
        Some(pane) if pane.pid == instance.process.pid => PaneStatus::Its,
        Some(_) => PaneStatus::Anothers,
    }
}
