//! Owns the boundary to the programs that play roles: what one is started with, and how it is told of mail.
//! `docs/adapters.md` says how to add one.

mod claude;
mod codex;
pub mod launcher;

use std::path::Path;

use crate::adapters::tmux::doorbell::prompt::{CODEX, Prompt};
use crate::domain::identity::roster::Member;
use crate::domain::state::State;
use crate::store::error::StoreError;

use crate::app::agents::launcher::Launcher;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::programs;
use crate::app::workspace::Context;

/// A program that plays a role, as far as it must be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// Claude Code: its hooks tell and are told everything.
    Claude,
    /// Codex: says when it is done, and is told by the doorbell.
    Codex,
    /// The demo agent, and any script like it: registers, beats and reads its mail by our tools.
    Demo,
    /// Any other: nobody knows when it is idle, so that the bell never rings for it.
    Other,
}

/// How an agent comes to know of its mail.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    /// By its own hooks.
    ByHooks,
    /// It looks itself.
    Itself,
    /// By the doorbell; what its empty input line looks like.
    ByBell(&'static [Prompt]),
    /// By a number at its pane's edge, for the person to see.
    ByBadge,
}

/// What is added to a launcher.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Behind its own arguments.
    pub args: Vec<String>,
}

impl Agent {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Claude, Self::Codex, Self::Demo, Self::Other];

    /// The agent that a program is, by the beginning of its name: `claude`, `claude-wrapper.sh`, `codex`.
    #[must_use]
    pub fn of(program: &Path) -> Self {
        let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let named = |agent: &&Self| agent.name().is_some_and(|start| name.starts_with(start));
        Self::ALL.iter().find(named).copied().unwrap_or(Self::Other)
    }

    /// How its program's name begins; `None` for those that nobody knows.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Claude => Some("claude"),
            Self::Codex => Some("codex"),
            Self::Demo => Some("cmw-demo-agent"),
            Self::Other => None,
        }
    }

    /// The agent of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|agent| agent.name() == Some(name))
    }

    /// Whether it says itself that it is there, once it is.
    #[must_use]
    pub fn registers_itself(self) -> bool {
        match self {
            Self::Claude | Self::Demo | Self::Other => true,
            Self::Codex => false,
        }
    }

    /// Whether it beats itself.
    #[must_use]
    pub fn beats_itself(self) -> bool {
        match self {
            Self::Demo => true,
            Self::Claude | Self::Codex | Self::Other => false,
        }
    }

    /// How it comes to know of its mail.
    #[must_use]
    pub fn told(self) -> Told {
        match self {
            Self::Claude => Told::ByHooks,
            Self::Codex => Told::ByBell(CODEX),
            Self::Demo => Told::Itself,
            Self::Other => Told::ByBadge,
        }
    }

    /// Whether a role can be started so; known before there is a pane.
    ///
    /// # Errors
    /// [`Failure`] (78) when what is configured contradicts what is added.
    pub fn check(self, context: &Context<'_>, member: &Member, launcher: &Launcher) -> Result<(), Failure> {
        match self {
            Self::Claude => claude::check(context, member, launcher),
            Self::Codex | Self::Demo | Self::Other => Ok(()),
        }
    }

    /// Prepares the start of a role; `fresh`: without what it remembers.
    ///
    /// # Errors
    /// [`Failure`]: what it needs cannot be written, or its configured arguments contradict ours (78).
    pub fn prepare(
        self,
        context: &Context<'_>,
        state: &State,
        member: &Member,
        launcher: &Launcher,
        fresh: bool,
    ) -> Result<Added, Failure> {
        match self {
            Self::Claude => claude::prepare(context, state, member, launcher, fresh),
            Self::Codex => codex::prepare(context),
            Self::Demo | Self::Other => Ok(Added::default()),
        }
    }
}

/// Writes a file below the state directory for a role's client, in place of one that is there.
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

/// Our program that the client's hooks call, as text.
fn hook_program() -> Result<String, Failure> {
    let path = programs::directory()?.join("cmw-hook");
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let what = "the name of our programs' directory is not readable text";
        Failure::told(Exit::Config, what, "move our programs to another directory")
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
