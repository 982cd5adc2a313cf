//! The scripted model: reads instructions from what it is told, and tracks which are still to do.
//!
//! An instruction is a line of its own, wherever it comes from (a prompt, the context that a hook
//! adds, a notice that wakes the client), also one that is quoted as the body of a message is
//! (`  | RUN: …`):
//!
//! ```text
//! RUN: command                 a call of the Bash tool
//! BOTH: command && && command  several such calls at once
//! READ: path                   calls of the tools of these names
//! WRITE: path|text
//! EDIT: path|old|new
//! SLEEP: ms                    before the next answer
//! SAY: text                    how the turn ends (DONE when nothing is said)
//! ```
//!
//! In a text `\n` is a line end. Nothing is kept between requests: what is done shows in the
//! conversation, which every request brings along whole.

use std::collections::VecDeque;

use serde_json::{Value, json};

/// One call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// The tool's name.
    pub(crate) tool: &'static str,
    /// What it is given.
    pub(crate) input: Value,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Calls(Vec<Call>),
    Sleep(u64),
    Say(String),
}

/// What a model answers to a conversation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    /// After how long.
    pub(crate) after_ms: u64,
    /// With which calls; none end the turn.
    pub(crate) calls: Vec<Call>,
    /// With which words, when the turn ends.
    pub(crate) words: String,
}

/// The answer to a conversation.
pub(crate) fn answer(messages: &[Value]) -> Answer {
    let mut steps = VecDeque::new();
    let mut words = None;
    for message in messages {
        if message["role"] == "assistant" {
            let has_calls = blocks(&message["content"]).iter().any(|b| b["type"] == "tool_use");
            match has_calls {
                true => drop(next_calls(&mut steps)),
                false => {
                    steps.clear();
                    words = None;
                }
            }
            continue;
        }
        for text in blocks(&message["content"]).iter().filter_map(text_of) {
            for step in text.lines().filter_map(instruction) {
                match step {
                    Step::Say(said) => words = Some(said),
                    Step::Calls(_) | Step::Sleep(_) => steps.push_back(step),
                }
            }
        }
    }
    let (after_ms, calls) = next_calls(&mut steps);
    Answer { after_ms, calls, words: words.unwrap_or_else(|| "DONE".to_owned()) }
}

/// Takes the next calls off, with the pauses before them.
fn next_calls(steps: &mut VecDeque<Step>) -> (u64, Vec<Call>) {
    let mut after_ms = 0;
    while let Some(step) = steps.pop_front() {
        match step {
            Step::Calls(calls) => return (after_ms, calls),
            Step::Sleep(ms) => after_ms += ms,
            Step::Say(_) => {}
        }
    }
    (after_ms, Vec::new())
}

/// The blocks of a content, which may be one text.
pub(crate) fn blocks(content: &Value) -> Vec<Value> {
    match content.as_array() {
        Some(blocks) => blocks.clone(),
        None if content.is_string() => vec![json!({ "type": "text", "text": content })],
        None => Vec::new(),
    }
}

/// The text of a block that is one; the result of a tool is none.
pub(crate) fn text_of(block: &Value) -> Option<&str> {
    (block["type"] == "text").then(|| block["text"].as_str()).flatten()
}

/// The instruction that a line is.
fn instruction(line: &str) -> Option<Step> {
    let line = line.trim();
    let line = line.strip_prefix('|').map_or(line, str::trim_start);
    let (word, rest) = line.split_once(": ")?;
    let calls = |tool, input| Some(Step::Calls(vec![Call { tool, input }]));
    match word {
        "RUN" => Some(Step::Calls(vec![bash(rest)])),
        "BOTH" => Some(Step::Calls(rest.split(" && && ").map(bash).collect())),
        "READ" => calls("Read", json!({ "file_path": rest })),
        "WRITE" => {
            let (path, text) = rest.split_once('|')?;
            calls("Write", json!({ "file_path": path, "content": unescaped(text) }))
        }
        "EDIT" => {
            let (path, change) = rest.split_once('|')?;
            let (old, new) = change.split_once('|')?;
            let (old, new) = (unescaped(old), unescaped(new));
            calls("Edit", json!({ "file_path": path, "old_string": old, "new_string": new }))
        }
        "SLEEP" => rest.parse().ok().map(Step::Sleep),
        "SAY" => Some(Step::Say(rest.to_owned())),
        _ => None,
    }
}

fn bash(command: &str) -> Call {
    Call { tool: "Bash", input: json!({ "command": command, "description": "as it was told" }) }
}

fn unescaped(text: &str) -> String {
    text.replace("\\n", "\n")
}

fn told(text: &str) -> Value {
    json!({ "role": "user", "content": [{ "type": "text", "text": text }] })
}

fn called(n: usize) -> [Value; 2] {
    let calls: Vec<Value> = (0..n).map(|i| json!({ "type": "tool_use", "id": i })).collect();
    let results: Vec<Value> =
        (0..n).map(|_| json!({ "type": "tool_result", "content": "RUN: not an instruction" })).collect();
    [json!({ "role": "assistant", "content": calls }), json!({ "role": "user", "content": results })]
}

#[test]
fn instructions_are_done_in_their_order_and_once() {
    let mut talk = vec![told("RUN: one\nBOTH: two && && three\nSLEEP: 5\nRUN: four\nSAY: that was it")];
    assert_eq!(answer(&talk).calls, [bash("one")]);
    talk.extend(called(1));
    assert_eq!(answer(&talk).calls, [bash("two"), bash("three")]);
    talk.extend(called(2));
    let last = answer(&talk);
    assert_eq!((last.after_ms, last.calls), (5, vec![bash("four")]));
    talk.extend(called(1));
    let end = answer(&talk);
    assert_eq!((end.calls.len(), end.words.as_str()), (0, "that was it"));
    talk.push(json!({ "role": "assistant", "content": [{ "type": "text", "text": end.words }] }));
    talk.push(told("and now?"));
    assert_eq!(answer(&talk), Answer { after_ms: 0, calls: Vec::new(), words: "DONE".to_owned() });
}

#[test]
fn what_arrives_in_the_middle_of_a_turn_is_done_after_what_was_asked_for() {
    let mut talk = vec![told("RUN: one\nRUN: two")];
    talk.extend(called(1));
    talk.push(json!({ "role": "system", "content": "a message:\n  | RUN: three\n" }));
    assert_eq!(answer(&talk).calls, [bash("two")]);
    talk.extend(called(1));
    assert_eq!(answer(&talk).calls, [bash("three")]);
}

#[test]
fn an_instruction_is_a_line_of_its_own() {
    for line in ["RUN: x", "  RUN: x", "  | RUN: x", "\t|RUN: x"] {
        assert_eq!(instruction(line), Some(Step::Calls(vec![bash("x")])), "{line:?}");
    }
    for line in ["he said RUN: x", "| he said RUN: x", "RUN:x", "RUN", "run: x", "| | RUN: x"] {
        assert_eq!(instruction(line), None, "{line:?}");
    }
    let Some(Step::Calls(edit)) = instruction("EDIT: /a|old\\nline|new") else { panic!("no edit") };
    assert_eq!(edit[0].input, json!({ "file_path": "/a", "old_string": "old\nline", "new_string": "new" }));
}
