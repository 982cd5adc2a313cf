//! `cmw-health --watch` in a real terminal: a pane of a private tmux server, keys and captures.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "what a test cannot do ends it")]

mod lab;

use lab::Lab;

#[test]
fn it_follows_what_happens() {
    let lab = Lab::new();
    let screen = lab.watch(80, 24);
    screen.until("next: cmw-session up");
    lab.role("Dev-A", "cmw-heartbeat register && cmw-heartbeat beat --task 'write the parser'");
    screen.until("write the parser");
    lab.role("Dev-A", "cmw-lock acquire --files a --purpose parser --quiet");
    screen.until("Dev-A holds WL-0001 for \"parser\"");
    screen.until("[lock] write the parser");
    lab.role("Dev-B", "cmw-lock acquire --files b --quiet || [ $? = 75 ]");
    screen.until("1. Dev-B NORMAL, away for");
    lab.role("Docs", "cmw-send Dev-A --subject hello 'how are you?'");
    let mail = |text: &str| text.lines().any(|l| l.contains("Dev-A ") && l.contains(" 2    -  [lock]"));
    screen.until_that("two messages", mail);
    lab.role("Librarian", "cmw-freeze now --reason 'who moved main?'");
    screen.until("FROZEN by Librarian");
    lab.role("Docs", "echo garbage > .git/cmw/state.json");
    screen.until("CANNOT UPDATE: cmw/state.json is damaged");
    screen.until("last update");
    std::fs::remove_dir_all(&lab.repo).unwrap();
    screen.until_that("the repository is gone", |text| {
        text.starts_with("CANNOT UPDATE:") && !text.contains("damaged")
    });
    screen.keys(&["q"]);
    screen.until("ended with 0");
}

#[test]
fn keys_do_what_the_commands_do_and_a_refusal_is_shown_whole() {
    let lab = Lab::new();
    lab.role("Dev-A", "cmw-heartbeat register && cmw-lock acquire --files a --quiet");
    lab.role("Docs", "cmw-send Dev-A --quiet --subject hello \"$(printf 'how \\033[2J are you?')\"");
    let screen = lab.watch(80, 24);
    screen.until("Dev-A holds");
    // With no role selected it is the first of the table that works.
    screen.keys(&["p"]);
    screen.until("Pause Dev-A? It acquires no lock");
    screen.keys(&["n"]);
    screen.until("cancelled");
    screen.keys(&["p", "y"]);
    screen.until("[paused] [lock]");
    screen.until("paused: Dev-A (by ");
    screen.keys(&["m"]);
    screen.until("Dev-A: 3 unread (*)");
    screen.keys(&["j", "Enter"]);
    screen.until("how \\u{1b}[2J are you?");
    assert!(screen.text().contains("subject:  hello"), "{}", screen.text());
    screen.keys(&["Escape"]);
    screen.until("Esc back");
    screen.keys(&["Escape"]);
    screen.until("f force-release");
    let unread = lab.repo.join(".git/messages/Dev-A/new");
    assert_eq!(std::fs::read_dir(unread).unwrap().count(), 3, "looking takes nothing up");
    // In a pane of tmux no process is recognised as the person.
    screen.keys(&["f"]);
    screen.until("Force-release WL-0001, held by Dev-A");
    screen.type_in("it hangs");
    screen.until("Reason: it hangs");
    screen.keys(&["Enter"]);
    screen.until("FAILED: cmw-lock force-release");
    let whole = lab.says("cmw-lock force-release '--reason=it hangs'");
    for line in whole.lines() {
        let start: String = line.chars().take(60).collect();
        assert!(screen.text().contains(&start), "{line}\n{}", screen.text());
    }
    screen.keys(&["q"]);
    screen.until("f force-release");
    screen.keys(&["Enter"]);
    screen.until("Dev-A has no pane");
    screen.keys(&["C-c"]);
    screen.until("ended with 0");
}

