//! Tasks and their texts.

use cmw::domain::command::Command;
use cmw::domain::mail::priority::Priority;
use cmw::domain::work::command::{AssignTo, WorkCommand};
use cmw::store::Store;
use cmw::store::error::StoreError;
use cmw::store::work::task_bodies;

use super::{copy, crash_everywhere, fresh, run};
use crate::crash_disk::{CrashDisk, Faults, Reboot};
use crate::support::cast::askers;

/// Work that is given, begun, passed on and done: one history, stopped at every step of each command.
#[test]
fn work_survives_every_stop() {
    let all = askers();
    let dev = |i: usize| AssignTo::Role(all[i].0.actor.role().unwrap().clone());
    let reassign = WorkCommand::Reassign { id: 1, to: dev(2), reason: "r".to_owned() };
    let history = [
        (3, assign(dev(1), None)),
        (1, Command::Work(WorkCommand::Start(1))),
        (0, Command::Work(reassign)),
        (2, Command::Work(WorkCommand::Done { id: 1, note: "n".to_owned() })),
        (3, assign(dev(1), None)),
        (3, Command::Work(WorkCommand::Cancel { id: 2, reason: "r".to_owned() })),
    ];
    let (store, mut cases) = (fresh(), 0);
    for (i, command) in &history {
        let (more, violation) = crash_everywhere(&store, &all[*i].0, command);
        assert_eq!(violation, None);
        cases += more;
        run(&store, &all[*i].0, command).unwrap();
    }
    let tasks = store.document().unwrap().state.tasks;
    assert_eq!(tasks.values().map(|task| task.assignee.as_str()).collect::<Vec<_>>(), ["Dev-B", "Dev-A"]);
    eprintln!("{cases} cases, no violation");
    assert!(cases > 500, "fewer cases than there were: {cases}");
}

fn assign(to: AssignTo, body: Option<String>) -> Command {
    let (title, priority) = ("t".to_owned(), Priority::Normal);
    Command::Work(WorkCommand::Assign { to, title, body, priority, after: Vec::new(), reviewers: Vec::new() })
}

/// A caller is killed at any step of writing a text, another gives the same work, and the power fails.
#[test]
fn a_task_that_is_known_has_its_text() {
    assert_eq!(texts(&fresh()), None);
    let lying = fresh();
    lying.disk().lie(Faults { ignore_sync: true, ..Faults::default() });
    assert!(texts(&lying).is_some(), "that a text is not synced was not noticed");
}

/// The first violation.
fn texts(start: &Store<CrashDisk>) -> Option<String> {
    let all = askers();
    let to = || AssignTo::Role(all[1].0.actor.role().unwrap().clone());
    let give = |store: &Store<CrashDisk>| -> Result<(), StoreError> {
        let body = task_bodies::keep(store.disk(), "text")?;
        run(store, &all[3].0, &assign(to(), Some(body)))
    };
    for (first, n) in (0..).flat_map(|n| [(true, n), (false, n)]) {
        let store = copy(start);
        store.disk().stop_after(n);
        let acknowledged = give(&store).is_ok();
        let done = !store.disk().has_stopped();
        for how in Reboot::ALL {
            let back = copy(&store);
            // The process alone is killed, and the next one gives the same: then the power fails.
            back.disk().reboot(if first { how } else { Reboot::ALL[0] });
            if !first {
                give(&back).unwrap();
                back.disk().reboot(how);
            }
            let Ok(document) = back.document() else { return Some(format!("step {n}, {how:?}: no state")) };
            let tasks = document.state.tasks;
            if tasks.is_empty() && (acknowledged || !first) {
                return Some(format!("step {n}, {how:?}: the task is gone"));
            }
            for task in tasks.values() {
                let text = task_bodies::read(back.disk(), task.body.as_deref().unwrap_or_default());
                if !text.as_ref().is_ok_and(|text| text == "text") {
                    return Some(format!("step {n}, {how:?}: {text:?}"));
                }
            }
        }
        if done && !first {
            return None;
        }
    }
    None
}
