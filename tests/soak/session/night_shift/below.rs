//! Finds the processes that work in a directory of the test.

use std::path::{Path, PathBuf};

use cmw::adapters::os::process;
use cmw::domain::session::process::Process;

use crate::support::session::World;

/// A process in the world's directory.
#[derive(Clone, Debug)]
pub(crate) struct Below {
    pub(crate) process: Process,
    pub(crate) words: Vec<String>,
    pub(crate) parent: u32,
}

impl Below {
    /// The name of its program.
    pub(crate) fn name(&self) -> &str {
        let first = self.words.first().map_or("", String::as_str);
        Path::new(first).file_name().and_then(|name| name.to_str()).unwrap_or("")
    }

    /// Whether it is one of our programs, but neither an agent nor the monitor.
    pub(crate) fn is_tool(&self) -> bool {
        let watches = self.name() == "cmw-health" && self.words.iter().any(|word| word == "monitor");
        self.name().starts_with("cmw") && self.name() != "cmw-demo-agent" && !watches
    }
}

/// All of them but what this very program has started.
pub(crate) fn all(world: &World) -> Vec<Below> {
    let here = std::fs::canonicalize(world.dir.path()).unwrap();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| look(pid, &here)).filter(|it| it.parent != std::process::id()).collect()
}

fn look(pid: u32, here: &PathBuf) -> Option<Below> {
    if !std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir.starts_with(here)) {
        return None;
    }
    let process = process::identify(pid)?;
    let stat = process::stat(pid).filter(|stat| !stat.zombie && stat.start_ticks == process.start_ticks)?;
    let words = process::command_line(pid);
    let words = words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    Some(Below { process, words, parent: stat.parent })
}

/// Dead processes whose parent is one of these and has not waited for them, with both names.
pub(crate) fn unburied(parents: &[Below]) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let theirs = |pid: u32| {
        let stat = process::stat(pid).filter(|stat| stat.zombie)?;
        let parent = parents.iter().find(|parent| parent.process.pid == stat.parent)?;
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Some(format!("{pid} {} of {}", name.trim(), parent.words.join(" ")))
    };
    pids.filter_map(theirs).collect()
}
