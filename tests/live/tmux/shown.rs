//! States at the edges of panes and in the status line, and the way to a pane.

use cmw::adapters::tmux::error::TmuxError;
use cmw::adapters::tmux::helper_window::HelperSpec;
use cmw::adapters::tmux::pane::{PaneId, PaneInfo};
use cmw::adapters::tmux::server::CloseOutcome;
use cmw::adapters::tmux::status_line::{PaneBorder, StatusTone};

use crate::tmux::lab::{Lab, of};

/// A person looks at the session: a client in a terminal that is a pane of another session.
fn eyes(lab: &Lab) -> PaneInfo {
    let mut eyes = lab.session("eyes", 1);
    eyes.panes[0].command = vec!["env".into(), "-u".into(), "TMUX".into()];
    let attach = lab.tmux.attach_command("s", false).unwrap();
    eyes.panes[0].command.extend(attach.into_iter().map(|word| word.into_string().unwrap()));
    let panes = lab.tmux.create(&eyes).unwrap();
    lab.wait_for("the person", || !lab.raw(&["list-clients", "-t", "=s:"]).is_empty());
    panes[0].clone()
}

fn shown<'a>(panes: &[PaneInfo], role: &str, tone: StatusTone, state: &'a str) -> PaneBorder<'a> {
    PaneBorder { pane: of(panes, role).pane_id, tone, state }
}

