//! Creates a session: which panes, in which windows, at which places, with which programs.
//!
//! Invariants: a session that could not be created completely is ended again, and no other one is; a pane
//! whose program ends stays readable.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::adapters::tmux::client::Batch;
use crate::adapters::tmux::error::TmuxError;
use crate::adapters::tmux::escape;
use crate::adapters::tmux::layout::grid::{self, PANES_PER_WINDOW, PaneCell, Size};
use crate::adapters::tmux::layout::rearrange::is_even;
use crate::adapters::tmux::pane::{PaneId, PaneInfo};
use crate::adapters::tmux::program::{self, PRINT_ID_AND_START, Program, start_in};
use crate::adapters::tmux::server::{Tmux, target};
use crate::domain::identity::role::Role;

/// A server whose last session just ended still answers for a moment, and then breaks off: how often, and
/// after which pause, creating a session is retried.
const ENDING_SERVER_TRIES: u32 = 20;
const ENDING_SERVER_PAUSE: Duration = Duration::from_millis(50);

/// The format of the line above each pane.
const BORDER_FORMAT: &str = " #{@cmw_role}#{?@cmw_state, - #{@cmw_state},}\
     #{?pane_dead, (ended #{?pane_dead_signal,by signal #{pane_dead_signal},#{pane_dead_status}}),}\
     #{?@cmw_badge, - #{@cmw_badge},} ";

/// One pane to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaneSpec {
    /// Its role.
    pub role: Role,
    /// The role's rank in the roster's pane order, from 0: twelve places make a window.
    pub place: u32,
    /// Its initial title (the program may change it); may be empty.
    pub title: String,
    /// The program and its arguments, passed unchanged: no shell interprets them. At least one.
    pub command: Vec<String>,
    /// Additional variables of its environment.
    pub env: Vec<(String, String)>,
    /// The directory it starts in; must exist.
    pub cwd: PathBuf,
}

/// A session to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSpec {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// The repository it is for, stored in the session's option `@cmw_repo`.
    pub repo: PathBuf,
    /// Its panes, in any order.
    pub panes: Vec<PaneSpec>,
    /// Its size while no terminal is attached.
    pub size: Size,
}

impl SessionSpec {
    /// Large enough for twelve programs to be usable.
    pub const SIZE: Size = Size { width: 240, height: 66 };
}

impl PaneSpec {
    /// Checks what tmux and `env` would misinterpret.
    pub(super) fn check(&self) -> Result<(), TmuxError> {
        self.program().check(self.role.as_str())
    }

    pub(super) fn program(&self) -> Program<'_> {
        Program { command: &self.command, env: &self.env, cwd: &self.cwd }
    }

    fn window(&self) -> usize {
        window_of(self.place)
    }
}

fn window_of(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX) / PANES_PER_WINDOW
}

/// Sets the options of a window of ours; `target` may be any pane in it.
fn window_options(target: &str, batch: &mut Batch) {
    for (name, value) in [
        ("remain-on-exit", "on"),
        ("automatic-rename", "off"),
        ("allow-rename", "off"),
        ("pane-border-status", "top"),
        ("pane-border-format", BORDER_FORMAT),
    ] {
        batch.push(["set-option", "-w", "-t", target, name, value]);
    }
}

/// Sets the labels of a pane of ours.
fn label(target: &str, spec: &PaneSpec, batch: &mut Batch) {
    batch.push(["set-option", "-p", "-t", target, "@cmw_role", spec.role.as_str()]);
    batch.push(["set-option", "-p", "-t", target, "@cmw_place", &spec.place.to_string()]);
    if !spec.title.is_empty() {
        batch.push(["select-pane", "-t", target, "-T", &escape::escape_format(&spec.title)]);
    }
}

