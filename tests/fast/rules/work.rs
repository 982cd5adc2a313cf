//! The rules of work items.

use cmw::domain::command::{Caller, Command, Decision};
use cmw::domain::decide::decide;
use cmw::domain::event::Event;
use cmw::domain::evolve::evolve;
use cmw::domain::identity::actor::Actor;
use cmw::domain::identity::role::{Role, RoleKind};
use cmw::domain::mail::kind::MessageType;
use cmw::domain::mail::priority::Priority;
use cmw::domain::notices;
use cmw::domain::refusal::Refusal;
use cmw::domain::state::State;
use cmw::domain::util::time::WallTime;
use cmw::domain::work::command::{AssignTo, WorkCommand};
use cmw::domain::work::task::TaskStatus;

use crate::support::cast::{askers, facts, new_state, process};

fn role(name: &str) -> Role {
    Role::parse(name).unwrap()
}

fn asker(name: &str) -> Caller {
    askers().into_iter().find(|(asker, _)| asker.actor.to_string() == name).unwrap().0
}

struct Desk {
    state: State,
}

impl Desk {
    fn new() -> Self {
        let mut desk = Self { state: new_state() };
        for name in ["Orchestrator", "Dev-A", "Dev-B"] {
            desk.ask(name, &Command::Register).outcome.unwrap();
        }
        desk
    }

    fn ask(&mut self, name: &str, command: &Command) -> Decision {
        let asker = asker(name);
        let decision = decide(&self.state, &asker, command, &facts(5, 5, &Default::default()));
        for event in &decision.events {
            evolve(&mut self.state, event, WallTime(5), &asker.actor);
        }
        decision
    }

    fn work(&mut self, name: &str, work: WorkCommand) -> Result<(), Refusal> {
        self.ask(name, &Command::Work(work)).outcome.map(drop)
    }

    fn assign(&mut self, by: &str, to: AssignTo, after: &[u64], reviewers: &[&str]) -> Result<(), Refusal> {
        let reviewers = reviewers.iter().map(|name| role(name)).collect();
        let (title, body, priority) = ("t".to_owned(), None, Priority::Normal);
        self.work(by, WorkCommand::Assign { to, title, body, priority, after: after.to_vec(), reviewers })
    }
}

fn dev() -> AssignTo {
    AssignTo::Kind(RoleKind::parse("dev").unwrap())
}

fn done(id: u64) -> WorkCommand {
    WorkCommand::Done { id, note: String::new() }
}

fn reassign(id: u64, to: AssignTo) -> WorkCommand {
    WorkCommand::Reassign { id, to, reason: "r".to_owned() }
}

#[test]
fn a_task_has_one_assignee_at_most() {
    let mut desk = Desk::new();
    desk.assign("User", dev(), &[], &[]).unwrap();
    desk.assign("User", dev(), &[], &[]).unwrap();
    desk.assign("User", dev(), &[], &[]).unwrap();
    let of =
        |desk: &Desk| desk.state.tasks.values().map(|task| task.assignee.to_string()).collect::<Vec<_>>();
    assert_eq!(of(&desk), ["Dev-A", "Dev-B", "Dev-A"], "to the role with the fewest");
    desk.work("Dev-A", WorkCommand::Start(1)).unwrap();
    assert!(matches!(desk.work("Dev-B", WorkCommand::Start(1)), Err(Refusal::NotPermitted { .. })));
    desk.work("Dev-A", reassign(1, AssignTo::Role(role("Dev-B")))).unwrap();
    assert!(
        matches!(desk.work("Dev-A", done(1)), Err(Refusal::NotPermitted { .. })),
        "it is not its own any more"
    );
    assert_eq!(desk.state.tasks[&1].status, TaskStatus::Open, "who takes over begins anew");
    desk.work("Dev-B", done(1)).unwrap();
    assert!(matches!(desk.work("Dev-B", done(1)), Err(Refusal::Task { id: Some(1), .. })), "once");
    assert!(
        matches!(desk.work("User", reassign(1, dev())), Err(Refusal::Task { .. })),
        "what is done stays done"
    );
    assert!(matches!(desk.work("User", done(77)), Err(Refusal::Task { id: Some(77), .. })));
}

