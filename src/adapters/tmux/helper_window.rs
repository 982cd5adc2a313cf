//! Windows for programs of ours that belong to no role, such as the monitor.
//!
//! Invariants, each with a test of the same name in `tests/live/tmux/helper.rs`:
//! * `a_helper_is_no_pane_of_the_session`: it is neither counted nor arranged with the panes.
//! * `one_helper_of_a_name`: a running one is left alone.
//! * `the_current_window_stays_the_current_one`

use std::path::PathBuf;

use crate::adapters::tmux::client::Batch;
use crate::adapters::tmux::error::TmuxError;
use crate::adapters::tmux::pane::{PaneId, PaneInfo};
use crate::adapters::tmux::program::{self, CWD_FORMAT, PRINT_ID_AND_START, Program};
use crate::adapters::tmux::server::{Tmux, target};

/// A program to run in a window of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelperSpec {
    /// The name of the program and of its window: letters, digits, `-` and `_`.
    pub name: String,
    /// The program and its arguments, passed unchanged: no shell interprets them. At least one.
    pub command: Vec<String>,
    /// Additional variables of its environment.
    pub env: Vec<(String, String)>,
    /// The directory it starts in; must exist.
    pub cwd: PathBuf,
}

impl HelperSpec {
    fn program(&self) -> Program<'_> {
        Program { command: &self.command, env: &self.env, cwd: &self.cwd }
    }
}

impl Tmux {
    /// Runs a program in a window of its own in the session, behind the others: opens it, starts the program
    /// again when it has ended, or does nothing while it runs. Its pane stays when the program ends. Returns
    /// the pane.
    ///
    /// # Errors
    /// [`TmuxError::NoServer`], [`TmuxError::NoSession`], [`TmuxError::BadSpec`] and the general ones.
    pub fn helper(&self, session: &str, spec: &HelperSpec) -> Result<PaneId, TmuxError> {
        spec.program().check(&spec.name)?;
        match self.helper_pane(session, &spec.name)? {
            Some(pane) if !pane.dead => Ok(pane.pane_id),
            Some(pane) => self.start_again(pane.pane_id, spec),
            None => self.open(session, spec),
        }
    }

    /// Returns the pane of a helper; the oldest, should there be several.
    ///
    /// # Errors
    /// [`TmuxError::NoServer`], [`TmuxError::NoSession`], [`TmuxError::BadSpec`] for an invalid name, and the
    /// general ones.
    pub fn helper_pane(&self, session: &str, name: &str) -> Result<Option<PaneInfo>, TmuxError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.starts_with('-') || !name.chars().all(plain) {
            let why = format!("{name:?} is not the name of a helper (letters, digits, '-' and '_')");
            return Err(TmuxError::BadSpec(why));
        }
        let all = self.all_panes_after(session, &mut Batch::default())?;
        let named = all.into_iter().filter(|pane| pane.helper.as_deref() == Some(name));
        Ok(named.min_by_key(|pane| pane.pane_id))
    }

    fn start_again(&self, id: PaneId, spec: &HelperSpec) -> Result<PaneId, TmuxError> {
        let target = id.to_string();
        let mut batch = Batch::default();
        batch.push(program::start_in(&target, &spec.cwd));
        // Without -k: a program that another process has started there meanwhile continues.
        batch.push(spec.program().words(&["respawn-pane", "-t", &target], &["-c", CWD_FORMAT]));
        match self.run(&batch) {
            Err(TmuxError::Failed { stderr, .. }) if stderr.contains("still active") => Ok(id),
            other => other.map(|_| id),
        }
    }

    fn open(&self, session: &str, spec: &HelperSpec) -> Result<PaneId, TmuxError> {
        let here = target(session)?;
        let hooks = self.hooks_of(session)?;
        // Behind the last window, and so itself the last one: the rest of this batch reaches it there before
        // its program can end, without a change of the current window.
        let end = format!("{here}{{end}}");
        let mut batch = Batch::default();
        batch.push(program::start_in(&here, &spec.cwd));
        let start = ["new-window", "-d", "-a", "-t", &end, "-n", &spec.name];
        batch.push(spec.program().words(&start, &PRINT_ID_AND_START));
        label(&end, &spec.name, &mut batch);
        if let Some(hooks) = hooks {
            hooks.set_on_new_window(&end, &mut batch);
        }
        let printed = self.run(&batch)?;
        let id = String::from_utf8_lossy(&printed).split_whitespace().find_map(PaneId::parse);
        let id = id.ok_or_else(|| TmuxError::Failed {
            command: "new-window".to_owned(),
            stderr: "it did not report which pane it opened".to_owned(),
        })?;
        match self.helper_pane(session, &spec.name)? {
            // Another process was earlier.
            Some(pane) if pane.pane_id < id && !pane.dead => {
                self.run(Batch::default().push(["kill-pane", "-t", &id.to_string()]))?;
                Ok(pane.pane_id)
            }
            Some(_) => Ok(id),
            // A user's hook may have moved it.
            None => {
                let mut batch = Batch::default();
                label(&id.to_string(), &spec.name, &mut batch);
                self.run(&batch).map(|_| id)
            }
        }
    }
}

/// Labels the window of a helper and its pane.
fn label(target: &str, name: &str, batch: &mut Batch) {
    for (option, value) in [("remain-on-exit", "on"), ("automatic-rename", "off"), ("allow-rename", "off")] {
        batch.push(["set-option", "-w", "-t", target, option, value]);
    }
    batch.push(["set-option", "-p", "-t", target, "@cmw_helper", name]);
}
