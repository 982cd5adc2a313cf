//! The tmux adapter against a real server, each test on a private socket of its own.
#![expect(clippy::disallowed_methods, reason = "a test reads PATH and writes into its own directory")]
#![expect(clippy::unwrap_used, reason = "a test may, and so may what it is set up with")]

mod deaths;
mod doorbell;
mod fake_agent;
mod helper;
mod hostile;
mod house;
mod lab;
mod shown;

use std::path::{Path, PathBuf};

use cmw::adapters::tmux::error::TmuxError;
use cmw::adapters::tmux::layout::grid;
use cmw::adapters::tmux::pane::{PaneId, PaneInfo};
use cmw::adapters::tmux::server::CloseOutcome;
use cmw::adapters::tmux::session::{PaneSpec, SessionSpec};

use lab::{Lab, assert_even, of, role};

#[test]
fn twelve_panes_are_drawn_as_in_the_guide() {
    let lab = Lab::new();
    let panes = lab.tmux.create(&lab.session("claude-multi", 12)).unwrap();
    assert_eq!(panes.len(), 12);
    let drawn: [[&str; 4]; 3] = [
        ["Orchestrator", "Librarian", "Planner-A", "Planner-B"],
        ["Architect-A", "Architect-B", "Architect-C", "Dev-A"],
        ["Dev-B", "QA-A", "QA-B", "Docs"],
    ];
    let (lefts, tops) = ([0, 61, 121, 181], [1, 23, 45]);
    for (r, row) in drawn.iter().enumerate() {
        for (c, name) in row.iter().enumerate() {
            let pane = of(&panes, name);
            assert_eq!((pane.left, pane.top), (lefts[c], tops[r]), "{name}");
            assert_eq!(pane.height, 21, "{name}");
            assert_eq!(pane.pane_index as usize, r * 4 + c, "{name}");
            assert!(!pane.dead && !pane.in_mode && pane.pid > 0);
        }
    }
    assert_even(&panes, SessionSpec::SIZE);
    assert_eq!(of(&panes, "Dev-A").title, "title of Dev-A");
    assert_eq!(lab.raw(&["list-windows", "-t", "=claude-multi:", "-F", "#{window_name}"]), "workflow\n");
    assert_eq!(lab.tmux.session_repo("claude-multi").unwrap().as_deref(), Some(lab.dir.path()));
    lab.wait_for("the programs", || {
        lab.tmux.panes("claude-multi").unwrap().iter().all(|p| p.current_command == "sleep")
    });
}

#[test]
fn any_number_of_panes_is_built() {
    let lab = Lab::new();
    for n in [1, 2, 3, 4, 5, 7, 10, 12, 13, 24, 40] {
        let name = format!("of-{n}");
        let panes = lab.tmux.create(&lab.session(&name, n)).unwrap();
        assert_eq!(panes.len(), n);
        assert_even(&panes, SessionSpec::SIZE);
        let windows: Vec<usize> = lab
            .raw(&["list-windows", "-t", &format!("={name}:"), "-F", "#{window_panes}"])
            .lines()
            .map(|l| l.parse().unwrap())
            .collect();
        assert_eq!(windows, grid::windows(n));
        lab.tmux.kill_session(&name).unwrap();
    }
}

#[test]
fn a_session_that_exists_is_left_as_it_is() {
    let lab = Lab::new();
    let before = lab.tmux.create(&lab.session("claude-multi", 2)).unwrap();
    let error = lab.tmux.create(&lab.session("claude-multi", 12)).unwrap_err();
    assert_eq!(error, TmuxError::SessionExists { name: "claude-multi".into() });
    let ids = |panes: &[PaneInfo]| panes.iter().map(|p| (p.pane_id, p.pid)).collect::<Vec<_>>();
    assert_eq!(ids(&lab.tmux.panes("claude-multi").unwrap()), ids(&before));
}

