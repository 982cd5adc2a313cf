//! Tests of recognising prompts on clients' screens.

use crate::adapters::tmux::doorbell::prompt::*;

const RULE: &str = "──────────────────────────────────────────────────";

/// Parses a screen with `^` before the character under the terminal's cursor; without `^` it is hidden.
fn screen(drawn: &str) -> Screen {
    let plain = |line: &str| Screen::parse(line, 0, (0, 0), false).row(0).len();
    let lines = drawn.lines().enumerate();
    let found =
        lines.filter_map(|(y, line)| line.split_once('^').map(|(before, _)| (plain(before), y))).next();
    Screen::parse(&drawn.replace('^', ""), 50, found.unwrap_or_default(), found.is_some())
}

fn claude(input: &str) -> String {
    format!(
        "● Done.\n\n\x1b[38;5;244m{RULE}\n\x1b[0m{input}\n\x1b[38;5;244m{RULE}\n  \x1b[38;5;246m? for shortcuts\n\n"
    )
}

fn codex(input: &str) -> String {
    format!("• Ran cargo test\n\n\n\x1b[48;5;236m\x1b[1m{input}\n\x1b[48;5;236m\n\x1b[0m  ? for shortcuts\n")
}

fn gemini(input: &str) -> String {
    let (top, end) = (format!("╭{}╮", &RULE[..48 * 3]), format!("╰{}╯", &RULE[..48 * 3]));
    format!("✦ Done.\n\n{top}\n│ \x1b[35m> \x1b[39m{input}│\n{end}\n~/repo  no sandbox  gemini-2.5-pro\n")
}

fn is_empty(drawn: &str, prompts: &'static [Prompt]) -> bool {
    matches!(read(&screen(drawn), prompts), PromptReading::Empty(_))
}

#[test]
fn an_empty_prompt_is_known() {
    for (drawn, prompts) in [
        (claude("❯\u{a0}^"), CLAUDE_PROMPTS),
        (claude("❯ ^"), CLAUDE_PROMPTS),
        (claude("❯\u{a0}\x1b[7m \x1b[0m"), CLAUDE_PROMPTS),
        (claude("❯\u{a0}\x1b[7mT\x1b[0;2mry \"edit <filepath> to...\"\x1b[0m"), CLAUDE_PROMPTS),
        (claude("❯\u{a0}^\x1b[2mfix the failing test\x1b[0m"), CLAUDE_PROMPTS),
        (codex("› \x1b[0;2;48;5;236m^Ask Codex to do anything\x1b[0m"), CODEX_PROMPTS),
        (gemini("\x1b[7m \x1b[27m\x1b[38;5;102m Type your message or @path/to/file\x1b[39m         "), GEMINI),
        (
            "Added a.rs to the chat.\n\x1b[32m──────────────────────────────\n\x1b[0ma.rs\n\x1b[1;32m> ^\n\n\n".to_owned(),
            AIDER_PROMPTS,
        ),
        ("$ ls\na b\n$ ^\n\n".to_owned(), SHELL),
        ("$ cd there\n$ ^\n".to_owned(), SHELL),
        ("ready\n❯ ^".to_owned(), GENERIC_PROMPTS),
    ] {
        assert!(is_empty(&drawn, prompts), "{:?}\n{drawn}", read(&screen(&drawn), prompts));
    }
}

