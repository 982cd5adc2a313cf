//! What an agent tries in order to move what it must not, in each situation: it is stopped, or the next check finds
//! it (docs/security.md).
//!
//! A run takes each trick in one situation, which rotate; `CMW_MATRIX=all` takes each with each (`scripts/matrix.sh`).

#![expect(clippy::disallowed_methods, reason = "a test reads the environment")]

use crate::support::{World, gits};

/// Which actor may not move what, and why.
const SITUATIONS: [(&str, &str, &str); 5] = [
    ("held by another", "", "A cmw-lock acquire"),
    ("frozen", "", "U cmw-freeze now --reason r"),
    ("frozen hard", "", "U cmw-freeze now --hard --reason r"),
    ("strict", "--preset strict", "A cmw-lock acquire"),
    ("work trees", "--mode worktrees", "A cmw-lock acquire"),
];

/// Tricks of Dev-B. `$M` is main, `$X` a commit on top of it, and `evil` a branch there, made before.
const TRICKS: [&str; 47] = [
    "git commit -q --allow-empty -m x",
    "git commit -q --no-verify --allow-empty -m x",
    "git -c core.hooksPath=/nowhere commit -q --allow-empty -m x",
    "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=/nowhere git commit -q --allow-empty -m x",
    "GIT_CONFIG_PARAMETERS=\"'core.hooksPath=/nowhere'\" git commit -q --allow-empty -m x",
    "git config core.hooksPath /nowhere; git commit -q --allow-empty -m x; git config core.hooksPath .git/cmw/hooks",
    "chmod -x .git/cmw/hooks/*; git commit -q --allow-empty -m x; chmod +x .git/cmw/hooks/*",
    "mv .git/cmw/hooks ../h; git commit -q --allow-empty -m x; mv ../h .git/cmw/hooks",
    "env -i PATH=\"$PATH\" HOME=\"$HOME\" git -c user.name=x -c user.email=x@example.org commit -q --allow-empty -m x",
    "CLAUDE_ROLE= setsid git commit -q --allow-empty -m x",
    "git update-ref refs/heads/main $X",
    "git -c core.hooksPath= update-ref refs/heads/main $X",
    "printf 'update refs/heads/main %s\\n' $X | git update-ref --stdin",
    "printf 'start\\nupdate refs/heads/main %s %s\\nprepare\\ncommit\\n' $X $M | git update-ref --stdin",
    "git update-ref -d refs/heads/main",
    "git switch -q --detach && git branch -f main $X",
    "git switch -q -c side && git branch -f main $X",
    "git switch -q evil && git branch -M evil main",
    "git switch -q evil && git branch -C evil main",
    "git symbolic-ref refs/heads/main refs/heads/evil",
    "printf 'ref: refs/heads/evil\\n' >.git/refs/heads/main",
    "echo $X >.git/refs/heads/main",
    "echo $X >.git/refs/heads/main.new && mv .git/refs/heads/main.new .git/refs/heads/main",
    "git pack-refs --all && sed -i \"s/$M/$X/\" .git/packed-refs",
    "git pack-refs --all && rm -f .git/refs/heads/main && echo \"$X refs/heads/main\" >.git/packed-refs",
    "git switch -q --detach && git push -q . $X:refs/heads/main",
    "git switch -q --detach && git push -q -f --no-verify . $X:refs/heads/main",
    "git switch -q --detach && git fetch -q . evil:main",
    "git switch -q --detach && git fetch -q --update-head-ok -f . +evil:main",
    "git pull -q . evil",
    "git merge -q --ff-only evil",
    "git merge -q --no-ff -m x evil",
    "git reset -q --hard $X",
    "git reset -q --soft $X",
    "git cherry-pick $X",
    "git format-patch -q --always -1 --stdout $X | git am -q",
    "git rebase -q --onto main~0 --root evil && git switch -q main && git rebase -q evil",
    "printf 'reset refs/heads/main\\nfrom %s\\n\\n' $X | git fast-import --quiet --force",
    "git switch -q --detach && git clone -q . ../c && cd ../c && git push -q origin origin/evil:main",
    "git worktree add -q -f ../w main && cd ../w && git commit -q --allow-empty -m x",
    "git worktree add -q --detach ../w && cd ../w && git update-ref refs/heads/main $X",
    "git replace $M $X",
    "git tag -f kept $X",
    "git notes add -m x $M",
    "cmw-lock run --wait 0s -- git update-ref refs/heads/main $X",
    "echo \"$M $X refs/heads/main\" | .git/cmw/hooks/reference-transaction prepared; git -c core.hooksPath= update-ref refs/heads/main $X",
    "jq -c '.state.system = {\"status\":\"RUNNING\"} | .state.lock = {\"lock\":\"FREE\"}' .git/cmw/state.json >../s && cp ../s .git/cmw/state.json && git commit -q --allow-empty -m x",
];

