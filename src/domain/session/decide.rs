//! Rules for starting a session and its instances, registering a role, and stopping it.

use crate::domain::command::Reply;
use crate::domain::decision::DecisionBuilder;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::lock::event::LockEvent;
use crate::domain::lock::release::{Release, Removal};
use crate::domain::refusal::Refusal;
use crate::domain::session::event::SessionEvent;
use crate::domain::session::instance::{InstancePhase, Session};
use crate::domain::session::process::Process;

impl DecisionBuilder<'_> {
    pub(crate) fn session_up(
        &mut self,
        name: &str,
        socket: Option<&String>,
        server: &Process,
        agent: Option<&String>,
    ) -> Result<Reply, Refusal> {
        if let Session::Up { name, .. } = &self.state.session
            && self.state.session_is_up(self.facts)
        {
            return Err(Refusal::SessionUp { name: name.clone() });
        }
        if self.caller.actor == Actor::System && !self.brings_session_back() {
            return Err(self.not_permitted("bringing the session back", "the program that restarts it"));
        }
        let (name, socket, server) = (name.to_owned(), socket.cloned(), server.clone());
        self.emit(SessionEvent::SessionUp { name, socket, server, agent: agent.cloned() });
        Ok(Reply::Done)
    }

    pub(crate) fn session_down(&mut self) -> Result<Reply, Refusal> {
        if self.state.session != Session::Down {
            self.emit(SessionEvent::SessionDown);
        }
        Ok(Reply::Done)
    }

    /// Launches roles. It determines what runs as a role, so a plain role may launch only itself.
    pub(crate) fn launch(&mut self, panes: &[(Role, Process, String)]) -> Result<Reply, Refusal> {
        for (role, _, _) in panes {
            let plain = |me: &Role| {
                me != role && !self.state.policy.roster.kind(me).is_some_and(RoleKind::is_orchestrator)
            };
            if self.caller.actor.role().is_some_and(plain) {
                return Err(self.not_permitted(&format!("starting {role}"), "the Orchestrator or a person"));
            }
        }
        for (role, process, pane_id) in panes {
            let pane = self.pane_of(role);
            let (role, process, pane_id) = (role.clone(), process.clone(), pane_id.clone());
            self.emit(SessionEvent::InstanceLaunched { role, process, pane, pane_id });
        }
        Ok(Reply::Done)
    }

    pub(crate) fn register(&mut self) -> Result<Reply, Refusal> {
        let Actor::Role(role) = &self.caller.actor else {
            return Err(Refusal::UnknownIdentity { found: format!("{} is not a role", self.caller.actor) });
        };
        let process = self.caller.process.clone();
        if let Some(other) = self.state.instances.get(role)
            && other.phase != InstancePhase::Shutdown
            && other.process != process
            && !self.facts.dead.contains(&other.process)
        {
            return Err(Refusal::RoleTaken { role: role.clone(), pid: other.process.pid });
        }
        let pane = self.pane_of(role);
        self.emit(SessionEvent::InstanceRegistered { role: role.clone(), process, pane });
        Ok(Reply::Done)
    }

    /// Stops a role on purpose, and releases its lock and its place in the queue.
    pub(crate) fn shutdown(&mut self, role: &Role) -> Result<Reply, Refusal> {
        let actor = Actor::Role(role.clone());
        if self.state.held().is_some_and(|h| h.holder == actor) {
            self.end_lease(Release::Shutdown);
        }
        if let Some(ticket) = self.state.queue.iter().find(|w| w.actor == actor).map(|w| w.ticket) {
            self.emit(LockEvent::WaiterRemoved { ticket, waiter: actor, reason: Removal::Shutdown });
        }
        if self.state.instances.get(role).is_some_and(|i| i.phase != InstancePhase::Shutdown) {
            self.emit(SessionEvent::InstanceShutdown { role: role.clone() });
        }
        Ok(Reply::Done)
    }
}
