//! The model of the `cmw-health --watch` screen: its data, its messages, and its effects.

use crate::app::health::role_status::RoleStatus;
use crate::cli::cmw::status::Status;
use crate::cli::style::Tone;
use crate::domain::identity::role::Role;

use crate::cli::health::watch::act::Action;

/// Everything that is drawn.
#[derive(Clone, Debug)]
pub struct Model {
    /// The latest status; `None` before the first.
    pub status: Option<Box<Status>>,
    /// Why the latest update failed, if it did: the status is older then.
    pub trouble: Option<String>,
    /// The role of the selected line; `None`: the first line.
    pub selected: Option<Role>,
    /// The index of that line, for when the role is gone.
    pub at: usize,
    /// The current view.
    pub face: View,
    /// The result of the last action, in one line.
    pub said: Option<(Tone, String)>,
    /// The command that is running.
    pub running: Option<String>,
    /// Whether a click selects a line; the terminal then selects no text.
    pub mouse: bool,
    /// Columns and lines.
    pub size: (u16, u16),
}

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// The table of instances.
    Table,
    /// The table, with a question below it.
    Ask(Question),
    /// A text over the whole screen.
    Sheet(Page),
    /// The messages of a role.
    Mail(MailView),
    /// One message of a role.
    Letter(MailView, Page),
}

/// A confirmation before an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The action.
    pub act: Action,
    /// What will happen, as a sentence.
    pub what: String,
    /// The reason typed so far, if one is required.
    pub reason: Option<String>,
}

/// A text to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its title line.
    pub title: String,
    /// Its text, safe to write.
    pub words: String,
    /// How far it was scrolled, in lines.
    pub top: usize,
}

impl Page {
    /// Returns a sheet, scrolled to its beginning.
    #[must_use]
    pub fn new(title: impl Into<String>, words: impl Into<String>) -> Self {
        Self { title: title.into(), words: words.into(), top: 0 }
    }
}

/// The waiting messages of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailView {
    /// The role.
    pub role: Role,
    /// The messages, oldest first.
    pub letters: Vec<MessageRow>,
    /// The index of the selected one.
    pub at: usize,
}

/// One message in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// Its sequence number.
    pub seq: u64,
    /// One line, safe to write.
    pub line: String,
    /// Whether it has not been taken up.
    pub is_new: bool,
}

/// A key, independent of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Up.
    Up,
    /// Down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first.
    Home,
    /// To the last.
    End,
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Backspace,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-L.
    Redraw,
}

/// An input of the screen.
#[derive(Clone, Debug)]
pub enum Message {
    /// A new status.
    Looked(Box<Status>),
    /// An update failed, and why; safe to write.
    Failed(String),
    /// A key was pressed.
    Key(Key),
    /// This row of the table was clicked.
    Clicked(usize),
    /// The terminal's new size.
    Resized(u16, u16),
    /// The messages of a role.
    Letters(Role, Vec<MessageRow>),
    /// The text of a message; safe to write.
    Opened(u64, String),
    /// A pane was selected, as a sentence; and whether this screen is a popup in front of it.
    InFront(String, bool),
    /// A command ended.
    Done(ActionResult),
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionResult {
    /// The command line.
    pub typed: String,
    /// Whether it succeeded.
    pub ok: bool,
    /// Its stdout, safe to write.
    pub out: String,
    /// Its stderr: why not, and what to do; safe to write.
    pub words: String,
}

/// A side effect for the main loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Runs a cmw program with these arguments.
    Run(Vec<String>),
    /// Selects the pane of this role.
    Jump(Role, String),
    /// Loads a role's messages.
    Letters(Role),
    /// Loads a message of a role.
    Open(Role, u64),
    /// Enables or disables mouse clicks.
    Mouse(bool),
    /// Redraws everything.
    Redraw,
    /// Ends the program.
    Leave,
}

impl Model {
    /// Returns the model before the first status.
    #[must_use]
    pub fn new(size: (u16, u16)) -> Self {
        Self {
            status: None,
            trouble: None,
            selected: None,
            at: 0,
            face: View::Table,
            said: None,
            running: None,
            mouse: false,
            size,
        }
    }

    /// Returns all instances, in table order.
    #[must_use]
    pub fn rows(&self) -> &[RoleStatus] {
        self.status.as_ref().map_or(&[], |status| &status.rows)
    }

    /// Returns the index of the selected line.
    #[must_use]
    pub fn at(&self) -> usize {
        let found = self.selected.as_ref().and_then(|role| self.rows().iter().position(|r| r.role == *role));
        found.unwrap_or(self.at).min(self.rows().len().saturating_sub(1))
    }

    /// Returns the selected instance.
    #[must_use]
    pub fn row(&self) -> Option<&RoleStatus> {
        self.rows().get(self.at())
    }

    /// Selects a line, or the last one.
    pub fn select(&mut self, at: usize) {
        self.at = at.min(self.rows().len().saturating_sub(1));
        self.selected = self.rows().get(self.at).map(|row| row.role.clone());
    }

    /// Shows a message in one line; there are no effects.
    pub fn say(&mut self, tone: Tone, words: impl Into<String>) -> Vec<Effect> {
        self.said = Some((tone, words.into()));
        Vec::new()
    }
}
