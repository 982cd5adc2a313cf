//! Waits for a change on disk without polling: inotify, registered before the state is read.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};

/// A watch on directories: reports every file that is renamed into one or appended to.
#[derive(Debug)]
pub struct Watch {
    inotify: OwnedFd,
}

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
    /// The system's error, for instance when the inotify limit is reached.
    pub fn on(dir: &Path) -> io::Result<Self> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        add_watch(&inotify, dir, WatchFlags::MOVED_TO | WatchFlags::MODIFY | WatchFlags::CREATE)?;
        Ok(Self { inotify })
    }

    /// Watches no directory: only another descriptor and the timeout.
    pub fn none() -> io::Result<Self> {
        Ok(Self { inotify: init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)? })
    }

    /// Watches one more directory.
    pub fn add(&self, dir: &Path) -> io::Result<()> {
        add_watch(&self.inotify, dir, WatchFlags::MOVED_TO | WatchFlags::MODIFY | WatchFlags::CREATE)?;
        Ok(())
    }

    /// Sleeps until a file changes, `other` becomes readable (a process watched by its descriptor has died),
    /// or `timeout_ms` have passed.
    pub fn wait(&self, other: Option<BorrowedFd<'_>>, timeout_ms: u64) -> io::Result<WakeReason> {
        let mut fds = vec![PollFd::new(&self.inotify, PollFlags::IN)];
        if let Some(other) = &other {
            fds.push(PollFd::new(other, PollFlags::IN));
        }
        match poll(&mut fds, Some(&timespec(timeout_ms))) {
            Err(rustix::io::Errno::INTR) => return Ok(WakeReason::TimedOut),
            other => other?,
        };
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready.first() == Some(&true) {
            self.drain();
            return Ok(WakeReason::Changed);
        }
        Ok(if ready.get(1) == Some(&true) { WakeReason::Other } else { WakeReason::TimedOut })
    }

    /// Waits like [`Self::wait`] for many descriptors; returns whether a file changed and which descriptors
    /// became readable.
    pub fn wait_any(&self, others: &[BorrowedFd<'_>], timeout_ms: u64) -> io::Result<(bool, Vec<usize>)> {
        let mut fds = vec![PollFd::new(&self.inotify, PollFlags::IN)];
        fds.extend(others.iter().map(|other| PollFd::new(other, PollFlags::IN)));
        match poll(&mut fds, Some(&timespec(timeout_ms))) {
            Err(rustix::io::Errno::INTR) => return Ok((false, Vec::new())),
            other => other?,
        };
        let is_ready = |i: &usize| fds.get(*i).is_some_and(|fd| !fd.revents().is_empty());
        let (changed, ready) = (is_ready(&0), (1..fds.len()).filter(is_ready).map(|i| i - 1).collect());
        if changed {
            self.drain();
        }
        Ok((changed, ready))
    }

    /// Discards the pending events; only that something changed matters.
    fn drain(&self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(self.inotify.as_fd(), &mut buffer);
        while reader.next().is_ok() {}
    }
}

fn timespec(ms: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(ms / 1_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(ms % 1_000 * 1_000_000).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
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
}
