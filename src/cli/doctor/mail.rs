//! Checks whether messages reach the running agents.

use crate::adapters::os::process;
use crate::domain::guard::retry_command::shell_quote;
use crate::domain::health::client::Activity;
use crate::domain::session::instance::{Instance, InstancePhase};
use crate::store::health::clients;
use crate::store::layout;

use crate::cli::doctor::{CheckContext, Report};

/// How long an idle client may be without an idle waker process, in milliseconds.
const UNWATCHED_MS: u64 = 60_000;

pub(super) fn check(check_context: &CheckContext<'_>, report: &mut Report) {
    let Some((state, facts)) = &check_context.state else { return };
    let disk = check_context.context.store.disk();
    let runs = |i: &Instance| i.phase != InstancePhase::Shutdown && !facts.dead.contains(&i.process);
    let mut told = 0;
    for (role, instance) in state.instances.iter().filter(|(_, instance)| runs(instance)) {
        let again = format!("cmw-session stop {0} && cmw-session start {0}", shell_quote(role.as_str()));
        let client = clients::read(disk, role).ok().flatten();
        let client = client.filter(|client| process::is_alive(&client.process));
        let Some(client) = client else {
            let ours = format!("{}/settings.json", layout::client_dir(role));
            let words = process::command_line(instance.process.pid);
            if words.iter().any(|word| word.ends_with(ours.as_bytes())) {
                let what = format!("the client of {role} has not called our hooks: it receives no messages");
                report.finding("mail", what, &again);
            }
            continue;
        };
        let idle = client.adapter == "claude" && client.activity == Activity::Idle;
        let watched = client.waiter.as_ref().is_some_and(process::is_alive);
        if idle && !watched && facts.now.boot.ms_since(&client.since_boot) > UNWATCHED_MS {
            let what = format!("the client of {role} is idle, and no process would wake it for a message");
            report.finding("mail", what, &again);
        } else {
            told += 1;
        }
    }
    report.fine("mail", format!("{told} clients receive messages through their hooks"));
}
