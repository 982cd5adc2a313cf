//! The context of every session operation: the state, the caller, the session, and its tmux server.
//!
//! A person at a terminal may do most of it, even while a running session makes that terminal unidentified
//! (docs/decisions.md D3). A role may neither stop nor start other roles, unless it is the Orchestrator, and
//! the agent's program cannot be chosen while a session is up.

use crate::adapters::tmux::error::TmuxError;
use crate::adapters::tmux::pane::PaneInfo;
use crate::adapters::tmux::server::Tmux;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::session::tmux::{tmux, tmux_failure};
use crate::app::workspace::Context;
use crate::domain::command::Caller;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::identity::role::RoleKind;
use crate::domain::refusal::Refusal;
use crate::domain::session::instance::Session;
use crate::domain::state::State;

/// The state, the caller, and which session on which tmux server.
pub struct SessionContext<'a> {
    /// The repository, its store, the environment.
    pub context: Context<'a>,
    /// The state when the operation began.
    pub state: State,
    /// The caller.
    pub caller: Caller,
    /// The session's name: that of the running one, else the policy's.
    pub name: String,
    /// The server's socket name.
    pub socket: Option<String>,
    /// Whether progress messages on stderr are suppressed.
    pub quiet: bool,
}

impl<'a> SessionContext<'a> {
    /// Returns the context for the calling process.
    ///
    /// # Errors
    /// [`Failure`] when the state cannot be read, or the caller's identity is contradictory.
    pub fn set(context: Context<'a>, socket: Option<&str>, quiet: bool) -> Result<Self, Failure> {
        let state = context.state()?;
        let caller = context.caller(&state)?;
        Ok(Self::of(context, state, caller, socket, quiet))
    }

    /// Returns the context for a known caller: the monitor's programs act as the system.
    #[must_use]
    pub fn of(context: Context<'a>, state: State, caller: Caller, socket: Option<&str>, quiet: bool) -> Self {
        let is_up = state.session_is_up(&context.facts(&state));
        let (name, known) = match &state.session {
            Session::Up { name, socket, .. } if is_up => (name.clone(), socket.clone()),
            Session::Up { .. } | Session::Down => (state.policy.session.clone(), None),
        };
        let socket = socket.map(str::to_owned).or(known);
        Self { context, state, caller, name, socket, quiet }
    }

    /// Returns tmux on the session's server.
    ///
    /// # Errors
    /// [`Failure`] (69) when it is not installed.
    pub fn tmux(&self) -> Result<Tmux, Failure> {
        self.tmux_on(self.socket.as_deref())
    }

    /// Returns tmux on another server.
    ///
    /// # Errors
    /// [`Failure`] (69) when it is not installed.
    pub fn tmux_on(&self, socket: Option<&str>) -> Result<Tmux, Failure> {
        tmux(self.context.env, socket)
    }

    /// Returns tmux, if the session runs there.
    ///
    /// # Errors
    /// [`Failure`] (69) when it is not running.
    pub fn running(&self) -> Result<Tmux, Failure> {
        let tmux = self.tmux()?;
        // Choosing another server would mean choosing what its panes are.
        if let Session::Up { name, socket, .. } = &self.state.session
            && self.state.session_is_up(&self.context.facts(&self.state))
            && *socket != self.socket
        {
            let what = format!("session {name} runs on a different socket");
            return Err(Failure::with_next_step(Exit::Refused, what, "cmw-session status"));
        }
        let there = tmux.has_session(&self.name).map_err(tmux_failure)?;
        if there && self.is_ours(&tmux)? {
            return Ok(tmux);
        }
        let what = format!("no session {} of this repository is running", self.name);
        Err(Failure::with_next_step(Exit::Unavailable, what, "cmw-session up"))
    }

    /// Returns whether the session of that name belongs to this repository.
    ///
    /// # Errors
    /// [`Failure`] when tmux fails.
    pub fn is_ours(&self, tmux: &Tmux) -> Result<bool, Failure> {
        let repo = tmux.session_repo(&self.name).map_err(tmux_failure)?;
        Ok(repo.as_deref() == Some(self.context.repo.common_dir.as_path()))
    }

    /// Returns the panes of the session; none when it is not running.
    ///
    /// # Errors
    /// [`Failure`] when tmux fails.
    pub fn panes(&self, tmux: &Tmux) -> Result<Vec<PaneInfo>, Failure> {
        match tmux.panes(&self.name) {
            Ok(panes) => Ok(panes),
            Err(TmuxError::NoServer | TmuxError::NoSession { .. }) => Ok(Vec::new()),
            Err(other) => Err(tmux_failure(other)),
        }
    }

    /// Refuses to let a role stop another one unless it is the Orchestrator.
    ///
    /// # Errors
    /// [`Refusal::NotPermitted`].
    pub fn may_stop(&self, target: Option<&Role>) -> Result<(), Failure> {
        let Some(me) = self.caller.actor.role() else { return Ok(()) };
        let orchestrates = self.state.policy.roster.kind(me).is_some_and(RoleKind::is_orchestrator);
        if orchestrates || target == Some(me) {
            return Ok(());
        }
        let action =
            target.map_or_else(|| "ending the session".to_owned(), |role| format!("stopping {role}"));
        let who_may = "the Orchestrator or a person".to_owned();
        let (actor, session_up) = (self.caller.actor.clone(), true);
        Err(Refusal::NotPermitted { actor, action, who_may, session_up }.into())
    }
}

impl SessionContext<'_> {
    /// Refuses starts by which the caller would gain another role's rights: a role other than the
    /// Orchestrator that starts others, and, while a session is up, a caller other than the User that chooses
    /// the agent.
    ///
    /// # Errors
    /// [`Refusal::NotPermitted`].
    pub fn may_start(&self, target: &str, agent: Option<&str>) -> Result<(), Failure> {
        let actor = self.caller.actor.clone();
        let session_up = self.state.session_is_up(&self.context.facts(&self.state));
        let plain = actor.role().is_some_and(|me| {
            !self.state.policy.roster.kind(me).is_some_and(RoleKind::is_orchestrator)
                && !target.eq_ignore_ascii_case(me.as_str())
        });
        if plain {
            let (action, who_may) = (format!("starting {target}"), "the Orchestrator or a person".to_owned());
            return Err(Refusal::NotPermitted { actor, action, who_may, session_up }.into());
        }
        if agent.is_some() && session_up && actor != Actor::User {
            let (action, who_may) = (format!("choosing what runs as {target}"), "the User".to_owned());
            return Err(Refusal::NotPermitted { actor, action, who_may, session_up }.into());
        }
        Ok(())
    }
}