#[test]
fn sessions_are_named_exactly() {
    let lab = Lab::new();
    assert!(!lab.tmux.has_session("claude-multi").unwrap(), "no server, no session");
    assert_eq!(lab.tmux.panes("claude-multi"), Err(TmuxError::NoServer));
    lab.tmux.create(&lab.session("claude-multi-2", 2)).unwrap();
    assert!(!lab.tmux.has_session("claude-multi").unwrap());
    let missing = TmuxError::NoSession { name: "claude-multi".into() };
    assert_eq!(lab.tmux.panes("claude-multi"), Err(missing.clone()));
    assert_eq!(lab.tmux.kill_session("claude-multi"), Err(missing.clone()));
    assert_eq!(lab.tmux.show("claude-multi", &[], None), Err(missing.clone()));
    assert_eq!(lab.tmux.add_pane("claude-multi", &lab.pane("Docs", 0)), Err(missing.clone()));
    assert_eq!(lab.tmux.session_repo("claude-multi"), Err(missing));
    lab.tmux.create(&lab.session("claude-multi", 3)).unwrap();
    assert_eq!(lab.tmux.panes("claude-multi").unwrap().len(), 3);
    lab.tmux.kill_session("claude-multi").unwrap();
    assert_eq!(lab.tmux.panes("claude-multi-2").unwrap().len(), 2, "its neighbour in name lives");
}

#[test]
fn a_neighbour_is_never_killed() {
    let lab = Lab::new();
    let panes = lab.tmux.create(&lab.session("s", 12)).unwrap();
    let ids = || lab.tmux.panes("s").unwrap().iter().map(|p| p.pane_id).collect::<Vec<_>>();
    let (third, next) = (of(&panes, "Planner-B").clone(), of(&panes, "Architect-A").clone());
    let wrong_pid = lab.tmux.kill_pane(third.pane_id, next.pid, &role("Planner-B")).unwrap();
    assert_eq!(wrong_pid, CloseOutcome::Changed { pid: third.pid, role: "Planner-B".into() });
    let wrong_role = lab.tmux.kill_pane(third.pane_id, third.pid, &role("Architect-A")).unwrap();
    assert_eq!(wrong_role, CloseOutcome::Changed { pid: third.pid, role: "Planner-B".into() });
    assert_eq!(ids().len(), 12);
    let kill = || lab.tmux.kill_pane(third.pane_id, third.pid, &role("Planner-B")).unwrap();
    assert_eq!(kill(), CloseOutcome::Killed);
    let left: Vec<PaneId> = panes.iter().map(|p| p.pane_id).filter(|id| *id != third.pane_id).collect();
    assert_eq!(ids(), left);
    assert_eq!(kill(), CloseOutcome::Gone, "a second time nothing happens");
    assert_eq!(ids(), left);
    lab.wait_for("its process to end", || !Path::new(&format!("/proc/{}", third.pid)).exists());
}

#[test]
fn killing_the_last_pane_ends_the_session() {
    let lab = Lab::new();
    let panes = lab.tmux.create(&lab.session("s", 1)).unwrap();
    let name = panes[0].role.clone().unwrap();
    assert_eq!(lab.tmux.kill_pane(panes[0].pane_id, panes[0].pid, &name), Ok(CloseOutcome::Killed));
    lab.wait_for("the session to end", || !lab.tmux.has_session("s").unwrap());
    // The server ends with its last session, but not in the same moment.
    let again = lab.tmux.kill_pane(panes[0].pane_id, panes[0].pid, &name);
    assert!(matches!(again, Ok(CloseOutcome::Gone) | Err(TmuxError::NoServer)), "{again:?}");
}

#[test]
fn a_session_can_follow_at_once_on_the_last_one() {
    let lab = Lab::new();
    for _ in 0..40 {
        lab.tmux.create(&lab.session("s", 1)).unwrap();
        lab.tmux.kill_session("s").unwrap();
    }
}

