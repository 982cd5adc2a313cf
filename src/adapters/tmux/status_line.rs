//! Shows the roles' states in tmux, and selects a pane.
//!
//! Invariant, with a test of the same name in `tests/live/tmux/shown.rs`:
//! * `a_text_brings_no_colour_and_runs_nothing`: styles come from [`StatusTone`] alone.

use crate::adapters::tmux::client::Batch;
use crate::adapters::tmux::error::TmuxError;
use crate::adapters::tmux::escape;
use crate::adapters::tmux::pane::PaneId;
use crate::adapters::tmux::server::{Tmux, target};

/// How prominently a text is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusTone {
    /// In the colours of its surroundings.
    Calm,
    /// Worth a look.
    Attention,
    /// Needs action.
    Problem,
}

impl StatusTone {
    /// Styles an escaped text in this tone. Both colours are set, since the user's theme is unknown.
    fn paint(self, text: &str) -> String {
        match self {
            Self::Calm => text.to_owned(),
            Self::Attention => format!("#[fg=black,bg=yellow]{text}#[default]"),
            Self::Problem => format!("#[fg=white,bg=red]{text}#[default]"),
        }
    }
}

/// The text at a pane's upper edge, beside its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaneBorder<'a> {
    /// The pane.
    pub pane: PaneId,
    /// Its tone.
    pub tone: StatusTone,
    /// The text; an empty one removes it.
    pub state: &'a str,
}

impl Tmux {
    /// Shows states at the upper edges of panes, and texts at the right of the session's status line, with
    /// one client, or with a few when it is long. Skips panes that no longer exist, are in another session or
    /// have no role. Every call makes tmux redraw: pass only what changed.
    ///
    /// # Errors
    /// [`TmuxError::NoServer`], [`TmuxError::NoSession`] and the general ones.
    pub fn show(
        &self,
        session: &str,
        panes: &[PaneBorder<'_>],
        status: Option<&[(StatusTone, &str)]>,
    ) -> Result<(), TmuxError> {
        let here = target(session)?;
        let mut batch = Batch::default();
        match status {
            Some(pieces) => {
                let pieces: String =
                    pieces.iter().map(|(tone, text)| tone.paint(&escape::escape_status(text))).collect();
                batch.push(["set-option", "-t", &here, "status-right", &pieces]);
            }
            None => drop(batch.push(["has-session", "-t", &here])),
        }
        for shown in panes {
            let id = shown.pane.to_string();
            let text = match shown.state {
                "" => String::new(),
                text => shown.tone.paint(&escape::escape_drawn(text)),
            };
            let set = format!("set-option -p -t {id} @cmw_state {}", escape::quoted(&text));
            // A missing target would be an error, and the rest would not be done.
            batch.push(["if-shell", "-F", "-t", &id, &ours(session, shown.pane), &set]);
        }
        self.run(&batch).map(drop)
    }

    /// Makes a pane the current one of its session, and its window the current window.
    ///
    /// # Errors
    /// [`TmuxError::NoPane`] when the session has none of this id, [`TmuxError::NoServer`],
    /// [`TmuxError::NoSession`] and the general ones.
    pub fn select(&self, session: &str, id: PaneId) -> Result<(), TmuxError> {
        let here = target(session)?;
        let panes = self.all_panes_after(session, &mut Batch::default())?;
        let pane = panes.iter().find(|pane| pane.pane_id == id);
        let pane = pane.ok_or_else(|| TmuxError::NoPane { id: id.to_string() })?;
        let mut batch = Batch::default();
        // By the session: a window may be linked into several, and a person's own session stays unchanged.
        batch.push(["select-window", "-t", &format!("{here}{}", pane.window_id)]);
        batch.push(["select-pane", "-t", &id.to_string()]);
        self.run(&batch).map(drop)
    }
}

/// Returns the condition that the pane has a role and is in this session.
pub(crate) fn ours(session: &str, id: PaneId) -> String {
    format!("#{{&&:#{{==:#{{session_name}} #{{pane_id}},{session} {id}}},#{{!=:#{{@cmw_role}},}}}}")
}
