//! The input of a Claude Code hook: JSON whose fields grow with its versions.
//!
//! Only the fields that are used are read; a missing one, or one of another type, counts as empty. No version
//! is refused.

use std::path::PathBuf;

use serde_json::Value;

/// The largest input that is read, in bytes: a file that is written is contained in it as a whole.
pub const INPUT_BYTES_MAX: u64 = 64 << 20;
/// Tools that change a file, and only that.
pub const EDITING: [&str; 4] = ["Edit", "Write", "MultiEdit", "NotebookEdit"];
/// Longest session id, in characters; the client's are 36.
const SESSION_CHARS_MAX: usize = 100;

/// An event, as the client describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HookPayload {
    /// The session's id; empty when there is none.
    pub session: String,
    /// The path of the record of the session's conversation.
    pub transcript: Option<String>,
    /// The client's present directory: not always the one in which its hooks run.
    pub cwd: Option<PathBuf>,
    /// Whether the event is a subagent's, which has a context of its own.
    pub is_subagent: bool,
    /// The tool's name.
    pub tool: String,
    /// The tool's input.
    pub input: Value,
    /// The cause of a session's start or end: `startup`, `resume`, `clear`, `compact`, …
    pub source: String,
    /// The kind of a notification: `permission_prompt`, `idle_prompt`, …
    pub notification: String,
    /// The error that ended a turn, in the client's words.
    pub error: String,
    /// The name of a Codex event.
    pub kind: String,
    /// Details of the error, or of the notification.
    pub message: String,
    /// The client's last message of its turn; also its own notice of an error.
    pub last_words: String,
}

impl HookPayload {
    /// Parses the input; `None` when it is no JSON object.
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

    /// Returns the shell's command line, when the tool is the shell.
    #[must_use]
    pub fn command(&self) -> Option<&str> {
        (self.tool == "Bash").then(|| self.input.get("command")?.as_str()).flatten()
    }

    /// Returns the file that the tool changes, when it names one.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        let file = ["file_path", "notebook_path"].iter().find_map(|name| self.input.get(name)?.as_str());
        file.filter(|_| self.is_edit()).map(PathBuf::from)
    }

    /// Returns whether the tool changes a file, and only that.
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
