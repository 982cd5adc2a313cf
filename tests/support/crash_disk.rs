//! The crash model: a disk in memory that stops before the n-th step, and boots again.
//!
//! # The model
//!
//! A disk has two images. The **live** one is what every process sees (the page cache); the
//! **durable** one is what a power cut leaves. `sync` copies a file's bytes to the durable image,
//! `sync_dir` the names in one directory: files, directories, and that a name is gone. A file's
//! bytes belong to the file, not to its name: a rename moves them, synced or not.
//!
//! # Stopping
//!
//! [`CrashDisk::stop_after`] counts down at each step that changes the disk, and at each sync. At 0
//! the step is refused, and so is everything after it until [`CrashDisk::reboot`]: the process is
//! dead. Steps that write bytes count twice: the first stop leaves nothing of them, the second
//! leaves their first half.
//!
//! ```ignore
//! for n in 0.. {
//!     let disk = CrashDisk::new();
//!     disk.stop_after(n);
//!     let finished = history(&disk).is_ok();
//!     disk.reboot(Reboot::PowerLost);
//!     check(&disk);
//!     if finished { break; }
//! }
//! ```
//!
//! # Faults
//!
//! A test that passes on a disk that lies proves nothing: [`Faults`] makes the disk lie, and the test
//! shows that it notices.
//!
//! Limitations: locks are granted always (one thread, one history at a time); a file is read whole
//! or not; what the live image has beyond the durable one is lost whole, not page by page.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Mutex, MutexGuard};

use cmw::store::disk::{Disk, ProgramFile};

/// How the machine comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reboot {
    /// The process was killed: the system goes on, everything written is there.
    Killed,
    /// The power failed: only what was synced is there.
    PowerLost,
    /// The power failed after names had reached the disk and bytes had not: files are there under
    /// their latest names, and empty where they were never synced, or as they were when they were.
    NamesKept,
    /// As before, but files have their latest length: what was not synced reads as NUL bytes.
    LengthsKept,
    /// The power failed after everything written in place had reached the disk, with its names, and
    /// nothing else had that was not synced: soft records survive what they speak of.
    InPlaceKept,
}

impl Reboot {
    /// All of them.
    pub(crate) const ALL: [Self; 5] =
        [Self::Killed, Self::PowerLost, Self::NamesKept, Self::LengthsKept, Self::InPlaceKept];
}

/// In which ways the disk lies.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// `sync` says yes and does nothing.
    pub(crate) ignore_sync: bool,
    /// `sync_dir` says yes and does nothing.
    pub(crate) ignore_sync_dir: bool,
    /// A rename over an existing file writes that file anew, in two halves, not synced.
    pub(crate) rename_is_write_in_place: bool,
    /// `sync` fails (and goes on failing): the bytes stay in the live image alone.
    pub(crate) fail_sync: bool,
    /// Appending fails: the disk is full.
    pub(crate) full: bool,
    /// This lock stays held by another program.
    pub(crate) held: Option<&'static str>,
}

#[derive(Clone, Debug, Default)]
struct File {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Whether it was ever written in place.
    in_place: bool,
}

/// Which names there are: of files, with their numbers, and of directories.
#[derive(Clone, Debug, Default)]
struct Names {
    files: BTreeMap<String, usize>,
    dirs: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
struct State {
    files: Vec<File>,
    live: Names,
    durable: Names,
    left: Option<u64>,
    stopped: bool,
    steps: u64,
    faults: Faults,
}

/// A disk in memory that can stop at any step.
#[derive(Debug, Default)]
pub(crate) struct CrashDisk(Mutex<State>);

impl CrashDisk {
    /// An empty disk that works.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Another disk with the same content, names, faults and countdown.
    pub(crate) fn copy(&self) -> Self {
        Self(Mutex::new(self.state().clone()))
    }

    /// Stops after this many further steps: 0 refuses the next one.
    pub(crate) fn stop_after(&self, steps: u64) {
        self.state().left = Some(steps);
    }

    /// Steps taken so far.
    pub(crate) fn steps(&self) -> u64 {
        self.state().steps
    }

