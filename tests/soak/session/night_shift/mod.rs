//! A night in which twelve agents are left alone and everything goes wrong: kills, suspensions, clocks that
//! jump, a tmux server that dies. `scripts/night-shift.sh` runs it; these are its knobs:
//! `CMW_NIGHT_SECONDS` how long, `CMW_NIGHT_SEED` which night, `CMW_QUIET_SECONDS` how long nothing goes wrong.
//!
//! Invariants (what is looked at afterwards is in `after.rs`; each rule that a replay knows has a test here):
//! * `a_night_in_which_everything_goes_wrong`
//! * `a_night_whose_clock_is_years_off`
//! * `a_quiet_hour_without_a_false_alarm`
#![expect(clippy::disallowed_methods, reason = "a test reads its knobs and writes into its own directory")]
#![expect(clippy::unwrap_used, reason = "a test may, and so may what it is set up with")]

mod after;
mod below;
mod chaos;
mod incidents;
mod legal;
mod night;
mod replays;

use std::time::Duration;

use cmw::store::audit::log;
use night::Night;

/// A number from outside.
fn knob(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn seed() -> u64 {
    knob("CMW_NIGHT_SEED").unwrap_or_else(|| u64::from(std::process::id()))
}

fn seconds() -> u64 {
    knob("CMW_NIGHT_SECONDS").unwrap_or(120)
}

#[test]
#[ignore = "takes minutes or hours: scripts/night-shift.sh"]
fn a_night_in_which_everything_goes_wrong() {
    let mut night = Night::begin(seed(), 0);
    night.go_wrong(Duration::from_secs(seconds()), |night| eprintln!("{}", night.figures()));
    after::check(&mut night);
}

#[test]
#[ignore = "takes minutes: scripts/night-shift.sh"]
fn a_night_whose_clock_is_years_off() {
    // What the chaos asks has the right time, or is off by another amount.
    let twelve_years_ms = 378_432_000_000;
    let back = if seed().is_multiple_of(2) { 1 } else { -1 };
    let mut night = Night::begin(seed() ^ 1, back * twelve_years_ms);
    let lasts = Duration::from_secs((seconds() / 3).min(1_200));
    night.go_wrong(lasts, |night| eprintln!("{}", night.figures()));
    after::check(&mut night);
}

#[test]
#[ignore = "takes as long as it is told to: scripts/night-shift.sh --quiet-hour"]
fn a_quiet_hour_without_a_false_alarm() {
    let lasts = Duration::from_secs(knob("CMW_QUIET_SECONDS").unwrap_or(60));
    let mut night = Night::begin(seed(), 0);
    let mut said = 0;
    while night.began.elapsed() < lasts {
        std::thread::sleep(Duration::from_millis(500));
        night.look(&night.world.state());
        let minute = night.began.elapsed().as_secs() / 60;
        if minute > said {
            said = minute;
            eprintln!("{}", night.figures());
        }
    }
    let records = log::read_all(night.world.store().disk()).unwrap();
    let false_alarms =
        ["INSTANCE_STALE", "INSTANCE_CRASHED", "MESSAGES_UNDELIVERED", "RESTART_BEGUN", "SESSION_LOST"];
    let found: Vec<_> = records.iter().filter(|record| false_alarms.contains(&record.event.tag())).collect();
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(night.away_longest(), Duration::ZERO, "a monitor watched all the time");
    after::check(&mut night);
}