#[test]
fn when_in_doubt_it_is_no_empty_prompt() {
    use PromptReading::{Busy, CursorHidden, Draft, NoPrompt};
    for (drawn, prompts, what) in [
        // Text was typed, with the cursor at its end, at its start, in its second line.
        (claude("❯ half a line^"), CLAUDE_PROMPTS, Draft),
        (claude("❯ ^half a line"), CLAUDE_PROMPTS, Draft),
        (claude("❯ \x1b[7mh\x1b[27malf a line"), CLAUDE_PROMPTS, Draft),
        (claude("❯ ^\n  second line"), CLAUDE_PROMPTS, Draft),
        (claude("❯ first\n  ^"), CLAUDE_PROMPTS, NoPrompt),
        (codex("› half a line^"), CODEX_PROMPTS, Draft),
        (codex("› ^"), CODEX_PROMPTS, Draft),
        (codex("› ^\n  second"), CODEX_PROMPTS, Draft),
        (codex("› \x1b[0;2m^Ask Codex\x1b[0m and typed"), CODEX_PROMPTS, Draft),
        (gemini("hi\x1b[7m \x1b[27m"), GEMINI, Draft),
        (gemini("\x1b[7mT\x1b[27mype your message or @path/to/file"), GEMINI, Draft),
        (gemini("\x1b[7m \x1b[27m"), GEMINI, Draft),
        ("> half^\n".to_owned(), AIDER_PROMPTS, Draft),
        ("> ^\nhalf\n".to_owned(), AIDER_PROMPTS, Draft),
        ("> first\n> ^\n".to_owned(), AIDER_PROMPTS, Draft),
        ("> first\n> ^\n".to_owned(), GENERIC_PROMPTS, Draft),
        // Unknown sequences may be text.
        ("> ^\x0eabc\x0f\n".to_owned(), AIDER_PROMPTS, Draft),
        ("> ^\x1b[5X\n".to_owned(), AIDER_PROMPTS, Draft),
        ("$ rm -rf^\n".to_owned(), SHELL, Draft),
        // A space counts as typed text.
        ("$  ^\n".to_owned(), SHELL, Draft),
        ("> ^  x\n".to_owned(), AIDER_PROMPTS, Draft),
        // Dialogs and questions.
        (claude("❯ 1. Yes^\n  2. No"), CLAUDE_PROMPTS, Draft),
        (claude("❯ ^1. Yes\n  2. No"), CLAUDE_PROMPTS, Draft),
        (
            "Do you want to proceed?\n❯ 1. Yes\n  2. No\n\nEsc to cancel".to_owned(),
            CLAUDE_PROMPTS,
            CursorHidden,
        ),
        ("Do you want to proceed?\n❯ 1. Yes\n  2. No\n\n^".to_owned(), CLAUDE_PROMPTS, NoPrompt),
        ("Would you like to run this?\n\n› 1. Yes (y)\n  2. No (esc)\n^".to_owned(), CODEX_PROMPTS, NoPrompt),
        ("Add a.rs to the chat? (Y)es/(N)o [Yes]: ^\n".to_owned(), AIDER_PROMPTS, NoPrompt),
        ("Overwrite? [y/N] ^".to_owned(), GENERIC_PROMPTS, NoPrompt),
        ("Password: ^".to_owned(), SHELL, NoPrompt),
        // Working.
        ("⠋ Thinking…^".to_owned(), AIDER_PROMPTS, NoPrompt),
        ("⠋ Thinking…".to_owned(), AIDER_PROMPTS, CursorHidden),
        (
            codex("› \x1b[0;2m^Ask Codex to do anything\x1b[0m")
                .replace("Ran", "Working (3s • esc to interrupt) "),
            CODEX_PROMPTS,
            Busy,
        ),
        (claude("❯ ^").replace("Done.", "Frosting… (2s · esc to interrupt)"), CLAUDE_PROMPTS, Busy),
        (claude("❯ ^").replace("? for shortcuts", "esc to interrupt"), CLAUDE_PROMPTS, Busy),
        // An image is attached and would be sent along.
        (
            codex("› \x1b[0;2m^Ask Codex to do anything\x1b[0m").replace("\n\n\n", "\n\n  [Image #1]\n\n"),
            CODEX_PROMPTS,
            Busy,
        ),
        (codex("\x1b[0;2m› ^Ask Codex to do anything\x1b[0m"), CODEX_PROMPTS, NoPrompt),
        // Another client's prompt, an older prompt further up, a prompt in an incomplete box.
        ("> ^".to_owned(), SHELL, NoPrompt),
        ("$ ^".to_owned(), AIDER_PROMPTS, NoPrompt),
        ("user@host:~$ ^".to_owned(), SHELL, NoPrompt),
        ("$ sleep 9\n^".to_owned(), SHELL, NoPrompt),
        ("❯ ^\n".to_owned(), CLAUDE_PROMPTS, Draft),
        ("│ > \x1b[7m \x1b[27m\x1b[2m Type your message or @path/to/file\x1b[0m │".to_owned(), GEMINI, Draft),
        (String::new(), GENERIC_PROMPTS, CursorHidden),
        // Two candidates.
        (format!("{}{}", claude("❯ \x1b[7m \x1b[0m"), claude("❯ \x1b[7m \x1b[0m")), CLAUDE_PROMPTS, Draft),
    ] {
        assert_eq!(read(&screen(&drawn), prompts), what, "{drawn}");
    }
}

#[test]
fn only_our_line_is_our_line() {
    const LINE: &str = "cmw: new message 1A2B3C4D - run: cmw-inbox next";
    let holds = |drawn: &str, prompts: &[Prompt]| prompts.iter().any(|p| p.holds(&screen(drawn), LINE));
    for (drawn, prompts) in [
        (format!("$ {LINE}^\n\n"), SHELL),
        // Wrapped anywhere, wrapped at words, exactly as wide as the line, the cursor beyond.
        (format!("$ {}\n{}^\n", &LINE[..40], &LINE[40..]), SHELL),
        (format!("$ {}\n {}^\n", &LINE[..8], &LINE[9..]), SHELL),
        (format!("rule\n> {}\n> {}^\n", &LINE[..16], &LINE[17..]), AIDER_PROMPTS),
        (format!("$ {LINE}\n^\n"), SHELL),
        (claude(&format!("❯ {LINE}^")), CLAUDE_PROMPTS),
        (claude(&format!("❯ {LINE}\x1b[7m \x1b[0m")), CLAUDE_PROMPTS),
        (claude(&format!("❯ {LINE}\x1b[7m")), CLAUDE_PROMPTS),
        (codex(&format!("› {}\n  {}^", &LINE[..16], &LINE[17..])), CODEX_PROMPTS),
        (gemini(&format!("{}    │\n│   {}\x1b[7m \x1b[27m   ", &LINE[..27], &LINE[28..])), GEMINI),
    ] {
        assert!(holds(&drawn, prompts), "{drawn}");
    }
    for (drawn, prompts) in [
        (format!("$ {LINE}x^\n"), SHELL),
        (format!("$ {LINE}^x\n"), SHELL),
        (format!("$ x{LINE}^\n"), SHELL),
        (format!("$ {LINE} ^\n"), SHELL),
        (format!("$ ^{LINE}\n"), SHELL),
        (format!("$ {LINE}^\nx\n"), SHELL),
        (format!("$ {}^\n", &LINE[..46]), SHELL),
        (format!("$ x\n{LINE}^\n"), SHELL),
        (format!("> x\n> {LINE}^\n"), AIDER_PROMPTS),
        (format!("$ {LINE}\n"), SHELL),
        (format!("Overwrite? [y/N] {LINE}^\n"), SHELL),
        (format!("$ {LINE}{LINE}^\n"), SHELL),
        (format!("{LINE}^\n"), SHELL),
        (claude(&format!("❯ {LINE}^\n  more")), CLAUDE_PROMPTS),
        (claude(&format!("❯ 1. Yes\n  {LINE}^")), CLAUDE_PROMPTS),
    ] {
        assert!(!holds(&drawn, prompts), "{drawn}");
    }
}
