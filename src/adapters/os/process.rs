//! Processes, read from procfs: identity, life, ancestors.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
pub use rustix::process::Signal;

use crate::domain::health::condition::ProcessStatus;
use crate::domain::session::process::Process;

use crate::adapters::os::clock;

/// The fields of `/proc/<pid>/stat` that cmw uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcStat {
    /// Its parent.
    pub parent: u32,
    /// The leader of its session.
    pub session: u32,
    /// Start time in clock ticks since boot.
    pub start_ticks: u64,
    /// Dead, but not yet waited for.
    pub zombie: bool,
    /// Suspended by a signal, or by a debugger.
    pub suspended: bool,
}

/// Reads `/proc/<pid>/stat`; `None` when there is no such process.
#[must_use]
pub fn stat(pid: u32) -> Option<ProcStat> {
    use std::io::Read;
    // One read is enough: a name of 16 characters and fields of numbers.
    let mut text = [0; 1_024];
    let len = std::fs::File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut text).ok()?;
    parse(&String::from_utf8_lossy(text.get(..len)?))
}

/// Parses the text; the name in field 2 may contain any character, so fields are counted after its last `)`.
fn parse(text: &str) -> Option<ProcStat> {
    let after = text.get(text.rfind(')')? + 1..)?;
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    Some(ProcStat {
        zombie: matches!(*fields.first()?, "Z" | "X"),
        suspended: matches!(*fields.first()?, "T" | "t"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// Returns the identity of a living process.
#[must_use]
pub fn identify(pid: u32) -> Option<Process> {
    let stat = stat(pid)?;
    Some(Process { pid, start_ticks: stat.start_ticks, boot: clock::boot_id() })
}

/// Returns the pid of the process that started this one.
#[must_use]
pub fn parent_id() -> u32 {
    std::os::unix::process::parent_id()
}

/// Returns the identity of this process.
///
/// # Panics
/// When procfs is not mounted.
#[must_use]
pub fn current() -> Process {
    identify(std::process::id()).expect("procfs has an entry for this process")
}

/// Returns whether exactly this process still lives: same boot, same pid, same start, not a zombie.
#[must_use]
pub fn is_alive(process: &Process) -> bool {
    process.boot == clock::boot_id()
        && stat(process.pid).is_some_and(|s| s.start_ticks == process.start_ticks && !s.zombie)
}

/// Returns the state of a process.
#[must_use]
pub fn status(process: &Process) -> ProcessStatus {
    let stat = stat(process.pid).filter(|s| s.start_ticks == process.start_ticks && !s.zombie);
    match stat.filter(|_| process.boot == clock::boot_id()) {
        None => ProcessStatus::Dead,
        Some(stat) if stat.suspended => ProcessStatus::Suspended,
        Some(_) => ProcessStatus::Alive,
    }
}

/// Returns whether a process has a child whose name (the kernel's, at most 15 characters) does not begin with
/// `ours`.
#[must_use]
pub fn has_child_beside(pid: u32, ours: &str) -> bool {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let name = |child: &str| std::fs::read_to_string(format!("/proc/{child}/comm")).ok();
    children.split_ascii_whitespace().filter_map(name).any(|name| !name.starts_with(ours))
}

/// Returns a descriptor that becomes readable when the process dies; `None` when it is dead already.
#[must_use]
pub fn watch(process: &Process) -> Option<std::os::fd::OwnedFd> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(process.pid).ok()?)?;
    let fd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()?;
    // Only this check proves that the descriptor is of this process and not of a later one.
    is_alive(process).then_some(fd)
}

/// Waits until all of them have ended, at most `timeout_ms`; returns those that still live.
#[must_use]
pub fn wait_gone(processes: &[Process], timeout_ms: u64) -> Vec<Process> {
    let deadline = clock::now().boot.plus(timeout_ms);
    loop {
        let living: Vec<_> = processes.iter().filter_map(|p| Some((p, watch(p)?))).collect();
        let left_ms = deadline.ms_until(&clock::now().boot);
        if living.is_empty() || left_ms == 0 {
            return living.into_iter().map(|(process, _)| process.clone()).collect();
        }
        let mut fds: Vec<PollFd<'_>> = living.iter().map(|(_, fd)| PollFd::new(fd, PollFlags::IN)).collect();
        let timeout = Timespec {
            tv_sec: i64::try_from(left_ms / 1_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(left_ms % 1_000 * 1_000_000).unwrap_or(0),
        };
        // Interrupted or not: the next iteration checks again, and the deadline ends the loop.
        let _ = poll(&mut fds, Some(&timeout));
    }
}

/// Sends a signal to exactly this process, never to a later one of its pid; returns whether it existed.
#[must_use]
pub fn signal(process: &Process, signal: Signal) -> bool {
    watch(process).is_some_and(|fd| rustix::process::pidfd_send_signal(&fd, signal).is_ok())
}

/// Kills all descendants of this process; for a thread that waits for a program which does not end.
pub fn end_descendants() {
    let all: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.parent)))
        .collect();
    let mut ours = vec![std::process::id()];
    let mut at = 0;
    while let Some(parent) = ours.get(at).copied() {
        ours.extend(all.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    for it in ours.iter().skip(1).filter_map(|pid| identify(*pid)) {
        let _ = signal(&it, Signal::KILL);
    }
}

/// Returns a command's output; `None` when it cannot be run, or does not end in this time.
#[must_use]
pub fn output_within(mut command: std::process::Command, timeout_ms: u64) -> Option<String> {
    use std::io::Read;
    use std::process::Stdio;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let gone = identify(child.id()).is_none_or(|process| wait_gone(&[process], timeout_ms).is_empty());
    if !gone {
        let _ = child.kill();
    }
    let _ = child.wait();
    let mut said = String::new();
    // A process that it started may hold the pipe open: only one buffer is read.
    let mut buffer = [0; 4_096];
    let read = if gone { child.stdout.take()?.read(&mut buffer).ok()? } else { return None };
    said.push_str(&String::from_utf8_lossy(buffer.get(..read)?));
    Some(said)
}

/// Returns the arguments with which a process was started; empty when it has ended or cleared them.
#[must_use]
pub fn command_line(pid: u32) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    // Every argument is followed by a zero byte.
    bytes.split_inclusive(|b| *b == 0).filter_map(|word| Some(word.strip_suffix(b"\0")?.to_vec())).collect()
}

/// Returns the working directory of a process; `None` when it has ended or belongs to another user.
#[must_use]
pub fn working_dir(pid: u32) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// Returns this process and its ancestors, nearest first, without pid 1; each is looked up when it is needed.
pub fn lineage() -> impl Iterator<Item = Process> {
    let boot = clock::boot_id();
    let mut next = std::process::id();
    let above = move || {
        let pid = Some(next).filter(|pid| *pid > 1)?;
        let stat = stat(pid)?;
        next = stat.parent;
        Some(Process { pid, start_ticks: stat.start_ticks, boot: boot.clone() })
    };
    std::iter::from_fn(above).take(512)
}

/// Returns the process that represents the user of this one outside a session: the leader of its Unix session
/// (a login shell, a script started by cron), or else its parent.
#[must_use]
pub fn owner() -> Process {
    let pid = std::process::id();
    let Some(stat) = stat(pid) else { return current() };
    [stat.session, stat.parent]
        .into_iter()
        .filter(|above| *above > 1 && *above != pid)
        .find_map(identify)
        .unwrap_or_else(current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_process_name_is_parsed() {
        let text = "42 (a) R 1 (b) S 7 8 9 0 -1 0 0 0 0 0 0 0 0 0 0 0 0 0 12345 0 0";
        let stat = parse(text).unwrap();
        assert_eq!((stat.parent, stat.session, stat.start_ticks, stat.zombie), (7, 9, 12345, false));
        assert_eq!(parse(""), None);
        assert_eq!(parse("1 (x) S"), None);
    }

    #[test]
    fn a_dead_process_and_a_reused_pid_are_not_alive() {
        let me = current();
        assert!(is_alive(&me));
        assert!(!is_alive(&Process { start_ticks: me.start_ticks + 1, ..me.clone() }));
        assert!(!is_alive(&Process { boot: crate::domain::util::time::BootId("x".into()), ..me.clone() }));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let seen = identify(child.id());
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(seen.is_none_or(|p| !is_alive(&p)), "a zombie is dead");
        child.wait().unwrap();
        assert_eq!(lineage().next(), Some(me));
    }

    #[test]
    fn a_signal_reaches_exactly_one_process_and_its_end_is_seen() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let it = identify(child.id()).unwrap();
        let later = Process { start_ticks: it.start_ticks + 1, ..it.clone() };
        assert!(!signal(&later, Signal::KILL), "a later process of this pid is another one");
        assert_eq!(wait_gone(std::slice::from_ref(&it), 20), std::slice::from_ref(&it));
        assert_eq!(command_line(it.pid).last().map(Vec::as_slice), Some(b"600".as_slice()));
        assert!(signal(&it, Signal::KILL));
        assert_eq!(wait_gone(&[it.clone(), later], 20_000), []);
        child.wait().unwrap();
        assert!(!signal(&it, Signal::KILL) && command_line(it.pid).is_empty());
    }
}
