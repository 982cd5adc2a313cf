//! Tests of agents in their panes: they work under the lock, stop when told, and stop no other agent.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cmw::adapters::os::process::{self, Signal};
use cmw::domain::session::instance::{InstancePhase, Session};

use super::IDLE;
use crate::support::session::{World, wait_for};

/// The audit records of one log.
fn records(world: &World, log: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(world.repo.join(".git/audit").join(log)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("every line is a record")).collect()
}

#[test]
fn twelve_agents_work_side_by_side() {
    let world = World::new(12);
    world.up(&["--agent", "cmw-demo-agent --every 2s"]).ok();
    let began = Instant::now();
    let commits = || world.git(&["rev-list", "--count", "main"]).trim().parse::<usize>().unwrap();
    #[expect(clippy::disallowed_methods, reason = "how long they work is said from outside")]
    let seconds = std::env::var("CMW_DEMO_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    while began.elapsed() < Duration::from_secs(seconds) || commits() < 12 {
        assert!(began.elapsed() < Duration::from_secs(seconds + 70), "{}", world.shown("Dev-A"));
        std::thread::sleep(Duration::from_millis(500));
    }
    let lock = world.tool("cmw-lock", &["status", "--json"]);
    assert!(lock.code == 0 || lock.code == 75, "{lock:?}");
    world.session(&["down"]).ok();

    let fsck = world.git(&["fsck", "--strict", "--no-dangling"]);
    assert_eq!(fsck, "", "every commit is whole");
    every_file_has_only_its_own_lines(&world);
    every_commit_was_made_under_the_lock(&world);
    no_message_was_lost(&world);
    let state = world.state();
    assert!(state.held().is_none() && state.queue.is_empty(), "no agent left anything behind: {state:?}");
}

fn every_file_has_only_its_own_lines(world: &World) {
    let files = world.git(&["ls-tree", "--name-only", "main", "demo/"]);
    assert!(files.lines().count() >= 3, "several roles have committed: {files}");
    for file in files.lines() {
        let role = file.strip_prefix("demo/").and_then(|f| f.strip_suffix(".md")).unwrap();
        let text = world.git(&["show", &format!("main:{file}")]);
        let rounds: Vec<&str> = text.lines().collect();
        assert!(rounds.iter().all(|line| line.starts_with(&format!("{role} round "))), "{file}:\n{text}");
        assert_eq!(rounds.iter().collect::<BTreeSet<_>>().len(), rounds.len(), "{file}:\n{text}");
        assert!(role != "Librarian" && role != "Orchestrator");
    }
}

fn every_commit_was_made_under_the_lock(world: &World) {
    // The author is the role; the journal of the hooks names holder and token for each movement.
    let log = world.git(&["log", "--reverse", "--format=%H %an", "--name-only", "main"]);
    let mut made = Vec::new();
    for line in log.lines().filter(|line| !line.is_empty()) {
        match line.split_once(' ') {
            Some((id, author)) if id.len() == 40 => made.push((id.to_owned(), author.to_owned(), Vec::new())),
            _ => made.last_mut().unwrap().2.push(line.to_owned()),
        }
    }
    let intents = records(world, "write-lock-intents.json");
    let verified: Vec<&serde_json::Value> =
        intents.iter().filter(|r| r["event"] == "COMMIT_VERIFIED").collect();
    let grants: Vec<&serde_json::Value> = intents.iter().filter(|r| r["event"] == "LOCK_GRANTED").collect();
    for (id, author, files) in made.iter().skip(1) {
        assert_eq!(files, &[format!("demo/{author}.md")], "{id} holds only its author's file");
        let proof = verified.iter().find(|r| r["commit"] == id.as_str());
        let proof = proof.unwrap_or_else(|| panic!("{id} of {author} was never seen under a lease"));
        assert_eq!(proof["verification_status"], "PASSED", "{proof}");
        assert_eq!(proof["holder"], author.as_str(), "{proof}");
        let lease = grants.iter().find(|r| r["lock_id"] == proof["lock_id"]);
        assert_eq!(lease.expect("the lease was granted")["holder"], author.as_str());
    }
    assert!(made.len() > 12, "they worked: {} commits", made.len());
}

