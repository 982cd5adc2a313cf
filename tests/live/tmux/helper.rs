//! Tests of the helper window: a window of ours for a program that plays no role.

use cmw::adapters::tmux::error::TmuxError;
use cmw::adapters::tmux::helper_window::HelperSpec;
use cmw::adapters::tmux::session::{PaneSpec, SessionSpec};

use crate::tmux::lab::{Lab, assert_even, of, write_program};

fn monitor(lab: &Lab) -> HelperSpec {
    HelperSpec {
        name: "monitor".into(),
        command: vec!["sleep".into(), "600".into()],
        env: vec![("CMW_TEST".into(), "1".into())],
        cwd: lab.dir.path().into(),
    }
}

#[test]
fn one_helper_of_a_name() {
    let lab = Lab::new();
    lab.tmux.create(&lab.session("s", 2)).unwrap();
    assert_eq!(lab.tmux.helper_pane("s", "monitor"), Ok(None));
    let id = lab.tmux.helper("s", &monitor(&lab)).unwrap();
    let first = lab.tmux.helper_pane("s", "monitor").unwrap().unwrap();
    assert_eq!((first.pane_id, first.dead, first.role), (id, false, None));
    // One that lives is left alone.
    assert_eq!(lab.tmux.helper("s", &monitor(&lab)), Ok(id));
    assert_eq!(lab.tmux.helper_pane("s", "monitor").unwrap().unwrap().pid, first.pid);
    // One that has ended stays to be read, and is started again in its pane.
    let pid = rustix::process::Pid::from_raw(first.pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    lab.wait_for("its end", || lab.tmux.helper_pane("s", "monitor").unwrap().unwrap().dead_signal == Some(9));
    assert_eq!(lab.tmux.helper("s", &monitor(&lab)), Ok(id));
    let second = lab.tmux.helper_pane("s", "monitor").unwrap().unwrap();
    assert!(second.pane_id == id && !second.dead && second.pid != first.pid);
    let other = HelperSpec { name: "watch".into(), ..monitor(&lab) };
    assert_ne!(lab.tmux.helper("s", &other).unwrap(), id);
    assert_eq!(lab.raw(&["list-windows", "-t", "=s:", "-F", "#{window_name}"]), "workflow\nmonitor\nwatch\n");
}

#[test]
fn of_several_callers_one_opens_it() {
    let lab = Lab::new();
    lab.tmux.create(&lab.session("s", 2)).unwrap();
    let ids = std::thread::scope(|scope| {
        let calls: Vec<_> =
            (0..6).map(|_| scope.spawn(|| lab.tmux.helper("s", &monitor(&lab)).unwrap())).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect::<Vec<_>>()
    });
    let left = lab.tmux.helper_pane("s", "monitor").unwrap().unwrap().pane_id;
    assert!(ids.contains(&left), "{ids:?}");
    assert_eq!(lab.raw(&["list-windows", "-t", "=s:", "-F", "#{window_name}"]), "workflow\nmonitor\n");
}

#[test]
fn one_that_ends_at_once_stays_to_be_read() {
    let lab = Lab::new();
    lab.tmux.create(&lab.session("s", 1)).unwrap();
    let command = ["sh", "-c", "echo last words; exit 4"].map(Into::into).to_vec();
    let id = lab.tmux.helper("s", &HelperSpec { command, ..monitor(&lab) }).unwrap();
    lab.wait_for("its end", || lab.tmux.helper_pane("s", "monitor").unwrap().unwrap().dead_status == Some(4));
    assert!(lab.tmux.capture(id, 100).unwrap().contains("last words"));
}

#[test]
fn a_helper_is_no_pane_of_the_session() {
    let lab = Lab::new();
    let spec = lab.session("s", 12);
    let before = lab.tmux.create(&spec).unwrap();
    let id = lab.tmux.helper("s", &monitor(&lab)).unwrap();
    let ids =
        |panes: &[cmw::adapters::tmux::pane::PaneInfo]| panes.iter().map(|p| p.pane_id).collect::<Vec<_>>();
    assert_eq!(ids(&lab.tmux.panes("s").unwrap()), ids(&before));
    assert_eq!(ids(&lab.tmux.arrange("s").unwrap()), ids(&before));
    // A second window of roles opens beside it, and neither is taken for the other.
    lab.tmux.add_pane("s", &PaneSpec { place: 12, ..lab.pane("Dev-Z", 12) }).unwrap();
    let panes = lab.tmux.panes("s").unwrap();
    assert_eq!(panes.len(), 13);
    assert_ne!(of(&panes, "Dev-Z").pane_id, id);
    assert_even(&panes, SessionSpec::SIZE);
    // Even when a person moves it among them everything can be put back into order.
    lab.raw(&["join-pane", "-d", "-s", &id.to_string(), "-t", &of(&panes, "Dev-Z").pane_id.to_string()]);
    assert_eq!(lab.tmux.arrange("s").unwrap().len(), 13);
}

#[test]
fn the_current_window_stays_the_current_one() {
    let lab = Lab::with_config("set -g base-index 1\nset -g renumber-windows on\n");
    lab.tmux.create(&lab.session("s", 13)).unwrap();
    lab.raw(&["select-window", "-t", "=s:1"]);
    let windows = ["list-windows", "-t", "=s:", "-F", "#{window_name} #{window_flags}"];
    let before = lab.raw(&windows);
    lab.tmux.helper("s", &monitor(&lab)).unwrap();
    assert_eq!(lab.raw(&windows), format!("{before}monitor \n"), "current and last ones are as they were");
}

#[test]
fn its_end_is_told_too() {
    let lab = Lab::new();
    lab.tmux.create(&lab.session("s", 1)).unwrap();
    let note = lab.dir.path().join("note");
    let tell = lab.dir.path().join("tell");
    write_program(&tell, &format!("echo \"$1 $3\" > {0}.tmp; mv {0}.tmp {0}", note.display()));
    lab.tmux.set_pane_died_hook("s", &[tell.display().to_string()]).unwrap();
    let command = ["sh", "-c", "exit 4"].map(Into::into).to_vec();
    let id = lab.tmux.helper("s", &HelperSpec { command, ..monitor(&lab) }).unwrap();
    lab.wait_for("the news", || lab.tmux.panes("s").is_ok() && note.exists());
    assert_eq!(std::fs::read_to_string(note).unwrap(), format!("{id} 4\n"));
}

#[test]
fn what_is_no_helper_is_refused() {
    let lab = Lab::new();
    lab.tmux.create(&lab.session("s", 1)).unwrap();
    for name in ["", "-d", "a b", "#(touch pwned)", "a;"] {
        let spec = HelperSpec { name: name.into(), ..monitor(&lab) };
        assert!(matches!(lab.tmux.helper("s", &spec), Err(TmuxError::BadSpec(_))), "{name}");
    }
    let none = HelperSpec { command: Vec::new(), ..monitor(&lab) };
    assert!(matches!(lab.tmux.helper("s", &none), Err(TmuxError::BadSpec(_))));
    let error = lab.tmux.helper("none", &monitor(&lab)).unwrap_err();
    assert_eq!(error, TmuxError::NoSession { name: "none".into() });
    assert_eq!(lab.raw(&["list-windows", "-t", "=s:", "-F", "#{window_name}"]), "workflow\n");
}
