//! Owns the terminal of `cmw-health --watch`: how it is taken, what comes from it, and that it is given
//! back on every way out.
//!
//! Invariant: `the_terminal_is_given_back` (tests/health_watch), also when we panic, where a release build
//! ends at once and runs no destructor, and when a signal ends us.

use std::io::{self, Stdout};
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{
    DisableMouseCapture, EnableMouseCapture, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
    MouseButton, MouseEventKind,
};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use crate::cli::health::watch::model::Key;

/// Whether the terminal is ours at the moment.
static OURS: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours; dropped, it is given back.
pub(crate) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes the terminal: another screen, and keys as they are pressed.
    ///
    /// # Errors
    /// As the system says; then it was given back.
    pub(crate) fn take() -> io::Result<Self> {
        give_back_on_panic();
        let taken = enter().and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        taken.map(Self).inspect_err(|_| give_back())
    }

    /// What draws on it.
    pub(crate) fn terminal(&mut self) -> &mut Terminal<CrosstermBackend<Stdout>> {
        &mut self.0
    }

    /// Takes it again, after it was given back for a while.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn take_again(&mut self) -> io::Result<()> {
        enter()?;
        self.redraw()
    }

    /// Forgets what was drawn, so that all of it is drawn again. (The library's own way asks the terminal
    /// where its cursor is, and the answer would go to whoever reads keys.)
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn redraw(&mut self) -> io::Result<()> {
        let size = self.0.size()?;
        self.0.resize(size.into())
    }

    /// Asks for clicks, or leaves them to the terminal, which then selects text with them.
    ///
    /// # Errors
    /// As the system says.
    pub(crate) fn mouse(&mut self, wanted: bool) -> io::Result<()> {
        if wanted {
            execute!(io::stdout(), EnableMouseCapture)
        } else {
            execute!(io::stdout(), DisableMouseCapture)
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn enter() -> io::Result<()> {
    OURS.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen)
}

/// Gives the terminal back, once.
pub(crate) fn give_back() {
    if OURS.swap(false, Ordering::SeqCst) {
        // There is nobody left to tell that the terminal is gone.
        let _ = execute!(io::stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// A panic of any thread: the terminal first, then the words, then the end, in every build alike.
fn give_back_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        give_back();
        usual(info);
        std::process::abort();
    }));
}

/// What came from the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A key.
    Key(Key),
    /// A click at this line.
    Click(u16),
    /// Its size changed.
    Size(u16, u16),
}

/// Waits for something that matters.
///
/// # Errors
/// As the system says; the terminal is gone then.
pub(crate) fn next() -> io::Result<Came> {
    loop {
        if let Some(came) = came(&ratatui::crossterm::event::read()?) {
            return Ok(came);
        }
    }
}

fn came(event: &Event) -> Option<Came> {
    match event {
        Event::Key(event) if event.kind != KeyEventKind::Release => key(event).map(Came::Key),
        Event::Mouse(event) if event.kind == MouseEventKind::Down(MouseButton::Left) => {
            Some(Came::Click(event.row))
        }
        Event::Resize(width, height) => Some(Came::Size(*width, *height)),
        Event::Key(_) | Event::Mouse(_) | Event::FocusGained | Event::FocusLost | Event::Paste(_) => None,
    }
}

fn key(event: &KeyEvent) -> Option<Key> {
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    match event.code {
        KeyCode::Char('c') if control => Some(Key::Interrupt),
        KeyCode::Char('l') if control => Some(Key::Redraw),
        // How it is seen that a panic gives the terminal back first.
        #[cfg(feature = "seeded-faults")]
        KeyCode::Char(']' | '5') if control => panic!("asked for by a test"),
        KeyCode::Char(c) if !control && !event.modifiers.contains(KeyModifiers::ALT) => Some(Key::Char(c)),
        KeyCode::Up => Some(Key::Up),
        KeyCode::Down => Some(Key::Down),
        KeyCode::PageUp => Some(Key::PageUp),
        KeyCode::PageDown => Some(Key::PageDown),
        KeyCode::Home => Some(Key::Home),
        KeyCode::End => Some(Key::End),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Esc => Some(Key::Escape),
        KeyCode::Backspace => Some(Key::Backspace),
        _ => None,
    }
}
