//! The input of a Claude Code hook: JSON whose fields grow with its versions.
//!
//! Only what is used is read, and what is missing or of another kind is nothing; no version is refused.

use std::path::PathBuf;

use serde_json::Value;

/// Most bytes of input that are read: a file that is written stands in it as a whole.
pub const INPUT_BYTES_MAX: u64 = 64 << 20;
/// Tools that change a file, and only that.
pub const EDITING: [&str; 4] = ["Edit", "Write", "MultiEdit", "NotebookEdit"];
/// Longest session id, in characters; the client's are 36.
const SESSION_CHARS_MAX: usize = 100;

/// What the client says of an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HookPayload {
    /// The session's id; empty when it says none.
    pub session: String,
    /// Where the session's conversation is recorded.
    pub transcript: Option<String>,
    /// Where the client works at this moment: not always where its hooks run.
    pub cwd: Option<PathBuf>,
    /// Whether a part of the agent says it, and not the agent: that one has a context of its own.
    pub is_subagent: bool,
    /// The tool.
    pub tool: String,
    /// What the tool is given.
    pub input: Value,
    /// What started a session, or ended it: `startup`, `resume`, `clear`, `compact`, …
    pub source: String,
    /// What is notified: `permission_prompt`, `idle_prompt`, …
    pub notification: String,
    /// What made a turn fail, in the client's words.
    pub error: String,
    /// What Codex calls the event.
    pub kind: String,
    /// More about that, or about what is notified.
    pub message: String,
    /// What the client said last in its turn: its own notice of an error too.
    pub last_words: String,
}

impl HookPayload {
    /// Reads it; `None` when it is no JSON object.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let fields = value.as_object()?;
        let text = |names: &[&str]| {
            let found = names.iter().find_map(|name| fields.get(*name)?.as_str());
            found.unwrap_or_default().to_owned()
        };
        let plain =
            |id: &String| id.chars().count() <= SESSION_CHARS_MAX && id.chars().all(|c| c.is_ascii_graphic());
        let path = |name: &str| Some(text(&[name])).filter(|path| !path.is_empty());
        Some(Self {
            session: Some(text(&["session_id", "thread-id"])).filter(plain).unwrap_or_default(),
            transcript: path("transcript_path"),
            cwd: path("cwd").map(PathBuf::from),
            is_subagent: !text(&["agent_id"]).is_empty(),
            tool: text(&["tool_name"]),
            input: fields.get("tool_input").cloned().unwrap_or_default(),
            source: text(&["source", "reason"]),
            notification: text(&["notification_type"]),
            error: text(&["error", "error_type"]),
            kind: text(&["type"]),
            message: text(&["error_details", "message", "last_assistant_message"]),
            last_words: text(&["last_assistant_message"]),
        })
    }

    /// The shell's command line, when the tool is the shell.
    #[must_use]
    pub fn command(&self) -> Option<&str> {
        (self.tool == "Bash").then(|| self.input.get("command")?.as_str()).flatten()
    }

    /// The file that the tool changes, when it says one.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        let file = ["file_path", "notebook_path"].iter().find_map(|name| self.input.get(name)?.as_str());
        file.filter(|_| self.is_edit()).map(PathBuf::from)
    }

    /// Whether the tool changes a file, and only that.
    #[must_use]
    pub fn is_edit(&self) -> bool {
        EDITING.contains(&self.tool.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_says_nothing() {
        for bytes in ["", "x", "[]", "null", "\"a\"", "{", "{\"a\":1}x", "\u{0}"] {
            assert_eq!(HookPayload::parse(bytes.as_bytes()), None, "{bytes:?}");
        }
        assert_eq!(HookPayload::parse(&[0xff, 0xfe]), None);
        assert_eq!(HookPayload::parse("[".repeat(100_000).as_bytes()), None, "too deep");
    }

    #[test]
    fn fields_of_another_kind_are_none() {
        let odd = r#"{"session_id":7,"cwd":null,"tool_name":["Bash"],"tool_input":"x","new":{"a":1}}"#;
        let payload = HookPayload::parse(odd.as_bytes()).unwrap();
        assert_eq!(payload, HookPayload { input: "x".into(), ..HookPayload::default() });
        assert_eq!((payload.command(), payload.file()), (None, None));
        let hostile = HookPayload::parse(br#"{"session_id":"a\u001b[2J\n"}"#).unwrap();
        assert_eq!(hostile.session, "");
    }

    #[test]
    fn what_is_used_is_read() {
        let json = r#"{"session_id":"s","transcript_path":"/t","cwd":"/r","hook_event_name":"PreToolUse",
            "tool_name":"Bash","tool_input":{"command":"ls","file_path":"x"},"agent_id":"a1"}"#;
        let payload = HookPayload::parse(json.as_bytes()).unwrap();
        assert_eq!(
            (payload.session.as_str(), payload.command(), payload.is_subagent),
            ("s", Some("ls"), true)
        );
        assert_eq!(payload.file(), None, "a shell command names no file");
        let json = r#"{"tool_name":"Write","tool_input":{"file_path":"/r/x"},"reason":"clear"}"#;
        let payload = HookPayload::parse(json.as_bytes()).unwrap();
        assert_eq!((payload.file(), payload.source.as_str()), (Some("/r/x".into()), "clear"));
    }
}
