//! The doorbell against clients in panes that note every byte they read.

use std::time::Duration;

use cmw::adapters::tmux::doorbell::bell::{Doorbell, RingOutcome, RingRefusal};
use cmw::adapters::tmux::doorbell::prompt::{AIDER_PROMPTS, CLAUDE_PROMPTS, CODEX_PROMPTS, GENERIC_PROMPTS};
use cmw::adapters::tmux::error::TmuxError;
use cmw::adapters::tmux::pane::{PaneId, PaneInfo};
use cmw::domain::mail::id::MessageId;

use crate::tmux::fake_agent;
use crate::tmux::house::House;
use crate::tmux::lab::role;

/// Tries each of these moments, all at once: most of the time is waiting.
fn at_once(moments: &[u32], try_one: impl Fn(u32) + Sync) {
    std::thread::scope(|scope| {
        moments.iter().for_each(|nth| drop(scope.spawn(|| try_one(*nth))));
    });
}

/// The clients that one ring runs, in their order: both looks, the paste, the first look after it, …
const SECOND_LOOK: u32 = 2;
const PASTE: u32 = 3;
const LOOK_AFTER: u32 = 4;
/// Two looks after the paste find our line; then Enter.
const ENTER: u32 = 6;

#[test]
fn a_waiting_client_is_rung() {
    for (looks, prompts) in [
        ("line", AIDER_PROMPTS),
        ("line", GENERIC_PROMPTS),
        ("claude", CLAUDE_PROMPTS),
        ("codex", CODEX_PROMPTS),
        ("line,codes", AIDER_PROMPTS),
        ("line,slow", AIDER_PROMPTS),
    ] {
        let house = House::new(prompts, &[looks]);
        assert_eq!(house.ring(), RingOutcome::Rung, "{looks}: {}", house.screen(0));
        house.assert_rung("\x1b[200~", "\x1b[201~");
    }
}

#[test]
fn what_did_not_ask_for_brackets_gets_none() {
    let house = House::new(AIDER_PROMPTS, &["line,plain"]);
    assert_eq!(house.ring(), RingOutcome::Rung);
    house.assert_rung("", "");
}

#[test]
fn a_line_that_wraps_is_read_whole() {
    // The fake client wraps as a terminal does.
    let house = House::new(GENERIC_PROMPTS, &["line"; 12]);
    house.lab.raw(&["resize-window", "-t", "=s:", "-x", "120"]);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(house.ring(), RingOutcome::Rung, "{}", house.screen(0));
    assert!(house.screen(0).lines().next().unwrap().len() < 35);
    house.assert_rung("\x1b[200~", "\x1b[201~");
}

#[test]
fn no_draft_is_lost_and_no_dialog_answered() {
    for (looks, prompts, why) in [
        ("line,draft", AIDER_PROMPTS, RingRefusal::Draft),
        ("claude,draft", CLAUDE_PROMPTS, RingRefusal::Draft),
        ("codex,draft", CODEX_PROMPTS, RingRefusal::Draft),
        ("line,dialog", AIDER_PROMPTS, RingRefusal::NoPrompt),
        ("line,dialog", GENERIC_PROMPTS, RingRefusal::Draft),
        ("claude,dialog", CLAUDE_PROMPTS, RingRefusal::Draft),
        ("question", GENERIC_PROMPTS, RingRefusal::NoPrompt),
        ("spins", GENERIC_PROMPTS, RingRefusal::NoPrompt),
        ("line,hidden", GENERIC_PROMPTS, RingRefusal::CursorHidden),
        // Another client's prompt than the one that should be there.
        ("line", CODEX_PROMPTS, RingRefusal::NoPrompt),
    ] {
        let house = House::new(prompts, &[looks]);
        let before = house.screen(0);
        house.assert_untouched(why);
        if looks != "spins" {
            assert_eq!(house.screen(0), before);
        }
    }
}

#[test]
fn a_draft_is_a_draft_until_it_is_sent() {
    let house = House::new(AIDER_PROMPTS, &["line"]);
    house.type_keys(0, "echo hi");
    assert_eq!(house.ring(), RingOutcome::Not(RingRefusal::Draft));
    assert_eq!(house.noted(0, "read"), "echo hi");
    house.lab.raw(&["send-keys", "-t", &house.id(0), "Enter"]);
    house.lab.wait_for("Enter", || house.noted(0, "took") == "echo hi\n");
    assert_eq!(house.ring(), RingOutcome::Rung);
}

