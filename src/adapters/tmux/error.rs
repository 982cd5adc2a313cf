//! Errors of tmux, classified by its messages.

use crate::adapters::tmux::pane::PaneId;

/// Why a tmux command failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TmuxError {
    /// The program does not exist.
    #[error("tmux is not installed (no tmux in PATH); type: sudo apt-get install tmux")]
    Missing,
    /// Its version lacks pane options.
    #[error("tmux {found} is too old, 3.0 or later is needed; type: sudo apt-get install tmux")]
    TooOld {
        /// The output of `tmux -V`.
        found: String,
    },
    /// No server runs on this socket, so there is no session either.
    #[error("no tmux server is running; start the session with: cmw-session up")]
    NoServer,
    /// The server has no session of exactly this name.
    #[error("there is no tmux session {name}; start it with: cmw-session up")]
    NoSession {
        /// The requested name.
        name: String,
    },
    /// A session has this name already; it was left unchanged.
    #[error("a tmux session {name} exists already and was left as it is; see it with: cmw-session attach")]
    SessionExists {
        /// Its name.
        name: String,
    },
    /// No pane has this id.
    #[error("there is no tmux pane {id}; see what there is with: cmw-session status")]
    NoPane {
        /// The requested id.
        id: String,
    },
    /// The pane has another role now than the caller expects.
    #[error("tmux pane {id} is not {role}'s; nothing was done to it; see: cmw-session status")]
    NotTheirPane {
        /// The pane.
        id: PaneId,
        /// The expected role.
        role: String,
    },
    /// The window is too small for one more pane.
    #[error("the tmux window has no space for one more pane; make the terminal larger and try again")]
    NoSpace,
    /// A request that cannot be passed to tmux; nothing was done.
    #[error("{0}; nothing was started")]
    BadSpec(String),
    /// The server did not answer in time.
    #[error("tmux did not answer `{command}` within {after_s} s; the command may still take effect")]
    TimedOut {
        /// The command.
        command: String,
        /// How many seconds it was waited for.
        after_s: u64,
    },
    /// Any other error, with tmux's message.
    #[error("tmux {command} failed: {stderr}")]
    Failed {
        /// The command, shortened.
        command: String,
        /// The error message.
        stderr: String,
    },
}

/// Classifies an error message of tmux.
pub(super) fn classify(command: &str, stderr: &str) -> TmuxError {
    let text = crate::domain::util::sanitize::line(stderr.trim());
    let named = |prefix: &str| text.strip_prefix(prefix).map(|rest| rest.trim().to_owned());
    let unreachable = text.starts_with("error connecting to")
        && (text.contains("No such file or directory") || text.contains("Connection refused"));
    if unreachable
        || text.starts_with("no server running")
        || text.starts_with("server exited")
        || text.starts_with("lost server")
        // A server without any session, which is about to end.
        || text.starts_with("no current target")
    {
        return TmuxError::NoServer;
    }
    let session = ["can't find session:", "no such session:", "session not found:"];
    if let Some(name) = session.into_iter().find_map(named) {
        // Some commands repeat the whole target.
        let name = name.trim_start_matches('=').trim_end_matches(':').to_owned();
        return TmuxError::NoSession { name };
    }
    if let Some(name) = named("duplicate session:") {
        return TmuxError::SessionExists { name };
    }
    let pane = ["can't find pane:", "no such pane:", "can't find window:", "no such window:"];
    if let Some(id) = pane.into_iter().find_map(named) {
        return TmuxError::NoPane { id };
    }
    if text.contains("no space for new pane") || text.contains("pane too small") {
        return TmuxError::NoSpace;
    }
    TmuxError::Failed { command: command.to_owned(), stderr: text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sentence_of_tmux_has_its_error() {
        let of = |stderr: &str| classify("x", stderr);
        for text in [
            "no server running on /tmp/tmux-0/x\n",
            "error connecting to /tmp/tmux-0/x (No such file or directory)\n",
            "error connecting to /tmp/tmux-0/x (Connection refused)",
            "server exited unexpectedly",
            "lost server",
            "no current target",
        ] {
            assert_eq!(of(text), TmuxError::NoServer, "{text}");
        }
        assert_eq!(of("can't find session: a"), TmuxError::NoSession { name: "a".into() });
        assert_eq!(of("no such session: =a:"), TmuxError::NoSession { name: "a".into() });
        assert_eq!(of("no such pane: %9"), TmuxError::NoPane { id: "%9".into() });
        assert_eq!(of("duplicate session: a"), TmuxError::SessionExists { name: "a".into() });
        assert_eq!(of("can't find pane: %9"), TmuxError::NoPane { id: "%9".into() });
        assert_eq!(of("create pane failed: pane too small"), TmuxError::NoSpace);
        assert_eq!(of("no space for new pane\n"), TmuxError::NoSpace);
        for text in ["error connecting to /tmp/x (Permission denied)", "command too long", ""] {
            assert!(matches!(of(text), TmuxError::Failed { .. }), "{text}");
        }
    }

    #[test]
    fn nothing_that_tmux_says_reaches_the_terminal_raw() {
        let TmuxError::Failed { stderr, .. } = classify("x", "bad \x1b[2J\n") else { panic!() };
        assert_eq!(stderr, "bad \\u{1b}[2J");
    }
}