impl Tmux {
    /// Ends the program in a role's pane and starts its command anew; the pane keeps its id.
    ///
    /// # Errors
    /// [`TmuxError::NoPane`], [`TmuxError::NotTheirPane`], [`TmuxError::BadSpec`] and the general ones.
    pub fn respawn(&self, id: PaneId, spec: &PaneSpec) -> Result<(), TmuxError> {
        spec.check()?;
        let id_text = id.to_string();
        let ask = ["display-message", "-p", "-t", &id_text, "#{pane_id} #{@cmw_role}"];
        let shown = self.run(Batch::default().push(ask))?;
        let shown = String::from_utf8_lossy(&shown);
        match shown.trim_end_matches('\n').split_once(' ') {
            Some((there, role)) if there == id_text && role == spec.role.as_str() => {}
            Some((there, _)) if there == id_text => {
                return Err(TmuxError::NotTheirPane { id, role: spec.role.to_string() });
            }
            Some(_) | None => return Err(TmuxError::NoPane { id: id_text }),
        }
        let mut batch = Batch::default();
        batch.push(program::start_in(&id_text, &spec.cwd));
        let start = ["respawn-pane", "-k", "-t", &id_text];
        batch.push(spec.program().words(&start, &["-c", program::CWD_FORMAT]));
        self.run(&batch).map(drop)
    }

    /// Creates a session with all its panes, detached: 4 columns × 3 rows for twelve, one window for each
    /// twelve places. Runs two clients and `tmux -V` when the commands are of usual length.
    ///
    /// # Errors
    /// [`TmuxError::SessionExists`] (that session is left unchanged), [`TmuxError::BadSpec`],
    /// [`TmuxError::TooOld`], [`TmuxError::NoSpace`] and the general ones. Afterwards there is no session of
    /// this name, unless there was one before or the server did not answer.
    pub fn create(&self, spec: &SessionSpec) -> Result<Vec<PaneInfo>, TmuxError> {
        let windows = planned(spec)?;
        self.check_version()?;
        let SessionBuilder { batch, launched, .. } = building(spec, &windows)?;
        let cwd = launched.first().map(|first| first.cwd.as_path());
        let mut answer = self.run_in(&batch, cwd);
        for _ in 0..ENDING_SERVER_TRIES {
            if answer.error != Some(TmuxError::NoServer) || !answer.stdout.is_empty() {
                break;
            }
            std::thread::sleep(ENDING_SERVER_PAUSE);
            answer = self.run_in(&batch, cwd);
        }
        let stdout = String::from_utf8_lossy(&answer.stdout);
        // Printed once the session is ours: `$3 %7`, one line for each pane in the order of launch.
        let created = stdout.split_whitespace().find(|word| word.starts_with('$')).map(str::to_owned);
        let ids: Vec<PaneId> = stdout.split_whitespace().filter_map(PaneId::parse).collect();
        let finished = match answer.error {
            Some(error) => Err(error),
            None => self.finish(spec, &launched, &ids),
        };
        finished.inspect_err(|_| {
            if let Some(session) = created {
                // The first error is the one to report.
                drop(self.run(Batch::default().push(["kill-session", "-t", &session])));
            }
        })
    }

    /// Labels the panes, compares them with the specification, and corrects their places.
    fn finish(
        &self,
        spec: &SessionSpec,
        launched: &[&PaneSpec],
        ids: &[PaneId],
    ) -> Result<Vec<PaneInfo>, TmuxError> {
        let wrong = |what: String| TmuxError::Failed { command: "new-session".to_owned(), stderr: what };
        if ids.len() != launched.len() {
            return Err(wrong(format!("{} panes were opened instead of {}", ids.len(), launched.len())));
        }
        let mut batch = Batch::default();
        for (id, pane) in ids.iter().zip(launched) {
            label(&id.to_string(), pane, &mut batch);
        }
        let first = ids.first().map(PaneId::to_string).unwrap_or_default();
        batch.push(["select-window", "-t", &first]).push(["select-pane", "-t", &first]);
        let panes = self.panes_after(&spec.name, &mut batch)?;
        if panes.len() != launched.len() {
            return Err(wrong(format!("{} panes exist instead of {}", panes.len(), launched.len())));
        }
        // A user's hook may have moved them.
        if is_even(&panes) { Ok(panes) } else { self.arrange(&spec.name) }
    }

