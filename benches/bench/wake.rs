//! Owns the wake-up of a waiter: from a rename in the watched directory to the return of its wait.

use std::fs;
use std::io::Write;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use cmw::store::watch::Watch;

use super::table::{percentile, time, verdict};
use super::{Options, Result};

const EVENTS: usize = 101;
const GOAL_US: f64 = 300.0;

/// Measures and prints it.
pub(crate) fn print(options: &Options, out: &mut impl Write) -> Result<()> {
    let (dir, source) = (options.work.join("watched"), options.work.join("source"));
    fs::create_dir(&dir)?;
    fs::create_dir(&source)?;
    let watch = Watch::on(&dir)?;
    let (tell, told) = mpsc::channel();
    let waiter = std::thread::spawn(move || -> std::io::Result<()> {
        for _ in 0..EVENTS {
            watch.wait(None, 10_000)?;
            // Nobody listens any more only when the measuring has failed.
            let _ = tell.send(Instant::now());
        }
        Ok(())
    });
    let (new, target) = (source.join("new"), dir.join("published"));
    let mut us = Vec::new();
    for _ in 0..EVENTS {
        fs::write(&new, "x")?;
        std::thread::sleep(Duration::from_millis(3));
        let start = Instant::now();
        fs::rename(&new, &target)?;
        us.push(told.recv()?.saturating_duration_since(start).as_secs_f64() * 1e6);
    }
    waiter.join().map_err(|_| "the waiter failed")??;
    let at = |share| percentile(&us, share);
    writeln!(
        out,
        "\nWake-up of a waiter, from the rename (which may flush) to the return of its wait, {EVENTS} times: \
         min {} · p50 {} · p99 {}; goal p50 ≤ {}: {}",
        time(at(0.0)),
        time(at(0.5)),
        time(at(0.99)),
        time(GOAL_US),
        verdict(at(0.5) <= GOAL_US)
    )?;
    Ok(())
}
