//! Waits for a change on disk without polling: inotify, registered before the state is read. Where the user's
//! limit of inotify instances is reached, the wait reports a possible change four times a second instead.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;

/// A watch on directories: reports every file that is renamed into one or appended to.
#[derive(Debug)]
pub struct Watch {
    source: Source,
}

/// How often a watch without inotify reports a possible change, in milliseconds.
const POLL_MS: u64 = 250;

#[derive(Debug)]
enum Source {
    Inotify(OwnedFd),
    /// The limit of inotify is reached.
    Polled,
    /// No directory is watched.
    Nothing,
}

const CHANGES: WatchFlags = WatchFlags::MOVED_TO.union(WatchFlags::MODIFY).union(WatchFlags::CREATE);

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeReason {
    /// A file in the directory changed.
    Changed,
    /// The other descriptor became readable.
    Other,
    /// The timeout has passed.
    TimedOut,
}

impl Watch {
    /// Watches a directory. Read the state only after this, or a change may be missed.
    ///
    /// # Errors
    /// The system's error, such as a directory that does not exist.
    pub fn on(dir: &Path) -> io::Result<Self> {
        let mut watch = match init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(inotify) => Self { source: Source::Inotify(inotify) },
            Err(Errno::MFILE | Errno::NFILE) => Self { source: Source::Polled },
            Err(other) => return Err(other.into()),
        };
        watch.add(dir)?;
        Ok(watch)
    }

    /// Watches no directory: only another descriptor and the timeout.
    #[must_use]
    pub fn none() -> Self {
        Self { source: Source::Nothing }
    }

    /// Watches one more directory.
    ///
    /// # Errors
    /// As [`Watch::on`].
    pub fn add(&mut self, dir: &Path) -> io::Result<()> {
        let Source::Inotify(inotify) = &self.source else { return Ok(()) };
        match add_watch(inotify, dir, CHANGES) {
            Ok(_) => {}
            Err(Errno::NOSPC) => self.source = Source::Polled,
            Err(other) => return Err(other.into()),
        }
        Ok(())
    }

    /// Whether the limit of inotify is reached, so that a change is noticed up to 250 ms late.
    #[must_use]
    pub fn is_polled(&self) -> bool {
        matches!(self.source, Source::Polled)
    }

    /// Sleeps until a file changes, `other` becomes readable (a process watched by its descriptor has died),
    /// or `timeout_ms` have passed.
    pub fn wait(&self, other: Option<BorrowedFd<'_>>, timeout_ms: u64) -> io::Result<WakeReason> {
        let others: Vec<BorrowedFd<'_>> = other.into_iter().collect();
        Ok(match self.wait_any(&others, timeout_ms)? {
            (true, _) => WakeReason::Changed,
            (false, ready) if ready.is_empty() => WakeReason::TimedOut,
            (false, _) => WakeReason::Other,
        })
    }

    /// Waits like [`Self::wait`] for many descriptors; returns whether a file changed and which descriptors
    /// became readable.
    pub fn wait_any(&self, others: &[BorrowedFd<'_>], timeout_ms: u64) -> io::Result<(bool, Vec<usize>)> {
        let mut fds: Vec<PollFd<'_>> = others.iter().map(|other| PollFd::new(other, PollFlags::IN)).collect();
        if let Source::Inotify(inotify) = &self.source {
            fds.push(PollFd::new(inotify, PollFlags::IN));
        }
        let may_sleep_ms = if self.is_polled() { timeout_ms.min(POLL_MS) } else { timeout_ms };
        match poll(&mut fds, Some(&timespec(may_sleep_ms))) {
            Err(Errno::INTR) => return Ok((false, Vec::new())),
            other => other?,
        };
        let is_ready = |i: &usize| fds.get(*i).is_some_and(|fd| !fd.revents().is_empty());
        let ready: Vec<usize> = (0..others.len()).filter(is_ready).collect();
        let changed = match &self.source {
            Source::Inotify(inotify) => is_ready(&others.len()) && drain(inotify),
            Source::Polled => ready.is_empty() && may_sleep_ms < timeout_ms,
            Source::Nothing => false,
        };
        Ok((changed, ready))
    }
}

/// Discards the pending events; only that something changed matters.
fn drain(inotify: &OwnedFd) -> bool {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(inotify.as_fd(), &mut buffer);
    while reader.next().is_ok() {}
    true
}

fn timespec(ms: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(ms / 1_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(ms % 1_000 * 1_000_000).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::store::disk::{Disk, RealDisk};

    #[test]
    fn a_change_between_watching_and_waiting_is_not_missed() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        let watch = Watch::on(dir.path()).unwrap();
        assert_eq!(watch.wait(None, 10).unwrap(), WakeReason::TimedOut);
        disk.create_new("a", b"x").unwrap();
        disk.rename("a", "b").unwrap();
        assert_eq!(watch.wait(None, 5_000).unwrap(), WakeReason::Changed);
        assert_eq!(watch.wait(None, 10).unwrap(), WakeReason::TimedOut);
        disk.append("b", b"y").unwrap();
        assert_eq!(watch.wait(None, 5_000).unwrap(), WakeReason::Changed);
    }

    #[test]
    fn without_inotify_a_wait_ends_early_and_never_late() {
        let polled = Watch { source: Source::Polled };
        assert_eq!(polled.wait(None, 60_000).unwrap(), WakeReason::Changed);
        assert_eq!(polled.wait(None, 10).unwrap(), WakeReason::TimedOut);
        let (read, mut write) = std::io::pipe().unwrap();
        write.write_all(b"x").unwrap();
        assert_eq!(polled.wait(Some(read.as_fd()), 60_000).unwrap(), WakeReason::Other);
        assert_eq!(Watch::none().wait(None, 10).unwrap(), WakeReason::TimedOut);
    }
}