    /// Opens one more pane in a session: that of a role which was stopped, at its place.
    ///
    /// The grid is restored; if the window changes meanwhile, its layout stays, which is no error
    /// ([`Tmux::arrange`] tries again and returns the reason).
    ///
    /// # Errors
    /// [`TmuxError::NoSession`], [`TmuxError::NoServer`], [`TmuxError::NoSpace`],
    /// [`TmuxError::BadSpec`] (also when the role has a pane, which could be respawned) and the
    /// general ones; then there is no new pane.
    pub fn add_pane(&self, session: &str, spec: &PaneSpec) -> Result<PaneInfo, TmuxError> {
        spec.check()?;
        let here = target(session)?;
        let panes = self.panes(session)?;
        if let Some(pane) = panes.iter().find(|pane| pane.role.as_ref() == Some(&spec.role)) {
            return Err(TmuxError::BadSpec(format!("{} has pane {} already", spec.role, pane.pane_id)));
        }
        let largest = panes
            .iter()
            .filter(|pane| pane.place.is_some_and(|place| window_of(place) == spec.window()))
            .max_by_key(|pane| pane.width * pane.height);
        let mut batch = Batch::default();
        batch.push(start_in(&here, &spec.cwd));
        if let Some(pane) = largest {
            let id = pane.pane_id.to_string();
            // A character is about twice as high as it is wide.
            let direction = if pane.width > pane.height * 2 { "-h" } else { "-v" };
            batch.push(
                spec.program().words(&["split-window", "-d", direction, "-t", &id], &PRINT_ID_AND_START),
            );
            window_options(&id, &mut batch);
        } else {
            // The options must be set before the program can end: so the window becomes the current one for
            // this one batch.
            let name = grid::window_name(spec.window());
            let hooks = self.hooks_of(session)?;
            batch.push(spec.program().words(&["new-window", "-t", &here, "-n", &name], &PRINT_ID_AND_START));
            window_options(&here, &mut batch);
            if let Some(hooks) = hooks {
                hooks.set_on_new_window(&here, &mut batch);
            }
            // The role's name, should it end at once.
            label(&here, spec, &mut batch);
            batch.push(["last-window", "-t", &here]);
        }
        let printed = self.run(&batch)?;
        let id = String::from_utf8_lossy(&printed).split_whitespace().find_map(PaneId::parse);
        let id = id.ok_or_else(|| TmuxError::Failed {
            command: "split-window".to_owned(),
            stderr: "it did not report which pane it opened".to_owned(),
        })?;
        let mut batch = Batch::default();
        label(&id.to_string(), spec, &mut batch);
        let labelled = self.panes_after(session, &mut batch);
        let panes = match labelled {
            Ok(panes) => self.arrange(session).unwrap_or(panes),
            Err(error) => {
                drop(self.run(Batch::default().push(["kill-pane", "-t", &id.to_string()])));
                return Err(error);
            }
        };
        panes
            .into_iter()
            .find(|pane| pane.pane_id == id)
            .ok_or_else(|| TmuxError::NoPane { id: id.to_string() })
    }
}

/// Returns the panes of each window in the roster's order, checked.
fn planned(spec: &SessionSpec) -> Result<Vec<Vec<&PaneSpec>>, TmuxError> {
    let mut panes: Vec<&PaneSpec> = spec.panes.iter().collect();
    panes.sort_by_key(|pane| pane.place);
    for pane in &panes {
        pane.check()?;
    }
    if let Some([one, other]) = panes.windows(2).find(|pair| pair[0].place == pair[1].place) {
        let why = format!("{} and {} both have place {}", one.role, other.role, one.place);
        return Err(TmuxError::BadSpec(why));
    }
    if panes.is_empty() {
        return Err(TmuxError::BadSpec("a session needs at least one pane".to_owned()));
    }
    Ok(panes.chunk_by(|one, next| one.window() == next.window()).map(<[_]>::to_vec).collect())
}

