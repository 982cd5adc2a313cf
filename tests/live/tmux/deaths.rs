//! Tests of the news of pane ends: each reaches every subscriber, and no other process notices.

use std::path::PathBuf;

use cmw::adapters::tmux::error::TmuxError;
use cmw::adapters::tmux::pane::PaneInfo;
use cmw::adapters::tmux::session::PaneSpec;

use crate::tmux::lab::{Lab, of, write_program};

/// A session whose deaths are told to a program that notes its arguments.
struct Told {
    lab: Lab,
    panes: Vec<PaneInfo>,
    note: PathBuf,
    words: Vec<String>,
}

impl Told {
    fn new(config: &str, change: impl Fn(&Lab, &mut Vec<PaneSpec>)) -> Self {
        let lab = Lab::with_config(config);
        let mut spec = lab.session("s", 4);
        change(&lab, &mut spec.panes);
        let panes = lab.tmux.create(&spec).unwrap();
        let odd = lab.dir.path().join(lab.hostile("o'dd \"dir\"; #(touch pwned) $(touch pwned) %H;"));
        std::fs::create_dir(&odd).unwrap();
        let note = lab.dir.path().join("note");
        let script = format!(
            "for word; do printf '<%s>' \"$word\"; done > {0}.$$; echo >> {0}.$$; cat {0}.$$ >> {0}; rm {0}.$$\n\
             echo this is shown nowhere; exit 3",
            note.display()
        );
        write_program(&odd.join("tell"), &script);
        let hostile = lab.hostile("#(touch pwned) #{pid} $(touch pwned) `touch pwned` it's\n\"%1\" \\ ~;");
        let words = vec![odd.join("tell").display().to_string(), String::new(), hostile];
        lab.tmux.set_pane_died_hook("s", &words).unwrap();
        Self { lab, panes, note, words }
    }

    /// What was told, one line for each call: without our own words, which must have arrived.
    fn told(&self) -> Vec<String> {
        let noted = std::fs::read_to_string(&self.note).unwrap_or_default();
        let own: String = self.words[1..].iter().map(|word| format!("<{word}>")).collect();
        noted.split_terminator(&own).skip(1).map(|told| told.trim_end().to_owned()).collect()
    }

    fn wait_for(&self, told: &str) {
        self.look_for(told, || self.told().iter().any(|line| line == told));
    }

    /// Waits as one who also looks: what the server has missed would be told of late.
    fn look_for(&self, what: &str, mut done: impl FnMut() -> bool) {
        self.lab.wait_for(what, || self.lab.tmux.panes("s").is_ok() && done());
    }

    fn died(&self, role: &str, status: &str, signal: &str) -> String {
        let pane = of(&self.panes, role);
        format!("<{}><{}><{status}><{signal}><{role}>", pane.pane_id, pane.pid)
    }

    fn id(&self, role: &str) -> String {
        of(&self.panes, role).pane_id.to_string()
    }
}

/// A program that ends with this status as soon as the test says so.
fn ends(lab: &Lab, pane: &mut PaneSpec, how: &str) {
    let go = lab.dir.path().join("go").display().to_string();
    let script = format!("while [ ! -e {go} ]; do sleep 0.02; done; {how}");
    pane.command = ["sh", "-c", &script].map(Into::into).to_vec();
}

const CLOSED: &str = "<><><><><>";

