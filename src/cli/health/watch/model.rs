//! Owns what the screen of `cmw-health --watch` knows, what happens to it, and what it wants done.

use crate::app::health::role_status::Row;
use crate::cli::cmw::status::Status;
use crate::cli::style::Tone;
use crate::domain::identity::role::Role;

use crate::cli::health::watch::act::Act;

/// Everything that is drawn.
#[derive(Clone, Debug)]
pub struct Model {
    /// The last look; `None` before the first.
    pub status: Option<Box<Status>>,
    /// Why the latest look failed, when it did: what is shown is older then.
    pub trouble: Option<String>,
    /// Whose line is selected; `None`: the first one's.
    pub selected: Option<Role>,
    /// Where that line was, for when the role is gone.
    pub at: usize,
    /// What stands on the screen.
    pub face: Face,
    /// What the last act came to, in one line.
    pub said: Option<(Tone, String)>,
    /// The command that runs now.
    pub running: Option<String>,
    /// Whether a click selects; then the terminal selects no text.
    pub mouse: bool,
    /// Columns and lines.
    pub size: (u16, u16),
}

/// What stands on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Face {
    /// The instances.
    Table,
    /// The same, with a question below it.
    Ask(Question),
    /// A text over the whole screen.
    Sheet(Sheet),
    /// The messages of a role.
    Mail(Mail),
    /// One of them.
    Letter(Mail, Sheet),
}

/// A question before something is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What will be done.
    pub act: Act,
    /// What will happen, in words.
    pub what: String,
    /// What was typed so far, when a reason is wanted.
    pub reason: Option<String>,
}

/// A text to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// What stands above it.
    pub title: String,
    /// Its words, safe to write.
    pub words: String,
    /// How far it was scrolled, in lines.
    pub top: usize,
}

impl Sheet {
    /// From its beginning.
    #[must_use]
    pub fn new(title: impl Into<String>, words: impl Into<String>) -> Self {
        Self { title: title.into(), words: words.into(), top: 0 }
    }
}

/// The messages that wait for a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Whose.
    pub role: Role,
    /// They, oldest first.
    pub letters: Vec<Letter>,
    /// Which one is selected.
    pub at: usize,
}

/// One message in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its number.
    pub seq: u64,
    /// One line, safe to write.
    pub line: String,
    /// Whether nobody has taken it up.
    pub is_new: bool,
}

/// A key, whatever the terminal calls it.
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

/// What happens to the screen.
#[derive(Clone, Debug)]
pub enum Message {
    /// A look succeeded.
    Looked(Box<Status>),
    /// A look failed, and why; safe to write.
    Failed(String),
    /// A key was pressed.
    Key(Key),
    /// This row of the table was clicked.
    Clicked(usize),
    /// The terminal has this size now.
    Resized(u16, u16),
    /// Messages were looked up.
    Letters(Role, Vec<Letter>),
    /// A message was looked up; its words are safe to write.
    Opened(u64, String),
    /// A pane is in front now, in words; and whether this screen stands before it, as a popup does.
    InFront(String, bool),
    /// Something was done, or refused.
    Done(Done),
}

/// What came of something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What was typed, or would have been.
    pub typed: String,
    /// Whether it went well.
    pub ok: bool,
    /// What it gave, safe to write.
    pub out: String,
    /// What it said besides: why not, and what to do; safe to write.
    pub words: String,
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Run one of our programs with these words.
    Run(Vec<String>),
    /// Bring the pane of this role to the front.
    Jump(Role, String),
    /// Look up a role's messages.
    Letters(Role),
    /// Look up a message of a role.
    Open(Role, u64),
    /// Ask the terminal for clicks, or do not.
    Mouse(bool),
    /// Draw everything anew.
    Redraw,
    /// End.
    Leave,
}

impl Model {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(size: (u16, u16)) -> Self {
        Self {
            status: None,
            trouble: None,
            selected: None,
            at: 0,
            face: Face::Table,
            said: None,
            running: None,
            mouse: false,
            size,
        }
    }

    /// All instances, in the order of the table.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        self.status.as_ref().map_or(&[], |status| &status.rows)
    }

    /// The selected line.
    #[must_use]
    pub fn at(&self) -> usize {
        let found = self.selected.as_ref().and_then(|role| self.rows().iter().position(|r| r.role == *role));
        found.unwrap_or(self.at).min(self.rows().len().saturating_sub(1))
    }

    /// The selected instance.
    #[must_use]
    pub fn row(&self) -> Option<&Row> {
        self.rows().get(self.at())
    }

    /// Selects a line, or the last one.
    pub fn select(&mut self, at: usize) {
        self.at = at.min(self.rows().len().saturating_sub(1));
        self.selected = self.rows().get(self.at).map(|row| row.role.clone());
    }

    /// Says something in one line; nothing is to be done about it.
    pub fn say(&mut self, tone: Tone, words: impl Into<String>) -> Vec<Effect> {
        self.said = Some((tone, words.into()));
        Vec::new()
    }
}
