//! `cmw why` says what the hooks do: in generated states it refuses exactly when a commit is refused.

use crate::support::World;

/// Steps that lead from one state to another; a step that is refused in a state leaves it as it is.
const STEPS: [(&str, &str); 14] = [
    ("Dev-A", "cmw-lock acquire"),
    ("Dev-B", "cmw-lock acquire"),
    ("Dev-A", "cmw-lock acquire --files a"),
    ("Dev-B", "cmw-lock acquire --files other"),
    ("User", "cmw-freeze now --reason r"),
    ("User", "cmw pause Dev-A --reason r"),
    ("User", "cmw-bypass break-glass --reason r --for 10m"),
    ("User", "git config cmw.check.lock warn && cmw-init"),
    ("User", "git config cmw.check.freeze off && cmw-init"),
    ("User", "git config cmw.lock.auto false && cmw-init"),
    (
        "User",
        "git -c core.hooksPath= update-ref refs/heads/main $(git commit-tree -p main -m v 'main^{tree}') && ! cmw-audit verify",
    ),
    ("Dev-A", "echo $$ >>a && git add a"),
    ("Dev-B", "git switch -q free"),
    ("Dev-B", "git switch -q main"),
];

/// What takes some of it back.
const BACK: [(&str, &str); 9] = [
    ("Dev-A", "cmw-lock release || cmw-lock cancel"),
    ("Dev-B", "cmw-lock release || cmw-lock cancel"),
    ("User", "cmw-freeze thaw --reason r"),
    ("User", "cmw resume"),
    ("User", "cmw-bypass break-glass end"),
    ("User", "git config --unset cmw.check.lock && cmw-init"),
    ("User", "git config --unset cmw.check.freeze && cmw-init"),
    ("User", "git config --unset cmw.lock.auto && cmw-init"),
    ("User", "for v in 1 2 3 4 5 6 7 8 9; do cmw-audit adopt V$v --reason r; done; true"),
];

/// Numbers that are the same in each run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

/// Returns how many commits were refused, and how many passed.
fn foretold(mode: &str, seed: u64) -> (usize, usize) {
    let world = World::ready_with(&crate::support::gits()[0], &format!("--roles 4 --mode {mode}"));
    world.git(&["branch", "free"]);
    let mut numbers = Numbers(seed);
    let (mut refused, mut passed) = (0, 0);
    let mut so_far: Vec<&str> = Vec::new();
    for _ in 0..25 {
        let all = if numbers.below(3) == 0 { &STEPS[..] } else { &BACK[..] };
        let (who, step) = all[numbers.below(all.len())];
        let agent = if who == "User" { world.person() } else { world.agent(who) };
        let done = agent.run(step);
        assert!(done.code != 2 && done.code != 127, "no such command: {done}");
        so_far.push(step);
        let role = ["Dev-A", "Dev-B", "Librarian"][numbers.below(3)];
        let agent = world.agent(role);
        let why = agent.run("cmw why");
        let commit = agent.run("git commit -q --allow-empty -m x");
        assert_eq!(
            why.code == 0,
            commit.code == 0,
            "{mode}, {seed}, {role} after {so_far:#?}\n{}\n{}",
            why.all(),
            commit.all()
        );
        *(if commit.code == 0 { &mut passed } else { &mut refused }) += 1;
    }
    // With the guard off a commit passes in any case, and why and cmw-commit say that.
    world.person().ok("git config core.hooksPath /nowhere");
    let why = world.agent("Dev-A").run("cmw why");
    assert!(why.all().contains("hooks"), "{why}");
    let json = world.agent("Dev-A").run("cmw why --json | jq -r .data.hooks_off").stdout;
    assert_ne!(json.trim(), "null");
    let commit = world.agent("Dev-A").run("git commit -q --allow-empty -m off");
    assert_eq!(commit.code, 0, "{commit}");
    (refused, passed)
}

#[test]
fn why_refuses_exactly_when_a_commit_is_refused() {
    let seeds = [0x9e37_79b9_7f4a_7c15, 0x2545_f491_4f6c_dd1d, 0x94d0_49bb_1331_11eb];
    let all: Vec<(usize, usize)> = seeds.into_iter().map(|seed| foretold("shared", seed)).collect();
    let sum = all.iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    assert!(sum.0 > 5 && sum.1 > 5, "refused and passed: {all:?}");
}

#[test]
fn why_refuses_exactly_when_a_commit_is_refused_in_worktrees_mode() {
    let found = foretold("worktrees", 0xbf58_476d_1ce4_e5b9);
    assert!(found.0 > 3 && found.1 > 3, "refused and passed: {found:?}");
}