#[test]
fn each_way_to_end_is_told() {
    let t = Told::new("", |lab, panes| {
        ends(lab, &mut panes[0], "exit 3");
        ends(lab, &mut panes[1], "kill -9 $$");
        ends(lab, &mut panes[2], "exit 0");
    });
    let roles: Vec<String> = t.panes.iter().map(|p| p.role.as_ref().unwrap().to_string()).collect();
    std::fs::write(t.lab.dir.path().join("go"), "").unwrap();
    let all = [t.died(&roles[0], "3", ""), t.died(&roles[1], "", "9"), t.died(&roles[2], "0", "")];
    all.iter().for_each(|told| t.wait_for(told));
    t.lab.raw(&["kill-pane", "-t", &t.id(&roles[3])]);
    t.wait_for(CLOSED);
    assert_eq!(t.told().len(), 4, "each once: {:?}", t.told());
    t.lab.assert_not_pwned();
    // What the program prints, and how it ends, shows up over no pane.
    let modes = t.lab.raw(&["list-panes", "-a", "-F", "#{pane_in_mode}"]);
    assert!(modes.lines().all(|mode| mode == "0"), "{modes}");
}

#[test]
fn a_pane_that_does_not_stay_is_told_of_without_a_neighbours_names() {
    let t = Told::new("", |lab, panes| ends(lab, &mut panes[1], "exit 5"));
    t.lab.raw(&["set-option", "-w", "-t", "=s:", "remain-on-exit", "off"]);
    std::fs::write(t.lab.dir.path().join("go"), "").unwrap();
    t.wait_for(&format!("<{}><><><><>", t.panes[1].pane_id));
    assert_eq!(t.told().len(), 1, "{:?}", t.told());
}

