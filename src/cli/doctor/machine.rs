//! Checks of the machine: git, tmux, file system, clock, inotify.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::adapters::git::worktrees::version_number;
use crate::adapters::os::clock;
use crate::adapters::os::system_info::{FileSystem, file_system};
use crate::adapters::tmux::server::{Server, Tmux};
use crate::app::error::with_causes;
use crate::domain::util::time::{WallTime, human};
use crate::store::audit::log;
use crate::store::watch::Watch;

use crate::cli::doctor::{CheckContext, Report};

/// The first git that runs a hook before it updates a ref.
const GIT_MIN: (u32, u32) = (2, 28);
/// Free space below this is a finding, in bytes.
const FREE_BYTES_MIN: u64 = 256 << 20;
/// Fewer free inodes than this are a finding.
const FREE_FILES_MIN: u64 = 1_000;
/// How far the clock may be behind the last event, in milliseconds.
const BACKWARDS_MS_MAX: u64 = 60_000;
/// No event of ours can be older than this (2025).
const EARLIEST: WallTime = WallTime(1_735_689_600_000);

pub(super) fn check(check_context: &CheckContext<'_>, report: &mut Report) {
    git(check_context, report);
    tmux(check_context, report);
    let dir = &check_context.context.repo.common_dir;
    match file_system(dir) {
        Ok(found) => space(&found, report),
        Err(e) => report.finding("disk", format!("cannot examine the file system: {e}"), "df -h ."),
    }
    time(check_context, report);
    match Watch::on(dir) {
        Ok(watch) if watch.is_polled() => report.finding(
            "inotify",
            "the limit of inotify is reached: changes are noticed up to 250 ms late, by looking again and again",
            "sudo sysctl fs.inotify.max_user_instances=1024",
        ),
        Ok(_) => report.fine("inotify", "works"),
        Err(e) => report.finding(
            "inotify",
            format!("cannot watch files, so waiting would not work: {e}"),
            "sudo sysctl fs.inotify.max_user_instances=1024",
        ),
    }
}

fn git(check_context: &CheckContext<'_>, report: &mut Report) {
    let version = match check_context.context.repo.git_version() {
        Ok(version) => version,
        Err(error) => return report.finding("git", with_causes(&error), "sudo apt-get install git"),
    };
    let gits = programs("git", check_context.context.env.get("PATH"));
    match version_number(&version) {
        Some(found) if found < GIT_MIN => report.finding(
            "git",
            format!(
                "{version} runs no hook before it updates a ref: nothing is enforced (2.28 or later is required)"
            ),
            "sudo apt-get install git",
        ),
        Some(_) | None => report.fine("git", version),
    }
    if gits.len() > 1 {
        let names: Vec<String> = gits.iter().map(|path| path.display().to_string()).collect();
        report.note("git", format!("several on PATH, the first one is used: {}", names.join(", ")), "");
    }
}

/// Returns the distinct programs of this name on a search path.
fn programs(name: &str, path: Option<&str>) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let is_program = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(path.unwrap_or_default())
        .map(|dir| dir.join(name))
        .filter(is_program)
        .filter(|path| path.canonicalize().is_ok_and(|real| seen.insert(real)))
        .collect()
}

fn tmux(check_context: &CheckContext<'_>, report: &mut Report) {
    let found = Tmux::find(check_context.context.env.get("PATH").map(OsStr::new), &Server::Default);
    match found.and_then(|tmux| tmux.version()) {
        Ok(version) if version.is_supported() => report.fine("tmux", version.text),
        Ok(version) => report.finding(
            "tmux",
            format!("{} is too old for cmw-session (3.0 or later is required)", version.text),
            "sudo apt-get install tmux",
        ),
        Err(error) => report.finding("tmux", error.to_string(), "sudo apt-get install tmux"),
    }
}

fn space(found: &FileSystem, report: &mut Report) {
    if let Some(remote) = found.remote {
        let what = format!("the repository is on {remote}, where locks and renames are unreliable");
        report.finding("disk", what, "move the repository to a local disk");
    }
    let free = found.free_bytes >> 20;
    let few_files = found.free_files.is_some_and(|n| n < FREE_FILES_MIN);
    if found.free_bytes < FREE_BYTES_MIN || few_files {
        let files = found.free_files.map_or_else(String::new, |n| format!(", room for {n} files"));
        report.finding("disk", format!("nearly full: {free} MiB free{files}"), "df -h . && df -i .");
    } else if found.remote.is_none() {
        report.fine("disk", format!("local, {free} MiB free"));
    }
}

fn time(check_context: &CheckContext<'_>, report: &mut Report) {
    let now = clock::now();
    let last = log::read_all(check_context.context.store.disk()).ok().and_then(|all| Some(all.last()?.at));
    let behind = last.map_or(0, |last| last.ms_since(now.wall));
    if now.boot.boot.0.is_empty() {
        let what = "the system provides no boot id: leases would end at each check";
        report.finding("clock", what, "cat /proc/sys/kernel/random/boot_id");
    } else if now.wall < EARLIEST {
        report.finding("clock", format!("the clock shows {}", now.wall), "timedatectl");
    } else if behind > BACKWARDS_MS_MAX {
        let what = format!("the clock shows {}, but the last event is {} later", now.wall, human(behind));
        report.finding("clock", what, "timedatectl");
    } else {
        report.fine("clock", now.wall.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_and_a_full_disk_are_findings() {
        let look = |found: FileSystem| {
            let mut report = Report::default();
            space(&found, &mut report);
            report.problems().map(|item| item.what.clone()).collect::<Vec<_>>()
        };
        let good = FileSystem { remote: None, free_bytes: 1 << 40, free_files: None };
        assert!(look(good.clone()).is_empty());
        assert!(look(FileSystem { remote: Some("NFS"), ..good.clone() })[0].contains("NFS"));
        assert!(look(FileSystem { free_bytes: 1 << 20, ..good.clone() })[0].contains("1 MiB free"));
        assert!(look(FileSystem { free_files: Some(3), ..good })[0].contains("room for 3 files"));
    }

    #[test]
    fn a_program_is_counted_once_however_often_path_names_it() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/bin/true", dir.path().join("git")).unwrap();
        let path = format!("{0}:{0}:/nonexistent", dir.path().display());
        assert_eq!(programs("git", Some(&path)).len(), 1);
        assert!(programs("git", None).is_empty());
    }
}
