//! Reads and answers the demo agent's mail, with `cmw-inbox` and `cmw-send`.

use serde_json::Value;

use crate::domain::identity::role::RoleKind;
use crate::domain::identity::roster::Roster;
use crate::domain::util::sanitize;

use crate::cli::demo_agent::tools::Tools;

/// The fields of a message that the demo agent needs. All of them were written by others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// Its id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Its sender.
    pub from: String,
    /// Its subject.
    pub subject: String,
    /// Whether it is itself a reply.
    pub is_reply: bool,
    /// Whether the sender expects an answer.
    pub wants_answer: bool,
}

impl ReceivedMessage {
    /// Parses the output of `cmw-inbox next --json`.
    #[must_use]
    pub fn parse(json: &str) -> Option<Self> {
        let printed: Value = serde_json::from_str(json).ok()?;
        let data = printed.get("data")?;
        // The envelope is the data itself, or a field of it.
        let envelope = ["envelope", "message"].iter().find_map(|k| data.get(k)).unwrap_or(data);
        let word = |key: &str| envelope.get(key).and_then(Value::as_str).map(str::to_owned);
        let kind = word("type")?;
        let asked = envelope.get("ack_required").and_then(Value::as_bool).unwrap_or(false);
        let is_reply = word("in_reply_to").is_some();
        Some(Self {
            id: word("id")?,
            from: word("from")?,
            subject: word("subject").unwrap_or_default(),
            // An answer to an answer would never end.
            wants_answer: !is_reply && (asked || matches!(kind.as_str(), "MESSAGE" | "QUESTION" | "TEXT")),
            is_reply,
            kind,
        })
    }

    /// Returns whether this is a request to stop from a sender that may send one: the User, cmw itself, the
    /// Orchestrator.
    #[must_use]
    pub fn ends_us(&self, roster: &Roster) -> bool {
        let role = roster.resolve(&self.from);
        self.kind == "SHUTDOWN_REQUEST" && role.map_or(true, |member| member.kind.is_orchestrator())
    }
}

/// What the mail contained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MailSummary {
    /// The number of messages.
    pub letters: u32,
    /// How many of them were reports.
    pub reports: u32,
    /// How many of them were tasks.
    pub tasks: u32,
}

/// Reads, answers and acknowledges all waiting messages.
pub fn read_all(tools: &Tools, roster: &Roster, say: &dyn Fn(&str)) -> MailSummary {
    let mut brought = MailSummary::default();
    while !tools.stopped() {
        let next = tools.run("cmw-inbox", &["next", "--json"], false);
        if !next.is_ok() {
            return brought;
        }
        let Some(letter) = ReceivedMessage::parse(&next.stdout) else {
            say(&format!("cannot read a message: {}", next.first_output_line()));
            return brought;
        };
        brought.letters += 1;
        brought.reports += u32::from(letter.kind == "TASK_COMPLETE");
        brought.tasks += u32::from(matches!(letter.kind.as_str(), "TASK_ASSIGNMENT" | "WORK_REASSIGNMENT"));
        say(&format!("{} from {}: {}", letter.kind, letter.from, sanitize::line(&letter.subject)));
        handle(tools, roster, &letter, say);
    }
    brought
}

fn handle(tools: &Tools, roster: &Roster, letter: &ReceivedMessage, say: &dyn Fn(&str)) {
    if letter.wants_answer && is_known(roster, &letter.from) {
        let args = [
            letter.from.as_str(),
            "--type",
            "ANSWER",
            "--reply-to",
            &letter.id,
            "--subject",
            "read",
            "I have read it. I am a demo agent: a language model would now act on it.",
        ];
        let sent = tools.run("cmw-send", &args, false);
        say(&if sent.is_ok() { format!("answered {}", letter.from) } else { sent.first_output_line() });
    }
    let acked = tools.run("cmw-inbox", &["ack", &letter.id, "--note", "read"], false);
    if !acked.is_ok() {
        say(&acked.first_output_line());
    }
    if letter.ends_us(roster) {
        tools.stop();
    }
}

/// Returns whether the sender has a mailbox.
fn is_known(roster: &Roster, name: &str) -> bool {
    name == "User" || roster.resolve(name).is_ok()
}

/// Returns the recipient of reports: the Orchestrator, or the User if there is none.
#[must_use]
pub fn superior(roster: &Roster) -> String {
    roster.first_of(RoleKind::is_orchestrator).map_or_else(|| "User".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(kind: &str, from: &str, more: &str) -> ReceivedMessage {
        let json = format!(r#"{{"v":1,"data":{{"id":"01X","type":"{kind}","from":"{from}"{more}}}}}"#);
        ReceivedMessage::parse(&json).unwrap()
    }

    #[test]
    fn an_answer_is_never_answered() {
        assert!(letter("TEXT", "Dev-A", "").wants_answer);
        assert!(letter("OTHER", "Dev-A", r#","ack_required":true"#).wants_answer);
        assert!(!letter("OTHER", "Dev-A", "").wants_answer);
        assert!(!letter("TEXT", "Dev-A", r#","in_reply_to":"01Y","ack_required":true"#).wants_answer);
        assert!(letter("TEXT", "Dev-A", r#","in_reply_to":null"#).wants_answer);
    }

    #[test]
    fn only_who_may_stop_us_does() {
        let roster = Roster::of_size(12);
        for (from, ends) in
            [("User", true), ("Orchestrator", true), ("System", true), ("unproven", true), ("Dev-B", false)]
        {
            assert_eq!(letter("SHUTDOWN_REQUEST", from, "").ends_us(&roster), ends, "{from}");
        }
        assert!(!letter("TEXT", "User", "").ends_us(&roster));
    }

    #[test]
    fn what_is_no_envelope_is_no_letter() {
        for json in ["", "{}", "[]", r#"{"data":null}"#, r#"{"data":{"id":"x"}}"#, "\u{1b}[2J"] {
            assert_eq!(ReceivedMessage::parse(json), None, "{json:?}");
        }
        let nested = r#"{"data":{"envelope":{"id":"1","type":"TEXT","from":"User"}}}"#;
        assert_eq!(ReceivedMessage::parse(nested).unwrap().from, "User");
    }
}