#[test]
fn states_and_status_are_seen_by_a_person() {
    let lab = Lab::new();
    let panes = lab.tmux.create(&lab.session("s", 4)).unwrap();
    let eyes = eyes(&lab);
    let states = [
        shown(&panes, "Dev-A", StatusTone::Calm, "working"),
        shown(&panes, "Dev-B", StatusTone::Problem, "crashed"),
        shown(&panes, "Librarian", StatusTone::Attention, "needs permission"),
    ];
    let status = [(StatusTone::Calm, "11 working "), (StatusTone::Problem, "1 crashed")];
    lab.tmux.show("s", &states, Some(&status)).unwrap();
    lab.tmux.badge("s", of(&panes, "Dev-A").pane_id, 3).unwrap();
    let screen = || lab.raw(&["capture-pane", "-p", "-t", &eyes.pane_id.to_string()]);
    lab.wait_for("all of it", || screen().contains(" Dev-A - working - 3 mail "));
    for text in [
        " Dev-B - crashed ",
        " Librarian - needs permission ",
        " Orchestrator \u{2500}",
        "11 working 1 crashed",
    ] {
        assert!(screen().contains(text), "{text}\n{}", screen());
    }
    let coloured = lab.raw(&["capture-pane", "-p", "-e", "-t", &eyes.pane_id.to_string()]);
    assert_eq!(coloured.matches("\x1b[37m\x1b[41mcrashed").count(), 1, "{coloured:?}");
    assert_eq!(coloured.matches("41m1 crashed").count(), 1, "{coloured:?}");
    // No words take it away; what is not named stays.
    lab.tmux.show("s", &[shown(&panes, "Dev-B", StatusTone::Calm, "")], None).unwrap();
    lab.wait_for("its end", || screen().contains(" Dev-B \u{2500}"));
    lab.tmux.badge("s", of(&panes, "Dev-A").pane_id, 0).unwrap();
    lab.wait_for("no badge", || screen().contains(" Dev-A - working \u{2500}"));
    assert!(screen().contains("1 crashed"));
    let dead = of(&panes, "Dev-B");
    let pid = rustix::process::Pid::from_raw(dead.pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    lab.wait_for("its end", || of(&lab.tmux.panes("s").unwrap(), "Dev-B").dead_signal == Some(9));
    // By itself tmux draws the edge of a pane that ended anew with the next interval of the status line.
    lab.tmux.show("s", &[shown(&panes, "Dev-B", StatusTone::Problem, "crashed")], None).unwrap();
    lab.wait_for("how it ended", || screen().contains(" Dev-B - crashed (ended by signal 9) "));
}

#[test]
fn a_text_brings_no_colour_and_runs_nothing() {
    let lab = Lab::new();
    let panes = lab.tmux.create(&lab.session("s", 1)).unwrap();
    let eyes = eyes(&lab);
    let hostile = lab.hostile(
        "it's ; #(touch pwned) %H ##[bg=red] #[bg=red] #{pid} $(touch pwned) \" \\ ~ } , ;\n\x1b[41m",
    );
    let text =
        lab.hostile("it's ; #(touch pwned) %H ##[bg=red] #[bg=red] #{pid} $(touch pwned) \" \\ ~ } , ; [41m");
    for tone in [StatusTone::Calm, StatusTone::Attention, StatusTone::Problem] {
        let states = [PaneBorder { pane: panes[0].pane_id, tone, state: &hostile }];
        lab.tmux.show("s", &states, Some(&[(tone, &hostile)])).unwrap();
        let screen = || lab.raw(&["capture-pane", "-p", "-e", "-t", &eyes.pane_id.to_string()]);
        let border = format!(" Dev-A - {text} ");
        let plain = || lab.raw(&["capture-pane", "-p", "-t", &eyes.pane_id.to_string()]);
        lab.wait_for(&format!("{border}\n{}", plain()), || plain().contains(&border));
        // The status line has less space, and cuts.
        assert!(plain().contains(&text[..100]), "{}", plain());
        assert_eq!(
            screen().matches("\x1b[41m").count(),
            2 * usize::from(tone == StatusTone::Problem),
            "{}",
            screen()
        );
    }
    lab.assert_not_pwned();
}

#[test]
fn a_pane_that_is_gone_does_not_keep_the_rest_from_being_shown() {
    let lab = Lab::new();
    let panes = lab.tmux.create(&lab.session("s", 12)).unwrap();
    let others = lab.tmux.create(&lab.session("other", 1)).unwrap();
    let gone = of(&panes, "Librarian");
    assert_eq!(
        lab.tmux.kill_pane(gone.pane_id, gone.pid, gone.role.as_ref().unwrap()),
        Ok(CloseOutcome::Killed)
    );
    lab.raw(&["split-window", "-d", "-t", "=s:", "--", "sleep", "600"]);
    let all = lab.tmux.panes("s").unwrap();
    let persons = all.iter().find(|pane| pane.role.is_none()).unwrap();
    let all: Vec<PaneId> = panes.iter().chain(&others).chain([persons]).map(|pane| pane.pane_id).collect();
    let states: Vec<PaneBorder<'_>> =
        all.iter().map(|pane| PaneBorder { pane: *pane, tone: StatusTone::Calm, state: "busy" }).collect();
    lab.tmux.show("s", &states, Some(&[(StatusTone::Calm, "x")])).unwrap();
    let set = lab.raw(&["list-panes", "-a", "-F", "#{session_name} #{@cmw_role} #{@cmw_state}"]);
    assert_eq!(
        set.lines().filter(|line| line.starts_with("s ") && line.ends_with(" busy")).count(),
        11,
        "{set}"
    );
    assert!(set.contains("other Dev-A \n") && set.contains("s  \n"), "{set}");
    let none = TmuxError::NoSession { name: "none".into() };
    assert_eq!(lab.tmux.show("none", &states, None), Err(none.clone()));
    assert_eq!(lab.tmux.show("none", &states, Some(&[])), Err(none));
    lab.tmux.kill_session("s").unwrap();
    let ended = TmuxError::NoSession { name: "s".into() };
    assert_eq!(lab.tmux.show("s", &states, None), Err(ended));
}

#[test]
fn a_pane_is_jumped_to() {
    let lab = Lab::new();
    let panes = lab.tmux.create(&lab.session("s", 13)).unwrap();
    let others = lab.tmux.create(&lab.session("other", 2)).unwrap();
    let helper = HelperSpec {
        name: "monitor".into(),
        command: vec!["sleep".into(), "600".into()],
        env: Vec::new(),
        cwd: lab.dir.path().into(),
    };
    let helper = lab.tmux.helper("s", &helper).unwrap();
    let current = |session: &str| lab.raw(&["display-message", "-p", "-t", session, "#{pane_id}"]);
    let before = current("=other:");
    let (first, last) = (panes[3].pane_id, panes[12].pane_id);
    for id in [last, first, helper, first] {
        lab.tmux.select("s", id).unwrap();
        assert_eq!(current("=s:").trim(), id.to_string());
    }
    assert_eq!(current("=other:"), before);
    // Another pane fills the window.
    lab.raw(&["resize-pane", "-Z", "-t", &first.to_string()]);
    lab.tmux.select("s", panes[4].pane_id).unwrap();
    let zoomed = lab.raw(&["display-message", "-p", "-t", "=s:", "#{pane_id} #{window_zoomed_flag}"]);
    assert_eq!(zoomed.trim(), format!("{} 0", panes[4].pane_id));
    for id in [others[0].pane_id, PaneId::parse("%99").unwrap()] {
        assert_eq!(lab.tmux.select("s", id), Err(TmuxError::NoPane { id: id.to_string() }));
    }
    assert_eq!(lab.tmux.select("none", first), Err(TmuxError::NoSession { name: "none".into() }));
}

#[test]
fn a_jump_works_from_within_a_popup() {
    let lab = Lab::new();
    let panes = lab.tmux.create(&lab.session("s", 13)).unwrap();
    let eyes = eyes(&lab);
    let client = lab.raw(&["list-clients", "-t", "=s:", "-F", "#{client_name}"]);
    let go = lab.dir.path().join("go").display().to_string();
    let popup = format!("echo I am a popup; while [ ! -e {go} ]; do sleep 0.02; done");
    let screen = || lab.raw(&["capture-pane", "-p", "-t", &eyes.pane_id.to_string()]);
    std::thread::scope(|scope| {
        scope.spawn(|| lab.raw(&["display-popup", "-c", client.trim(), "-E", &popup]));
        lab.wait_for("the popup", || screen().contains("I am a popup"));
        lab.tmux.select("s", panes[12].pane_id).unwrap();
        std::fs::write(&go, "").unwrap();
    });
    let role = format!(" {} ", panes[12].role.as_ref().unwrap());
    lab.wait_for("the other window", || screen().contains(&role) && !screen().contains("I am a popup"));
    assert_eq!(
        lab.raw(&["display-message", "-p", "-t", "=s:", "#{pane_id}"]).trim(),
        panes[12].pane_id.to_string()
    );
}