/// Each commit was reported once, and each report was read, or still waits to be read.
fn no_message_was_lost(world: &World) {
    let registry = std::fs::read_to_string(world.repo.join(".git/message-registry.json")).unwrap();
    let lines = registry.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let messages: Vec<serde_json::Value> = lines.map(|line| line["message"].clone()).collect();
    let reports: Vec<_> = messages.iter().filter(|m| m["type"] == "TASK_COMPLETE").collect();
    let commits = world.git(&["log", "--format=%h %an", "--author=cmw.invalid", "main"]);
    assert_eq!(reports.len(), commits.lines().count(), "{commits}");
    for line in commits.lines() {
        let (id, author) = line.split_once(' ').unwrap();
        // Of a task its end says it, otherwise the agent itself.
        let says = |m: &serde_json::Value| {
            m["subject"].as_str().unwrap().ends_with(id)
                || m["body"].to_string().contains(&format!("committed as {id}"))
        };
        let is_its = |m: &&&serde_json::Value| says(m) && m["from"] == author;
        assert_eq!(reports.iter().filter(is_its).count(), 1, "{line}");
    }
    let receipts = std::fs::read_to_string(world.repo.join(".git/cmw/receipts/Orchestrator.jsonl")).unwrap();
    let acknowledged: BTreeSet<String> = receipts
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|r| r["state"] == "acknowledged")
        .map(|r| r["id"].as_str().unwrap().to_owned())
        .collect();
    let waiting = world.tool_as("Orchestrator", "cmw-inbox", &["list", "--all", "--json"]).ok().out;
    for report in &reports {
        let id = report["id"].as_str().unwrap();
        assert!(acknowledged.contains(id) != waiting.contains(id), "{report}");
    }
}

#[test]
fn a_question_is_answered_once() {
    let world = World::new(2);
    let script = "[ $CLAUDE_ROLE = Dev-B ] || exec cmw-demo-agent --rounds 0
        cmw-heartbeat register
        cmw-send Dev-A --type QUESTION --ack --wait 30s 'are you there?' > asked 2>&1; echo $? >> asked
        cmw-inbox wait --type ANSWER --timeout 30s > answer 2>&1; echo $? >> answer
        exec cmw-demo-agent --rounds 0";
    let agent = world.program("agent", script);
    world.up(&["--agent", agent.to_str().unwrap()]).ok();
    let read = |name: &str| std::fs::read_to_string(world.repo.join(name)).unwrap_or_default();
    wait_for("the answer", || read("answer").ends_with("\n0\n"));
    assert!(read("asked").ends_with("\n0\n"), "{}", read("asked"));
    // Both agents have read what there is: the answer is not answered.
    wait_for("the answer to be read", || world.shown("Dev-B").contains("ANSWER from Dev-A"));
    world.session(&["down"]).ok();
    let registry = std::fs::read_to_string(world.repo.join(".git/message-registry.json")).unwrap();
    assert_eq!(registry.matches("\"ANSWER\"").count(), 1, "{registry}");
}

#[test]
fn stopping_tells_first() {
    let world = World::new(2);
    world.up(&["--agent", IDLE]).ok();
    let stop = world.session(&["stop", "Dev-A", "--grace", "30s"]).ok();
    assert_eq!((stop.out.as_str(), stop.err.as_str()), ("Dev-A stopped\n", ""));
    let receipts = std::fs::read_to_string(world.repo.join(".git/cmw/receipts/Dev-A.jsonl")).unwrap();
    let registry = std::fs::read_to_string(world.repo.join(".git/message-registry.json")).unwrap();
    let request = registry.lines().find(|line| line.contains("SHUTDOWN_REQUEST")).expect("it was told");
    let request: serde_json::Value = serde_json::from_str(request).unwrap();
    let id = request["message"]["id"].as_str().unwrap();
    assert!(receipts.lines().any(|l| l.contains(id) && l.contains("acknowledged")), "{receipts}");
}

#[test]
fn an_agent_ends_by_itself_when_told() {
    let world = World::new(2);
    world.up(&["--agent", IDLE]).ok();
    let dev = world.instance("Dev-A");
    assert!(process::signal(&dev.process, Signal::TERM));
    wait_for("the agent to end", || !process::is_alive(&dev.process));
    assert_eq!(world.instance("Dev-A").phase, InstancePhase::Shutdown, "{}", world.shown("Dev-A"));
    wait_for("its beats to end", || {
        world.living().iter().filter(|p| p.contains("cmw-heartbeat")).count() == 1
    });
}

