//! The table of `cmw-health`: how a row and its columns are formatted, printed once or live.
//!
//! Invariant: `every_column_has_its_place`, for any content of the others (tests below).

use crate::domain::health::client::Activity;
use crate::domain::util::sanitize;
use crate::domain::util::time::brief;

use crate::app::health::role_status::RoleStatus;
use crate::cli::cmw::screen;
use crate::cli::cmw::status::Status;
use crate::cli::style::{Colors, ScreenSize};

/// Returns the table for a terminal of this size.
#[must_use]
pub fn render(status: &Status, size: ScreenSize, ink: Colors) -> String {
    let width = screen::role_width(&status.rows);
    screen::compose(status, size, ink, &heading(width), &|row| line(row, width))
}

/// Returns the column headings, with the width of the roles' column.
#[must_use]
pub fn heading(width: usize) -> String {
    columns(["state", "role", "pane", "beat", "for", "mail", "work", "task"], width)
}

/// Returns the line of an instance.
#[must_use]
pub fn line(row: &RoleStatus, width: usize) -> String {
    let age = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), brief);
    let work = if row.tasks == 0 { "-".to_owned() } else { row.tasks.to_string() };
    columns(
        [
            row.condition.words(),
            &sanitize::shorten(row.role.as_str(), width),
            &sanitize::line(row.pane.as_deref().unwrap_or("-")),
            &age(row.beat_age_ms),
            &age(row.for_ms),
            &screen::unread(row),
            &work,
            &format!("{}{}{}", screen::badges(row), why(row), screen::task(row)),
        ],
        width,
    )
}

fn columns([state, role, pane, beat, since, mail, work, task]: [&str; 8], width: usize) -> String {
    format!("{state:<11} {role:<width$} {pane:<4} {beat:>4} {since:>4} {mail:>4} {work:>4}  {task}")
}

/// Details that the state column omits.
fn why(row: &RoleStatus) -> String {
    match (row.until, &row.activity) {
        (Some(until), _) => format!("[until {}] ", until.clock()),
        (None, Some((Activity::Failed { error }, _))) => {
            format!("[{}] ", sanitize::line(&sanitize::shorten(error, 20)))
        }
        (None, Some(_) | None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::health::condition::Condition;
    use crate::domain::identity::role::Role;
    use crate::store::mail::mailbox::UnreadCount;

    fn row() -> RoleStatus {
        RoleStatus {
            role: Role::parse("Architect-C").unwrap(),
            condition: Condition::Working,
            pane: Some("%6".to_owned()),
            beat_age_ms: Some(12_000),
            last_beat: None,
            mail: Some(UnreadCount { new: 2, taken: 1 }),
            task: Some("T4 draw \x1b[2Jit".to_owned()),
            tasks: 3,
            holds: true,
            paused: false,
            activity: Some((Activity::Working, 4 * 60_000 + 5_000)),
            until: None,
            undelivered: 0,
            kind: None,
            place: 6,
            for_ms: Some(4 * 60_000 + 5_000),
        }
    }

    #[test]
    fn every_column_has_its_place() {
        let plain = row();
        assert_eq!(heading(12), "state       role         pane beat  for mail work  task");
        assert_eq!(
            line(&plain, 12),
            "working     Architect-C  %6    12s   4m    2    3  [lock] T4 draw \\u{1b}[2Jit"
        );
        let bare =
            RoleStatus { pane: None, beat_age_ms: None, for_ms: None, mail: None, activity: None, ..plain };
        let bare = RoleStatus { condition: Condition::NeverSeen, task: None, tasks: 0, holds: false, ..bare };
        assert_eq!(line(&bare, 12).trim_end(), "never seen  Architect-C  -       -    -    ?    -");
        for condition in Condition::ALL {
            let longest = RoleStatus { condition, ..row() };
            assert_eq!(line(&longest, 12).find("Architect-C"), Some(12), "{condition:?}");
        }
    }

    #[test]
    fn until_when_a_limit_holds_and_what_failed_stand_before_the_task() {
        let until = Some(crate::domain::util::time::WallTime(3_600_000));
        let limited = RoleStatus { condition: Condition::LimitReached, until, ..row() };
        assert!(line(&limited, 12).contains("[lock] [until 01:00Z] T4"), "{}", line(&limited, 12));
        let failed = Activity::Failed { error: "login\x1b".to_owned() };
        let failed = RoleStatus { condition: Condition::Failed, activity: Some((failed, 0)), ..row() };
        assert!(line(&failed, 12).contains("[lock] [login\\u{1b}] T4"), "{}", line(&failed, 12));
    }
}
