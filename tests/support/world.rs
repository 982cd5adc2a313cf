//! The world of one test: a temporary repository and an environment with nothing else in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use super::agent::{Agent, Place, end_all_of};
use super::programs::{tools, write_program};
use super::{Transcript, normalised};

/// A world: `repo/` with one commit on `main`, an empty `home/`, and those who type commands.
/// Everything that was started in it ends with it, also when the test panics.
pub(crate) struct World {
    root: PathBuf,
    git: PathBuf,
    place: Place,
    agents: Mutex<BTreeMap<String, Agent>>,
    // Last: the directory goes when no process works in it any more.
    _dir: tempfile::TempDir,
}

/// The gits on PATH and in /usr/bin, each once, the first one first.
pub(crate) fn gits() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = Vec::new();
    for dir in std::env::split_paths(&path).chain([PathBuf::from("/usr/bin")]) {
        let Ok(git) = dir.join("git").canonicalize() else { continue };
        if !found.contains(&git) {
            found.push(git);
        }
    }
    assert!(!found.is_empty(), "the tests need git");
    found
}

impl World {
    /// A repository without cmw, with the first git on PATH.
    pub(crate) fn new() -> Self {
        Self::with(&gits()[0])
    }

    /// A repository without cmw, with this git.
    pub(crate) fn with(git: &Path) -> Self {
        let dir = tempfile::Builder::new().prefix("cmw-").tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for sub in ["repo", "home", "tmux"] {
            std::fs::create_dir(root.join(sub)).unwrap();
        }
        let place = Place { root: root.clone(), env: environment(&root, git), clock_ms: Default::default() };
        let world = Self { root, git: git.to_owned(), place, agents: Mutex::default(), _dir: dir };
        world.git(&["init", "-q", "-b", "main"]);
        world.write("repo/a", "first\n");
        world.git(&["add", "a"]);
        world.git(&["commit", "-q", "-m", "first"]);
        world
    }

    /// A repository in which `cmw-init` has run.
    pub(crate) fn ready() -> Self {
        Self::ready_with(&gits()[0], "")
    }

    /// A repository in which the person ran `cmw-init` with these arguments, with this git.
    pub(crate) fn ready_with(git: &Path, args: &str) -> Self {
        let world = Self::with(git);
        world.person().ok(&format!("cmw-init {args}"));
        world
    }

    /// The role's process; it is started when there is none that lives.
    pub(crate) fn agent(&self, role: &str) -> Agent {
        self.agent_of(role, || Agent::start(role, Some(role), false, &self.place))
    }

    /// A second process of a role, shown as `name`.
    pub(crate) fn another(&self, name: &str, role: &str) -> Agent {
        self.agent_of(name, || Agent::start(name, Some(role), false, &self.place))
    }

    /// The person at a terminal.
    pub(crate) fn person(&self) -> Agent {
        self.agent_of("User", || Agent::start("User", None, true, &self.place))
    }

    /// A caller without a role and without a terminal.
    pub(crate) fn unidentified(&self) -> Agent {
        self.agent_of("unidentified", || Agent::start("unidentified", None, false, &self.place))
    }

    fn agent_of(&self, name: &str, start: impl FnOnce() -> Agent) -> Agent {
        let mut agents = self.agents.lock().unwrap();
        if let Some(agent) = agents.get(name).filter(|agent| agent.is_alive()) {
            return agent.clone();
        }
        let agent = start();
        agents.insert(name.to_owned(), agent.clone());
        agent
    }

