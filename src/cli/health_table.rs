//! Owns how an instance looks in the table of `cmw-health`, printed once or followed.
//!
//! Invariant: `every_column_has_its_place`, whatever stands in the others (tests below).

use crate::domain::client::Activity;
use crate::domain::liveness::Liveness;
use crate::domain::text;
use crate::domain::time::brief;

use super::screen::{self, Ink, Size};
use super::status::{Row, Status};

/// The table for a terminal of this size.
#[must_use]
pub fn render(status: &Status, size: Size, ink: Ink) -> String {
    let width = screen::role_width(&status.rows);
    screen::put_together(status, size, ink, &heading(width), &|row| line(row, width))
}

/// What stands above the columns, the roles' names in so many characters.
#[must_use]
pub fn heading(width: usize) -> String {
    columns(["state", "role", "pane", "beat", "for", "mail", "work", "task"], width)
}

/// An instance.
#[must_use]
pub fn line(row: &Row, width: usize) -> String {
    let age = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), brief);
    let work = match row.pending_work() {
        0 => "-".to_owned(),
        n => n.to_string(),
    };
    columns(
        [
            &state(row),
            &text::shorten(row.role.as_str(), width),
            &text::line(row.pane.as_deref().unwrap_or("-")),
            &age(row.beat_age_ms),
            &age(row.for_ms),
            &screen::unread(row),
            &work,
            &format!("{}{}{}", screen::marks(row), why(row), screen::task(row)),
        ],
        width,
    )
}

fn columns([state, role, pane, beat, since, mail, work, task]: [&str; 8], width: usize) -> String {
    format!("{state:<10} {role:<width$} {pane:<4} {beat:>4} {since:>4} {mail:>4} {work:>4}  {task}")
}

/// How it is, in one word: of one that is alive, what it does, when its client says so.
#[must_use]
pub fn state(row: &Row) -> String {
    let word = match (row.liveness, &row.activity) {
        (Liveness::Alive, Some((activity, _))) => match activity {
            Activity::Working => "WORKING",
            Activity::Idle => "IDLE",
            Activity::NeedsPermission => "PERMISSION",
            Activity::NeedsInput => "INPUT",
            Activity::LimitReached { .. } => "LIMIT",
            Activity::Failed { .. } => "FAILED",
            Activity::Ended => "ENDED",
        },
        (liveness, _) => liveness.as_str(),
    };
    word.to_owned()
}

/// What the one word leaves out.
fn why(row: &Row) -> String {
    match &row.activity {
        Some((activity @ (Activity::LimitReached { until: Some(_) } | Activity::Failed { .. }), _)) => {
            format!("[{}] ", text::line(&activity.words()))
        }
        Some(_) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::role::Role;
    use crate::store::mailbox::Waiting;

    fn row() -> Row {
        Row {
            role: Role::parse("Architect-C").unwrap(),
            liveness: Liveness::Alive,
            pane: Some("%6".to_owned()),
            beat_age_ms: Some(12_000),
            last_beat: None,
            mail: Some(Waiting { new: 2, taken: 1 }),
            task: Some("draw \x1b[2Jit".to_owned()),
            holds: true,
            paused: false,
            activity: Some((Activity::Working, 4 * 60_000 + 5_000)),
            undelivered: 0,
            kind: None,
            place: 6,
            for_ms: Some(4 * 60_000 + 5_000),
        }
    }

    #[test]
    fn every_column_has_its_place() {
        let plain = row();
        assert_eq!(heading(12), "state      role         pane beat  for mail work  task");
        assert_eq!(
            line(&plain, 12),
            "WORKING    Architect-C  %6    12s   4m    2    3  [lock] draw \\u{1b}[2Jit"
        );
        let bare = Row { pane: None, beat_age_ms: None, for_ms: None, mail: None, activity: None, ..plain };
        let bare = Row { liveness: Liveness::NeverSeen, task: None, holds: false, ..bare };
        assert_eq!(line(&bare, 12).trim_end(), "NEVER_SEEN Architect-C  -       -    -    ?    -");
    }

    #[test]
    fn of_one_that_is_alive_its_client_says_what_it_does_and_of_others_nothing() {
        let until = Some(crate::domain::time::Wall(3_600_000));
        for (activity, shown, also) in [
            (Activity::Idle, "IDLE", ""),
            (Activity::NeedsPermission, "PERMISSION", ""),
            (Activity::NeedsInput, "INPUT", ""),
            (Activity::LimitReached { until }, "LIMIT", "[limit until 01:00Z]"),
            (Activity::Failed { error: "login\x1b".to_owned() }, "FAILED", "[failed: login\\u{1b}]"),
            (Activity::Ended, "ENDED", ""),
        ] {
            let row = Row { activity: Some((activity, 0)), ..row() };
            assert!(line(&row, 12).starts_with(&format!("{shown:<10} Arch")), "{}", line(&row, 12));
            assert!(line(&row, 12).contains(also), "{}", line(&row, 12));
            assert_eq!(state(&Row { liveness: Liveness::Stale, ..row }), "STALE");
        }
    }
}
