//! A repository, and a terminal beside it: a pane of a tmux server of its own.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::World;
use crate::support::wait::PATIENCE;

/// A temporary repository with cmw, those who work in it, and a tmux server; all ends with it.
pub(crate) struct Lab {
    pub(crate) world: World,
    pub(crate) repo: PathBuf,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let world = World::ready();
        let lab = Self { repo: world.at("repo"), world };
        // A server without a session ends, maybe just when the next one is asked for.
        lab.tmux(&["new-session", "-d", "-s", "stays", "exec sleep 600"]);
        lab
    }

    /// A program with nothing of this process's environment but the way to ours and to others.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.world.root()).stdin(Stdio::null());
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.world.tools().display()));
        command.env("HOME", self.world.at("home")).env("TMUX_TMPDIR", self.world.at("tmux"));
        for (name, value) in [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC"),
        ] {
            command.env(name, value);
        }
        command
    }

    /// A role types something; it must succeed.
    #[track_caller]
    pub(crate) fn role(&self, role: &str, line: &str) {
        self.world.agent(role).ok(line);
    }

    pub(crate) fn tmux(&self, args: &[&str]) -> String {
        let words = [&["-u", "-f", "/dev/null", "-L", "watch"], args].concat();
        String::from_utf8(self.command("tmux").args(words).output().unwrap().stdout).unwrap()
    }

    /// What a command says in a terminal of its own.
    pub(crate) fn says(&self, line: &str) -> String {
        let screen = self.pane(&format!("cd repo; {line} 2>&1; echo ended with $?"), 200, 50);
        screen.until("ended with");
        screen.text().split("ended with").next().unwrap().to_owned()
    }

    /// A terminal in which the screen is opened from a shell.
    pub(crate) fn watch(&self, width: u32, height: u32) -> Screen<'_> {
        self.watch_with("", width, height)
    }

    /// The same with something before the command.
    pub(crate) fn watch_with(&self, before: &str, width: u32, height: u32) -> Screen<'_> {
        let shell = "PS1='$ ' bash --norc --noprofile -i";
        let screen = self.pane(shell, width, height);
        screen.type_in(&format!(
            "cd repo; stty -a > ../before; clear; {before} cmw-health --watch; \
             code=$?; stty -a > ../after; echo ended with $code"
        ));
        screen.keys(&["Enter"]);
        screen
    }

    fn pane(&self, line: &str, width: u32, height: u32) -> Screen<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("s{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (width, height) = (width.to_string(), height.to_string());
        let line = format!("{line}; exec sleep 600");
        self.tmux(&["new-session", "-d", "-s", &name, "-x", &width, "-y", &height, &line]);
        Screen { lab: self, name }
    }

    /// Sends the screen that follows a signal.
    pub(crate) fn signal_watch(&self, signal: &str) {
        let here = std::fs::canonicalize(&self.repo).unwrap();
        let is_ours = |pid: &u32| {
            let words = cmw::adapters::os::process::command_line(*pid);
            std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir == here)
                && words.first().is_some_and(|word| word.ends_with(b"cmw-health"))
        };
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let mut pids = all.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
        let pid = pids.find(is_ours).expect("it runs").to_string();
        let sent = self.command("kill").args([&format!("-{signal}"), &pid]).status().unwrap();
        assert!(sent.success());
    }
}

/// A terminal.
pub(crate) struct Screen<'a> {
    lab: &'a Lab,
    name: String,
}

impl Screen<'_> {
    fn target(&self) -> String {
        format!("={}:", self.name)
    }

    pub(crate) fn text(&self) -> String {
        self.lab.tmux(&["capture-pane", "-p", "-t", &self.target()])
    }

    pub(crate) fn with_escapes(&self) -> String {
        self.lab.tmux(&["capture-pane", "-e", "-p", "-t", &self.target()])
    }

    #[track_caller]
    pub(crate) fn until(&self, words: &str) {
        self.until_that(words, |text| text.contains(words));
    }

    #[track_caller]
    pub(crate) fn until_that(&self, what: &str, is: impl Fn(&str) -> bool) {
        let start = Instant::now();
        loop {
            let text = self.text();
            if is(&text) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what:?}:\n{text}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    pub(crate) fn keys(&self, keys: &[&str]) {
        self.lab.tmux(&[&["send-keys", "-t", &self.target(), "--"], keys].concat());
    }

    pub(crate) fn type_in(&self, text: &str) {
        self.lab.tmux(&["send-keys", "-l", "-t", &self.target(), "--", text]);
    }

    pub(crate) fn resize(&self, width: u32, height: u32) {
        let (width, height) = (width.to_string(), height.to_string());
        self.lab.tmux(&["resize-window", "-t", &self.target(), "-x", &width, "-y", &height]);
    }

    /// Whether keys come as they are pressed, and are not shown.
    pub(crate) fn is_raw(&self) -> bool {
        let tty = self.lab.tmux(&["display-message", "-p", "-t", &self.target(), "#{pane_tty}"]);
        let output = self.lab.command("stty").args(["-a", "-F", tty.trim()]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().contains("-isig")
    }

    /// How the terminal was before it was taken, and how it is given back.
    #[track_caller]
    pub(crate) fn assert_given_back(&self) {
        assert_eq!(self.lab.world.read("after"), self.lab.world.read("before"));
        assert!(!self.text().contains("Orchestrator"), "the other screen is gone: {}", self.text());
        assert_eq!(self.cursor(), "1", "the cursor is seen");
    }

    /// `1` while the cursor is shown.
    fn cursor(&self) -> String {
        self.lab.tmux(&["display-message", "-p", "-t", &self.target(), "#{cursor_flag}"]).trim().to_owned()
    }

    pub(crate) fn close(&self) {
        self.lab.tmux(&["kill-session", "-t", &self.target()]);
    }
}
