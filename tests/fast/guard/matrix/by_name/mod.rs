//! Tests of single guarantees, each by its name; the matrix is the second check of them.
//!
//! Dev-B holds the lock and Dev-A acts, unless something else is said.

mod found;
mod frozen;
mod moves;
mod names;
mod pinned;
mod places;

use cmw::app::guard::git_hook_config::EVENTS;

use crate::guard::matrix::{minor, template};
use crate::support::{Agent, World, gits};

/// The template with hooks, and a git's 2.x.
struct Case {
    world: World,
    minor: u32,
}

/// Runs a test with each git, refs in files.
fn each(test: impl Fn(&Case)) {
    for git in gits() {
        test(&Case::new(&git, false));
    }
}

/// Runs a test with each git that knows reftables.
fn each_with_reftables(test: impl Fn(&Case)) {
    for git in gits().into_iter().filter(|git| minor(git) >= 45) {
        test(&Case::new(&git, true));
    }
}

impl Case {
    fn new(git: &std::path::Path, reftable: bool) -> Self {
        let world = World::with(git);
        template::make(&world, reftable);
        world.person().ok("cmw-init --preset solo");
        world.agent("Dev-B").ok("cmw-lock acquire");
        Self { world, minor: minor(git) }
    }

    /// Dev-A.
    fn dev(&self) -> Agent {
        self.world.agent("Dev-A")
    }

    /// Prepares something without hooks.
    fn bare(&self, line: &str) {
        let guards = EVENTS.iter().map(|event| (format!("hook.cmw-guard-{event}.enabled"), "false"));
        let off: Vec<_> = [("core.hooksPath".to_owned(), "/nonexistent")].into_iter().chain(guards).collect();
        let mut set = format!("export GIT_CONFIG_COUNT={}", off.len());
        for (number, (key, value)) in off.into_iter().enumerate() {
            set += &format!(" GIT_CONFIG_KEY_{number}={key} GIT_CONFIG_VALUE_{number}={value}");
        }
        self.world.unidentified().run(&format!("{set}; {line}")).ignored();
    }

    /// The refs of all open violations.
    fn open(&self) -> Vec<String> {
        let output = self.world.person().run("cmw-audit verify --json");
        let answer: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        let violations = answer["data"]["violations"].as_array().unwrap();
        assert_eq!(output.code, i32::from(!violations.is_empty()), "{output}");
        let refs = violations.iter().flat_map(|violation| violation["refs"].as_array().unwrap());
        refs.map(|place| place["name"].as_str().unwrap().to_owned()).collect()
    }

    /// A command of Dev-A that moves these refs, which is found, once.
    #[track_caller]
    fn found(&self, line: &str, names: &[&str]) {
        let before = self.open();
        let old = self.refs();
        self.dev().ok(line);
        assert_ne!(self.refs(), old, "2.{}: {line} moves nothing", self.minor);
        let after = self.open();
        for name in names {
            assert!(
                after[before.len()..].contains(&(*name).to_owned()),
                "2.{}: {line}: {after:?}",
                self.minor
            );
        }
        assert_eq!(self.open(), after, "2.{}: {line} is found twice", self.minor);
    }

    fn freeze_hard(&self) {
        self.world.agent("Dev-B").run("cmw-lock release").ignored();
        self.world.person().ok("cmw-freeze now --hard --reason incident");
    }

    fn refs(&self) -> String {
        self.world.git(&["for-each-ref", "--format=%(refname) %(objectname) %(symref)"])
    }

    /// A command of Dev-A that fails and moves no ref, with a refusal of ours; gives what is said.
    #[track_caller]
    fn refused(&self, line: &str) -> String {
        let said = self.fails(line);
        assert!(said.contains("refused: "), "{line}\n{said}");
        said
    }

    /// A command of Dev-A that fails and moves no ref; gives what is said.
    #[track_caller]
    fn fails(&self, line: &str) -> String {
        let before = self.refs();
        let output = self.dev().run(line);
        assert_ne!(output.code, 0, "2.{}\n{output}", self.minor);
        assert_eq!(self.refs(), before, "2.{}: a ref has moved\n{output}", self.minor);
        output.all()
    }

    /// A command of Dev-A that succeeds and moves no branch.
    #[track_caller]
    fn harmless(&self, line: &str) {
        let branches = || self.world.git(&["for-each-ref", "refs/heads", "refs/notes", "refs/replace"]);
        let before = branches();
        self.dev().ok(line);
        assert_eq!(branches(), before, "2.{}: {line}", self.minor);
    }

    fn freeze(&self) {
        self.world.agent("Dev-B").run("cmw-lock release").ignored();
        self.world.agent("Dev-A").run("cmw-lock release").ignored();
        self.world.person().ok("cmw-freeze now --reason wait");
    }

    fn thaw(&self) {
        self.world.person().ok("cmw-freeze thaw --reason on");
    }

    /// The lock goes from Dev-B to Dev-A.
    fn lock_goes_to_dev(&self) {
        self.world.agent("Dev-B").ok("cmw-lock release");
        self.dev().ok("cmw-lock acquire");
    }
}