#[test]
fn a_heartbeat_that_is_killed_comes_back() {
    let world = World::new(2);
    world.up(&["--agent", IDLE]).ok();
    // What a heartbeat process starts has its command line until it has become another program.
    let by_an_agent = |pid: u32| {
        let parent = process::stat(pid).map(|s| process::command_line(s.parent)).unwrap_or_default();
        parent.first().is_some_and(|word| word.ends_with(IDLE.split(' ').next().unwrap().as_bytes()))
    };
    let beats = || {
        let all: Vec<String> =
            world.living().into_iter().filter(|p| p.contains("cmw-heartbeat run")).collect();
        let pids = all.iter().filter_map(|p| p.split(' ').next()?.parse().ok());
        pids.filter(|pid| by_an_agent(*pid)).filter_map(process::identify).collect::<Vec<_>>()
    };
    wait_for("both to beat", || beats().len() == 2);
    let before = beats();
    assert!(before.iter().all(|it| process::signal(it, Signal::KILL)));
    wait_for("both to beat again", || {
        let now = beats();
        now.len() == 2 && now.iter().all(|it| !before.contains(it))
    });
    // The parent process has waited for the dead.
    assert!(before.iter().all(|it| process::stat(it.pid).is_none_or(|s| s.start_ticks != it.start_ticks)));
}

#[test]
fn an_agent_that_does_not_listen_is_ended() {
    let world = World::new(2);
    let deaf = world.program(
        "deaf",
        "trap '' TERM HUP; cmw-heartbeat register; cmw-lock acquire --purpose deaf; while :; do sleep 1; done",
    );
    world.up(&["--agent", deaf.to_str().unwrap()]).ok();
    wait_for("the lock", || world.state().held().is_some());
    let holder = world.state().held().unwrap().holder.to_string();
    let process = world.instance(&holder).process;
    let stop = world.session(&["stop", &holder, "--grace", "200ms"]).ok();
    assert_eq!(stop.out, format!("{holder} stopped (it had to be terminated)\n"));
    assert!(!process::is_alive(&process));
    assert!(world.state().held().is_none_or(|held| held.holder.to_string() != holder));
    let down = world.session(&["down", "--grace", "200ms"]).ok();
    assert!(down.out.contains("had to be terminated"), "{}", down.out);
    wait_for("all to end", || world.living().is_empty());
}

#[test]
fn a_role_stops_itself_but_no_other() {
    let world = World::new(3);
    let script = "cmw-heartbeat register
        if [ $CLAUDE_ROLE = Dev-A ]; then
            cmw-session stop Dev-B > said 2>&1; echo $? >> said
            cmw-session down > said-down 2>&1; echo $? >> said-down
            cmw-session stop Dev-A --grace 100ms > said-own 2>&1
        fi
        exec sleep 600";
    let agent = world.program("agent", script);
    world.up(&["--agent", agent.to_str().unwrap()]).ok();
    wait_for("Dev-A to stop", || world.instance("Dev-A").phase == InstancePhase::Shutdown);
    let read = |name: &str| std::fs::read_to_string(world.repo.join(name)).unwrap();
    assert!(read("said").ends_with("\n77\n") && read("said").contains("stopping Dev-B is not for Dev-A"));
    assert!(read("said-down").ends_with("\n77\n"), "{}", read("said-down"));
    wait_for("its pane to close", || world.tmux(&["list-panes", "-a"]).out.lines().count() == 2);
    let dev_b = world.instance("Dev-B");
    assert!(dev_b.phase == InstancePhase::Ready && process::is_alive(&dev_b.process));
}

#[test]
fn the_orchestrator_ends_the_session_from_its_own_pane() {
    let world = World::new(4);
    let script = "cmw-heartbeat register
        if [ $CLAUDE_ROLE = Orchestrator ]; then
            while [ ! -e go ]; do sleep 0.1; done; cmw-session down --grace 100ms > said 2>&1
        fi
        exec sleep 600";
    let agent = world.program("agent", script);
    world.up(&["--agent", agent.to_str().unwrap()]).ok();
    let before = world.processes();
    std::fs::write(world.repo.join("go"), "").unwrap();
    wait_for("the session to be down", || world.state().session == Session::Down);
    assert!(world.state().instances.values().all(|i| i.phase == InstancePhase::Shutdown));
    wait_for("all to end", || before.iter().all(|(_, p)| !process::is_alive(p)));
    assert!(!world.has_session("claude-multi"));
}
