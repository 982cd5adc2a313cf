//! Tests of Claude Code's hooks, their output and refusals, run as the client runs them: one process for each
//! event, with JSON on its input. The tests with the real client are in `tests/client`.
#![cfg(feature = "test-clock")]
#![expect(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]
#![expect(clippy::disallowed_methods, reason = "the test is the client: it starts the hooks itself")]

mod bad_input;
mod late;
mod limits;
mod mail;
mod tools;
mod waiter;

use std::cell::Cell;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use crate::support::World;
use serde_json::{Value, json};

/// A client that plays a role: this very process, which calls hooks as the real one does.
pub(crate) struct Client<'w> {
    world: &'w World,
    role: &'static str,
    pub(crate) session: Cell<&'static str>,
    /// How far its clocks are ahead, in milliseconds.
    pub(crate) ahead_ms: Cell<i64>,
}

/// What a hook said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    fn of(child: Child) -> Self {
        let out = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: out.status.code().unwrap_or(-1), out: text(&out.stdout), err: text(&out.stderr) }
    }

    /// It has nothing to say, and is content.
    #[track_caller]
    pub(crate) fn nothing(&self) {
        assert_eq!((self.code, self.out.as_str(), self.err.as_str()), (0, "", ""));
    }

    /// What the model is given.
    #[track_caller]
    pub(crate) fn told(&self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        let value: Value = serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        value["hookSpecificOutput"]["additionalContext"].as_str().unwrap().to_owned()
    }
}

impl<'w> Client<'w> {
    /// A client that has not begun.
    pub(crate) fn of(world: &'w World, role: &'static str) -> Self {
        Self { world, role, session: Cell::new("session-1"), ahead_ms: Cell::new(0) }
    }

    /// One whose session has begun, and that was told what waited.
    pub(crate) fn begun(world: &'w World, role: &'static str) -> Self {
        let client = Self::of(world, role);
        client.event("SessionStart", json!({"source": "startup"}));
        client
    }

    /// Starts a hook with this on its input.
    pub(crate) fn start(&self, event: &str, input: &[u8]) -> Child {
        let tools = self.world.tools();
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(tools.join("cmw-hook"));
        command.args(["claude", event, "--repo"]).arg(self.world.at("repo"));
        command.arg("--common-dir").arg(self.world.at("repo/.git"));
        command.env_clear().env("PATH", path).env("HOME", self.world.root()).env("CLAUDE_ROLE", self.role);
        command.env("CLAUDECODE", "1").env("CMW_TEST_CLOCK_MS", self.ahead_ms.get().to_string());
        command.current_dir(self.world.at("repo"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A hook that reads no further closes its input.
        let _ = child.stdin.take().unwrap().write_all(input);
        child
    }

    /// Starts a hook for an event of the session.
    pub(crate) fn begin(&self, event: &str, more: Value) -> Child {
        let mut input = json!({"session_id": self.session.get(), "hook_event_name": event,
            "cwd": self.world.at("repo"), "transcript_path": "/nowhere/conversation.jsonl"});
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        self.start(event, input.to_string().as_bytes())
    }

    /// An event of the session.
    pub(crate) fn event(&self, event: &str, more: Value) -> Said {
        Said::of(self.begin(event, more))
    }

    /// The end of a batch of tools: the place where mail comes in while it works.
    pub(crate) fn batch(&self) -> Said {
        self.event("PostToolBatch", json!({"tool_calls": []}))
    }

    /// A shell command that is about to be run.
    pub(crate) fn shell(&self, line: &str) -> Said {
        self.event("PreToolUse", json!({"tool_name": "Bash", "tool_input": {"command": line}}))
    }
}

/// What became of the newest messages that a role has sent.
pub(crate) fn sent(world: &World, role: &str) -> Value {
    let said = world.agent(role).ok("cmw-inbox sent --limit 100 --json");
    serde_json::from_str::<Value>(&said).unwrap()["data"].clone()
}