#[test]
fn a_pane_that_dies_stays_with_its_status() {
    let lab = Lab::new();
    let mut spec = lab.session("s", 12);
    for (i, pane) in spec.panes.iter_mut().enumerate() {
        pane.command = ["sh", "-c", "echo last words; exit $0", &i.to_string()].map(Into::into).to_vec();
    }
    spec.panes[11].command = vec!["/nonexistent/program".into(), "x".into()];
    spec.panes[10].command = ["sh", "-c", "kill -9 $$"].map(Into::into).to_vec();
    let first = lab.tmux.create(&spec).unwrap();
    assert_eq!(first.len(), 12, "even when all end at once");
    lab.wait_for("all to end", || lab.tmux.panes("s").unwrap().iter().all(|p| p.dead));
    let panes = lab.tmux.panes("s").unwrap();
    for (i, pane) in panes.iter().enumerate().take(10) {
        assert_eq!(pane.dead_status, Some(i32::try_from(i).unwrap()));
    }
    assert_eq!((panes[10].dead_status, panes[10].dead_signal), (None, Some(9)));
    assert_eq!(panes[11].dead_status, Some(127), "no such program");
    assert!(lab.tmux.capture(panes[3].pane_id, 100).unwrap().contains("last words"));
    assert_eq!(
        lab.tmux.kill_pane(panes[3].pane_id, panes[3].pid, &role("Planner-B")),
        Ok(CloseOutcome::Killed)
    );
}

#[test]
fn a_respawned_pane_keeps_its_id() {
    let lab = Lab::new();
    let panes = lab.tmux.create(&lab.session("s", 4)).unwrap();
    let old = of(&panes, "Dev-A").clone();
    let other = lab.dir.path().join(lab.hostile("#(touch pwned) #{pid}"));
    std::fs::create_dir(&other).unwrap();
    let mut spec = PaneSpec { cwd: other.clone(), ..lab.pane("Dev-A", 2) };
    spec.command = ["sh", "-c", "pwd -P > out.tmp; mv out.tmp out; exec sleep 600"].map(Into::into).to_vec();
    lab.tmux.respawn(old.pane_id, &spec).unwrap();
    let now = lab.tmux.panes("s").unwrap();
    let new = of(&now, "Dev-A");
    assert_eq!((new.pane_id, new.place, new.dead), (old.pane_id, Some(2), false));
    assert_ne!(new.pid, old.pid);
    let out = lab.wait_for_file(&other.join("out"));
    assert_eq!(PathBuf::from(String::from_utf8(out).unwrap().trim_end()), other.canonicalize().unwrap());
    let theirs = lab.tmux.respawn(old.pane_id, &lab.pane("Dev-B", 3)).unwrap_err();
    assert_eq!(theirs, TmuxError::NotTheirPane { id: old.pane_id, role: "Dev-B".into() });
    let gone = lab.tmux.respawn(PaneId::parse("%99").unwrap(), &spec).unwrap_err();
    assert_eq!(gone, TmuxError::NoPane { id: "%99".into() });
    lab.assert_not_pwned();
}

#[test]
fn a_pane_added_again_restores_the_grid() {
    let lab = Lab::new();
    let spec = lab.session("s", 13);
    let before = lab.tmux.create(&spec).unwrap();
    let stop = |name: &str| {
        let panes = lab.tmux.panes("s").unwrap();
        let pane = of(&panes, name);
        assert_eq!(lab.tmux.kill_pane(pane.pane_id, pane.pid, &role(name)), Ok(CloseOutcome::Killed));
    };
    let start = |name: &str| {
        let pane = spec.panes.iter().find(|p| p.role.as_str() == name).unwrap();
        let new = lab.tmux.add_pane("s", pane).unwrap();
        assert_eq!((new.role, new.place), (Some(role(name)), Some(pane.place)));
    };
    let places = || {
        let mut at: Vec<_> = lab
            .tmux
            .panes("s")
            .unwrap()
            .iter()
            .map(|p| {
                (p.place, p.role.clone(), p.window_index, p.pane_index, p.left, p.top, p.width, p.height)
            })
            .collect();
        at.sort();
        at
    };
    let whole = places();
    for name in ["Orchestrator", "Dev-B", "Docs"] {
        stop(name);
        start(name);
        assert_eq!(places(), whole, "{name} is back at its place");
    }
    for name in ["Docs", "Librarian", "Dev-A"] {
        stop(name);
    }
    for name in ["Dev-A", "Docs", "Librarian"] {
        start(name);
        assert_even(&lab.tmux.panes("s").unwrap(), SessionSpec::SIZE);
    }
    assert_eq!(places(), whole);
    stop("Dev-C");
    start("Dev-C");
    assert_eq!(places(), whole, "with a whole window gone too");
    assert_eq!(
        lab.raw(&["list-windows", "-t", "=s:", "-F", "#{window_name} #{window_active}"]),
        "workflow 1\nworkflow-2 0\n"
    );
    let twice = lab.tmux.add_pane("s", &spec.panes[0]).unwrap_err();
    assert!(matches!(twice, TmuxError::BadSpec(_)), "{twice}");
    assert_eq!(lab.tmux.panes("s").unwrap().len(), before.len());
}

