//! A tmux server for one test, on a private socket.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cmw::adapters::tmux::layout::grid::{self, Size};
use cmw::adapters::tmux::pane::PaneInfo;
use cmw::adapters::tmux::server::Server;
use cmw::adapters::tmux::server::Tmux;
use cmw::adapters::tmux::session::PaneSpec;
use cmw::adapters::tmux::session::SessionSpec;
use cmw::domain::identity::role::Role;
use cmw::domain::identity::roster::Roster;

use crate::support::wait::wait_until;

/// A server of its own, ended with the test, also when the test panics.
pub(crate) struct Lab {
    pub(crate) tmux: Tmux,
    socket: String,
    program: PathBuf,
    pub(crate) dir: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with_config("")
    }

    pub(crate) fn with_config(config: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let socket = format!("cmw-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::var_os("PATH").unwrap();
        let program = std::env::split_paths(&path).map(|d| d.join("tmux")).find(|p| p.is_file());
        let program = program.expect("these tests need tmux: apt-get install tmux");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tmux.conf");
        std::fs::write(&file, config).unwrap();
        let tmux = Tmux::find(Some(&path), &Server::Named(socket.clone())).unwrap().with_config(&file);
        Self { tmux, socket, program, dir }
    }

    /// What tmux itself says.
    pub(crate) fn raw(&self, words: &[&str]) -> String {
        let out = Command::new(&self.program).args(["-u", "-L", &self.socket]).args(words).output().unwrap();
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    pub(crate) fn pane(&self, role: &str, place: u32) -> PaneSpec {
        PaneSpec {
            role: Role::parse(role).unwrap(),
            place,
            title: format!("title of {role}"),
            command: vec!["sleep".into(), "600".into()],
            env: vec![("CMW_TEST".into(), "1".into())],
            cwd: self.dir.path().into(),
        }
    }

    pub(crate) fn session(&self, name: &str, n: usize) -> SessionSpec {
        let roster = Roster::of_size(n);
        let panes = roster.members().iter().map(|m| self.pane(m.role.as_str(), m.pane)).collect();
        SessionSpec { name: name.into(), repo: self.dir.path().into(), panes, size: SessionSpec::SIZE }
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, done: impl FnMut() -> bool) {
        wait_until(what, done);
    }

    pub(crate) fn wait_for_file(&self, path: &Path) -> Vec<u8> {
        self.wait_for(&path.display().to_string(), || path.exists());
        std::fs::read(path).unwrap()
    }

    /// A text with `pwned` replaced by the name of a file that only this test could make.
    pub(crate) fn hostile(&self, text: &str) -> String {
        text.replace("pwned", &self.marker())
    }

    fn marker(&self) -> String {
        format!("pwned-{}", self.socket)
    }

    /// Where a program would be run from if tmux took a value for one.
    fn traces(&self) -> Vec<PathBuf> {
        let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let dirs = [self.dir.path().to_owned(), PathBuf::from("."), home, PathBuf::from("/")];
        dirs.into_iter().map(|dir| dir.join(self.marker())).filter(|trace| trace.exists()).collect()
    }

    /// No value was run as a program.
    pub(crate) fn assert_not_pwned(&self) {
        // A job of tmux would run soon after the format was expanded.
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(self.traces(), Vec::<PathBuf>::new(), "a value was run as a program");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let mut kill = Command::new(&self.program);
        // It may have ended by itself.
        drop(kill.args(["-L", &self.socket, "kill-server"]).output());
        for trace in self.traces() {
            drop(std::fs::remove_file(trace));
        }
        let tmp = std::env::var_os("TMUX_TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
        let uid = rustix::process::getuid().as_raw();
        drop(std::fs::remove_file(tmp.join(format!("tmux-{uid}/{}", self.socket))));
    }
}

/// Writes a program. Another process does it: a file that this one has open for writing cannot be
/// run while a test beside this one happens to fork ("text file busy").
pub(crate) fn write_program(path: &Path, script: &str) {
    crate::support::programs::write_program(
        path,
        format!(
            "#!/bin/sh
{script}
"
        ),
    );
}

pub(crate) fn role(name: &str) -> Role {
    Role::parse(name).unwrap()
}

pub(crate) fn of<'a>(panes: &'a [PaneInfo], name: &str) -> &'a PaneInfo {
    panes.iter().find(|p| p.role.as_ref().is_some_and(|r| r.as_str() == name)).expect("the role has a pane")
}

/// Every pane stands in its cell, in the order of places.
pub(crate) fn assert_even(panes: &[PaneInfo], size: Size) {
    let mut windows: Vec<u32> = panes.iter().map(|p| p.window_index).collect();
    windows.sort_unstable();
    windows.dedup();
    for window in windows {
        let mut here: Vec<&PaneInfo> = panes.iter().filter(|p| p.window_index == window).collect();
        here.sort_by_key(|p| p.place);
        let cells = grid::pane_cells(&grid::rows(here.len()), size).unwrap();
        for (pane, cell) in here.iter().zip(cells.iter().flatten()) {
            assert_eq!((pane.left, pane.width), (cell.left, cell.size.width), "{:?}", pane.role);
            assert_eq!(pane.top + pane.height, cell.top + cell.size.height, "{:?}", pane.role);
        }
        let indices: Vec<u32> = here.iter().map(|p| p.pane_index).collect();
        assert!(indices.is_sorted(), "index follows the drawing: {indices:?}");
    }
}
