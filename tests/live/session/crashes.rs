//! Twelve demo agents in one work tree, of which one after another is killed and started again: no commit
//! holds another role's file, nothing that was saved is missing, no ghost keeps the lock, and no role waits
//! longer than those ahead may take. `CMW_CRASH_SECONDS` makes it longer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cmw::adapters::os::process::{self, Signal};
use cmw::domain::audit::record::Record;
use cmw::domain::event::Event;
use cmw::domain::lock::event::LockEvent;
use cmw::domain::lock::release::Release;
use cmw::store::audit::log;

use crate::support::session::World;
use crate::support::whole::{no_commit_holds_the_file_of_another, nothing_that_was_saved_is_missing};

/// How often a heartbeat looks for what is overdue, and what a busy machine adds to it, in ms.
const LOOKS_MS: u64 = 5_000 + 5_000;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

#[test]
fn twelve_agents_of_which_some_crash_lose_nothing() {
    let world = World::new(12);
    world.up(&["--agent", "cmw-demo-agent --every 1s"]).ok();
    #[expect(clippy::disallowed_methods, reason = "how long they work is said from outside")]
    let seconds = std::env::var("CMW_CRASH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(45);
    let mut dice = Dice(u64::from(std::process::id()));
    let began = Instant::now();
    let mut crashes = 0;
    let commits =
        || world.git(&["rev-list", "--count", "--author=cmw.invalid", "main"]).trim().parse::<u32>().unwrap();
    // On a busy machine it takes longer until enough has happened.
    while began.elapsed() < Duration::from_secs(seconds) || crashes <= 10 || commits() <= 12 {
        std::thread::sleep(Duration::from_millis(700 + 100 * dice.roll(15) as u64));
        // Now and then the holder, else any role.
        let state = world.state();
        let holder = state.held().and_then(|held| held.holder.role().cloned());
        let all: Vec<_> = state.instances.keys().cloned().collect();
        let role = holder.filter(|_| dice.roll(2) == 0).unwrap_or_else(|| all[dice.roll(all.len())].clone());
        if process::signal(&world.instance(role.as_str()).process, Signal::KILL) {
            crashes += 1;
        }
        world.session(&["start", role.as_str()]);
    }
    world.session(&["down"]).ok();
    let fsck = world.git(&["fsck", "--strict", "--no-dangling"]);
    assert_eq!(fsck, "", "every commit is whole");
    let commits = no_commit_holds_the_file_of_another(&world);
    let records = log::read_all(world.store().disk()).unwrap();
    let rescued = nothing_that_was_saved_is_missing(&world, &records);
    let kept = no_ghost_keeps_the_lock(&records);
    let waited = no_waiter_waits_longer_than_those_ahead_may_take(&records);
    eprintln!(
        "{seconds} s: {crashes} crashes, {commits} commits, {rescued} rescues, an offer was kept for \
         {kept} ms at most, the longest wait {waited} ms"
    );
    assert!(commits > 12, "they worked: {commits}");
}

/// From an offer to what became of it.
fn no_ghost_keeps_the_lock(records: &[Record]) -> u64 {
    let mut worst = 0;
    for (i, record) in records.iter().enumerate() {
        let offered = matches!(record.event, Event::Lock(LockEvent::LockOffered { .. }));
        let ends = |r: &&Record| {
            let by_event = matches!(
                r.event,
                Event::Lock(LockEvent::LockGranted { .. })
                    | Event::Lock(LockEvent::OfferMissed { .. })
                    | Event::Lock(LockEvent::WaiterRemoved { .. })
            );
            by_event
                || matches!(r.event, Event::Lock(LockEvent::LockReleased { reason: Release::NotTakenUp, .. }))
        };
        if let Some(end) = records[i + 1..].iter().find(ends).filter(|_| offered) {
            let kept = end.at.ms_since(record.at);
            assert!(kept <= 60_000 + LOOKS_MS, "{record:?} until {end:?}");
            worst = worst.max(kept);
        }
    }
    worst
}

/// From the first request with a ticket to its grant, or to the end of the ticket.
fn no_waiter_waits_longer_than_those_ahead_may_take(records: &[Record]) -> u64 {
    let mut since = BTreeMap::new();
    let mut worst = 0;
    for record in records {
        let (actor, over) = if let Event::Lock(LockEvent::LockRequested { waiter }) = &record.event {
            (&waiter.actor, false)
        } else if let Event::Lock(LockEvent::LockGranted { holder: gone, .. })
        | Event::Lock(LockEvent::WaiterRemoved { waiter: gone, .. }) = &record.event
        {
            (gone, true)
        } else {
            continue;
        };
        let began = *since.entry(actor.clone()).or_insert(record.at);
        if over {
            worst = worst.max(record.at.ms_since(began));
            since.remove(actor);
        }
    }
    // Eleven may be ahead, each at work for a few seconds at most; one of them may have left an offer
    // or a lease behind, and be started again within seconds.
    assert!(worst <= 60_000 + 11 * 5_000, "{worst} ms");
    worst
}