#[test]
fn a_program_that_ends_at_once_leaves_its_added_pane() {
    let lab = Lab::new();
    let spec = lab.session("s", 2);
    lab.tmux.create(&spec).unwrap();
    for (name, place) in [("Dev-C", 2), ("Dev-D", 12)] {
        let mut pane = lab.pane(name, place);
        pane.command = vec!["false".into()];
        let id = lab.tmux.add_pane("s", &pane).unwrap().pane_id;
        lab.wait_for("it to end", || lab.tmux.panes("s").unwrap().iter().any(|p| p.pane_id == id && p.dead));
    }
}

#[test]
fn a_persons_own_pane_stays_and_comes_last() {
    let lab = Lab::new();
    let panes = lab.tmux.create(&lab.session("s", 4)).unwrap();
    lab.raw(&["split-window", "-t", &panes[0].pane_id.to_string(), "--", "sleep", "600"]);
    let arranged = lab.tmux.arrange("s").unwrap();
    let order: Vec<Option<u32>> = arranged.iter().map(|p| p.place).collect();
    assert_eq!(order, [Some(0), Some(1), Some(2), Some(3), None]);
    assert_eq!(arranged[4].role, None);
}

#[test]
fn a_scrolled_pane_says_so() {
    let lab = Lab::new();
    let panes = lab.tmux.create(&lab.session("s", 2)).unwrap();
    lab.raw(&["copy-mode", "-t", &panes[1].pane_id.to_string()]);
    let modes: Vec<bool> = lab.tmux.panes("s").unwrap().iter().map(|p| p.in_mode).collect();
    assert_eq!(modes, [false, true]);
}

#[test]
fn who_is_inside_is_known_by_the_server() {
    let lab = Lab::new();
    assert_eq!(lab.tmux.serves("/tmp/x,1,0"), Ok(false), "no server");
    lab.tmux.create(&lab.session("s", 1)).unwrap();
    let inside = lab.raw(&["display-message", "-p", "#{socket_path},#{pid},0"]);
    assert_eq!(lab.tmux.serves(inside.trim()), Ok(true));
    assert_eq!(lab.tmux.serves("/tmp/tmux-0/default,1,0"), Ok(false));
    assert_eq!(lab.tmux.serves(""), Ok(false));
}

#[test]
fn the_last_lines_of_a_pane_are_read() {
    let lab = Lab::new();
    let mut spec = lab.session("s", 1);
    spec.panes[0].command = ["sh", "-c", "seq 1 200; exec sleep 600"].map(Into::into).to_vec();
    let panes = lab.tmux.create(&spec).unwrap();
    lab.wait_for("its output", || lab.tmux.capture(panes[0].pane_id, 1).unwrap() == "200");
    assert_eq!(lab.tmux.capture(panes[0].pane_id, 3).unwrap(), "198\n199\n200");
    assert_eq!(lab.tmux.capture(panes[0].pane_id, 150).unwrap().lines().count(), 150);
    assert_eq!(lab.tmux.capture(panes[0].pane_id, 0).unwrap(), "");
    let gone = lab.tmux.capture(PaneId::parse("%99").unwrap(), 3).unwrap_err();
    assert_eq!(gone, TmuxError::NoPane { id: "%99".into() });
}