#[test]
fn a_pane_in_a_mode_is_left_alone() {
    let house = House::new(AIDER_PROMPTS, &["line"]);
    let id = house.id(0);
    for words in [&["copy-mode", "-t", &id][..], &["choose-tree", "-t", &id], &["clock-mode", "-t", &id]] {
        house.lab.raw(words);
        house.assert_untouched(RingRefusal::InMode);
        house.lab.raw(&["send-keys", "-t", &id, "q"]);
    }
    // What `run-shell` prints is shown in view mode.
    house.lab.raw(&["run-shell", "-t", &id, "echo out"]);
    house.assert_untouched(RingRefusal::InMode);
}

#[test]
fn a_neighbour_hears_nothing() {
    let house = House::new(AIDER_PROMPTS, &["line", "line", "line"]);
    let id = MessageId::from_parts(1, 1);
    let (mine, next) = (&house.panes[0], &house.panes[1]);
    let my_role = mine.role.clone().unwrap();
    let other = |pane: &PaneInfo, pid: u32, name: &str| {
        house.lab.tmux.ring(&Doorbell::new(pane.pane_id, pid, role(name), id, AIDER_PROMPTS)).unwrap()
    };
    assert_eq!(other(mine, next.pid, my_role.as_str()), RingOutcome::Not(RingRefusal::OtherProcess));
    assert_eq!(other(mine, mine.pid, "Librarian"), RingOutcome::Not(RingRefusal::OtherProcess));
    assert_eq!(other(next, mine.pid, my_role.as_str()), RingOutcome::Not(RingRefusal::OtherProcess));
    // Keys typed into one of these panes go to all of them; into the other, to none.
    house.lab.raw(&["set-option", "-w", "-t", &house.id(0), "synchronize-panes", "on"]);
    house.assert_untouched(RingRefusal::Diverted);
    house.lab.raw(&["set-option", "-w", "-t", &house.id(0), "synchronize-panes", "off"]);
    house.lab.raw(&["select-pane", "-d", "-t", &house.id(0)]);
    house.assert_untouched(RingRefusal::Diverted);
    house.lab.raw(&["select-pane", "-e", "-t", &house.id(0)]);
    assert_eq!(house.ring(), RingOutcome::Rung);
    house.assert_rung("\x1b[200~", "\x1b[201~");
    assert_eq!((house.noted(1, "read"), house.noted(2, "read")), (String::new(), String::new()));
    house.lab.tmux.kill_pane(mine.pane_id, mine.pid, &my_role).unwrap();
    assert_eq!(house.ring(), RingOutcome::Not(RingRefusal::Gone));
    assert_eq!((house.noted(1, "read"), house.noted(2, "read")), (String::new(), String::new()));
}

