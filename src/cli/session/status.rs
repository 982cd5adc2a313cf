//! `cmw-session status`: each role of the roster, problems first.

use serde_json::{Value, json};

use crate::adapters::tmux::pane::PaneInfo;
use crate::domain::facts::Facts;
use crate::domain::health::liveness::Liveness;
use crate::domain::identity::roster::Member;
use crate::domain::session::instance::{Instance, InstancePhase, Session};
use crate::domain::util::time::human;

use crate::app::answer::Answer;
use crate::app::health::evidence::InstanceEvidence;
use crate::app::session::context::SessionContext;

/// One line of the table.
struct PaneRow<'a> {
    member: &'a Member,
    instance: Option<&'a Instance>,
    liveness: Liveness,
    alive: bool,
    pane: Option<&'a PaneInfo>,
    trouble: String,
}

/// Returns the table of the roles. Problems it shows do not make it fail.
#[must_use]
pub fn status(session_context: &SessionContext<'_>) -> Answer {
    let state = &session_context.state;
    let facts = session_context.context.facts(state);
    let is_up = state.session_is_up(&facts);
    // tmux only adds details: without it the state still tells which roles are alive.
    let panes = session_context.tmux().and_then(|tmux| match is_up && session_context.is_ours(&tmux)? {
        true => session_context.panes(&tmux),
        false => Ok(Vec::new()),
    });
    let panes = panes.unwrap_or_default();
    let members = state.policy.roster.members().iter();
    let mut rows: Vec<PaneRow<'_>> =
        members.map(|member| row(session_context, member, &facts, &panes)).collect();
    rows.sort_by_key(|row| (row.trouble.is_empty(), row.liveness, row.member.pane));
    let session = session_line(session_context, &facts, is_up, !panes.is_empty());
    let mut lines = vec![session];
    lines.push(format!(
        "{:<14} {:<12} {:>4} {:>5} {:>8}  {:<10} {}",
        "ROLE", "KIND", "PANE", "ID", "PID", "STATE", "SINCE"
    ));
    lines.extend(rows.iter().map(|row| line(row, &facts)));
    let data = json!({
        "session": session_data(session_context, is_up),
        "roles": rows.iter().map(row_data).collect::<Vec<_>>(),
    });
    Answer::done(data, lines.join("\n"))
}

fn row<'a>(
    session_context: &'a SessionContext<'_>,
    member: &'a Member,
    facts: &Facts,
    panes: &'a [PaneInfo],
) -> PaneRow<'a> {
    let instance = session_context.state.instances.get(&member.role);
    let dead = instance.is_some_and(|i| facts.dead.contains(&i.process));
    let evidence = InstanceEvidence::of(
        session_context.context.store.disk(),
        &member.role,
        &session_context.state,
        facts,
        None,
    );
    let liveness = Liveness::from(evidence.condition());
    let pane = panes.iter().find(|p| p.role.as_ref() == Some(&member.role));
    let running = instance.filter(|i| i.phase != InstancePhase::Shutdown);
    let trouble = match (liveness, running, pane) {
        (Liveness::Crashed, _, Some(pane)) if pane.dead => ended(pane),
        (Liveness::Crashed, _, _) => "its process is gone".to_owned(),
        (Liveness::Stale, ..) => "alive, but no heartbeat for over 2m".to_owned(),
        (_, Some(instance), None) if !panes.is_empty() && instance.pane_id.is_some() => {
            "its pane is gone".to_owned()
        }
        (_, Some(instance), Some(pane)) if pane.pid != instance.process.pid => {
            format!("its pane shows another process ({})", pane.pid)
        }
        _ => String::new(),
    };
    PaneRow { member, instance, liveness, alive: instance.is_some() && !dead, pane, trouble }
}

fn ended(pane: &PaneInfo) -> String {
    match (pane.dead_signal, pane.dead_status) {
        (Some(signal), _) if signal > 0 => format!("its process was killed by signal {signal}"),
        (_, Some(status)) => format!("its process exited with {status}"),
        _ => "its process has ended".to_owned(),
    }
}

fn session_line(session_context: &SessionContext<'_>, facts: &Facts, is_up: bool, seen: bool) -> String {
    let socket = session_context.socket.as_ref().map_or_else(String::new, |s| format!(" on socket {s}"));
    match &session_context.state.session {
        Session::Up { name, since, .. } if is_up && seen => {
            format!("session {name} is up for {}{socket}", human(facts.now.wall.ms_since(*since)))
        }
        Session::Up { name, .. } if is_up => {
            format!("session {name} no longer exists in tmux{socket}; next: cmw-session down")
        }
        Session::Up { name, .. } => {
            format!("session {name} died with its tmux server; next: cmw-session up")
        }
        Session::Down => "no session is running; next: cmw-session up".to_owned(),
    }
}

fn line(row: &PaneRow<'_>, facts: &Facts) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let text = format!(
        "{:<14} {:<12} {:>4} {:>5} {:>8}  {:<10} {}  {}",
        row.member.role.as_str(),
        row.member.kind.as_str(),
        row.member.pane,
        or_dash(pane_id(row)),
        or_dash(row.instance.map(|i| i.process.pid.to_string())),
        row.liveness,
        or_dash(row.instance.map(|i| human(facts.now.wall.ms_since(i.since)))),
        row.trouble,
    );
    let mut text = text.trim_end().to_owned();
    if row.liveness == Liveness::Crashed {
        text.push_str(&format!("; next: cmw-session start {}", row.member.role));
    }
    text
}

fn pane_id(row: &PaneRow<'_>) -> Option<String> {
    row.pane.map(|p| p.pane_id.to_string()).or_else(|| row.instance.and_then(|i| i.pane_id.clone()))
}

fn row_data(row: &PaneRow<'_>) -> Value {
    json!({
        "role": row.member.role, "kind": row.member.kind, "pane": row.member.pane, "pane_id": pane_id(row),
        "pid": row.instance.map(|i| i.process.pid), "phase": row.instance.map(|i| i.phase),
        "alive": row.alive, "state": row.liveness, "since": row.instance.map(|i| i.since),
        "starts": row.instance.map(|i| i.starts), "trouble": row.trouble,
    })
}

fn session_data(session_context: &SessionContext<'_>, is_up: bool) -> Value {
    match &session_context.state.session {
        Session::Up { name, socket, server, since, .. } => {
            json!({"name": name, "socket": socket, "server_pid": server.pid, "since": since, "up": is_up})
        }
        Session::Down => json!({"name": session_context.name, "up": false}),
    }
}