    /// Moves both clocks for all later commands (programs built with feature `test-clock`).
    #[cfg(feature = "test-clock")]
    pub(crate) fn pass_ms(&self, ms: i64) {
        self.place.clock_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Writes a transcript; see [`super::assert_transcript`].
    pub(crate) fn transcript(&self, write: impl FnOnce(&mut Transcript<'_>)) -> String {
        let mut transcript = Transcript::of(self);
        write(&mut transcript);
        transcript.text()
    }

    /// A text with all that differs from run to run replaced.
    pub(crate) fn normalised(&self, text: &str) -> String {
        normalised(text, self)
    }

    /// The world's directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of the built tools.
    pub(crate) fn tools(&self) -> PathBuf {
        tools()
    }

    /// A path below the world's directory.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Writes a file below the world's directory.
    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes an executable file below the world's directory.
    pub(crate) fn write_program(&self, path: &str, text: &str) {
        write_program(&self.at(path), text);
    }

    /// Reads a file below the world's directory.
    #[track_caller]
    pub(crate) fn read(&self, path: &str) -> String {
        let path = self.at(path);
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Every file below a directory and its bytes; symbolic links by where they point.
    pub(crate) fn files(&self, dir: &str) -> BTreeMap<String, Vec<u8>> {
        let root = self.at(dir);
        let entries = walkdir::WalkDir::new(&root).into_iter().filter_map(Result::ok);
        let files = entries.filter(|entry| !entry.file_type().is_dir());
        files
            .map(|entry| {
                let name = entry.path().strip_prefix(&root).unwrap().display().to_string();
                let kind = entry.file_type();
                let bytes = if kind.is_symlink() {
                    std::fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes()
                } else if kind.is_file() {
                    std::fs::read(entry.path()).unwrap_or_default()
                } else {
                    b"special".to_vec()
                };
                (name, bytes)
            })
            .collect()
    }

    /// Runs git in `repo/` without any hook, to set a scene or to look at it; it must succeed.
    #[track_caller]
    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.git_in("repo", args)
    }

    /// The same in another directory.
    #[track_caller]
    pub(crate) fn git_in(&self, dir: &str, args: &[&str]) -> String {
        let mut command = Command::new(&self.git);
        command.env_clear().envs(self.place.env.iter().cloned()).current_dir(self.at(dir));
        command.args(["-c", "core.hooksPath=/nonexistent"]);
        for event in cmw::app::guard::git_hook_config::EVENTS {
            command.args(["-c", &format!("hook.cmw-guard-{event}.enabled=false")]);
        }
        let output = command.args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// All refs, what is staged, and what the work tree holds.
    pub(crate) fn picture(&self) -> String {
        let refs = self.git(&["for-each-ref", "--format=%(refname) %(objectname)"]);
        let head = self.git(&["rev-parse", "--symbolic-full-name", "HEAD"]);
        let index = self.git(&["ls-files", "--stage"]);
        let status = self.git(&["status", "--porcelain=v2", "--untracked-files=all"]);
        format!("{refs}\n--\n{head}\n--\n{index}\n--\n{status}\n")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        end_all_of(&self.root);
    }
}

fn environment(root: &Path, git: &Path) -> Vec<(String, String)> {
    let (tools, gits) = (tools(), git.parent().unwrap());
    let path = format!("{}:{}:/usr/bin:/bin", tools.display(), gits.display());
    let in_root = |name: &str| root.join(name).display().to_string();
    let pairs = [
        ("PATH", path),
        ("HOME", in_root("home")),
        ("TMUX_TMPDIR", in_root("tmux")),
        ("LC_ALL", "C".to_owned()),
        ("TZ", "UTC".to_owned()),
        ("NO_COLOR", "1".to_owned()),
        ("GIT_CONFIG_GLOBAL", "/dev/null".to_owned()),
        ("GIT_CONFIG_SYSTEM", "/dev/null".to_owned()),
        ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ("GIT_AUTHOR_NAME", "A".to_owned()),
        ("GIT_AUTHOR_EMAIL", "a@example.org".to_owned()),
        ("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z".to_owned()),
        ("GIT_COMMITTER_NAME", "A".to_owned()),
        ("GIT_COMMITTER_EMAIL", "a@example.org".to_owned()),
        ("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z".to_owned()),
        ("GIT_EDITOR", ":".to_owned()),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
}
