//! The terminal of `cmw-health --watch`: takes it over, reads its input, and restores it on every exit.
//!
//! Invariant: `the_terminal_is_given_back` (tests/health_watch), also after a panic, where a release build
//! aborts without running destructors, and after a signal.

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

/// Whether we have taken over the terminal.
static OURS: AtomicBool = AtomicBool::new(false);

/// The terminal while it is taken over; restored on drop.
pub(crate) struct TerminalGuard(Terminal<CrosstermBackend<Stdout>>);

impl TerminalGuard {
    /// Takes over the terminal: alternate screen, raw mode.
    ///
    /// # Errors
    /// I/O errors; the terminal has then been restored.
    pub(crate) fn take() -> io::Result<Self> {
        give_back_on_panic();
        let taken = enter().and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        taken.map(Self).inspect_err(|_| give_back())
    }

    /// Returns the terminal to draw on.
    pub(crate) fn terminal(&mut self) -> &mut Terminal<CrosstermBackend<Stdout>> {
        &mut self.0
    }

    /// Takes over the terminal again, after it was restored for a while.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) fn take_again(&mut self) -> io::Result<()> {
        enter()?;
        self.redraw()
    }

    /// Discards what was drawn, so that all of it is drawn again. (The library's own method queries the
    /// cursor position, and the thread that reads keys would get the answer.)
    ///
    /// I/O errors.
    /// As the system says.
    pub(crate) fn redraw(&mut self) -> io::Result<()> {
        let size = self.0.size()?;
        self.0.resize(size.into())
    }

    /// Enables mouse clicks, or leaves the mouse to the terminal, which then selects text with it.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) fn mouse(&mut self, wanted: bool) -> io::Result<()> {
        if wanted {
            execute!(io::stdout(), EnableMouseCapture)
        } else {
            execute!(io::stdout(), DisableMouseCapture)
        }
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        give_back();
    }
}

fn enter() -> io::Result<()> {
    OURS.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen)
}

/// Restores the terminal, once.
pub(crate) fn give_back() {
    if OURS.swap(false, Ordering::SeqCst) {
        // If the terminal is gone, the error cannot be reported.
        let _ = execute!(io::stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Installs a panic hook for all threads: restores the terminal, prints the message, aborts, in every build.
fn give_back_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        give_back();
        usual(info);
        std::process::abort();
    }));
}

/// Terminal input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TerminalEvent {
    /// A key.
    Key(Key),
    /// A click at this row.
    Click(u16),
    /// A new size.
    Size(u16, u16),
}

/// Waits for relevant input.
///
/// # Errors
/// I/O errors; the terminal is gone then.
pub(crate) fn next() -> io::Result<TerminalEvent> {
    loop {
        if let Some(came) = came(&ratatui::crossterm::event::read()?) {
            return Ok(came);
        }
    }
}

fn came(event: &Event) -> Option<TerminalEvent> {
    match event {
        Event::Key(event) if event.kind != KeyEventKind::Release => key(event).map(TerminalEvent::Key),
        Event::Mouse(event) if event.kind == MouseEventKind::Down(MouseButton::Left) => {
            Some(TerminalEvent::Click(event.row))
        }
        Event::Resize(width, height) => Some(TerminalEvent::Size(*width, *height)),
        Event::Key(_) | Event::Mouse(_) | Event::FocusGained | Event::FocusLost | Event::Paste(_) => None,
    }
}

fn key(event: &KeyEvent) -> Option<Key> {
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    match event.code {
        KeyCode::Char('c') if control => Some(Key::Interrupt),
        KeyCode::Char('l') if control => Some(Key::Redraw),
        // Lets a test check that a panic restores the terminal first.
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
