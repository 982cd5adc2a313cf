//! Supported agents: how each AI client is started, and how it is notified of mail. `docs/adapters.md` says
//! how to add one.

mod claude;
mod codex;
pub mod launcher;

use std::path::Path;

use crate::adapters::tmux::doorbell::prompt::{CODEX_PROMPTS, Prompt};
use crate::domain::identity::roster::Member;
use crate::domain::state::State;
use crate::store::error::StoreError;

use crate::app::agents::launcher::Launcher;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::programs;
use crate::app::workspace::Context;

/// An AI client, with the differences that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// Claude Code: its hooks report activity and deliver messages.
    Claude,
    /// Codex: reports the end of a turn, and is notified by the doorbell.
    Codex,
    /// The demo agent, and similar scripts: registers, beats and reads its mail with our tools.
    Demo,
    /// Any other client: it cannot report that it is idle, so the bell never rings for it.
    Other,
}

/// How an agent is notified of mail.
#[derive(Clone, Copy, Debug)]
pub enum MailDelivery {
    /// By its own hooks.
    ByHooks,
    /// It checks its mailbox itself.
    Itself,
    /// By the doorbell; the shapes of its empty input line.
    ByBell(&'static [Prompt]),
    /// By a number at its pane's edge, for the person to see.
    ByBadge,
}

/// What is added to a launcher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LauncherAdditions {
    /// After its own arguments.
    pub args: Vec<String>,
}

impl Agent {
    /// All agents.
    pub const ALL: [Self; 4] = [Self::Claude, Self::Codex, Self::Demo, Self::Other];

    /// Returns the agent of a program, by the beginning of its name: `claude`, `claude-wrapper.sh`, `codex`.
    #[must_use]
    pub fn of(program: &Path) -> Self {
        let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let named = |agent: &&Self| agent.name().is_some_and(|start| name.starts_with(start));
        Self::ALL.iter().find(named).copied().unwrap_or(Self::Other)
    }

    /// Returns the beginning of its program's name; `None` for unknown clients.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Claude => Some("claude"),
            Self::Codex => Some("codex"),
            Self::Demo => Some("cmw-demo-agent"),
            Self::Other => None,
        }
    }

    /// Returns the agent of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|agent| agent.name() == Some(name))
    }

    /// Returns whether it registers itself after its start.
    #[must_use]
    pub fn registers_itself(self) -> bool {
        match self {
            Self::Claude | Self::Demo | Self::Other => true,
            Self::Codex => false,
        }
    }

    /// Returns whether it sends its own heartbeats.
    #[must_use]
    pub fn sends_own_heartbeats(self) -> bool {
        match self {
            Self::Demo => true,
            Self::Claude | Self::Codex | Self::Other => false,
        }
    }

    /// Returns how it is notified of mail.
    #[must_use]
    pub fn mail_delivery(self) -> MailDelivery {
        match self {
            Self::Claude => MailDelivery::ByHooks,
            Self::Codex => MailDelivery::ByBell(CODEX_PROMPTS),
            Self::Demo => MailDelivery::Itself,
            Self::Other => MailDelivery::ByBadge,
        }
    }

    /// Checks whether a role can be started with it, before its pane is created.
    ///
    /// # Errors
    /// [`Failure`] (78) when the configuration contradicts what is added.
    pub fn check(self, context: &Context<'_>, member: &Member, launcher: &Launcher) -> Result<(), Failure> {
        match self {
            Self::Claude => claude::check(context, member, launcher),
            Self::Codex | Self::Demo | Self::Other => Ok(()),
        }
    }

    /// Prepares the start of a role; `fresh`: without resuming its conversation.
    ///
    /// # Errors
    /// [`Failure`]: a required file cannot be written, or the configured arguments contradict ours (78).
    pub fn prepare(
        self,
        context: &Context<'_>,
        state: &State,
        member: &Member,
        launcher: &Launcher,
        fresh: bool,
    ) -> Result<LauncherAdditions, Failure> {
        match self {
            Self::Claude => claude::prepare(context, state, member, launcher, fresh),
            Self::Codex => codex::prepare(context),
            Self::Demo | Self::Other => Ok(LauncherAdditions::default()),
        }
    }
}

/// Writes a file below the state directory for a role's client, replacing an existing one.
fn write(context: &Context<'_>, path: &str, text: &str) -> Result<(), StoreError> {
    use crate::store::disk::Disk;
    let disk = context.store.disk();
    let tmp = format!("{path}.tmp");
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let io = |e| StoreError::io("write", path, e);
    disk.ensure_dir(dir).map_err(io)?;
    disk.remove(&tmp).map_err(io)?;
    disk.create_new(&tmp, text.as_bytes()).map_err(io)?;
    disk.rename(&tmp, path).map_err(io)
}

/// Returns the path of our program that the client's hooks run, as text.
fn hook_program() -> Result<String, Failure> {
    let path = programs::directory()?.join("cmw-hook");
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let what = "the name of our programs' directory is not valid UTF-8";
        Failure::with_next_step(Exit::Config, what, "move our programs to another directory")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_how_its_name_begins() {
        for (program, agent) in [
            ("/usr/bin/claude", Agent::Claude),
            ("./claude-sandboxed.sh", Agent::Claude),
            ("/x/codex", Agent::Codex),
            ("/x/cmw-demo-agent", Agent::Demo),
            ("/bin/bash", Agent::Other),
            ("/x/my-claude", Agent::Other),
            ("", Agent::Other),
        ] {
            assert_eq!(Agent::of(Path::new(program)), agent, "{program}");
        }
    }
}
