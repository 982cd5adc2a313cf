//! Runs tmux: finds the program, checks its version, queries and closes sessions and panes by exact name and
//! id.
//!
//! Invariants, each with a test of the same name:
//! * `sessions_are_named_exactly`: `claude-multi` is never `claude-multi-2`.
//! * `a_neighbour_is_never_killed`: panes are addressed by id, and checked for pid and role.
//! * `no_shell_reads_a_value`: commands, paths, titles and roles stay text.
//! * `the_users_server_and_other_sessions_stay_untouched`: options are set on our session only.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::adapters::tmux::client::{self, Batch, ClientOutput, ClientStart};
use crate::adapters::tmux::error::TmuxError;
use crate::adapters::tmux::pane::{self, PaneId, PaneInfo};
use crate::adapters::tmux::pane_died;
use crate::domain::identity::role::Role;

/// Which server to use.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Server {
    /// The user's own, also when called from within another server.
    #[default]
    Default,
    /// `-L NAME`: a socket of that name beside the default one.
    Named(String),
    /// `-S PATH`: exactly this socket.
    At(PathBuf),
}

/// Access to tmux. Each call runs at least one client, about 3 ms.
#[derive(Clone, Debug)]
pub struct Tmux {
    pub(crate) program: PathBuf,
    pub(crate) before: Vec<OsString>,
}

/// The result of closing a pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseOutcome {
    /// It is closed, and its process ended. The last pane ends its session too.
    Killed,
    /// The pane no longer exists; nothing was done.
    Gone,
    /// The pane has another process or another role now; nothing was done.
    Changed {
        /// The current process.
        pid: u32,
        /// The current role, as tmux reports it.
        role: String,
    },
}

/// The version of a tmux program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its text, such as `3.3a`.
    pub text: String,
    /// Major and minor number; `None` for a build of its main branch.
    pub number: Option<(u32, u32)>,
}

impl Version {
    /// Parses the output of `tmux -V`: `tmux 3.3a`, `tmux next-3.6`, `tmux master`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim().trim_start_matches("tmux ").trim();
        // OpenBSD's own tmux reports the version of the system, not of tmux.
        let digits = if text.starts_with("openbsd") { "" } else { text.trim_start_matches("next-") };
        let mut parts = digits.splitn(2, '.');
        let mut number = || {
            let part = parts.next()?;
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..end].parse::<u32>().ok()
        };
        let major = number();
        Self { text: text.to_owned(), number: major.map(|major| (major, number().unwrap_or(0))) }
    }

    /// Returns whether it has pane options (3.0).
    #[must_use]
    pub fn is_supported(&self) -> bool {
        self.number.is_none_or(|number| number >= (3, 0))
    }
}

impl Tmux {
    /// Searches for `tmux` in a search path (the value of `PATH`).
    ///
    /// # Errors
    /// [`TmuxError::Missing`].
    pub fn find(path: Option<&OsStr>, server: &Server) -> Result<Self, TmuxError> {
        std::env::split_paths(path.unwrap_or_default())
            .map(|directory| directory.join("tmux"))
            .find(|program| program.is_absolute() && program.is_file())
            .map(|program| Self::at(program, server))
            .ok_or(TmuxError::Missing)
    }

    /// Uses this program, without checking that it exists.
    #[must_use]
    pub fn at(program: PathBuf, server: &Server) -> Self {
        // Without -u each character beyond ASCII is shown as `_` where LC_CTYPE is C.
        let mut before: Vec<OsString> = vec!["-u".into()];
        match server {
            Server::Default => {}
            Server::Named(name) => before.extend(["-L".into(), name.into()]),
            Server::At(path) => before.extend(["-S".into(), path.into()]),
        }
        Self { program, before }
    }

    /// Uses this configuration file instead of the user's, for a server that a call starts.
    #[must_use]
    pub fn with_config(mut self, file: &Path) -> Self {
        self.before.extend(["-f".into(), file.into()]);
        self
    }