#[test]
fn a_dead_or_replaced_program_is_not_rung() {
    let house = House::new(AIDER_PROMPTS, &["line", "line"]);
    let mut spec = house.lab.pane(house.panes[0].role.as_ref().unwrap().as_str(), 0);
    (spec.command, spec.env) = fake_agent::command("line", &house.lab.dir.path().join("0"));
    house.lab.tmux.respawn(house.panes[0].pane_id, &spec).unwrap();
    house.assert_untouched(RingRefusal::OtherProcess);
    let id = house.id(0);
    let pid = house.lab.raw(&["display-message", "-p", "-t", &id, "#{pane_pid}"]);
    assert!(std::process::Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
    house.lab.wait_for("its end", || house.lab.tmux.panes("s").unwrap()[0].dead);
    let bell = house.bell();
    let now = Doorbell::new(
        house.panes[0].pane_id,
        pid.trim().parse().unwrap(),
        spec.role.clone(),
        MessageId::from_parts(1, 1),
        AIDER_PROMPTS,
    );
    assert_eq!(house.lab.tmux.ring(&now).unwrap(), RingOutcome::Not(RingRefusal::Dead));
    house.lab.raw(&["kill-server"]);
    assert_eq!(house.lab.tmux.ring(&bell), Err(TmuxError::NoServer));
}

#[test]
fn enter_follows_only_our_line() {
    for (looks, why) in [
        ("line,silent", RingRefusal::Disturbed),
        ("line,asks-when-pasted", RingRefusal::Disturbed),
        ("line,typed-into", RingRefusal::Disturbed),
        ("line,typed-after", RingRefusal::Disturbed),
        ("line,ends-when-pasted", RingRefusal::Dead),
    ] {
        let house = House::new(AIDER_PROMPTS, &[looks]);
        assert_eq!(house.ring(), RingOutcome::Not(why), "{looks}");
        let read = house.noted(0, "read");
        assert!(read.contains("\x1b[200~cmw: new"), "{looks}: {read:?}");
        assert!(!read.contains('\r'), "{looks}: {read:?}");
        assert_eq!(house.noted(0, "took"), "", "{looks}");
        // And never a second try on top of it, as far as that can be seen.
        if looks.contains("typed") {
            assert_eq!(house.ring(), RingOutcome::Not(RingRefusal::Draft));
            assert_eq!(house.noted(0, "read"), read);
        }
    }
}

#[test]
fn what_changes_between_looking_and_typing_is_seen() {
    for (words, why) in [
        ("send-keys -t ID -l x", RingRefusal::Draft),
        ("copy-mode -t ID", RingRefusal::InMode),
        ("kill-pane -t ID", RingRefusal::Gone),
        ("respawn-pane -k -t ID sleep 600", RingRefusal::OtherProcess),
        ("set-option -p -t ID @cmw_role Dev-Z", RingRefusal::OtherProcess),
        ("set-option -w -t ID synchronize-panes on", RingRefusal::Diverted),
        ("select-pane -d -t ID", RingRefusal::Diverted),
    ] {
        at_once(&[SECOND_LOOK, PASTE], |nth| {
            let house = House::new(AIDER_PROMPTS, &["line", "line"]);
            let meddler = house.meddler(nth, &words.replace("ID", &house.id(0)));
            assert_eq!(house.ring_by(&meddler), RingOutcome::Not(why), "{words} before client {nth}");
            let read = house.noted(0, "read");
            assert_eq!(read, if words.contains("-l x") { "x" } else { "" }, "{words} before client {nth}");
            assert_eq!(house.noted(1, "read"), "", "{words} before client {nth}");
        });
    }
}

#[test]
fn what_changes_between_typing_and_enter_is_seen() {
    for (words, why) in [
        ("send-keys -t ID -l x", RingRefusal::Disturbed),
        ("copy-mode -t ID", RingRefusal::Disturbed),
        ("kill-pane -t ID", RingRefusal::Gone),
        ("respawn-pane -k -t ID sleep 600", RingRefusal::OtherProcess),
        ("set-option -w -t ID synchronize-panes on", RingRefusal::Disturbed),
        ("select-pane -d -t ID", RingRefusal::Disturbed),
    ] {
        at_once(&[LOOK_AFTER, ENTER], |nth| {
            let house = House::new(AIDER_PROMPTS, &["line", "line"]);
            let meddler = house.meddler(nth, &words.replace("ID", &house.id(0)));
            assert_eq!(house.ring_by(&meddler), RingOutcome::Not(why), "{words} before client {nth}");
            assert!(house.noted(0, "read").contains(house.bell().line()), "{words} before client {nth}");
            assert!(!house.noted(0, "read").contains('\r'), "{words} before client {nth}");
            assert_eq!(house.noted(1, "read"), "", "{words} before client {nth}");
        });
    }
}

#[test]
fn a_screen_that_never_rests_is_not_typed_into_blindly() {
    let house = House::new(AIDER_PROMPTS, &["line,flickers"]);
    for _ in 0..5 {
        let rung = house.ring();
        assert!(!house.noted(0, "read").contains("\r") || rung == RingOutcome::Rung, "{rung:?}");
        assert!(["", &format!("{}\n", house.bell().line())].contains(&house.noted(0, "took").as_str()));
        if rung == RingOutcome::Rung || rung == RingOutcome::Not(RingRefusal::Disturbed) {
            break;
        }
    }
}

#[test]
fn a_prompt_that_moves_is_not_at_rest() {
    let house = House::new(AIDER_PROMPTS, &["line"]);
    let meddler = house.meddler(SECOND_LOOK, &format!("send-keys -t {} Down", house.id(0)));
    assert_eq!(house.ring_by(&meddler), RingOutcome::Not(RingRefusal::Restless));
    assert_eq!(house.noted(0, "read"), "\x1b[B");
}

#[test]
fn a_client_that_clears_and_draws_all_the_time_is_rung_sooner_or_later() {
    let is_rung = |_| {
        let house = House::new(AIDER_PROMPTS, &["line,redraw"]);
        for _ in 0..20 {
            match house.ring() {
                RingOutcome::Rung => {
                    house.assert_rung("\x1b[200~", "\x1b[201~");
                    return true;
                }
                RingOutcome::Not(RingRefusal::Disturbed) => {
                    assert!(!house.noted(0, "read").contains('\r'));
                    return false;
                }
                RingOutcome::Not(why) => {
                    assert!(matches!(why, RingRefusal::NoPrompt | RingRefusal::Restless), "{why}");
                    assert_eq!(house.noted(0, "read"), "");
                }
            }
        }
        false
    };
    assert!((0..3).any(is_rung));
}

#[test]
fn two_that_ring_at_once_send_nothing_but_the_line() {
    let house = House::new(AIDER_PROMPTS, &["line"]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| house.lab.tmux.ring(&house.bell()).unwrap());
        }
    });
    house.assert_no_buffer();
    let line = house.bell().line().to_owned();
    assert!(house.noted(0, "took").lines().all(|taken| taken == line), "{}", house.noted(0, "took"));
}

