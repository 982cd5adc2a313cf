//! Values, configurations and machines that would make tmux do something else.

use std::ffi::OsStr;

use cmw::adapters::tmux::error::TmuxError;
use cmw::adapters::tmux::escape::{escape_format, escape_status};
use cmw::adapters::tmux::helper_window::HelperSpec;
use cmw::adapters::tmux::layout::grid::Size;
use cmw::adapters::tmux::pane::PaneId;
use cmw::adapters::tmux::server::{CloseOutcome, Server, Tmux};
use cmw::adapters::tmux::session::SessionSpec;
use cmw::adapters::tmux::status_line::{PaneBorder, StatusTone};

use crate::tmux::lab::{Lab, assert_even, of, role, write_program};

#[test]
fn every_word_arrives_byte_for_byte() {
    let lab = Lab::new();
    let mut spec = lab.session("s", 2);
    let words = [
        "",
        " ",
        "a b",
        "'",
        "\"",
        "\\",
        ";",
        "a;",
        "a\\;",
        ";;",
        "#",
        "#(touch pwned)",
        "#{pane_id}",
        "$HOME",
        "$(touch pwned)",
        "`touch pwned`",
        "two\nlines",
        "\ttab",
        "ünï — 語",
        "%H",
        "-x",
        "--",
        "~",
        "*",
        "{",
        "}",
        "\x1b[2J",
        "a=b",
    ];
    let words = words.map(|word| lab.hostile(word));
    let odd = lab.dir.path().join(lab.hostile("a dir; #(touch pwned) %H 'ü';"));
    std::fs::create_dir(&odd).unwrap();
    for name in ["prog ram;", "pro=gram"] {
        let script = [
            "printf '%s\\0' \"$@\" \"$CMW_ODD\" > \"$CMW_OUT.tmp\"",
            "mv \"$CMW_OUT.tmp\" \"$CMW_OUT\"",
            "exec sleep 600",
        ];
        write_program(&odd.join(name), &script.join("\n"));
    }
    let value = lab.hostile("#(touch pwned)\n'ü' \"$(touch pwned)\" a=b;");
    for (pane, name) in spec.panes.iter_mut().zip(["prog ram;", "pro=gram"]) {
        pane.command = std::iter::once(odd.join(name).to_str().unwrap())
            .chain(words.iter().map(String::as_str))
            .map(str::to_owned)
            .collect();
        pane.env = vec![("CMW_ODD".into(), value.clone()), ("CMW_OUT".into(), format!("out {name}"))];
        pane.cwd.clone_from(&odd);
        pane.title = lab.hostile("#(touch pwned) #{pid} \x1b[2J");
    }
    spec.repo.clone_from(&odd);
    let panes = lab.tmux.create(&spec).unwrap();
    let expected: Vec<u8> =
        words.iter().chain([&value]).flat_map(|w| [w.as_bytes(), b"\0"].concat()).collect();
    for name in ["prog ram;", "pro=gram"] {
        let arrived = lab.wait_for_file(&odd.join(format!("out {name}")));
        assert_eq!(String::from_utf8_lossy(&arrived), String::from_utf8_lossy(&expected), "{name}");
    }
    let title = lab.hostile("#(touch pwned) #{pid} [2J");
    assert!(panes.iter().all(|p| p.title == title), "{}", panes[0].title);
    assert_eq!(lab.tmux.session_repo("s").unwrap(), Some(odd));
    lab.assert_not_pwned();
}