#[test]
fn enter_brings_a_pane_to_the_front() {
    let lab = Lab::new();
    let up = "cmw-session up --socket agents --roles Orchestrator,Dev-A --agent 'cmw-demo-agent --rounds 0'";
    lab.says(up);
    let front = || {
        let list = ["list-panes", "-t", "=claude-multi:", "-F", "#{pane_active} #{@cmw_role}"];
        let words = [&["-L", "agents"], &list[..]].concat();
        String::from_utf8(lab.command("tmux").args(words).output().unwrap().stdout).unwrap()
    };
    assert!(!front().is_empty() && !front().contains("1 Dev-A"), "{}", front());
    let screen = lab.watch(100, 30);
    screen.until("session claude-multi up");
    // Down to Dev-A, wherever it stands.
    while !screen.with_escapes().lines().any(|line| line.contains("\x1b[7m") && line.contains("Dev-A ")) {
        screen.keys(&["j"]);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    screen.keys(&["Enter"]);
    screen.until("is selected; to see it: cmw-session attach");
    assert!(front().contains("1 Dev-A"), "{}", front());
    screen.keys(&["q"]);
    screen.until("ended with 0");
}

#[test]
fn it_lives_through_every_size() {
    let lab = Lab::new();
    let screen = lab.watch(80, 24);
    screen.until("Orchestrator");
    for (width, height) in [(40, 10), (20, 5), (200, 60), (2, 2), (80, 24)] {
        screen.resize(width, height);
        screen.keys(&["j", "?", "x", "k", "C-l"]);
    }
    screen.until("Orchestrator");
    screen.until("next: cmw-session up");
    screen.keys(&["q"]);
    screen.until("ended with 0");
}

#[test]
fn the_terminal_is_given_back() {
    let lab = Lab::new();
    for (how, ended) in [("q", "ended with 0"), ("TERM", "ended with 143"), ("HUP", "ended with 129")] {
        let screen = lab.watch(80, 24);
        screen.until("Orchestrator");
        assert!(screen.is_raw());
        if how == "q" {
            screen.keys(&["q"]);
        } else {
            lab.signal_watch(how);
        }
        screen.until(ended);
        screen.assert_given_back();
        screen.close();
    }
    // Stopped, it lets go of it, and continued it takes it again.
    let screen = lab.watch(80, 24);
    screen.until("Orchestrator");
    lab.signal_watch("TSTP");
    screen.until("ended with 147");
    screen.assert_given_back();
    screen.type_in("fg; echo ended with $?");
    screen.keys(&["Enter"]);
    screen.until("next: cmw-session up");
    screen.keys(&["q"]);
    screen.until("ended with 0");
    screen.assert_given_back();
}

#[test]
fn a_panic_gives_the_terminal_back_first() {
    let lab = Lab::new();
    let screen = lab.watch(80, 24);
    screen.until("Orchestrator");
    // A key that only programs built for such tests know.
    screen.keys(&["C-]"]);
    screen.until("ended with 134");
    screen.assert_given_back();
    assert!(screen.text().contains("panicked at"), "{}", screen.text());
}

#[test]
fn without_a_terminal_that_can_be_drawn_on_it_names_the_table() {
    let lab = Lab::new();
    let said = lab.command("cmw-health").arg("--watch").output().unwrap();
    assert_eq!(said.status.code(), Some(69));
    let err = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(err, "error: --watch needs a terminal; cmw-health alone does not\nnext: cmw-health\n");
    let shown = lab.says("TERM=dumb cmw-health --watch");
    assert!(shown.contains("cannot move its cursor") && shown.contains("next: cmw-health"), "{shown}");
    let said = lab.command("cmw-health").args(["--watch", "--json"]).output().unwrap();
    assert_eq!(said.status.code(), Some(2));
}

#[test]
fn without_colours_none_are_sent() {
    let lab = Lab::new();
    lab.role("Librarian", "cmw-freeze now --reason 'who moved main?'");
    let screen = lab.watch(80, 24);
    screen.until("FROZEN");
    assert!(screen.with_escapes().contains("\x1b[38;5;1m"), "{:?}", screen.with_escapes());
    screen.keys(&["q"]);
    screen.until("ended with 0");
    screen.close();
    let screen = lab.watch_with("NO_COLOR=1", 80, 24);
    screen.until("FROZEN");
    let drawn = screen.with_escapes();
    assert!(!drawn.contains("\x1b[38;5;1m") && drawn.contains("\x1b[1m"), "{drawn:?}");
}
