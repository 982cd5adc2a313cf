//! The state of one pane, and the format that queries it.
//!
//! Invariant: text from a program in a pane cannot look like another pane's record. (Titles, process names
//! and user options may contain tabs and line ends; so each record starts with a random mark, and free text
//! comes last.)

use std::fmt;

use crate::domain::identity::role::Role;

/// The id of a pane, such as `%12`: never reused while the server lives, unlike its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaneId(u32);

impl PaneId {
    /// Parses `%12`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('%')?;
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        (plain && digits.len() <= 10).then(|| digits.parse().ok().map(Self)).flatten()
    }

    /// Returns the number after `%`.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for PaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// The state of a pane, as tmux reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaneInfo {
    /// Its id.
    pub pane_id: PaneId,
    /// Its role; `None` for a pane that we did not open. A label, not a proof of identity: any process that
    /// reaches the server can change it.
    pub role: Option<Role>,
    /// The role's rank in the roster, from 0; decides the window and the order within it.
    pub place: Option<u32>,
    /// The name of our helper that runs there, when the pane has no role.
    pub(super) helper: Option<String>,
    /// The process that was started in it (also after its death).
    pub pid: u32,
    /// Whether that process has ended; the pane stays and shows its last output.
    pub dead: bool,
    /// The exit status, when it ended by itself.
    pub dead_status: Option<i32>,
    /// The signal that ended it (known from tmux 3.3 on).
    pub dead_signal: Option<i32>,
    /// Whether a person is scrolling or copying there.
    pub in_mode: bool,
    /// Its window's index; indices and positions change when other panes open and close.
    pub window_index: u32,
    /// See `window_index`.
    pub pane_index: u32,
    /// Characters in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Characters left of it in its window.
    pub left: u32,
    /// Lines above it in its window.
    pub top: u32,
    /// The id of its window, such as `@3`.
    pub window_id: String,
    /// Width and height of its window.
    pub window_width: u32,
    /// See `window_width`.
    pub window_height: u32,
    /// The name of the program in front. Free text: show it through `domain::text`.
    pub current_command: String,
    /// The title, which programs set themselves. Free text: show it through `domain::text`.
    pub title: String,
}

const FIELDS: [&str; 20] = [
    "pane_id",
    "pane_pid",
    "pane_dead",
    "pane_dead_status",
    "pane_dead_signal",
    "pane_in_mode",
    "window_index",
    "pane_index",
    "pane_width",
    "pane_height",
    "pane_left",
    "pane_top",
    "window_id",
    "window_width",
    "window_height",
    "@cmw_place",
    "@cmw_helper",
    "@cmw_role",
    "pane_current_command",
    "pane_title",
];

/// Returns the format that prints a pane as one record.
pub(super) fn format(mark: &str) -> String {
    let fields: Vec<String> = FIELDS.iter().map(|name| format!("#{{{name}}}")).collect();
    format!("{mark}\t{}", fields.join("\t"))
}

/// Returns a mark that no program in a pane can predict.
pub(super) fn fresh_mark() -> String {
    let mut bytes = [0_u8; 12];
    // Without randomness the mark still separates; it could only be predicted.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes.iter().fold("cmw".to_owned(), |mark, byte| format!("{mark}{byte:02x}"))
}

/// Parses records; `Err` has an invalid one.
pub(super) fn parse(output: &str, mark: &str) -> Result<Vec<PaneInfo>, String> {
    let start = format!("{mark}\t");
    let mut records = output.split(start.as_str());
    // Text before the first mark belongs to other commands of the same call.
    records.next();
    records
        .map(|record| {
            let record = record.strip_suffix('\n').unwrap_or(record);
            parse_record(record).ok_or_else(|| record.to_owned())
        })
        .collect()
}