#[test]
fn no_shell_reads_a_value() {
    let lab = Lab::new();
    let panes = lab.tmux.create(&lab.session("s", 2)).unwrap();
    // Nothing but our own label: a process that reaches the server can write anything into it.
    let id = panes[0].pane_id.to_string();
    lab.raw(&["set-option", "-p", "-t", &id, "@cmw_role", &lab.hostile("#(touch pwned)")]);
    lab.raw(&["set-option", "-t", "=s:", "@cmw_repo", &lab.hostile("#(touch pwned)")]);
    let hostile =
        lab.hostile("#(touch pwned) 100% %H ##[fg=red] #[bg=red] #{pid} $(touch pwned)\n\x1b[2J\u{202e}");
    lab.tmux.show("s", &[], Some(&[(StatusTone::Calm, &hostile)])).unwrap();
    let shown = lab.hostile("#(touch pwned) 100% %H ####[fg=red] ##[bg=red] #{pid} $(touch pwned) [2J");
    assert_eq!(lab.raw(&["display-message", "-p", "-t", "=s:", "#{T:status-right}"]).trim_end(), shown);
    // The border and the status line are drawn for a person who looks: a client in a terminal of its own.
    let mut eyes = lab.session("eyes", 1);
    eyes.panes[0].command = vec!["env".into(), "-u".into(), "TMUX".into()];
    let attach = lab.tmux.attach_command("s", false).unwrap();
    eyes.panes[0].command.extend(attach.into_iter().map(|w| w.into_string().unwrap()));
    let eyes = lab.tmux.create(&eyes).unwrap();
    lab.wait_for("the status line", || {
        lab.tmux.capture(eyes[0].pane_id, 100).unwrap().contains("100% %H ##[fg=red] #[bg=red] #{pid}")
    });
    let seen = lab.tmux.capture(eyes[0].pane_id, 100).unwrap();
    assert!(seen.contains(&lab.hostile(" #(touch pwned) ")), "{seen}");
    assert_eq!(lab.tmux.panes("s").unwrap()[0].role, None, "that is no role");
    lab.assert_not_pwned();
}

#[test]
fn a_format_made_of_a_message_shows_the_message() {
    let lab = Lab::new();
    lab.tmux.create(&lab.session("s", 1)).unwrap();
    let text = lab.hostile("#(touch pwned) #{pane_pid} # ## #S");
    assert_eq!(lab.raw(&["display-message", "-p", &escape_format(&text)]).trim_end(), text);
    let timed = format!("{text} %H");
    lab.raw(&["set-option", "-t", "=s:", "@x", &escape_status(&timed)]);
    assert_eq!(lab.raw(&["display-message", "-p", "-t", "=s:", "#{T:@x}"]).trim_end(), timed);
    lab.assert_not_pwned();
}

#[test]
fn what_cannot_be_given_is_refused_before_anything_starts() {
    let lab = Lab::new();
    let spoil = |change: fn(&mut SessionSpec)| {
        let mut spec = lab.session("s", 2);
        change(&mut spec);
        let error = lab.tmux.create(&spec).unwrap_err();
        assert!(matches!(error, TmuxError::BadSpec(_)), "{error}");
        assert!(!lab.tmux.has_session("s").unwrap());
    };
    spoil(|s| s.panes.clear());
    spoil(|s| s.panes[0].command.clear());
    spoil(|s| s.panes[0].command[0].clear());
    spoil(|s| s.panes[0].command[0] = "-i".into());
    spoil(|s| s.panes[0].command[1] = "a\0b".into());
    spoil(|s| s.panes[0].env[0].0 = "-i".into());
    spoil(|s| s.panes[0].env[0].0 = "A=B".into());
    spoil(|s| s.panes[0].cwd = "/nonexistent".into());
    spoil(|s| s.panes[0].cwd = "relative".into());
    spoil(|s| s.panes[1].place = 0);
    spoil(|s| s.name = "a.b".into());
    let small = SessionSpec { size: Size { width: 20, height: 5 }, ..lab.session("s", 12) };
    assert_eq!(lab.tmux.create(&small), Err(TmuxError::NoSpace));
}

#[test]
fn a_session_that_cannot_be_built_is_ended_and_no_other_one() {
    let lab = Lab::new();
    lab.tmux.create(&lab.session("s-other", 2)).unwrap();
    let mut spec = lab.session("s", 12);
    spec.panes[9].command.push("x".repeat(20_000));
    let error = lab.tmux.create(&spec).unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
    assert!(!lab.tmux.has_session("s").unwrap());
    assert_eq!(lab.tmux.panes("s-other").unwrap().len(), 2);
}

#[test]
fn long_commands_are_spread_over_several_clients() {
    let lab = Lab::new();
    let mut spec = lab.session("s", 13);
    for pane in &mut spec.panes {
        pane.env.push(("CMW_LONG".into(), "x".repeat(6_000)));
    }
    let panes = lab.tmux.create(&spec).unwrap();
    assert_even(&panes, SessionSpec::SIZE);
}