    /// Whether it has stopped.
    pub(crate) fn has_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Lies from now on in these ways.
    pub(crate) fn lie(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Comes back, and works again without a countdown.
    pub(crate) fn reboot(&self, how: Reboot) {
        let mut state = self.state();
        let state = &mut *state;
        (state.left, state.stopped) = (None, false);
        if how == Reboot::Killed {
            return;
        }
        let latest = state.live.clone();
        if how == Reboot::PowerLost || how == Reboot::InPlaceKept {
            state.live = state.durable.clone();
        }
        if how == Reboot::InPlaceKept {
            for (path, file) in latest.files.iter().filter(|(_, file)| state.files[**file].in_place) {
                state.live.files.insert(path.clone(), *file);
                state.live.dirs.extend(ancestors(path).map(str::to_owned));
            }
        }
        for file in &mut state.files {
            let length = file.live.len();
            if !(how == Reboot::InPlaceKept && file.in_place) {
                file.live = file.durable.clone();
            }
            if how == Reboot::LengthsKept {
                file.live.resize(length, 0);
            }
            file.durable = file.live.clone();
        }
        let dirs = state.live.dirs.clone();
        let reachable = |path: &String| ancestors(path).all(|dir| dirs.contains(dir));
        state.live.files.retain(|path, _| reachable(path));
        state.live.dirs.retain(reachable);
        state.durable = state.live.clone();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// For a verb that only reads.
    fn reading(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.stopped { Err(dead()) } else { Ok(state) }
    }

    /// For a verb that changes the disk.
    fn step(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        state.tick()?;
        Ok(state)
    }
}

fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

fn error(kind: io::ErrorKind, path: &str) -> io::Error {
    io::Error::new(kind, path.to_owned())
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(parent(path)), |dir| Some(parent(dir))).take_while(|dir| !dir.is_empty())
}

impl State {
    fn tick(&mut self) -> io::Result<()> {
        if self.left == Some(0) {
            self.stopped = true;
        }
        if self.stopped {
            return Err(dead());
        }
        self.left = self.left.map(|left| left - 1);
        self.steps += 1;
        Ok(())
    }

    /// Writes bytes in two halves, between which the disk may stop.
    fn write(&mut self, file: usize, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let half = bytes.len() / 2;
        put(&mut self.files[file].live, offset, &bytes[..half]);
        self.tick()?;
        put(&mut self.files[file].live, offset + half, &bytes[half..]);
        Ok(())
    }

    fn find(&self, path: &str) -> io::Result<Option<usize>> {
        if self.live.dirs.contains(path) {
            return Err(error(io::ErrorKind::InvalidData, path));
        }
        Ok(self.live.files.get(path).copied())
    }

    fn existing(&self, path: &str) -> io::Result<usize> {
        self.find(path)?.ok_or_else(|| error(io::ErrorKind::NotFound, path))
    }

    fn check_dir(&self, dir: &str) -> io::Result<()> {
        let known = dir.is_empty() || self.live.dirs.contains(dir);
        if known { Ok(()) } else { Err(error(io::ErrorKind::NotFound, dir)) }
    }

    fn create(&mut self, path: &str) -> io::Result<usize> {
        self.check_dir(parent(path))?;
        self.files.push(File::default());
        self.live.files.insert(path.to_owned(), self.files.len() - 1);
        Ok(self.files.len() - 1)
    }

    fn open_or_create(&mut self, path: &str) -> io::Result<usize> {
        self.find(path)?.map_or_else(|| self.create(path), Ok)
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a test disk is small")
}

impl Disk for CrashDisk {
    type Lock = ();

    fn read(&self, path: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
        let state = self.reading()?;
        let Some(file) = state.find(path)? else { return Ok(None) };
        let bytes = &state.files[file].live;
        if bytes.len() as u64 > max {
            return Err(error(io::ErrorKind::InvalidData, path));
        }
        Ok(Some(bytes.clone()))
    }

    fn read_at(&self, path: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let state = self.reading()?;
        let Some(file) = state.find(path)? else { return Ok(Vec::new()) };
        let bytes = &state.files[file].live;
        let from = index(offset).min(bytes.len());
        Ok(bytes[from..from.saturating_add(len).min(bytes.len())].to_vec())
    }

