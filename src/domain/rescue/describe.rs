//! One-sentence descriptions of rescues.

use crate::domain::identity::actor::Actor;
use crate::domain::lock::describe::ended;
use crate::domain::lock::write_lock::lock_id;
use crate::domain::rescue::event::RescueEvent;
use crate::domain::rescue::note::rescue_name;
use crate::domain::util::phrase::listed;
use crate::domain::util::sanitize;

/// Returns the sentence, which follows who caused the event and its tag.
pub(crate) fn describe(event: &RescueEvent) -> String {
    match event {
        RescueEvent::RecoveryStarted { recovery } => {
            let (unsaved, of) = (&recovery.unsaved, &recovery.unsaved.former);
            format!("of {of} under {} ({})", lock_id(unsaved.token), ended(&unsaved.reason))
        }
        RescueEvent::RecoveryFailed { former, token, why, .. } => {
            format!("of {former} under {}: {}", lock_id(*token), sanitize::line(why))
        }
        RescueEvent::RescueAbandoned { former, token, reason } => {
            format!("of {former} under {}: {}", lock_id(*token), sanitize::line(reason))
        }
        RescueEvent::WorkRescued { lock_id, former, reference, files, skipped, unstaged, .. } => {
            let what = saved(former, reference.as_deref(), *files);
            let (skipped, unstaged) = (more("not saved", skipped), more("unstaged", unstaged));
            format!("{} {what}{skipped}{unstaged}", sanitize::line(lock_id))
        }
    }
}

fn saved(former: &Actor, reference: Option<&str>, files: u64) -> String {
    match reference {
        Some(reference) => {
            let count = sanitize::files(usize::try_from(files).unwrap_or(usize::MAX));
            format!("{count} of {former}: cmw-rescue show {}", rescue_name(reference))
        }
        None => format!("{former} left nothing uncommitted"),
    }
}

fn more(title: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; {title}: {}", listed(names, ", ")) }
}
