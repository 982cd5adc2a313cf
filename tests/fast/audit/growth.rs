//! Tests of violations that grow, of findings that count at once, and of our own refs.

use crate::support::World;

/// Two roles at work in a repository with a remote.
fn world() -> World {
    let world = World::ready();
    world.git(&["clone", "-q", "--bare", ".", "../origin"]);
    world.git(&["remote", "add", "origin", "../origin"]);
    world
}

fn violations(world: &World) -> Vec<serde_json::Value> {
    let output = world.person().run("cmw-audit violations --json");
    let answer: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    answer["data"]["violations"].as_array().expect("a list").clone()
}

/// How many messages of the type wait for the User.
fn told(world: &World, kind: &str) -> usize {
    let output = world.person().run("cmw-inbox list --all --json");
    let answer: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    answer["data"].as_array().map_or(0, |all| all.iter().filter(|m| m["type"] == kind).count())
}

#[test]
fn a_tool_that_took_over_the_hooks_is_one_violation_that_grows() {
    let world = world();
    let (dev_a, dev_b) = (world.agent("Dev-A"), world.agent("Dev-B"));
    world.git(&["config", "core.hooksPath", ".husky/_"]);
    for n in 0..8 {
        dev_a.run(&format!("echo {n} >>a; cmw-commit -m 'c{n}' -- a")).ignored();
        dev_b.run("cmw-lock run -- true").ignored();
    }
    let found = violations(&world);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0]["refs"].as_array().expect("refs").len() > 1, "{found:#?}");
    assert_eq!(told(&world, "SECURITY_ALERT"), 1);
    let shown = world.person().run("cmw-audit violations").stdout;
    assert!(shown.contains(" movements"), "{shown}");
    world.git(&["config", "--unset", "core.hooksPath"]);
    world.person().ok("cmw-init >/dev/null 2>&1; cmw-audit adopt V1 --reason 'husky was installed'");
    assert_eq!(violations(&world).len(), 0);
    // Adopted, it is over: the next one is another violation.
    dev_a.run("git -c core.hooksPath= commit -q --allow-empty -m again").ignored();
    world.person().run("cmw-audit verify").ignored();
    assert_eq!(violations(&world)[0]["id"], 2);
}

#[test]
fn a_violation_that_grows_still_taints_each_of_its_commits() {
    let world = world();
    let dev_a = world.agent("Dev-A");
    dev_a.ok("git -c core.hooksPath= commit -q --allow-empty -m one");
    world.person().run("cmw-audit verify").ignored();
    dev_a.ok("git -c core.hooksPath= commit -q --allow-empty -m two");
    world.person().run("cmw-audit verify").ignored();
    assert_eq!(violations(&world).len(), 1);
    for what in ["main", "main:refs/heads/elsewhere", "main~1:refs/heads/old"] {
        let push = dev_a.run(&format!("git push -q origin {what}"));
        assert!(push.code != 0 && push.stderr.contains("V1"), "{what}: {push}");
    }
    dev_a.ok("git push -q origin main~2:refs/heads/before");
}

#[test]
fn a_noted_violation_is_never_pushed_or_merged() {
    let world = world();
    let (dev_a, dev_b) = (world.agent("Dev-A"), world.agent("Dev-B"));
    dev_b.ok("cmw-lock acquire --purpose mine");
    dev_a.ok("git -c core.hooksPath=/dev/null commit -q --allow-empty -m 'bypassing the hooks'");
    // The authority notes it; no publish follows.
    dev_b.ok("git commit -q --allow-empty -m own");
    let push = dev_b.run("git push -q origin main");
    assert!(push.code != 0 && push.stderr.contains("V1"), "{push}");
    let why = world.person().run("cmw-audit violations");
    assert!(why.stdout.contains("V1"), "{why}");
    dev_b.ok("git branch -q side main~2; git checkout -q side");
    let merge = dev_b.run("git merge -q main");
    assert!(merge.code != 0 && merge.stderr.contains("V1"), "{merge}");
}

#[test]
fn a_noted_violation_can_be_adopted_as_soon_as_it_is_shown() {
    let world = world();
    let (dev_a, dev_b) = (world.agent("Dev-A"), world.agent("Dev-B"));
    dev_b.ok("cmw-lock acquire --purpose mine");
    dev_a.ok("git -c core.hooksPath=/dev/null commit -q --allow-empty -m 'bypassing the hooks'");
    dev_b.ok("git commit -q --allow-empty -m own");
    assert!(world.person().run("cmw-audit violations").stdout.contains("V1"));
    world.person().ok("cmw-audit adopt V1 --reason 'looked at it'");
    assert_eq!(violations(&world).len(), 0);
    dev_b.ok("git push -q origin main");
}

#[test]
fn our_own_refs_are_refused_to_every_git_of_an_agent() {
    let world = world();
    let (dev_a, dev_b) = (world.agent("Dev-A"), world.agent("Dev-B"));
    dev_a.ok("cmw-lock acquire --purpose w; echo precious >>a");
    dev_a.kill();
    dev_b.ok("cmw-lock run -- true");
    let rescues = || world.git(&["for-each-ref", "--format=%(refname)", "refs/cmw/rescue"]);
    let name = rescues().trim().to_owned();
    assert!(name.starts_with("refs/cmw/rescue/Dev-A/"), "{name}");
    world.person().ok("cmw-audit verify");
    // Whatever the parent is called.
    world.write_program("home/cmw-mine", "#!/bin/sh\n\"$@\"\n");
    for start in ["", "cmw-lock run -- ", "$HOME/cmw-mine ", "cmw-lock run -- $HOME/cmw-mine "] {
        for name in [name.as_str(), "refs/cmw/anchor"] {
            let output = dev_b.run(&format!("{start}git update-ref -d {name}"));
            assert!(
                output.code != 0 && output.stderr.contains("cmw itself or the User"),
                "{start}: {output}"
            );
        }
    }
    assert_eq!(rescues().trim(), name);
    world.person().ok("cmw-audit verify");
    // Without hooks it is a violation.
    dev_b.ok(&format!("git -c core.hooksPath= update-ref -d {name}"));
    let verify = world.person().run("cmw-audit verify");
    assert!(verify.code != 0, "{verify}");
    let found = violations(&world);
    assert!(found.iter().any(|v| v["refs"][0]["name"] == name.as_str()), "{found:#?}");
}

#[test]
fn with_the_hooks_off_no_screen_says_that_all_is_well() {
    let world = world();
    let dev = world.agent("Dev-A");
    let why = dev.ok("cmw why");
    assert!(!why.contains("hooks"), "{why}");
    world.git(&["config", "core.hooksPath", ".husky/_"]);
    let why = dev.run("cmw why");
    let off = "warning: git does not run cmw's hooks (git looks for hooks in .husky/_";
    assert!(why.stderr.contains(off) && why.stderr.contains("next: cmw-init"), "{why}");
    let committed = dev.run("echo 1 >>a; cmw-commit -m x -- a");
    assert!(committed.code == 0 && committed.stderr.contains(off), "{committed}");
    let json = dev.run("echo 2 >>a; cmw-commit --json -m x -- a").stdout;
    assert!(json.contains("\"hooks_off\":\"git looks for hooks in .husky/_"), "{json}");
}
