//! What must hold, one test for each thing by its name; the matrix is the second one.
//!
//! Dev-B holds the lock and Dev-A acts, unless something else is said.

mod frozen;
mod moves;
mod names;
mod whoever;

use crate::support::{Agent, World, gits};
use crate::{minor, template};

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
        let hooks_off =
            "export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=/nonexistent";
        self.world.nobody().run(&format!("{hooks_off}; {line}")).ignored();
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
