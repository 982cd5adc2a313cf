//! A laboratory: a repository, a tmux server and a home of its own, in whose panes real clients talk to a
//! scripted model, and stand-ins do what a test tells them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cmw::adapters::os::process::{self, Signal};
use cmw::domain::identity::role::Role;
use cmw::domain::session::instance::Instance;
use cmw::domain::state::State;
use cmw::store::Store;
use cmw::store::disk::RealDisk;
use serde_json::{Value, json};

use super::model::{Model, Request};
use crate::support::programs::{tools as programs, write_program};

/// How long something may take that is sure to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What the client shows when it can be typed to.
const READY: &str = "bypass permissions on";

/// A laboratory; all that runs in it ends with the test.
pub(crate) struct Lab {
    pub(crate) model: Model,
    pub(crate) repo: PathBuf,
    root: PathBuf,
    socket: String,
    path: String,
    jobs: AtomicU32,
    _dir: tempfile::TempDir,
}

/// What a program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
    /// When it had ended.
    pub(crate) ended: Instant,
}

impl From<Output> for Said {
    fn from(out: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = out.status.code().unwrap_or(-1);
        Self { code, out: text(&out.stdout), err: text(&out.stderr), ended: Instant::now() }
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

/// The real client; without it no test of it can be run.
fn client() -> PathBuf {
    let dir = std::env::var_os("CMW_CLAUDE_DIR")
        .expect("CMW_CLAUDE_DIR does not name the real client: run scripts/test-claude.sh");
    let client = Path::new(&dir).join("node_modules/.bin/claude");
    client.canonicalize().unwrap_or_else(|e| panic!("no client in {}: {e}", client.display()))
}

impl Lab {
    /// A session in which these roles are stand-ins and those are real clients, all of them ready.
    #[track_caller]
    pub(crate) fn up(stand_ins: &[&str], clients: &[&str]) -> Self {
        let lab = Self::begun(stand_ins, clients, "");
        for role in clients {
            lab.until_ready(role);
        }
        lab
    }

    /// The same, and a crashed role is restarted.
    #[track_caller]
    pub(crate) fn watched(stand_ins: &[&str], clients: &[&str]) -> Self {
        let lab = Self::prepared(stand_ins, clients, "");
        lab.git(&["config", "cmw.health.restart", "true"]);
        lab.tool("cmw-init", &[]).ok();
        lab.start();
        for role in clients {
            lab.until_ready(role);
        }
        lab
    }

    /// A session whose clients have just begun, with more in their environment (`NAME=VALUE`).
    #[track_caller]
    pub(crate) fn begun(stand_ins: &[&str], clients: &[&str], more: &str) -> Self {
        let lab = Self::prepared(stand_ins, clients, more);
        lab.start();
        lab
    }

    #[track_caller]
    fn start(&self) {
        let lab = self;
        let agent = shlex::try_quote(lab.at("claude").to_str().unwrap()).unwrap().into_owned();
        lab.tool("cmw-session", &["up", "--socket", &lab.socket, "--agent", &agent]).ok();
    }

    /// Repository, home and programs, before any role is started.
    fn prepared(stand_ins: &[&str], clients: &[&str], more: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let socket = format!("cmw-client-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = tempfile::Builder::new().prefix("cmw-client-").tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let repo = root.join("a repository");
        for sub in ["a repository", "home", "home/.claude", "desk", "events"] {
            std::fs::create_dir(root.join(sub)).unwrap();
        }
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", programs().display());
        let model = Model::start();
        let lab = Self { model, repo, root, socket, path, jobs: AtomicU32::new(0), _dir: dir };
        lab.prepare_home();
        lab.program("claude", &lab.client_script(more));
        let stand_in = lab.program("stand-in", &lab.stand_in_script());
        let stand_in = shlex::try_quote(stand_in.to_str().unwrap()).unwrap().into_owned();
        lab.git(&["init", "-q", "-b", "main"]);
        lab.git(&["config", "user.name", "Test"]);
        lab.git(&["config", "user.email", "test@localhost"]);
        lab.git(&["commit", "-q", "--allow-empty", "-m", "first"]);
        for (i, role) in stand_ins.iter().chain(clients).enumerate() {
            lab.git(&["config", &format!("cmw.role.{role}.pane"), &i.to_string()]);
        }
        for role in stand_ins {
            lab.git(&["config", &format!("cmw.role.{role}.command"), &stand_in]);
        }
        // Of crashes only those tests want to hear that are about them.
        lab.git(&["config", "cmw.health.restart", "false"]);
        lab.tool("cmw-init", &[]).ok();
        lab
    }

    /// A home in which the client has nothing to ask, and notes what happens to it in `events/`.
    fn prepare_home(&self) {
        let project = json!({ "hasTrustDialogAccepted": true, "hasCompletedProjectOnboarding": true });
        let known = json!({
            "hasCompletedOnboarding": true, "theme": "dark", "fullscreenUpsellSeenCount": 3,
            "customApiKeyResponses": { "approved": ["dummy"], "rejected": [] },
            "projects": { self.repo.to_str().unwrap(): project },
        });
        std::fs::write(self.at("home/.claude.json"), known.to_string()).unwrap();
        let script = "n=$(date +%s.%N)-$$; cat >\"$0/.$n\" && mv \"$0/.$n\" \"$0/$CLAUDE_ROLE-$n.json\"";
        let hook =
            json!({ "type": "command", "command": "/bin/sh", "args": ["-c", script, self.at("events")] });
        let events = ["SessionStart", "UserPromptSubmit", "Stop", "StopFailure", "PreCompact", "SessionEnd"];
        let hooks = events.map(|event| (event.to_owned(), json!([{ "hooks": [hook] }])));
        let hooks = Value::Object(hooks.into_iter().collect());
        let settings = json!({ "skipDangerousModePermissionPrompt": true, "hooks": hooks });
        std::fs::write(self.at("home/.claude/settings.json"), settings.to_string()).unwrap();
    }

    /// The client with nothing of this process's environment, and with the scripted model.
    fn client_script(&self, more: &str) -> String {
        let quoted = |path: &Path| shlex::try_quote(path.to_str().unwrap()).unwrap().into_owned();
        let kept = ["PATH", "TERM", "TMUX", "TMUX_PANE", "TMUX_TMPDIR"];
        let told = ["CLAUDE_ROLE", "CLAUDE_PANE", "CLAUDE_SESSION", "CLAUDE_WORKSPACE"];
        let kept = kept.iter().chain(&told).map(|name| format!("{name}=\"${name}\" "));
        format!(
            "exec env -i {}HOME={} LANG=C.UTF-8 TZ=UTC IS_SANDBOX=1 DISABLE_AUTOUPDATER=1 \\
              GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 \\
              CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 {more} \\
              ANTHROPIC_API_KEY=dummy ANTHROPIC_BASE_URL=\"{}/$CLAUDE_ROLE\" \\
              {} --dangerously-skip-permissions \"$@\"",
            kept.collect::<String>(),
            quoted(&self.at("home")),
            self.model.address(),
            quoted(&client()),
        )
    }

    /// Runs the scripts whose names it reads, one after the other, as its role.
    fn stand_in_script(&self) -> String {
        let desk = shlex::try_quote(self.at("desk").to_str().unwrap()).unwrap().into_owned();
        format!(
            "cmw-heartbeat register
            cmw-heartbeat run >/dev/null 2>&1 &
            cd {desk} && mkfifo \"$CLAUDE_ROLE\" && exec 3<>\"$CLAUDE_ROLE\"
            while read -r job <&3; do
                (cd \"$CLAUDE_WORKSPACE\" && exec sh {desk}/\"$job\") >\"$job.out\" 2>\"$job.err\" </dev/null 3>&-
                echo $? >\"$job.tmp\"; mv \"$job.tmp\" \"$job.code\"
            done"
        )
    }

    /// A path below the laboratory's directory.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Writes a program of the shell.
    fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.at(name);
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

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let root = self.root.to_str().unwrap();
        command.env_clear().current_dir(&self.repo).stdin(Stdio::null());
        command.env("PATH", &self.path).env("HOME", self.at("home")).env("TMUX_TMPDIR", root);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        command
    }

    /// A tool of ours, run by an unidentified process.
    pub(crate) fn tool(&self, name: &str, args: &[&str]) -> Said {
        self.command(&programs().join(name)).args(args).output().unwrap().into()
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

    pub(crate) fn state(&self) -> State {
        Store::new(RealDisk::open(&self.repo.join(".git")).unwrap()).snapshot().unwrap()
    }

    #[track_caller]
    pub(crate) fn instance(&self, role: &str) -> Instance {
        self.state().instances.get(&Role::parse(role).unwrap()).expect("the role was started").clone()
    }

    fn pane(&self, role: &str) -> String {
        let panes = self.tmux(&["list-panes", "-a", "-F", "#{pane_id} #{@cmw_role}"]).out;
        let pane = panes.lines().find_map(|line| line.strip_suffix(&format!(" {role}")));
        pane.unwrap_or_else(|| panic!("{role} has no pane: {panes}")).to_owned()
    }

    /// What a role's pane shows now.
    pub(crate) fn screen(&self, role: &str) -> String {
        self.tmux(&["capture-pane", "-p", "-t", &self.pane(role)]).out
    }

    /// Types into a role's pane: text as it is, then keys by their names.
    pub(crate) fn keys(&self, role: &str, text: &str, keys: &[&str]) {
        let pane = self.pane(role);
        if !text.is_empty() {
            assert_eq!(self.tmux(&["send-keys", "-t", &pane, "-l", "--", text]).code, 0);
            std::thread::sleep(Duration::from_millis(300));
        }
        for key in keys {
            assert_eq!(self.tmux(&["send-keys", "-t", &pane, key]).code, 0);
        }
    }

    /// Types a prompt to a client as a person does, and sees that the client has taken it. Lines
    /// after the first follow with the key that begins a new one.
    #[track_caller]
    pub(crate) fn type_prompt(&self, role: &str, text: &str) {
        let had = self.events(role, "UserPromptSubmit").len();
        for (i, line) in text.lines().enumerate() {
            if i > 0 {
                self.keys(role, "", &["C-j"]);
            }
            self.keys(role, line, &[]);
        }
        let end: String = text.chars().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect();
        self.wait(role, "the typed prompt to show", || {
            without_breaks(&self.screen(role)).contains(&without_breaks(&end))
        });
        self.keys(role, "", &["Enter"]);
        self.wait(role, "the prompt to be taken", || self.events(role, "UserPromptSubmit").len() > had);
    }

    /// Types a prompt and waits until the turn that it begins has ended.
    #[track_caller]
    pub(crate) fn turn(&self, role: &str, text: &str) {
        let had = self.events(role, "Stop").len();
        self.type_prompt(role, text);
        self.wait(role, "the turn to end", || self.events(role, "Stop").len() > had);
    }

    /// Waits until a client can be typed to.
    #[track_caller]
    pub(crate) fn until_ready(&self, role: &str) {
        self.wait(role, "the client to be ready", || self.screen(role).contains(READY));
    }

    /// Waits for something that is sure to come, else shows what there is.
    #[track_caller]
    pub(crate) fn wait(&self, role: &str, what: &str, mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what}\n{}", self.report(role));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for a request in which the model of a role is told something new that contains a text.
    #[track_caller]
    pub(crate) fn until_told(&self, role: &str, text: &str) -> Arc<Request> {
        let found = self.model.wait_for(role, PATIENCE, |request| request.tells(text));
        found.unwrap_or_else(|_| panic!("the model was never told {text:?}\n{}", self.report(role)))
    }

    /// Waits for a request that brings the model of a role the result of a tool that contains a text.
    #[track_caller]
    pub(crate) fn until_done(&self, role: &str, text: &str) -> Arc<Request> {
        let found = self.model.wait_for(role, PATIENCE, |request| request.brings(text));
        found.unwrap_or_else(|_| panic!("no tool has answered {text:?}\n{}", self.report(role)))
    }

    /// What a person would look at when something went wrong.
    pub(crate) fn report(&self, role: &str) -> String {
        format!("{}\n=== the screen of {role}:\n{}", self.model.overview(role), self.screen(role).trim_end())
    }

    /// What a client's hooks were told of an event, in order of time.
    pub(crate) fn events(&self, role: &str, event: &str) -> Vec<Value> {
        let entries = std::fs::read_dir(self.at("events")).unwrap().flatten();
        let mut names: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        let is_its = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.strip_prefix(role).is_some_and(|rest| rest.starts_with("-1"))
        };
        names.retain(is_its);
        names.sort();
        let read =
            |path: &PathBuf| -> Option<Value> { serde_json::from_slice(&std::fs::read(path).ok()?).ok() };
        names.iter().filter_map(read).filter(|input| input["hook_event_name"] == event).collect()
    }

    /// The session that a client last said it is in.
    #[track_caller]
    pub(crate) fn session(&self, role: &str) -> String {
        let started = self.events(role, "SessionStart").pop().expect("its session has begun");
        started["session_id"].as_str().unwrap().to_owned()
    }

    /// A stand-in runs a line of shell; what it said, and when.
    #[track_caller]
    pub(crate) fn as_role(&self, role: &str, line: &str) -> Said {
        let job = format!("{role}.{}", self.jobs.fetch_add(1, Ordering::Relaxed));
        let file = |ending: &str| self.at(&format!("desk/{job}{ending}"));
        std::fs::write(file(""), line).unwrap();
        let desk = self.at("desk").join(role);
        self.wait(role, "the stand-in to be there", || desk.exists());
        std::fs::write(desk, format!("{job}\n")).unwrap();
        let start = Instant::now();
        while !file(".code").exists() {
            assert!(start.elapsed() < PATIENCE, "{role} is not done with: {line}\n{}", self.screen(role));
            std::thread::sleep(Duration::from_millis(1));
        }
        let ended = Instant::now();
        let read = |ending| std::fs::read_to_string(file(ending)).unwrap();
        Said { code: read(".code").trim().parse().unwrap(), out: read(".out"), err: read(".err"), ended }
    }

    /// A stand-in sends a message; its id, and when it was sent.
    #[track_caller]
    pub(crate) fn send(&self, from: &str, to: &str, options: &[&str], body: &str) -> (String, Instant) {
        let words = [&["cmw-send"], options, &["--", to, body]].concat();
        let said = self.as_role(from, &shlex::try_join(words).unwrap()).ok();
        (said.out.trim().to_owned(), said.ended)
    }

    /// What became of a message with a recipient, as its sender sees it.
    #[track_caller]
    pub(crate) fn receipt(&self, from: &str, id: &str, to: &str) -> Value {
        let sent = self.as_role(from, "cmw-inbox sent --limit 100 --json").ok().data();
        let message = sent.as_array().unwrap().iter().find(|m| m["id"] == id);
        let message = message.unwrap_or_else(|| panic!("{from} has not sent {id}: {sent}"));
        let to = message["deliveries"].as_array().unwrap().iter().find(|d| d["mailbox"] == to);
        to.unwrap_or_else(|| panic!("it was for others: {message}")).clone()
    }

    /// Kills a client without a warning.
    pub(crate) fn kill(&self, role: &str) {
        let client = self.instance(role).process;
        assert!(process::signal(&client, Signal::KILL));
        assert_eq!(process::wait_gone(std::slice::from_ref(&client), 10_000), []);
    }

    /// The processes of this laboratory, each with its number and its words.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        let mark = format!("HOME={}", self.at("home").display()).into_bytes();
        let is_ours = |pid: &u32| {
            process::stat(*pid).is_some_and(|stat| !stat.zombie)
                && std::fs::read(format!("/proc/{pid}/environ"))
                    .is_ok_and(|env| env.split(|byte| *byte == 0).any(|value| value == mark))
        };
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_ours);
        let words = |pid| {
            let words = process::command_line(pid);
            words.iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ")
        };
        all.map(|pid| (pid, words(pid))).collect()
    }
}

/// A text without what the client breaks lines with.
fn without_breaks(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

impl Drop for Lab {
    fn drop(&mut self) {
        // What ends now must not be restarted.
        let _ = std::fs::rename(self.repo.join(".git/cmw"), self.repo.join(".git/cmw-gone"));
        self.tmux(&["kill-server"]);
        // What the clients had started, too: all of it has this home.
        for _ in 0..50 {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            for (pid, _) in left {
                let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
                // It may have ended by itself meanwhile.
                let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::KILL));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
