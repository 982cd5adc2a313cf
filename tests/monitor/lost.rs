//! tmux that ends, and processes that are silent.

use std::time::{Duration, Instant};

use cmw::adapters::process::{self, Signal};
use cmw::domain::event::Event;
use cmw::domain::incident::Plan;
use cmw::domain::state::Session;

use super::world::{World, wait_for};
use super::{IDLE, crashes, monitor, named, of_kind, role};

#[test]
fn a_session_that_is_lost_comes_back() {
    let world = World::new(4);
    world.up_watched(&["--agent", IDLE]).ok();
    let first = monitor(&world);
    world.session(&["stop", "Dev-B"]).ok();
    let Session::Up { server, .. } = world.state().session else { panic!() };
    assert!(process::signal(&server, Signal::KILL));
    wait_for("the session to be back", || {
        let state = world.state();
        let other = matches!(&state.session, Session::Up { server: now, .. } if *now != server);
        other && state.lost.is_none() && world.ready() == 3
    });
    assert_eq!(named(&world, "SESSION_LOST").len(), 1);
    let with_it = named(&world, "INSTANCE_CRASHED");
    let plan = |r: &cmw::domain::event::Record| matches!(&r.event, Event::InstanceCrashed(c) if c.plan == Plan::WithTheSession);
    assert!(with_it.len() == 3 && with_it.iter().all(plan), "{with_it:?}");
    assert_eq!(of_kind(&world, "User", "SESSION_LOST").len(), 1);
    assert_eq!(of_kind(&world, "User", "INSTANCE_CRASHED"), Vec::<String>::new(), "told once");
    // The monitor that brought it back gives way to that of the new session.
    wait_for("the first monitor to end", || !process::is_alive(&first));
    let second = monitor(&world);
    assert_ne!(first, second);
    super::kill(&world.instance("Dev-A").process);
    wait_for("the new monitor to notice", || crashes(&world).len() == 4);
    world.session(&["down"]).ok();
}

#[test]
fn who_is_suspended_is_stale_and_no_crash() {
    let world = World::new(4);
    world.up(&["--agent", IDLE]).ok();
    let mut monitor = world.command(&super::world::programs().join("cmw-health"));
    let mut monitor = monitor.args(["monitor", "--every", "1s"]).spawn().unwrap();
    let dev = world.instance("Dev-A").process;
    assert!(process::signal(&dev, Signal::STOP));
    let began = Instant::now();
    while named(&world, "INSTANCE_STALE").is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(began.elapsed() > Duration::from_secs(20), "a moment is none");
    let told = of_kind(&world, "Librarian", "INSTANCE_HEALTH_WARNING");
    assert!(told.len() == 1 && told[0].contains("suspended"), "{told:?}");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(named(&world, "INSTANCE_STALE").len(), 1, "once");
    assert_eq!(world.tool("cmw-health", &["check", "Dev-A"]).code, 1);
    assert!(process::signal(&dev, Signal::CONT));
    wait_for("it to be well again", || !named(&world, "INSTANCE_RECOVERED").is_empty());
    assert_eq!(crashes(&world), Vec::<cmw::domain::role::Role>::new());
    assert_eq!(world.instance("Dev-A").process, dev);
    assert_eq!(world.state().instances[&role("Dev-A")].stale, None);
    let it = process::identify(monitor.id()).unwrap();
    assert!(process::signal(&it, Signal::TERM) && monitor.wait().unwrap().success());
}

#[test]
fn one_look_is_enough_for_cron() {
    let world = World::new(4);
    world.up(&["--agent", IDLE]).ok();
    super::kill(&world.instance("Dev-A").process);
    let once = world.tool("cmw-health", &["monitor", "--once"]).ok();
    assert_eq!(once.out, "looked once\n");
    assert_eq!(crashes(&world).len(), 1);
    assert_eq!(named(&world, "INSTANCE_RESTARTED").len(), 1, "it sees it through");
    let status = world.tool("cmw", &[]).ok().out;
    assert!(!status.contains("no monitor"), "{status}");
}
