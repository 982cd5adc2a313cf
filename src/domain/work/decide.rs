//! The rules of work items: who may assign, start, finish and reassign one.

use crate::domain::command::Reply;
use crate::domain::decision::DecisionBuilder;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::refusal::Refusal;
use crate::domain::work::command::{AssignTo, WorkCommand};
use crate::domain::work::event::WorkEvent;
use crate::domain::work::task::{OPEN_MAX, Task, TaskFinished, TaskReassigned, TaskStarted, TaskStatus};

impl DecisionBuilder<'_> {
    pub(crate) fn work(&mut self, work: &WorkCommand) -> Result<Reply, Refusal> {
        match work {
            WorkCommand::Assign { to, title, body, priority, after, reviewers } => {
                let (now, id) = (self.facts.now.wall, self.state.last.task + 1);
                let task = Task {
                    id,
                    title: title.clone(),
                    body: body.clone(),
                    wanted_by: self.caller.actor.clone(),
                    assignee: self.resolve_assignee(None, to, reviewers, None)?,
                    priority: *priority,
                    after: after.clone(),
                    reviewers: reviewers.clone(),
                    status: TaskStatus::Open,
                    since: now,
                    made: now,
                    blocked: None,
                };
                self.assign(task)?;
            }
            WorkCommand::Start(id) => self.start(*id)?,
            WorkCommand::Done { id, note } => {
                let task = self.pending_task(*id)?;
                self.require_task_right(&task, "ending", false)?;
                self.check_dependencies(&task)?;
                self.emit(WorkEvent::TaskDone(finished(task, note)));
            }
            WorkCommand::Cancel { id, reason } => {
                let task = self.pending_task(*id)?;
                self.require_task_right(&task, "cancelling", true)?;
                self.emit(WorkEvent::TaskCancelled(finished(task, reason)));
            }
            WorkCommand::Reassign { id, to, reason } => {
                let task = self.pending_task(*id)?;
                self.require_task_right(&task, "reassigning", true)?;
                let assignee =
                    self.resolve_assignee(Some(task.id), to, &task.reviewers, Some(&task.assignee))?;
                let (id, title, former, reason) = (task.id, task.title, task.assignee, reason.clone());
                self.emit(WorkEvent::TaskReassigned(TaskReassigned { id, title, former, assignee, reason }));
            }
        }
        Ok(Reply::Done)
    }

    /// Assigns a task, unless it waits for an unknown task or too many tasks are open.
    fn assign(&mut self, task: Task) -> Result<(), Refusal> {
        let known = |id: &u64| *id <= self.state.last.task && *id > 0;
        if let Some(id) = task.after.iter().find(|id| !known(id)) {
            return Err(Refusal::Task { id: Some(*id), why: "there is no such task".to_owned() });
        }
        if self.state.tasks.values().filter(|task| task.is_pending()).count() >= OPEN_MAX {
            let why = format!("{OPEN_MAX} tasks are open already; end or cancel some");
            return Err(Refusal::Task { id: None, why });
        }
        self.emit(WorkEvent::TaskAssigned(Box::new(task)));
        Ok(())
    }

    fn start(&mut self, id: u64) -> Result<(), Refusal> {
        let task = self.pending_task(id)?;
        self.require_task_right(&task, "starting", false)?;
        self.check_dependencies(&task)?;
        if task.status == TaskStatus::Open {
            let Task { id, title, assignee, .. } = task;
            self.emit(WorkEvent::TaskStarted(TaskStarted { id, title, assignee }));
        }
        Ok(())
    }

    fn check_dependencies(&self, task: &Task) -> Result<(), Refusal> {
        let waits: Vec<String> =
            task.waits_for(&self.state.tasks).iter().map(|id| format!("T{id}")).collect();
        if waits.is_empty() {
            return Ok(());
        }
        Err(Refusal::Task { id: Some(task.id), why: format!("it waits for {}", waits.join(", ")) })
    }

    fn pending_task(&self, id: u64) -> Result<Task, Refusal> {
        let task = self.state.tasks.get(&id);
        let why = match task {
            Some(task) if task.is_pending() => return Ok(task.clone()),
            Some(task) => format!("it is {} already", task.status.as_str()),
            None if id > 0 && id <= self.state.last.task => "it was finished long ago".to_owned(),
            None => "there is no such task".to_owned(),
        };
        Err(Refusal::Task { id: Some(id), why })
    }

    /// Refuses an actor other than the assignee, the Orchestrator or a person; the role that wanted the task
    /// may also take it back.
    fn require_task_right(
        &mut self,
        task: &Task,
        action: &str,
        wanting_is_enough: bool,
    ) -> Result<(), Refusal> {
        let me = &self.caller.actor;
        let allowed = match me {
            Actor::User | Actor::System => true,
            // While a session runs, a person's terminal is not recognised; an agent's pane always is.
            Actor::Unproven => true,
            Actor::Role(role) => {
                let orchestrates = self.asker_kind().is_some_and(RoleKind::is_orchestrator);
                *role == task.assignee || orchestrates || wanting_is_enough && *me == task.wanted_by
            }
        };
        if allowed {
            return Ok(());
        }
        let (action, who_may) =
            (format!("{action} T{}", task.id), format!("{}, the Orchestrator or a person", task.assignee));
        Err(self.not_permitted(&action, &who_may))
    }

    /// Resolves the assignee of a task (`id`: its number, if it has one yet): never one of its reviewers.
    fn resolve_assignee(
        &self,
        id: Option<u64>,
        to: &AssignTo,
        reviewers: &[Role],
        former: Option<&Role>,
    ) -> Result<Role, Refusal> {
        match to {
            AssignTo::Role(role) if reviewers.contains(role) => {
                Err(Refusal::Task { id, why: format!("{role} is to review it") })
            }
            AssignTo::Role(role) => Ok(role.clone()),
            AssignTo::Kind(kind) => {
                let not: Vec<&Role> = reviewers.iter().chain(former).collect();
                self.least_loaded(kind, &not).ok_or_else(|| {
                    let why = format!("no {} is available", kind.as_str());
                    Refusal::Task { id, why }
                })
            }
        }
    }
}

fn finished(task: Task, note: &str) -> TaskFinished {
    TaskFinished { id: task.id, title: task.title, assignee: task.assignee, note: note.to_owned() }
}
