//! Tests of the `cmw since` screen: that it fits, that it is safe to print, and its order.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::cmw::since::health::{CrashSummary, HealthSummary};
use crate::cli::cmw::since::screen::*;
use crate::domain::audit::event::AuditEvent;
use crate::domain::facts::Facts;
use crate::domain::identity::actor::{Actor, Mailbox};
use crate::domain::identity::roster::Roster;
use crate::domain::lock::describe::{action_name, reason};
use crate::domain::lock::event::LockEvent;
use crate::domain::lock::release::Release;
use crate::domain::policy::compiled::Policy;
use crate::domain::rescue::event::RescueEvent;
use crate::domain::state::State;
use crate::domain::util::time::{BootId, BootTime, Now};

const HOSTILE: &str = "evil \x1b[2J\u{202e}\u{9b}5m and a very long text that goes on and on and on and on";

fn moment() -> BootTime {
    BootTime { boot: BootId("b".to_owned()), ms: 500_000 }
}

fn crashed(n: usize, state: &State) -> CrashSummary {
    let role = state.policy.roster.members()[n].role.clone();
    CrashSummary { role, count: 2, last: WallTime(0), runs: n > 0 }
}

/// A status in which every event happened to every role, `times` times.
fn night(count: usize, times: usize) -> SinceReport {
    let state = State::new("01".to_owned(), Policy::of(Roster::of_size(count)));
    let roles: Vec<Actor> =
        state.policy.roster.members().iter().map(|m| Actor::Role(m.role.clone())).collect();
    let record = |event: Event, by: &Actor| Record::chain(1, WallTime(0), by, event, "");
    let each = |event: &dyn Fn(&Actor) -> Event| -> Vec<Record> {
        roles.iter().cycle().take(roles.len() * times).map(|role| record(event(role), role)).collect()
    };
    let s = || HOSTILE.to_owned();
    let facts = Facts {
        now: Now { wall: WallTime(43_200_000), boot: moment() },
        dead: BTreeSet::new(),
        active: BTreeMap::new(),
        saver: None,
        endings: Default::default(),
    };
    SinceReport {
        from: WallTime(0),
        word: "12h".to_owned(),
        count: 4_321,
        damage: Vec::new(),
        unguarded: Some(s()),
        problems: each(&|_| Event::Audit(AuditEvent::JournalLost { byte: 1, why: s() })),
        rescued: each(&|role| {
            Event::Rescue(RescueEvent::WorkRescued {
                lock_id: s(),
                token: 1,
                former: role.clone(),
                reference: Some(format!("refs/cmw/rescue/{HOSTILE}")),
                files: 3,
                skipped: vec![s()],
                unstaged: Vec::new(),
            })
        }),
        refused: roles
            .iter()
            .map(|who| RefusalCount {
                who: who.clone(),
                reason: reason(HOSTILE),
                warned: false,
                action: action_name(HOSTILE),
                count: 7,
                last: WallTime(0),
            })
            .collect(),
        lost: each(&|role| {
            Event::Lock(LockEvent::LockReleased {
                lock_id: s(),
                token: 1,
                holder: role.clone(),
                reason: Release::Forced(s()),
            })
        }),
        health: HealthSummary {
            crashed: (0..if times > 1 { count } else { 0 }).map(|n| crashed(n, &state)).collect(),
            lost: vec![WallTime(0); times.min(1)],
            limits: Vec::new(),
            undelivered: vec![(WallTime(0), s(), 3, s()); times],
            done: times,
            blocked: vec![(4, s(), s()); times],
        },
        mailbox: Some((Mailbox::User, 3)),
        mail: Vec::new(),
        landed: roles
            .iter()
            .map(|who| LandedCommit {
                who: who.clone(),
                commits: 3,
                files: Some(9),
                newest: "a".repeat(40),
                at: WallTime(0),
                subject: Some(s()),
            })
            .collect(),
        state,
        facts,
        me: None,
    }
}

#[test]
fn a_night_of_a_dozen_roles_fits_on_one_screen() {
    for count in [1, 2, 12, 40] {
        let screen = render(&night(count, 5), "cmw-doctor", ScreenSize::USUAL, Colors::NONE);
        assert!(screen.lines().count() < ScreenSize::USUAL.height, "{count}: {screen}");
        assert!(screen.lines().all(|line| line.chars().count() <= ScreenSize::USUAL.width), "{screen}");
        assert!(
            screen.lines().nth(1).unwrap().starts_with("problems  hooks NOT INSTALLED: evil"),
            "{screen}"
        );
        assert!(screen.ends_with("\nnext: cmw-doctor"), "{screen}");
    }
    let screen = render(&night(12, 5), "cmw-doctor", ScreenSize::USUAL, Colors::NONE);
    assert_eq!(screen.lines().count(), ScreenSize::USUAL.height - 1, "all of the room is used: {screen}");
    let order =
        ["problems", "crashes", "rescued", "unseen", "work", "refused", "lost", "mail", "landed", "next:"];
    let places: Vec<usize> = order.iter().map(|label| screen.find(&format!("\n{label}")).unwrap()).collect();
    assert!(places.is_sorted(), "{screen}");
    assert!(screen.contains("and 59 more: cmw-audit log --severity high --since 12h"), "{screen}");
    // Without problems, every role that did something is listed.
    let mut quiet = night(12, 0);
    (quiet.unguarded, quiet.mailbox) = (None, None);
    quiet.refused.clear();
    let screen = render(&quiet, "cmw", ScreenSize::USUAL, Colors::NONE);
    assert_eq!(screen.matches(": 3 commits, 9 files; 00:00Z evil").count(), 12, "{screen}");
}

#[test]
fn nothing_of_the_night_can_move_the_cursor() {
    let screen = render(&night(12, 1), "cmw", ScreenSize { width: 500, height: 200 }, Colors::NONE);
    assert!(screen.lines().all(|line| !line.chars().any(sanitize::is_unsafe)), "{screen}");
}

#[test]
fn a_night_without_events_is_one_line() {
    let mut quiet = night(12, 0);
    (quiet.unguarded, quiet.mailbox, quiet.count) = (None, None, 0);
    (quiet.refused, quiet.landed) = (Vec::new(), Vec::new());
    assert_eq!(
        render(&quiet, "cmw", ScreenSize::USUAL, Colors::NONE),
        "nothing to report since 1970-01-01 00:00Z"
    );
    quiet.count = 2;
    let screen = render(&quiet, "cmw", ScreenSize::USUAL, Colors::NONE);
    assert_eq!(screen, "nothing to report since 1970-01-01 00:00Z (2 records: cmw-audit log --since 12h)");
}