/// A commit on top of main that adds a file.
const EVIL: &str = "$(git commit-tree -p main -m evil $({ git ls-tree main; printf '100644 blob %s\\tevil\\n' $(echo evil | git hash-object -w --stdin); } | git mktree))";

/// A trick that moves nothing where nothing guards would count as stopped.
#[test]
fn each_trick_moves_something_where_nothing_guards() {
    let mut broken = Vec::new();
    for trick in TRICKS.iter().filter(|trick| !trick.contains("cmw")) {
        let world = World::new();
        let agent = world.unidentified();
        agent.ok(&format!("git tag kept; git branch evil {EVIL}"));
        let before = protected(&world);
        let output = agent.run(&format!("M=$(git rev-parse main); X=$(git rev-parse evil); {trick}"));
        if protected(&world) == before {
            broken.push(format!("{trick}\n{}", output.all()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

fn protected(world: &World) -> String {
    let refs = world.git(&["for-each-ref", "--format=%(refname) %(objectname) %(symref)"]);
    let is_protected = |line: &&str| {
        ["refs/heads/main", "refs/tags/", "refs/notes/", "refs/replace/"].iter().any(|p| line.starts_with(p))
    };
    refs.lines().filter(is_protected).collect::<Vec<_>>().join("\n")
}

fn tried(trick: &str, (situation, args, set_up): (&str, &str, &str)) -> String {
    let world = World::ready_with(&gits()[0], args);
    let dev = world.agent("Dev-B");
    // A check knows a tag from the first look on.
    world.person().ok("git tag kept && cmw-audit verify");
    world.agent("Dev-A").ok(&format!("cmw-lock run -- git branch evil {EVIL}"));
    let (actor, command) = set_up.split_once(' ').unwrap();
    if actor == "A" { world.agent("Dev-A") } else { world.person() }.ok(command);
    let before = protected(&world);
    let what = format!("{situation}: {trick}");
    let output = dev.run(&format!("M=$(git rev-parse main); X=$(git rev-parse evil); {trick}"));
    let after = protected(&world);
    if after == before {
        return format!("stopped  {what}");
    }
    let verify = world.person().run("cmw-audit verify");
    assert!(
        verify.code != 0 && verify.all().contains("V1"),
        "{what}\n{}\n{before}\n{after}\n{}",
        output.all(),
        verify.all()
    );
    format!("found    {what}")
}

fn all_tried(half: usize) {
    let takes_all = std::env::var_os("CMW_MATRIX").is_some_and(|v| v == "all");
    let tricks = TRICKS.iter().enumerate().filter(|(number, _)| number % 2 == half);
    for (number, trick) in tricks {
        for (turn, situation) in SITUATIONS.into_iter().enumerate() {
            if takes_all || turn == number / 2 % SITUATIONS.len() {
                eprintln!("{}", tried(trick, situation));
            }
        }
    }
}

#[test]
fn what_an_agent_tries_is_stopped_or_found_part_1() {
    all_tried(0);
}

#[test]
fn what_an_agent_tries_is_stopped_or_found_part_2() {
    all_tried(1);
}