#[test]
fn who_types_in_the_pane_is_not_disturbed() {
    let house = House::new(AIDER_PROMPTS, &["line", "line"]);
    house.lab.raw(&["select-pane", "-t", &house.id(0)]);
    let person = house.a_person();
    let press = |keys: &str| house.lab.raw(&["send-keys", "-t", &person.pane_id.to_string(), "-l", keys]);
    press("a");
    house.lab.wait_for("the key", || house.noted(0, "read") == "a");
    assert_eq!(house.ring(), RingOutcome::Not(RingRefusal::PersonTypes), "even before the draft is seen");
    // The letter is taken back: the line is empty, and a person still sits there.
    house.lab.raw(&["send-keys", "-t", &house.id(0), "Enter"]);
    house.lab.wait_for("an empty line", || house.noted(0, "took") == "a\n");
    assert_eq!(house.ring(), RingOutcome::Not(RingRefusal::PersonTypes));
    assert_eq!(house.noted(0, "read"), "a\r");
    // Now the person types in the other pane.
    house.lab.raw(&["select-pane", "-t", &house.id(1)]);
    press("b");
    house.lab.wait_for("the key", || house.noted(1, "read") == "b");
    assert_eq!(house.ring(), RingOutcome::Rung);
    assert_eq!(house.noted(1, "read"), "b");
    // And back, and waits.
    house.lab.raw(&["select-pane", "-t", &house.id(0)]);
    assert_eq!(house.ring(), RingOutcome::Not(RingRefusal::PersonTypes));
    std::thread::sleep(Duration::from_secs(11));
    assert_eq!(house.ring(), RingOutcome::Rung);
}

#[test]
fn a_badge_is_a_count_at_the_edge_of_the_pane() {
    let house = House::new(AIDER_PROMPTS, &["line", "line"]);
    let badge = |waiting: u32| house.lab.tmux.badge("s", house.panes[0].pane_id, waiting).unwrap();
    let edge = |i: usize| {
        house
            .lab
            .raw(&["display-message", "-p", "-t", &house.id(i), "#{E:pane-border-format}"])
            .trim()
            .to_owned()
    };
    assert_eq!((edge(0), edge(1)), ("Dev-A".into(), "Dev-B".into()));
    let person = house.a_person();
    assert!(badge(2));
    house.lab.wait_for("the badge", || {
        house.lab.tmux.capture(person.pane_id, 100).unwrap().contains(" Dev-A - 2 mail ")
    });
    assert_eq!((edge(0), edge(1)), ("Dev-A - 2 mail".into(), "Dev-B".into()));
    assert!(badge(13) && badge(0));
    assert_eq!(edge(0), "Dev-A");
    // A person's own pane, another session's, a pane that is gone.
    house.lab.raw(&["new-session", "-d", "-s", "mine", "--", "sleep", "600"]);
    house.lab.raw(&["split-window", "-t", &house.id(0), "--", "sleep", "600"]);
    let before = house.lab.raw(&["list-panes", "-a", "-F", "#{pane_id} #{@cmw_badge}"]);
    for line in
        before.lines().filter(|line| !line.starts_with(&house.id(0)) && !line.starts_with(&house.id(1)))
    {
        let id = PaneId::parse(line.trim()).unwrap();
        assert_eq!(house.lab.tmux.badge("s", id, 3), Ok(false), "{line}");
    }
    assert_eq!(house.lab.tmux.badge("mine", house.panes[0].pane_id, 3), Ok(false));
    assert_eq!(house.lab.tmux.badge("s", PaneId::parse("%99").unwrap(), 3), Ok(false));
    assert_eq!(house.lab.raw(&["list-panes", "-a", "-F", "#{pane_id} #{@cmw_badge}"]), before);
}