#[test]
fn no_reviewer_is_handed_the_work_to_review() {
    let mut desk = Desk::new();
    let to_itself = desk.assign("User", AssignTo::Role(role("Dev-B")), &[], &["Dev-B"]);
    assert!(matches!(to_itself, Err(Refusal::Task { .. })));
    desk.assign("User", dev(), &[], &["Dev-A"]).unwrap();
    assert_eq!(desk.state.tasks[&1].assignee, role("Dev-B"));
    assert!(desk.work("User", reassign(1, AssignTo::Role(role("Dev-A")))).is_err());
    let stranger = desk.work("User", reassign(1, dev()));
    assert!(
        matches!(stranger, Err(Refusal::Task { id: Some(1), .. })),
        "no other role of the kind is there: {stranger:?}"
    );
    assert_eq!(desk.state.tasks[&1].assignee, role("Dev-B"), "a refusal moves nothing");
}

#[test]
fn nothing_begins_before_what_it_waits_for_is_done() {
    let mut desk = Desk::new();
    assert!(desk.assign("User", dev(), &[1], &[]).is_err(), "it cannot wait for what is not there");
    desk.assign("User", AssignTo::Role(role("Dev-A")), &[], &[]).unwrap();
    desk.assign("User", AssignTo::Role(role("Dev-B")), &[1], &[]).unwrap();
    for work in [WorkCommand::Start(2), done(2)] {
        let refused = desk.work("Dev-B", work);
        assert!(
            matches!(refused, Err(Refusal::Task { id: Some(2), ref why }) if why.contains("T1")),
            "{refused:?}"
        );
    }
    desk.work("Dev-A", WorkCommand::Start(1)).unwrap();
    desk.work("Dev-A", done(1)).unwrap();
    desk.work("Dev-B", WorkCommand::Start(2)).unwrap();
    desk.work("User", WorkCommand::Cancel { id: 2, reason: "no".to_owned() }).unwrap();
    assert_eq!(desk.state.tasks[&2].status, TaskStatus::Cancelled);
}

#[test]
fn the_giver_of_work_and_those_waiting_for_it_are_told() {
    let mut desk = Desk::new();
    let told = |desk: &mut Desk, name: &str, work: WorkCommand| -> Vec<(String, MessageType)> {
        let before = desk.state.clone();
        let decision = desk.ask(name, &Command::Work(work));
        let (by, facts) = (asker(name).actor, facts(5, 5, &Default::default()));
        let notices = |event: &Event| notices::notices(event, &by, &before, &desk.state, &facts);
        decision.events.iter().flat_map(notices).map(|n| (n.to.to_string(), n.kind)).collect()
    };
    let assign = |to: &str, after: Vec<u64>| WorkCommand::Assign {
        to: AssignTo::Role(role(to)),
        title: "t".to_owned(),
        body: None,
        priority: Priority::Normal,
        after,
        reviewers: Vec::new(),
    };
    let to = |name: &str, kind: MessageType| (name.to_owned(), kind);
    assert_eq!(told(&mut desk, "User", assign("Dev-A", vec![])), [to("Dev-A", MessageType::TASK_ASSIGNMENT)]);
    assert_eq!(told(&mut desk, "Dev-B", assign("Dev-B", vec![1])), [], "no role writes to itself");
    assert_eq!(
        told(&mut desk, "Dev-A", done(1)),
        [
            to("User", MessageType::TASK_COMPLETE),
            to("Orchestrator", MessageType::TASK_COMPLETE),
            to("Dev-B", MessageType::TASK_ASSIGNMENT)
        ],
        "and who waited for it"
    );
    assert_eq!(
        told(&mut desk, "Orchestrator", reassign(2, AssignTo::Role(role("Dev-A")))),
        [to("Dev-A", MessageType::WORK_REASSIGNMENT), to("Dev-B", MessageType::WORK_REASSIGNMENT)]
    );
}

#[test]
fn an_unknown_person_may_look_after_work_but_a_stranger_role_may_not() {
    let mut desk = Desk::new();
    desk.assign("Dev-A", AssignTo::Role(role("Dev-B")), &[], &[]).unwrap();
    let unproven = Caller { actor: Actor::Unproven, process: process(77) };
    let cancel = Command::Work(WorkCommand::Cancel { id: 1, reason: String::new() });
    assert!(decide(&desk.state, &unproven, &cancel, &facts(5, 5, &Default::default())).outcome.is_ok());
    assert!(desk.ask("Dev-A", &cancel).outcome.is_ok(), "who wanted it takes it back");
}