/// The commands that create a session, and its panes in the order in which they are opened. Rows first: the
/// lower rows are split off before a row is split into columns. Each pane gets its final size at once, so
/// that programs need not redraw.
/// final size at once, so that programs need not draw themselves twice.
struct SessionBuilder<'a> {
    here: String,
    batch: Batch,
    launched: Vec<&'a PaneSpec>,
}

fn building<'a>(spec: &SessionSpec, windows: &[Vec<&'a PaneSpec>]) -> Result<SessionBuilder<'a>, TmuxError> {
    let mut building =
        SessionBuilder { here: target(&spec.name)?, batch: Batch::default(), launched: Vec::new() };
    for panes in windows {
        let cells = grid::pane_cells(&grid::rows(panes.len()), spec.size).ok_or(TmuxError::NoSpace)?;
        building.window(spec, panes, &cells);
    }
    Ok(building)
}

impl<'a> SessionBuilder<'a> {
    fn window(&mut self, spec: &SessionSpec, panes: &[&'a PaneSpec], cells: &[Vec<PaneCell>]) {
        let [first, ..] = panes else { return };
        let name = grid::window_name(first.window());
        if self.launched.is_empty() {
            let (width, height) = (spec.size.width.to_string(), spec.size.height.to_string());
            // No -c: the client itself runs in the first pane's directory.
            let start = ["new-session", "-d", "-s", &spec.name, "-n", &name, "-x", &width, "-y", &height];
            self.batch.push(first.program().words(&start, &["-P", "-F", "#{session_id} #{pane_id}"]));
            self.launched.push(first);
            self.session_options(&spec.repo);
        } else {
            let start = ["new-window".to_owned(), "-t".to_owned(), self.here.clone(), "-n".to_owned(), name];
            self.open(&start, first);
        }
        window_options(&self.here, &mut self.batch);
        let mut rest = panes;
        for (i, row) in cells.iter().enumerate() {
            let (in_row, below) = rest.split_at(row.len());
            if let (Some(pane), Some([next, ..])) = (below.first(), cells.get(i + 1).map(Vec::as_slice)) {
                self.split(&["-d", "-v"], spec.size.height - next.top, pane);
            }
            // The current pane is the one opened last in this row: the rest of the row is split off it.
            for (pane, cell) in in_row.iter().zip(row).skip(1) {
                self.split(&["-h"], spec.size.width - cell.left, pane);
            }
            if !below.is_empty() {
                self.batch.push(["select-pane", "-t", &format!("{}.{{bottom-left}}", self.here)]);
            }
            rest = below;
        }
    }

    /// Splits a new pane of `size` characters or lines off the current one.
    fn split(&mut self, flags: &[&str], size: u32, pane: &'a PaneSpec) {
        let (here, size) = (self.here.clone(), size.to_string());
        let start = [&["split-window", "-t", &here, "-l", &size], flags].concat();
        self.open(&start, pane);
    }

    fn open<S: AsRef<str>>(&mut self, start: &[S], pane: &'a PaneSpec) {
        self.batch.push(start_in(&self.here, &pane.cwd));
        let start: Vec<&str> = start.iter().map(AsRef::as_ref).collect();
        self.batch.push(pane.program().words(&start, &PRINT_ID_AND_START));
        self.launched.push(pane);
    }

    /// Sets the options that must not depend on the user's own configuration.
    fn session_options(&mut self, repo: &Path) {
        // With destroy-unattached on, a session without an attached terminal ends at once.
        for (name, value) in [("destroy-unattached", "off"), ("status-right-length", "120")] {
            self.batch.push(["set-option", "-t", &self.here, name, value]);
        }
        let words = ["set-option", "-t", &self.here, "@cmw_repo"].map(OsString::from);
        self.batch.push(words.into_iter().chain([repo.into()]));
    }
}