fn parse_record(record: &str) -> Option<PaneInfo> {
    let fields: Vec<&str> = record.splitn(FIELDS.len(), '\t').collect();
    let text = |name: &str| {
        let at = FIELDS.iter().position(|field| *field == name).expect("the name is one of the fields");
        fields.get(at).copied()
    };
    let number = |name: &str| text(name)?.parse::<u32>().ok();
    let optional = |name: &str| text(name).and_then(|t| t.parse::<i32>().ok());
    let role = text("@cmw_role").and_then(|t| Role::parse(t).ok());
    let helper = text("@cmw_helper").filter(|name| !name.is_empty() && role.is_none()).map(str::to_owned);
    Some(PaneInfo {
        pane_id: PaneId::parse(text("pane_id")?)?,
        role,
        helper,
        place: number("@cmw_place"),
        pid: number("pane_pid")?,
        dead: text("pane_dead")? == "1",
        dead_status: optional("pane_dead_status"),
        dead_signal: optional("pane_dead_signal"),
        // A number: modes can be nested.
        in_mode: !matches!(text("pane_in_mode")?, "" | "0"),
        window_index: number("window_index")?,
        pane_index: number("pane_index")?,
        width: number("pane_width")?,
        height: number("pane_height")?,
        left: number("pane_left")?,
        top: number("pane_top")?,
        window_id: text("window_id")?.to_owned(),
        window_width: number("window_width")?,
        window_height: number("window_height")?,
        current_command: text("pane_current_command").unwrap_or_default().to_owned(),
        title: text("pane_title").unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(tail: &str) -> String {
        format!("MARK\t%3\t77\t1\t2\t\t0\t0\t4\t60\t21\t0\t1\t@0\t240\t66\t{tail}\n")
    }

    #[test]
    fn a_record_is_read() {
        let panes = parse(&record("4\t\tDev-A\tsleep\ta title\twith tab"), "MARK").unwrap();
        let pane = &panes[0];
        assert_eq!((pane.pane_id, pane.pid, pane.dead, pane.dead_status), (PaneId(3), 77, true, Some(2)));
        assert_eq!((pane.place, pane.role.as_ref().map(Role::as_str)), (Some(4), Some("Dev-A")));
        assert_eq!(pane.title, "a title\twith tab");
        assert_eq!((pane.dead_signal, pane.in_mode, pane.window_id.as_str()), (None, false, "@0"));
    }

    #[test]
    fn what_a_program_calls_itself_cannot_look_like_another_panes_line() {
        let forged = record("4\t\tDev-A\tx\n%9\t1\t0\t\t\t0\t0\t0\t1\t1\t0\t0\t@0\t1\t1\t0\t\tDev-B\tx\tx");
        let panes = parse(&forged, "MARK").unwrap();
        assert_eq!(panes.len(), 1);
        assert_eq!(panes[0].role.as_ref().map(Role::as_str), Some("Dev-A"));
        assert_ne!(fresh_mark(), fresh_mark());
    }

    #[test]
    fn a_role_or_place_that_is_none_is_not_made_up() {
        let panes = parse(&record("x\t\t#(touch x)\tsleep\tt"), "MARK").unwrap();
        assert_eq!((panes[0].place, panes[0].role.clone()), (None, None));
        for (tail, helper) in [("\tmonitor\t\tx\t", Some("monitor")), ("4\tmonitor\tDev-A\tx\t", None)] {
            assert_eq!(parse(&record(tail), "MARK").unwrap()[0].helper.as_deref(), helper, "{tail}");
        }
        assert!(parse("MARK\t%3\tx\n", "MARK").is_err());
        assert_eq!(parse("$0 %1\n", "MARK").unwrap(), []);
    }

    #[test]
    fn a_pane_id_is_a_percent_sign_and_a_number() {
        assert_eq!(PaneId::parse("%12").map(|id| id.to_string()), Some("%12".to_owned()));
        for text in ["", "%", "12", "%-1", "%+1", "%1 ", "%99999999999", "=x:0.1"] {
            assert_eq!(PaneId::parse(text), None, "{text:?}");
        }
    }
}