#[test]
fn the_users_configuration_does_not_disturb() {
    let lab = Lab::with_config(
        "set -g base-index 1\nset -g pane-base-index 1\nset -g destroy-unattached on\nset -g status 2\n\
         set -g remain-on-exit off\nset -g pane-border-status bottom\nset -g default-command 'echo no'\n\
         set -g automatic-rename on\nset -g renumber-windows on\nset -g main-pane-width 10\n\
         set-hook -g after-split-window 'select-layout even-horizontal'\n",
    );
    let spec = lab.session("s", 13);
    let panes = lab.tmux.create(&spec).unwrap();
    assert_even(&panes, SessionSpec::SIZE);
    let docs = of(&panes, "Docs");
    assert_eq!(lab.tmux.kill_pane(docs.pane_id, docs.pid, &role("Docs")), Ok(CloseOutcome::Killed));
    lab.tmux.add_pane("s", &spec.panes[11]).unwrap();
    assert_even(&lab.tmux.panes("s").unwrap(), SessionSpec::SIZE);
}

#[test]
fn the_users_server_and_other_sessions_stay_untouched() {
    let lab = Lab::new();
    lab.raw(&["-f", "/dev/null", "new-session", "-d", "-s", "mine", "-n", "home", "--", "sleep", "600"]);
    let options = || {
        [
            "show-options -g",
            "show-options -gw",
            "show-options -s",
            "show-options -t =mine:",
            "show-options -w -t =mine:",
            "show-options -p -t =mine:",
            "show-hooks -g",
            "show-hooks -gw",
            "show-hooks -t =mine:",
            "show-hooks -w -t =mine:",
            "list-panes -s -t =mine: -F #{pane_id}#{pane_pid}#{pane_active}#{window_active}",
            "show-environment -g",
            "list-keys",
        ]
        .map(|words| lab.raw(&words.split(' ').collect::<Vec<_>>()))
    };
    lab.raw(&["set-hook", "-g", "pane-died", "display-message died"]);
    lab.raw(&["set-hook", "-g", "after-kill-pane", "display-message killed"]);
    lab.raw(&["new-window", "-d", "-t", "=mine:", "--", "sleep", "600"]);
    let theirs =
        PaneId::parse(lab.raw(&["display-message", "-p", "-t", "=mine:", "#{pane_id}"]).trim()).unwrap();
    let before = options();
    let panes = lab.tmux.create(&lab.session("s", 12)).unwrap();
    lab.tmux.set_pane_died_hook("s", &["/bin/true".into()]).unwrap();
    let helper = HelperSpec {
        name: "monitor".into(),
        command: vec!["sleep".into(), "600".into()],
        env: Vec::new(),
        cwd: lab.dir.path().into(),
    };
    lab.tmux.helper("s", &helper).unwrap();
    let states = [panes[3].pane_id, theirs].map(|pane| PaneBorder {
        pane,
        tone: StatusTone::Problem,
        state: "crashed",
    });
    lab.tmux.show("s", &states, None).unwrap();
    lab.tmux.select("s", panes[3].pane_id).unwrap();
    lab.tmux.show("s", &[], Some(&[(StatusTone::Calm, "busy")])).unwrap();
    lab.tmux.kill_pane(panes[0].pane_id, panes[0].pid, &role("Orchestrator")).unwrap();
    lab.tmux.add_pane("s", &lab.pane("Orchestrator", 0)).unwrap();
    lab.tmux.kill_session("s").unwrap();
    assert_eq!(options(), before);
    assert_eq!(lab.tmux.panes("mine").unwrap().len(), 2);
}

#[test]
fn without_tmux_the_remedy_is_named() {
    let empty = tempfile::tempdir().unwrap();
    for path in [None, Some(OsStr::new("")), Some(empty.path().as_os_str())] {
        let error = Tmux::find(path, &Server::Default).unwrap_err();
        assert_eq!(error, TmuxError::Missing);
        assert!(error.to_string().contains("apt-get install tmux"));
    }
}

#[test]
fn an_old_tmux_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("tmux");
    write_program(&program, "echo tmux 2.9a");
    let tmux = Tmux::find(Some(dir.path().as_os_str()), &Server::Default).unwrap();
    let found = "2.9a".to_owned();
    assert_eq!(tmux.check_version(), Err(TmuxError::TooOld { found }));
}
