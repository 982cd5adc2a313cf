//! Tests of the one-screen status: that it fits, that it is safe to print, and its order.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::cmw::screen::*;
use crate::domain::facts::Facts;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::roster::Roster;
use crate::domain::lock::claim::Claim;
use crate::domain::lock::request::{LockRequest, Waiter};
use crate::domain::lock::write_lock::{Lease, WriteLock};
use crate::domain::mail::priority::Priority;
use crate::domain::policy::compiled::Policy;
use crate::domain::session::process::Process;
use crate::domain::state::State;
use crate::domain::util::time::{BootId, BootTime, Now, WallTime};
use crate::store::mail::mailbox::UnreadCount;

pub(crate) const HOSTILE: &str =
    "evil \x1b[2J\u{202e}\u{9b}5m and a very long text that goes on and on and on and on";

fn process(pid: u32) -> Process {
    Process { pid, start_ticks: 1, boot: BootId("b".to_owned()) }
}

/// A status in which every line of the screen is present.
pub(crate) fn busy(count: usize, condition: impl Fn(usize) -> Condition) -> Status {
    let policy = Policy::of(Roster::of_size(count));
    let mut state = State::new("01".to_owned(), policy);
    let boot = BootTime { boot: BootId("b".to_owned()), ms: 500_000 };
    let members = state.policy.roster.members().to_vec();
    let request = || LockRequest {
        files: Claim::All,
        purpose: HOSTILE.to_owned(),
        estimate_ms: None,
        loc: None,
        priority: Priority::Normal,
        work_tree: None,
        guessed: false,
    };
    state.lock = WriteLock::Held(Lease {
        token: 7,
        holder: Actor::Role(members[0].role.clone()),
        process: process(1),
        request: request(),
        granted: boot.clone(),
        granted_at: WallTime(0),
        expires: boot.plus(1_000),
        expires_at: WallTime(0),
        auto: false,
        unseen: None,
    });
    let waiter = |n: usize| Waiter {
        ticket: n as u64,
        actor: Actor::Role(members[n % members.len()].role.clone()),
        process: process(2),
        caller: None,
        stand_in: None,
        request: request(),
        requested_at: WallTime(0),
        asked: boot.clone(),
        missed: 1,
    };
    state.queue = (1..=5).map(waiter).collect();
    let (by, reason) = (Actor::User, HOSTILE.to_owned());
    state.system = FreezeState::Frozen { by, reason, since: WallTime(0), at: boot.clone(), unsaved: None };
    let rows = members.iter().enumerate().map(|(i, member)| RoleStatus {
        role: member.role.clone(),
        condition: condition(i),
        tasks: 5,
        until: None,
        pane: Some(format!("%{i}")),
        beat_age_ms: Some(9_999_999_999),
        last_beat: None,
        mail: Some(UnreadCount { new: 1_234, taken: 0 }),
        task: Some(HOSTILE.to_owned()),
        holds: i == 0,
        paused: i % 2 == 0,
        activity: Some((Activity::Failed { error: HOSTILE.to_owned() }, 9_999_999)),
        undelivered: 3,
        kind: Some(member.kind.clone()),
        place: member.pane,
        for_ms: Some(9_999_999),
    });
    let mut rows: Vec<RoleStatus> = rows.collect();
    rows.sort_by_key(|row| row.liveness());
    Status {
        place: format!("/home/{HOSTILE}/project"),
        facts: Facts {
            now: Now { wall: WallTime(90_000_000_000), boot },
            dead: BTreeSet::from([process(2)]),
            active: BTreeMap::new(),
            saver: None,
            endings: Default::default(),
        },
        state,
        rows,
        pins: None,
        unguarded: Some(sanitize::line(HOSTILE)),
        monitor: None,
        user_mail: 3,
        next: "cmw-doctor".to_owned(),
    }
}

#[test]
fn a_dozen_roles_fit_on_one_screen() {
    for count in [1, 2, 12, 40, 200] {
        let screen = render(&busy(count, |_| Condition::Crashed), ScreenSize::USUAL, Colors::NONE);
        assert!(screen.lines().count() < ScreenSize::USUAL.height, "{count}: {screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= ScreenSize::USUAL.width), "{screen}");
    }
    let screen = render(&busy(12, |_| Condition::Working), ScreenSize::USUAL, Colors::NONE);
    assert_eq!(screen.matches("ALIVE").count(), 12, "{screen}");
    assert!(screen.starts_with("FROZEN by User since 00:00Z: evil"), "{screen}");
    assert!(screen.ends_with("\nnext: cmw-doctor"), "{screen}");
    assert!(screen.contains("(and 2 more)"), "{screen}");
}

#[test]
fn nothing_on_the_screen_can_move_the_cursor() {
    let screen = render(&busy(12, |_| Condition::Stale), ScreenSize::USUAL, Colors::NONE);
    assert!(screen.lines().all(|line| !line.chars().any(sanitize::is_unsafe)), "{screen}");
    let coloured = render(&busy(12, |_| Condition::Stale), ScreenSize::USUAL, Colors(true));
    assert!(coloured.lines().next().unwrap().starts_with("\x1b[31mFROZEN"));
    assert!(coloured.lines().all(|line| !line.contains("\x1b[2J")), "{coloured}");
}

#[test]
fn of_forty_roles_the_problems_and_the_holder_are_shown() {
    let last_crashed = |i| if i == 39 { Condition::Crashed } else { Condition::Working };
    let mut status = busy(40, last_crashed);
    for row in &mut status.rows {
        row.mail = None;
    }
    let screen = render(&status, ScreenSize::USUAL, Colors::NONE);
    let table: Vec<&str> = screen.lines().skip_while(|line| !line.starts_with("state")).collect();
    assert!(table[1].starts_with("CRASHED"), "{screen}");
    assert!(table.iter().any(|line| line.contains("[lock]")), "{screen}");
    let rest = table[table.len() - 2];
    let shown = table.len() - 3;
    assert_eq!(rest, format!("and {} more: {} ALIVE", 40 - shown, 40 - shown), "{screen}");
}

#[test]
fn the_end_of_a_long_path_is_kept() {
    assert_eq!(tail("/a/b/c", 10), "/a/b/c");
    assert_eq!(tail("/a/b/c", 4), "…b/c");
}