#[test]
fn an_end_that_the_server_missed_is_noticed_by_looking() {
    let lab = Lab::new();
    // Most servers miss some of so many; whether or not, none stays without its status.
    for _ in 0..20 {
        let panes = lab.tmux.create(&lab.session("s", 2)).unwrap();
        let pid = rustix::process::Pid::from_raw(panes[1].pid.try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        lab.wait_for("how it ended", || lab.tmux.panes("s").unwrap()[1].dead_signal == Some(9));
        lab.tmux.kill_session("s").unwrap();
    }
}

#[test]
fn windows_opened_later_tell_too_and_a_closed_one() {
    let t = Told::new("set-hook -g pane-died 'set-option -ga @users x'", |_, _| {});
    let spec = PaneSpec { place: 12, ..t.lab.pane("Docs-B", 12) };
    let mut ending = spec.clone();
    ending.command = ["sh", "-c", "exit 7"].map(Into::into).to_vec();
    // It ends at once: the hook stands before the program can.
    let pane = t.lab.tmux.add_pane("s", &ending).unwrap();
    t.wait_for(&format!("<{}><{}><7><><Docs-B>", pane.pane_id, pane.pid));
    t.look_for("the user's hook", || t.lab.raw(&["show-options", "-gqv", "@users"]) == "x\n");
    // A respawned pane is told of again, under its new process.
    t.lab.tmux.respawn(pane.pane_id, &ending).unwrap();
    t.look_for("the second end", || t.told().len() == 2);
    t.lab.raw(&["kill-window", "-t", &pane.window_id]);
    t.wait_for(CLOSED);
}

#[test]
fn the_users_own_hooks_still_run() {
    let config = "set-hook -g pane-died[2] 'set-option -ga @users \"a b; \"'\n\
                  set-hook -g pane-died[5] 'if -F 1 { set-option -ga @users \"#{hook_pane}\" ; set -ga @users c }'\n\
                  set-hook -g after-kill-pane 'set-option -ga @users k'\n";
    let t = Told::new(config, |lab, panes| ends(lab, &mut panes[1], "exit 5"));
    let show = |words: &[&str]| t.lab.raw(&[&["show-hooks"], words].concat());
    let global = ["pane-died", "pane-exited", "after-kill-pane", "window-unlinked"].map(|h| show(&["-g", h]));
    let users = || t.lab.raw(&["show-options", "-gqv", "@users"]);
    std::fs::write(t.lab.dir.path().join("go"), "").unwrap();
    let role = t.panes[1].role.as_ref().unwrap().to_string();
    t.wait_for(&t.died(&role, "5", ""));
    assert_eq!(users(), "a b; #{hook_pane}c\n", "before ours, in their order");
    t.lab.raw(&["kill-pane", "-t", &t.panes[2].pane_id.to_string()]);
    t.wait_for(CLOSED);
    assert_eq!(users(), "a b; #{hook_pane}ck\n");
    // Once more changes nothing, and what the user no longer has goes.
    let local = show(&["-w", "-t", "=s:", "pane-died"]);
    assert_eq!(local.lines().count(), 3, "{local}");
    t.lab.tmux.set_pane_died_hook("s", &t.words).unwrap();
    assert_eq!(show(&["-w", "-t", "=s:", "pane-died"]), local);
    assert_eq!(
        global,
        ["pane-died", "pane-exited", "after-kill-pane", "window-unlinked"].map(|h| show(&["-g", h]))
    );
    t.lab.raw(&["set-hook", "-gu", "pane-died[5]"]);
    t.lab.tmux.set_pane_died_hook("s", &t.words).unwrap();
    assert_eq!(show(&["-w", "-t", "=s:", "pane-died"]).lines().count(), 2);
    // A hook that the user has set on the window himself hides his global ones; so it stays.
    t.lab.raw(&["set-hook", "-w", "-t", "=s:", "pane-died[0]", "set-option -ga @users w"]);
    t.lab.tmux.set_pane_died_hook("s", &t.words).unwrap();
    let local = show(&["-w", "-t", "=s:", "pane-died"]);
    let mut indices = local.lines().map(|line| line.split(']').next().unwrap());
    assert_eq!(
        (indices.next(), indices.next(), indices.next()),
        (Some("pane-died[0"), Some("pane-died[7999"), None)
    );
}

#[test]
fn where_the_users_hooks_cannot_be_copied_nothing_of_ours_is_set() {
    let long = "x".repeat(17_000);
    let config = format!(
        "set-hook -g pane-died 'set-option -ga @users a'\nset-hook -ga pane-died 'set -g @long {long}'"
    );
    let lab = Lab::with_config(&config);
    lab.tmux.create(&lab.session("s", 2)).unwrap();
    let before = lab.raw(&["show-hooks", "-w", "-t", "=s:"]);
    let error = lab.tmux.set_pane_died_hook("s", &["/bin/true".into()]).unwrap_err();
    assert!(matches!(error, TmuxError::Failed { .. }), "{error}");
    assert_eq!(lab.raw(&["show-hooks", "-w", "-t", "=s:"]), before);
    let pid = lab.raw(&["display-message", "-p", "-t", "=s:", "#{pane_pid}"]);
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    lab.wait_for("the user's hook", || {
        lab.tmux.panes("s").is_ok() && lab.raw(&["show-options", "-gqv", "@users"]) == "a\n"
    });
}

#[test]
fn no_word_of_ours_and_no_role_is_run() {
    let t = Told::new("", |lab, panes| ends(lab, &mut panes[1], "exit 5"));
    // Nothing but our own label: a process that reaches the server can write anything into it.
    let label = t.lab.hostile("x'; touch pwned\ntouch pwned\n#(touch pwned) $(touch pwned) \"`touch pwned`");
    t.lab.raw(&["set-option", "-p", "-t", &t.panes[1].pane_id.to_string(), "@cmw_role", &label]);
    std::fs::write(t.lab.dir.path().join("go"), "").unwrap();
    let start = format!("<{}><{}><5><><x___touch_", t.panes[1].pane_id, t.panes[1].pid);
    t.look_for("the end", || t.told().iter().any(|told| told.starts_with(&start)));
    t.lab.assert_not_pwned();
    for words in [&[][..], &[String::new()], &["a\0b".to_owned()]] {
        assert!(matches!(t.lab.tmux.set_pane_died_hook("s", words), Err(TmuxError::BadSpec(_))));
    }
    let none = t.lab.tmux.set_pane_died_hook("none", &t.words);
    assert_eq!(none, Err(TmuxError::NoSession { name: "none".into() }));
}