    fn size(&self, path: &str) -> io::Result<Option<u64>> {
        let state = self.reading()?;
        Ok(state.find(path)?.map(|file| state.files[file].live.len() as u64))
    }

    fn create_new(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.step()?;
        if state.live.files.contains_key(path) || state.live.dirs.contains(path) {
            return Err(error(io::ErrorKind::AlreadyExists, path));
        }
        let file = state.create(path)?;
        state.write(file, 0, bytes)
    }

    fn create_program(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.create_new(path, bytes)
    }

    fn program(&self, path: &str) -> io::Result<Option<ProgramFile>> {
        let state = self.reading()?;
        Ok(state.find(path)?.map(|file| ProgramFile {
            is_executable: true,
            size: state.files[file].live.len() as u64,
            file_id: (0, file as u64),
        }))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        if self.reading()?.find(to)?.is_some() {
            return Err(error(io::ErrorKind::AlreadyExists, to));
        }
        let mut state = self.step()?;
        let file = state.existing(from)?;
        state.check_dir(parent(to))?;
        state.live.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.step()?;
        if state.faults.full {
            return Err(error(io::ErrorKind::StorageFull, path));
        }
        let file = state.open_or_create(path)?;
        let offset = state.files[file].live.len();
        state.write(file, offset, bytes)
    }

    fn write_at(&self, path: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.step()?;
        let file = state.open_or_create(path)?;
        state.files[file].in_place = true;
        state.write(file, index(offset), bytes)
    }

