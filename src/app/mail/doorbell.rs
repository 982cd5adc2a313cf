//! Notifies an agent without hooks of its mail, in its pane: the third step of delivery (docs/rules.md
//! R3.13). Types one fixed line when the agent is known to be idle, else shows a number at the pane's edge.
//!
//! Runs in the process that sends the agent's heartbeats.

use crate::adapters::os::{clock, process};
use crate::adapters::tmux::doorbell::bell::{Doorbell, RingOutcome, RingRefusal};
use crate::adapters::tmux::doorbell::prompt::Prompt;
use crate::adapters::tmux::pane::PaneId;
use crate::adapters::tmux::server::Tmux;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::health::client::{Activity, Client};
use crate::domain::identity::actor::{Actor, Mailbox};
use crate::domain::identity::role::Role;
use crate::domain::lock::checks;
use crate::domain::mail::agent_digest::{is_worth_a_turn, passes_a_freeze};
use crate::domain::mail::message::Envelope;
use crate::domain::session::instance::Session;
use crate::domain::state::State;
use crate::domain::util::time::BootTime;
use crate::store::disk::Disk;
use crate::store::error::StoreError;
use crate::store::health::clients;
use crate::store::mail::inbox::Inbox;
use crate::store::watch::Watch;

use crate::app::agents::{Agent, MailDelivery};
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::mail::session;
use crate::app::workspace::Context;

/// How long a typed line may have no effect before it is typed again, in milliseconds.
const AGAIN_MS: u64 = 300_000;

/// The bell of one role.
#[derive(Debug)]
pub struct RoleDoorbell {
    role: Role,
    agent: Agent,
    /// The message for which it rang last, and when.
    rang: Option<(u64, BootTime)>,
    /// When its line was left in an input line with other text: nothing is typed until the client has
    /// completed a turn since then.
    disturbed: Option<BootTime>,
    /// The number at the pane's edge.
    badge: u32,
}

impl RoleDoorbell {
    /// Returns the bell of a role that this agent plays.
    #[must_use]
    pub fn new(role: &Role, agent: &str) -> Self {
        let agent = Agent::named(agent).unwrap_or(Agent::Other);
        Self { role: role.clone(), agent, rang: None, disturbed: None, badge: 0 }
    }

    /// Returns a watch on the role's mailbox.
    ///
    /// # Errors
    /// [`Failure`] (69) when it cannot be watched.
    pub fn watch(&self, context: &Context<'_>) -> Result<Watch, Failure> {
        let new = format!("messages/{}/new", self.role);
        let disk = context.store.disk();
        disk.ensure_dir(&new).map_err(|e| StoreError::io("make", &new, e))?;
        Watch::on(&disk.path().join(&new)).map_err(|e| {
            Failure::with_next_step(
                Exit::Unavailable,
                format!("cannot watch the mailbox: {e}"),
                "cmw-inbox list",
            )
        })
    }

    /// Rings when there is mail of which the role was not notified, and ringing is allowed; otherwise shows
    /// the number of messages.
    ///
    /// # Errors
    /// [`Failure`] of the store or of tmux: the next beat tries again.
    pub fn check(&mut self, context: &Context<'_>, state: &State) -> Result<(), Failure> {
        let registry = session::registry(context);
        let inbox = Inbox::open(&registry, Mailbox::Role(self.role.clone()));
        let now = clock::now();
        let mut waiting = inbox.list(now.wall)?.messages;
        waiting.retain(|held| !held.claimed && is_expected(state, &held.envelope));
        let count = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        let newest = waiting.iter().map(|held| &held.envelope).max_by_key(|envelope| envelope.seq);
        let is_new = |envelope: &&Envelope| match &self.rang {
            Some((seq, at)) => envelope.seq > *seq || now.boot.ms_since(at) >= AGAIN_MS,
            None => true,
        };
        let ring = newest.filter(is_new).filter(|_| self.is_idle(context));
        if let (Some(envelope), MailDelivery::ByBell(prompts)) = (ring, self.agent.mail_delivery())
            && checks::not_paused(state, &Actor::Role(self.role.clone())).is_ok()
            && self.ring(context, state, envelope, prompts)?
        {
            self.rang = Some((envelope.seq, now.boot));
            let told: Vec<&Envelope> = waiting.iter().map(|held| &held.envelope).collect();
            inbox.mark_announced(&[], &told, "", "doorbell", now.wall)?;
        }
        self.show(context, state, count)
    }

    /// Returns whether the client has reported that it is idle, or nothing yet. A client that cannot report
    /// it never counts as idle (docs/decisions.md D18).
    fn is_idle(&self, context: &Context<'_>) -> bool {
        let since_then =
            |client: &Client| self.disturbed.as_ref().is_none_or(|then| client.since_boot.ms_since(then) > 0);
        match self.agent {
            Agent::Other | Agent::Demo | Agent::Claude => return false,
            Agent::Codex => {}
        }
        let client = clients::read(context.store.disk(), &self.role).ok().flatten();
        let client = client.filter(|client| process::is_alive(&client.process));
        match client {
            Some(client) => client.activity == Activity::Idle && since_then(&client),
            None => self.disturbed.is_none(),
        }
    }

    fn ring(
        &mut self,
        context: &Context<'_>,
        state: &State,
        envelope: &Envelope,
        prompts: &'static [Prompt],
    ) -> Result<bool, Failure> {
        let Some((tmux, pane, pid)) = self.pane(context, state)? else { return Ok(false) };
        let bell = Doorbell::new(pane, pid, self.role.clone(), envelope.id, prompts);
        let rung = tmux.ring(&bell).map_err(crate::app::session::tmux::tmux_failure)?;
        if rung == RingOutcome::Not(RingRefusal::Disturbed) {
            self.disturbed = Some(clock::now().boot);
        }
        Ok(rung == RingOutcome::Rung)
    }

    fn show(&mut self, context: &Context<'_>, state: &State, count: u32) -> Result<(), Failure> {
        if self.badge == count {
            return Ok(());
        }
        let Session::Up { name, .. } = &state.session else { return Ok(()) };
        if let Some((tmux, pane, _)) = self.pane(context, state)? {
            tmux.badge(name, pane, count).map_err(crate::app::session::tmux::tmux_failure)?;
            self.badge = count;
        }
        Ok(())
    }

    /// Returns the role's pane on the session's server.
    fn pane(&self, context: &Context<'_>, state: &State) -> Result<Option<(Tmux, PaneId, u32)>, Failure> {
        let Session::Up { socket, .. } = &state.session else { return Ok(None) };
        let Some(instance) = state.instances.get(&self.role) else { return Ok(None) };
        let Some(pane) = instance.pane_id.as_deref().and_then(PaneId::parse) else { return Ok(None) };
        let tmux = crate::app::session::tmux::tmux(context.env, socket.as_deref())?;
        Ok(Some((tmux, pane, instance.process.pid)))
    }
}

/// Returns whether the role should be notified of the message now.
fn is_expected(state: &State, envelope: &Envelope) -> bool {
    let held_back = state.system != FreezeState::Running && !passes_a_freeze(envelope, &state.policy.roster);
    is_worth_a_turn(envelope) && !held_back
}
