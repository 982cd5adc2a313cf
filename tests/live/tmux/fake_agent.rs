//! A client to ring: this very test program, started again in a pane.
//!
//! It notes every byte it reads in `NAME.read`, and each line it takes at Enter in `NAME.took`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::support::programs::full_name;

/// How it looks and behaves: `CMW_FAKE`, words separated by commas.
const LOOKS: &str = "CMW_FAKE";
/// Where it notes what it read, without the ending: `CMW_NOTES`.
const NOTES: &str = "CMW_NOTES";

/// The command and the environment of a fake client.
pub(crate) fn command(looks: &str, notes: &Path) -> (Vec<String>, Vec<(String, String)>) {
    let me = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
    let run = full_name(module_path!(), "run");
    let words = [run.as_str(), "--exact", "--ignored", "--nocapture", "--test-threads=1"];
    let notes = notes.to_str().unwrap().to_owned();
    let env = vec![(LOOKS.to_owned(), looks.to_owned()), (NOTES.to_owned(), notes)];
    (std::iter::once(me).chain(words.map(str::to_owned)).collect(), env)
}

struct Fake {
    looks: Vec<String>,
    notes: PathBuf,
    typed: String,
    /// What an escape sequence has brought so far.
    escape: String,
    dialog: bool,
    tick: u32,
    /// How often the arrow down was pressed: its prompt moves down.
    down: usize,
}

#[test]
#[ignore = "not a test: other tests start it in a pane"]
fn run() {
    let Some(looks) = std::env::var_os(LOOKS) else { return };
    let looks = looks.to_str().unwrap().split(',').map(str::to_owned).collect();
    let notes = std::env::var_os(NOTES).unwrap().into();
    let (typed, escape) = (String::new(), String::new());
    let fake = Fake { looks, notes, typed, escape, dialog: false, tick: 0, down: 0 };
    fake.live();
}

impl Fake {
    fn is(&self, look: &str) -> bool {
        self.looks.iter().any(|l| l == look)
    }

    fn note(&self, ending: &str, bytes: &[u8]) {
        let path = self.notes.with_extension(ending);
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(bytes).unwrap();
    }

    fn live(mut self) {
        let stdin = std::io::stdin();
        let mut modes = tcgetattr(&stdin).unwrap();
        modes.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &modes).unwrap();
        if self.is("draft") {
            self.typed = "half a line".into();
        }
        self.dialog = self.is("dialog");
        self.show(if self.is("plain") { "\x1b[2J" } else { "\x1b[2J\x1b[?2004h" });
        loop {
            self.draw();
            if self.is("codes") {
                self.show("\x1b]0;a title\x07\x1b]52;c;Y213\x07\x1b[s\x1b[5;5H\x1b[31m\x1b[u\x07");
            }
            let pause = if self.is("redraw") || self.is("spins") { 5_000_000 } else { 100_000_000 };
            let wait = Timespec { tv_sec: 0, tv_nsec: pause };
            let mut ready = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
            poll(&mut ready, Some(&wait)).unwrap();
            self.tick += 1;
            if !ready[0].revents().is_empty() {
                let mut bytes = [0; 256];
                let n = rustix::io::read(&stdin, &mut bytes).unwrap_or(0);
                if n == 0 {
                    return;
                }
                self.note("read", &bytes[..n]);
                bytes[..n].iter().for_each(|byte| self.take(char::from(*byte)));
            }
        }
    }

    fn take(&mut self, c: char) {
        if c == '\x1b' || !self.escape.is_empty() {
            self.escape.push(c);
            // A program that asked for it gets `ESC O B`.
            if c.is_ascii_alphabetic() && c != 'O' || c == '~' {
                self.down += usize::from(c == 'B');
                self.escape.clear();
            }
            return;
        }
        if c == '\r' {
            let taken = if self.dialog { "ANSWERED" } else { &self.typed };
            self.note("took", format!("{taken}\n").as_bytes());
            self.typed.clear();
            return;
        }
        self.typed.push(c);
        // A dialog opens, or a person types, in the middle of what is pasted.
        self.dialog |= self.is("asks-when-pasted");
        if self.is("typed-into") && self.typed.ends_with("1A2B") || self.is("typed-after") && c == 't' {
            self.typed.push('x');
        }
        if self.is("ends-when-pasted") {
            std::process::abort();
        }
        if self.is("slow") {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn show(&self, text: &str) {
        let mut out = std::io::stdout();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).unwrap();
    }

    /// Draws all of it anew, in one write, or in two when it clears the screen all the time.
    fn draw(&self) {
        if self.is("redraw") {
            self.show("\x1b[2J\x1b[H");
            std::thread::sleep(Duration::from_millis(2));
        }
        let typed = if self.is("silent") { "" } else { self.typed.as_str() };
        let rule = "─".repeat(40);
        let screen = if self.dialog {
            "Do you want to proceed?\r\n❯ 1. Yes\r\n  2. No\x1b[2;10H".to_owned()
        } else if self.is("question") {
            format!("Overwrite the file? [y/N] {typed}")
        } else if self.is("spins") {
            format!("{} Thinking…", ['⠋', '⠙', '⠹'][self.tick as usize % 3])
        } else if self.is("flickers") {
            // An empty prompt for moments only, in between work.
            format!("{}> {typed}", "\r\n".repeat(self.tick as usize % 5))
        } else if self.is("claude") {
            format!("{rule}\r\n❯\u{a0}{typed}\x1b[7m \x1b[0m\r\n{rule}\r\n  ? for shortcuts\x1b[?25l")
        } else if self.is("codex") {
            let hint = if typed.is_empty() { "\x1b[2mAsk Codex to do anything\x1b[0m" } else { "" };
            let column = 3 + typed.len();
            format!("Done.\r\n\r\n\x1b[1m›\x1b[0m {typed}{hint}\r\n\r\n  ? for shortcuts\x1b[3;{column}H")
        } else if self.is("codes") {
            format!("\x1b[31mred \x1b[7mbar\x1b[0m\r\n\x1b[48;5;236m\x1b[1;32m>\x1b[0m {typed}")
        } else if self.is("hidden") {
            format!("> {typed}\x1b[?25l")
        } else {
            format!("{}> {typed}", "\r\n".repeat(self.down))
        };
        self.show(&format!("\x1b[H\x1b[J{screen}"));
    }
}
