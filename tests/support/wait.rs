//! Waiting for something that is sure to come: one patience for all tests, far beyond what is usual.

use std::time::{Duration, Instant};

/// How long anything may take that is sure to come, also on a machine with much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for something that is sure to come soon.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    let mut pause = Duration::from_millis(2);
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(pause);
        // Who looks costs the time that what is waited for needs.
        pause = (pause * 5 / 4).min(Duration::from_millis(25));
    }
}
