//! A repository with a roster, and a tmux server of its own, for one test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cmw::adapters::os::process;
use cmw::domain::identity::role::Role;
use cmw::domain::session::instance::{Instance, InstancePhase};
use cmw::domain::session::process::Process;
use cmw::domain::state::State;
use cmw::store::Store;
use cmw::store::disk::RealDisk;
use serde_json::Value;

use super::programs::write_program;

/// A temporary repository whose session runs on a private socket; all ended with the test.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) repo: PathBuf,
    pub(crate) socket: String,
    path: String,
}

/// What a program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Said {
    fn from(out: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: out.status.code().unwrap_or(-1), out: text(&out.stdout), err: text(&out.stderr) }
    }
}

impl Said {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub(crate) fn data(&self) -> Value {
        let json: Value = serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        json["data"].clone()
    }
}

pub(crate) use super::programs::tools as programs;

impl World {
    pub(crate) fn new(roles: usize) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::on(&format!("cmw-test-{}-{n}", std::process::id()), roles)
    }

    /// For what cannot name a socket: the default one, in this world's own directory of sockets.
    pub(crate) fn on_the_default_socket(roles: usize) -> Self {
        Self::on("default", roles)
    }

    fn on(socket: &str, roles: usize) -> Self {
        let socket = socket.to_owned();
        let dir = tempfile::tempdir().unwrap();
        let repo = dir.path().join("a repository");
        std::fs::create_dir(&repo).unwrap();
        let path = std::env::var("PATH").unwrap();
        let world = Self { dir, repo, socket, path };
        world.git(&["init", "-q", "-b", "main"]);
        world.git(&["config", "user.name", "Test"]);
        world.git(&["config", "user.email", "test@localhost"]);
        std::fs::write(world.repo.join("README.md"), "# sample\n").unwrap();
        world.git(&["add", "README.md"]);
        world.git(&["commit", "-q", "-m", "first"]);
        world.tool("cmw-init", &["--roles", &roles.to_string()]).ok();
        world
    }

    pub(crate) fn store(&self) -> Store<RealDisk> {
        Store::new(RealDisk::open(&self.repo.join(".git")).unwrap())
    }

    pub(crate) fn state(&self) -> State {
        self.store().snapshot().unwrap()
    }

    /// A program with nothing of this process's environment but the way to git and tmux.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(&self.repo).stdin(Stdio::null());
        for (name, value) in [
            ("PATH", self.path.as_str()),
            ("HOME", self.dir.path().to_str().unwrap()),
            ("TMUX_TMPDIR", self.dir.path().to_str().unwrap()),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
            ("CMW_TEST_CLOCK_FILE", self.clock_file().to_str().unwrap()),
        ] {
            command.env(name, value);
        }
        command
    }

    fn clock_file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    /// Moves the clocks of all programs in this world, also of those that run already, and wakes those that
    /// wait for a change of the state.
    pub(crate) fn pass(&self, time: Duration) {
        let (file, new) = (self.clock_file(), self.dir.path().join("clock.new"));
        let so_far = std::fs::read_to_string(&file).map_or(0, |text| text.parse::<u128>().unwrap());
        std::fs::write(&new, (so_far + time.as_millis()).to_string()).unwrap();
        std::fs::rename(&new, &file).unwrap();
        let wakes = self.repo.join(".git/cmw/.wakes");
        std::fs::write(&wakes, "").unwrap();
        std::fs::remove_file(&wakes).unwrap();
    }

    pub(crate) fn tool(&self, name: &str, args: &[&str]) -> Said {
        self.command(&programs().join(name)).args(args).output().unwrap().into()
    }

    /// A program run as a role, while no session is up.
    pub(crate) fn tool_as(&self, role: &str, name: &str, args: &[&str]) -> Said {
        self.command(&programs().join(name)).args(args).env("CLAUDE_ROLE", role).output().unwrap().into()
    }

    pub(crate) fn session(&self, args: &[&str]) -> Said {
        self.tool("cmw-session", args)
    }

    /// `cmw-session up` on the private socket, without restarts.
    pub(crate) fn up(&self, args: &[&str]) -> Said {
        self.git(&["config", "cmw.health.restart", "false"]);
        self.tool("cmw-init", &[]).ok();
        self.up_unwatched(args)
    }

    /// The same without a monitor of its own.
    pub(crate) fn up_unwatched(&self, args: &[&str]) -> Said {
        self.up_watched(&[&["--no-monitor"], args].concat())
    }

    /// The same with a monitor.
    pub(crate) fn up_watched(&self, args: &[&str]) -> Said {
        self.session(&[&["up", "--socket", &self.socket], args].concat())
    }

    #[track_caller]
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let said: Said = self.command(Path::new("git")).args(args).output().unwrap().into();
        said.ok().out
    }

    pub(crate) fn tmux(&self, args: &[&str]) -> Said {
        let words = [&["-u", "-L", &self.socket], args].concat();
        self.command(Path::new("tmux")).args(words).output().unwrap().into()
    }

    pub(crate) fn has_session(&self, name: &str) -> bool {
        self.tmux(&["has-session", "-t", &format!("={name}:")]).code == 0
    }

    /// What a role's pane shows.
    pub(crate) fn shown(&self, role: &str) -> String {
        let panes = self.tmux(&["list-panes", "-a", "-F", "#{pane_id} #{@cmw_role}"]).out;
        let pane = panes.lines().find_map(|l| l.strip_suffix(&format!(" {role}")));
        pane.map_or_else(String::new, |id| self.tmux(&["capture-pane", "-p", "-t", id, "-S", "-200"]).out)
    }

    #[track_caller]
    pub(crate) fn instance(&self, role: &str) -> Instance {
        self.state().instances.get(&Role::parse(role).unwrap()).expect("the role was started").clone()
    }

    pub(crate) fn processes(&self) -> Vec<(Role, Process)> {
        self.state().instances.into_iter().map(|(role, i)| (role, i.process)).collect()
    }

    pub(crate) fn ready(&self) -> usize {
        let state = self.state();
        state
            .instances
            .values()
            .filter(|i| i.phase == InstancePhase::Ready && process::is_alive(&i.process))
            .count()
    }

    /// Every process that works in this world's directory, with its words.
    pub(crate) fn living(&self) -> Vec<String> {
        let here = std::fs::canonicalize(self.dir.path()).unwrap();
        let inside =
            |pid: u32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|d| d.starts_with(&here));
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| inside(*pid) && process::stat(*pid).is_some_and(|s| !s.zombie))
            .map(|pid| {
                let words = process::command_line(pid);
                let words: Vec<_> = words.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect();
                format!("{pid} {}", words.join(" "))
            })
            .collect()
    }

    /// Writes a program of the shell.
    pub(crate) fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        write_program(
            &path,
            format!(
                "#!/bin/sh
{script}
"
            ),
        );
        path
    }
}

pub(crate) use super::wait::wait_until as wait_for;

impl Drop for World {
    fn drop(&mut self) {
        let instances = self.store().snapshot().map(|s| s.instances).unwrap_or_default();
        // A monitor would bring the session back.
        let watcher = cmw::store::health::monitor::monitor_record(self.store().disk()).ok().flatten();
        if let Some(watcher) = watcher.filter(|watcher| watcher.stays) {
            let _ = process::signal(&watcher.process, process::Signal::KILL);
        }
        // So would a process that tmux tells that its panes have ended.
        let cmw = self.repo.join(".git/cmw");
        let _ = std::fs::rename(&cmw, self.repo.join(".git/cmw-gone"));
        self.tmux(&["kill-server"]);
        for instance in instances.values().filter(|i| i.pane_id.is_some()) {
            let _ = process::signal(&instance.process, process::Signal::KILL);
        }
    }
}