    fn truncate(&self, path: &str, len: u64) -> io::Result<()> {
        let mut state = self.step()?;
        let file = state.existing(path)?;
        state.files[file].live.resize(index(len), 0);
        Ok(())
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        let mut state = self.step()?;
        let file = state.existing(path)?;
        if state.faults.fail_sync {
            return Err(io::Error::other("input/output error"));
        }
        if !state.faults.ignore_sync {
            state.files[file].durable = state.files[file].live.clone();
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.step()?;
        state.check_dir(dir)?;
        if state.faults.ignore_sync_dir {
            return Ok(());
        }
        let State { live, durable, .. } = &mut *state;
        durable.files.retain(|path, _| parent(path) != dir);
        durable.dirs.retain(|path| parent(path) != dir);
        let files = live.files.iter().filter(|(path, _)| parent(path) == dir);
        durable.files.extend(files.map(|(path, file)| (path.clone(), *file)));
        durable.dirs.extend(live.dirs.iter().filter(|path| parent(path) == dir).cloned());
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.step()?;
        let file = state.existing(from)?;
        state.check_dir(parent(to))?;
        let target = state.find(to)?;
        if let (Some(target), true) = (target, state.faults.rename_is_write_in_place) {
            let bytes = state.files[file].live.clone();
            state.files[target].live.clear();
            state.write(target, 0, &bytes)?;
        } else {
            state.live.files.insert(to.to_owned(), file);
        }
        state.live.files.remove(from);
        Ok(())
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        let taken = self.reading()?.find(to).map_or(true, |file| file.is_some());
        if taken {
            return Err(error(io::ErrorKind::AlreadyExists, to));
        }
        self.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        if self.reading()?.find(path)?.is_none() {
            return Ok(());
        }
        self.step()?.live.files.remove(path);
        Ok(())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = self.reading()?;
        let paths = state.live.files.keys().chain(&state.live.dirs);
        let mut names: Vec<String> = paths
            .filter(|path| parent(path) == dir)
            .map(|path| path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name).to_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    fn ensure_dir(&self, dir: &str) -> io::Result<()> {
        let missing: Vec<String> = {
            let state = self.reading()?;
            let all = std::iter::once(dir).chain(ancestors(dir));
            all.filter(|dir| !state.live.dirs.contains(*dir)).map(str::to_owned).collect()
        };
        for dir in missing.into_iter().rev() {
            self.step()?.live.dirs.insert(dir);
        }
        Ok(())
    }

    fn lock(&self, path: &str, _wait_ms: u64) -> io::Result<()> {
        let state = self.reading()?;
        if state.faults.held == Some(path) {
            return Err(error(io::ErrorKind::WouldBlock, path));
        }
        state.check_dir(parent(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(disk: &CrashDisk, path: &str) -> Option<String> {
        disk.read(path, 100).unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn only_what_was_synced_survives_a_power_cut() {
        let made = CrashDisk::new();
        made.ensure_dir("d").unwrap();
        made.sync_dir("").unwrap();
        made.create_new("d/a", b"one").unwrap();
        made.sync("d/a").unwrap();
        made.sync_dir("d").unwrap();
        made.append("d/a", b"two").unwrap();
        made.rename("d/a", "d/b").unwrap();
        made.create_new("d/c", b"three").unwrap();
        made.write_at("d/s", 0, b"soft").unwrap();
        let after = |how, path: &str| {
            let disk = made.copy();
            disk.reboot(how);
            text(&disk, path)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!((after(Reboot::Killed, "d/a"), after(Reboot::Killed, "d/b")), (None, some("onetwo")));
        assert_eq!((after(Reboot::PowerLost, "d/a"), after(Reboot::PowerLost, "d/b")), (some("one"), None));
        assert_eq!(
            (after(Reboot::NamesKept, "d/b"), after(Reboot::NamesKept, "d/c")),
            (some("one"), some(""))
        );
        assert_eq!(after(Reboot::LengthsKept, "d/b"), some("one\0\0\0"));
        assert_eq!(
            (after(Reboot::InPlaceKept, "d/s"), after(Reboot::PowerLost, "d/s")),
            (some("soft"), None)
        );
        assert_eq!(
            (after(Reboot::InPlaceKept, "d/a"), after(Reboot::InPlaceKept, "d/b")),
            (some("one"), None)
        );
        assert_eq!(
            (after(Reboot::PowerLost, "d/c"), after(Reboot::LengthsKept, "d/c")),
            (None, some("\0\0\0\0\0"))
        );
    }

    #[test]
    fn it_stops_before_a_write_and_in_its_middle() {
        for (n, left) in [(0, None), (1, Some("on")), (2, Some("once"))] {
            let disk = CrashDisk::new();
            disk.stop_after(n);
            assert_eq!(disk.create_new("a", b"once").is_ok(), n == 2);
            assert!(disk.append("a", b"more").is_err());
            assert!(disk.has_stopped() && disk.list("").is_err());
            disk.reboot(Reboot::Killed);
            assert_eq!(text(&disk, "a").as_deref(), left);
            assert_eq!(disk.steps(), n);
        }
    }

    #[test]
    fn it_lies_when_told_to() {
        let disk = CrashDisk::new();
        disk.lie(Faults { ignore_sync: true, ignore_sync_dir: true, ..Faults::default() });
        disk.create_new("a", b"x").unwrap();
        disk.sync("a").unwrap();
        disk.sync_dir("").unwrap();
        disk.reboot(Reboot::PowerLost);
        assert_eq!(text(&disk, "a"), None);

        let disk = CrashDisk::new();
        disk.create_new("old", b"old!").unwrap();
        disk.create_new("new", b"news").unwrap();
        disk.lie(Faults { rename_is_write_in_place: true, ..Faults::default() });
        disk.stop_after(1);
        assert!(disk.rename("new", "old").is_err());
        disk.reboot(Reboot::Killed);
        assert_eq!(text(&disk, "old").as_deref(), Some("ne"));

        let disk = CrashDisk::new();
        disk.lie(Faults { fail_sync: true, full: true, ..Faults::default() });
        assert_eq!(disk.append("a", b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
        disk.create_new("a", b"x").unwrap();
        assert!(disk.sync("a").is_err());
    }

    #[test]
    fn a_directory_that_was_not_synced_takes_its_files_along() {
        let disk = CrashDisk::new();
        disk.ensure_dir("d/e").unwrap();
        disk.create_new("d/e/f", b"x").unwrap();
        for dir in ["d/e", "d"] {
            disk.sync_dir(dir).unwrap();
        }
        disk.sync("d/e/f").unwrap();
        let lost = disk.copy();
        lost.reboot(Reboot::PowerLost);
        assert_eq!(lost.list("").unwrap(), Vec::<String>::new());
        disk.sync_dir("").unwrap();
        disk.reboot(Reboot::PowerLost);
        assert_eq!(text(&disk, "d/e/f").as_deref(), Some("x"));
    }
}