    /// Returns the version of the program.
    ///
    /// # Errors
    /// [`TmuxError::Missing`], [`TmuxError::Failed`].
    pub fn version(&self) -> Result<Version, TmuxError> {
        let mut batch = Batch::default();
        batch.push(["-V"]);
        let answer = client::run(ClientStart { program: &self.program, before: &[], cwd: None }, &batch);
        Ok(Version::parse(&String::from_utf8_lossy(&checked(answer)?)))
    }

    /// Checks that the program exists and is recent enough.
    ///
    /// # Errors
    /// [`TmuxError::Missing`], [`TmuxError::TooOld`], [`TmuxError::Failed`].
    pub fn check_version(&self) -> Result<(), TmuxError> {
        let version = self.version()?;
        if version.is_supported() { Ok(()) } else { Err(TmuxError::TooOld { found: version.text }) }
    }

    /// Returns whether a session of exactly this name exists.
    ///
    /// # Errors
    /// [`TmuxError`], except for a missing server, which has no sessions.
    pub fn has_session(&self, name: &str) -> Result<bool, TmuxError> {
        match self.run(Batch::default().push(["has-session", "-t", &target(name)?])) {
            Ok(_) => Ok(true),
            Err(TmuxError::NoServer | TmuxError::NoSession { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Returns all panes of a session, also those that we did not open, but not those of [`Tmux::helper`].
    ///
    /// # Errors
    /// [`TmuxError::NoServer`], [`TmuxError::NoSession`] and the general ones.
    pub fn panes(&self, session: &str) -> Result<Vec<PaneInfo>, TmuxError> {
        self.panes_after(session, &mut Batch::default())
    }

    /// Runs a batch and lists the panes with the same client, or soon after.
    pub(crate) fn panes_after(&self, session: &str, batch: &mut Batch) -> Result<Vec<PaneInfo>, TmuxError> {
        let mut panes = self.all_panes_after(session, batch)?;
        panes.retain(|pane| pane.helper.is_none());
        Ok(panes)
    }

    /// Lists the panes like [`Self::panes_after`], including those of helpers.
    pub(crate) fn all_panes_after(
        &self,
        session: &str,
        batch: &mut Batch,
    ) -> Result<Vec<PaneInfo>, TmuxError> {
        let panes = self.listed_after(session, batch)?;
        if panes.iter().any(pane_died::is_unnoticed) {
            return self.listed_after(session, pane_died::notice(&mut Batch::default()));
        }
        Ok(panes)
    }

    pub(crate) fn listed_after(&self, session: &str, batch: &mut Batch) -> Result<Vec<PaneInfo>, TmuxError> {
        let mark = pane::fresh_mark();
        batch.push(["list-panes", "-s", "-t", &target(session)?, "-F", &pane::format(&mark)]);
        let output = self.run(batch)?;
        pane::parse(&String::from_utf8_lossy(&output), &mark).map_err(|record| TmuxError::Failed {
            command: "list-panes".to_owned(),
            stderr: format!("unreadable answer {record:?}"),
        })
    }

    /// Closes a pane and ends its process, but only while it still has this role and this process; the server
    /// checks and closes in one step.
    ///
    /// # Errors
    /// [`TmuxError::NoServer`] and the general ones. A changed pane is no error.
    pub fn kill_pane(&self, id: PaneId, expected_pid: u32, role: &Role) -> Result<CloseOutcome, TmuxError> {
        let same = format!(
            "#{{&&:#{{==:#{{pane_id}},{id}}},#{{&&:#{{==:#{{pane_pid}},{expected_pid}}},#{{==:#{{@cmw_role}},{role}}}}}}}"
        );
        // With an unknown target `display-message` prints empty fields or those of another pane, and no
        // error.
        let kill = format!("display-message -p killed ; kill-pane -t {id}");
        let tell = format!("display-message -p -t {id} '#{{pane_id}} #{{pane_pid}} #{{@cmw_role}}'");
        let id = id.to_string();
        let printed = self.run(Batch::default().push(["if-shell", "-F", "-t", &id, &same, &kill, &tell]))?;
        let printed = String::from_utf8_lossy(&printed);
        let printed = printed.trim();
        if printed == "killed" {
            return Ok(CloseOutcome::Killed);
        }
        let mut fields = printed.splitn(3, ' ');
        match (fields.next(), fields.next().and_then(|pid| pid.parse().ok())) {
            (Some(shown), Some(pid)) if shown == id => {
                Ok(CloseOutcome::Changed { pid, role: fields.next().unwrap_or_default().to_owned() })
            }
            _ => Ok(CloseOutcome::Gone),
        }
    }

    /// Returns the last `lines` lines of a pane and its history, without trailing blank ones.
    ///
    /// # Errors
    /// [`TmuxError::NoPane`] and the general ones.
    pub fn capture(&self, id: PaneId, lines: usize) -> Result<String, TmuxError> {
        let (id, from) = (id.to_string(), format!("-{lines}"));
        let output = self.run(Batch::default().push(["capture-pane", "-p", "-t", &id, "-S", &from]))?;
        let text = String::from_utf8_lossy(&output);
        let all: Vec<&str> = text.trim_end().lines().collect();
        Ok(all[all.len().saturating_sub(lines)..].join("\n"))
    }

    /// Ends the session of exactly this name, and every program in it.
    ///
    /// # Errors
    /// [`TmuxError::NoServer`], [`TmuxError::NoSession`] and the general ones.
    pub fn kill_session(&self, name: &str) -> Result<(), TmuxError> {
        self.run(Batch::default().push(["kill-session", "-t", &target(name)?])).map(drop)
    }

    /// Returns the repository that a session of ours was created for.
    ///
    /// # Errors
    /// [`TmuxError::NoServer`], [`TmuxError::NoSession`] and the general ones.
    pub fn session_repo(&self, name: &str) -> Result<Option<PathBuf>, TmuxError> {
        Ok(self.session_option(name, "@cmw_repo")?.map(|path| OsString::from_vec(path).into()))
    }

    /// Returns the command that shows the session to a person: `attach-session`, or `switch-client` for a
    /// terminal inside this server ([`Tmux::serves`]).
    ///
    /// # Errors
    /// [`TmuxError::BadSpec`] for an invalid session name.
    pub fn attach_command(&self, name: &str, inside: bool) -> Result<Vec<OsString>, TmuxError> {
        let verb = if inside { "switch-client" } else { "attach-session" };
        let mut words = vec![self.program.clone().into_os_string()];
        words.extend(self.before.iter().cloned());
        words.extend([verb.into(), "-t".into(), target(name)?.into()]);
        Ok(words)
    }

    /// Returns whether a value of `$TMUX` refers to this server (and not to another one, or none).
    ///
    /// # Errors
    /// The general ones; a server that does not run is no error.
    pub fn serves(&self, tmux_variable: &str) -> Result<bool, TmuxError> {
        // The value is `socket,pid,session`, and the socket's path may contain commas.
        let named = tmux_variable.rsplit(',').nth(1).and_then(|pid| pid.parse().ok());
        match self.server_pid() {
            Ok(pid) => Ok(named == Some(pid)),
            Err(TmuxError::NoServer) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Returns the process of the server: when it dies, all its sessions end.
    ///
    /// # Errors
    /// [`TmuxError::NoServer`] and the general ones.
    pub fn server_pid(&self) -> Result<u32, TmuxError> {
        let printed = self.run(Batch::default().push(["display-message", "-p", "#{pid}"]))?;
        let printed = String::from_utf8_lossy(&printed).trim().to_owned();
        printed.parse().map_err(|_| TmuxError::Failed {
            command: "display-message".to_owned(),
            stderr: format!("unreadable answer {printed:?}"),
        })
    }

    /// Stores a text in the session for as long as it lives: the value of an option is not interpreted as a
    /// format. `note` is one of our keys.
    ///
    /// # Errors
    /// [`TmuxError::NoServer`], [`TmuxError::NoSession`] and the general ones.
    pub fn set_note(&self, session: &str, note: &str, text: &str) -> Result<(), TmuxError> {
        let option = format!("@cmw_note_{note}");
        self.run(Batch::default().push(["set-option", "-t", &target(session)?, &option, text])).map(drop)
    }

    /// Returns a text that was stored in the session.
    ///
    /// # Errors
    /// [`TmuxError::NoServer`], [`TmuxError::NoSession`] and the general ones.
    pub fn note(&self, session: &str, note: &str) -> Result<Option<String>, TmuxError> {
        let text = self.session_option(session, &format!("@cmw_note_{note}"))?;
        Ok(text.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Returns the value of an option of the session, when it is set and not empty.
    pub(crate) fn session_option(&self, session: &str, option: &str) -> Result<Option<Vec<u8>>, TmuxError> {
        let here = target(session)?;
        let mut batch = Batch::default();
        // -q suppresses the error for an unset option, but also the one for a missing session.
        batch.push(["has-session", "-t", &here]);
        batch.push(["show-options", "-q", "-v", "-t", &here, option]);
        let mut value = self.run(&batch)?;
        value.pop_if(|byte| *byte == b'\n');
        Ok((!value.is_empty()).then_some(value))
    }

    pub(crate) fn run(&self, batch: &Batch) -> Result<Vec<u8>, TmuxError> {
        checked(self.run_in(batch, None))
    }

    pub(crate) fn run_in(&self, batch: &Batch, cwd: Option<&Path>) -> ClientOutput {
        client::run(ClientStart { program: &self.program, before: &self.before, cwd }, batch)
    }
}

pub(crate) fn checked(answer: ClientOutput) -> Result<Vec<u8>, TmuxError> {
    answer.error.map_or(Ok(answer.stdout), Err)
}

/// Returns the target for the session of exactly this name: `claude` alone would also match `claude-multi`,
/// and tmux turns `.` and `:` into `_`.
pub(crate) fn target(name: &str) -> Result<String, TmuxError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > 128 || name.starts_with('-') || !name.chars().all(plain) {
        return Err(TmuxError::BadSpec(format!(
            "{name:?} is not the name of a session (letters, digits, '-' and '_')"
        )));
    }
    Ok(format!("={name}:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        let of = |text: &str| Version::parse(text).number;
        assert_eq!(
            [of("tmux 3.3a\n"), of("tmux next-3.6"), of("tmux 2.9a")],
            [Some((3, 3)), Some((3, 6)), Some((2, 9))]
        );
        assert_eq!([of("tmux master"), of("tmux openbsd-7.1"), of("")], [None, None, None]);
        for (text, good) in [
            ("tmux 3.0", true),
            ("tmux 2.9a", false),
            ("tmux master", true),
            ("tmux 10.1", true),
            ("tmux 3", true),
        ] {
            assert_eq!(Version::parse(text).is_supported(), good, "{text}");
        }
    }

    #[test]
    fn a_name_that_means_something_else_to_tmux_is_refused() {
        for name in ["", "a.b", "a:b", "-x", "$1", "@1", "=a", "a b", "a;", "#(touch x)", "ä", "a\nb"] {
            assert!(matches!(target(name), Err(TmuxError::BadSpec(_))), "{name:?}");
        }
        assert_eq!(target("claude-multi_2").unwrap(), "=claude-multi_2:");
    }

    #[test]
    fn attaching_says_which_server() {
        let tmux = Tmux::at("/usr/bin/tmux".into(), &Server::Named("x".into()));
        let words = tmux.attach_command("s", false).unwrap();
        assert_eq!(words, ["/usr/bin/tmux", "-u", "-L", "x", "attach-session", "-t", "=s:"]);
        assert_eq!(tmux.attach_command("s", true).unwrap()[4], "switch-client");
    }
}
