//! Turns every error into one text and one exit code.

use crate::adapters::git::RepoError;
use crate::domain::identity::role::NameError;
use crate::domain::refusal::Refusal;
use crate::store::error::StoreError;

use crate::app::exit::Exit;

/// Why one of our programs failed: message, exit code and next step.
#[derive(Debug)]
pub enum Failure {
    /// The command line is wrong, or asks for help.
    CommandLine {
        /// The text, with usage.
        text: String,
        /// Whether help was requested, which is no error.
        is_help: bool,
    },
    /// Refused by the rules.
    Refused(Refusal),
    /// Refused by the rules, with a more suitable next command.
    RefusedWith {
        /// The refusal.
        refusal: Refusal,
        /// What to type next.
        next: String,
    },
    /// The store failed, or data on disk cannot be trusted.
    Store(StoreError),
    /// Any other failure: what failed and why, what to type next, and the exit code.
    Told {
        /// The exit code.
        exit: Exit,
        /// What failed and why, without a prefix.
        what: String,
        /// What to type next.
        next: Option<String>,
    },
}

impl Failure {
    /// Creates a failure with a text and a next command.
    #[must_use]
    pub fn with_next_step(exit: Exit, what: impl Into<String>, next: &str) -> Self {
        Self::Told { exit, what: what.into(), next: (!next.is_empty()).then(|| next.to_owned()) }
    }

    /// Creates a failure for a wrong value on the command line.
    #[must_use]
    pub fn usage(what: impl Into<String>) -> Self {
        Self::Told { exit: Exit::Usage, what: what.into(), next: None }
    }

    /// Replaces the next command of a refusal, when there is a better one.
    #[must_use]
    pub fn with_next(self, next: Option<String>) -> Self {
        if let (Self::Refused(refusal), Some(next)) = (&self, next) {
            return Self::RefusedWith { refusal: refusal.clone(), next };
        }
        self
    }

    /// Returns the exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::CommandLine { is_help: false, .. } => Exit::Usage,
            Self::CommandLine { is_help: true, .. } => Exit::Done,
            Self::Refused(refusal) | Self::RefusedWith { refusal, .. } => refusal_exit(refusal),
            Self::Store(error) => store_exit(error),
            Self::Told { exit, .. } => *exit,
        }
    }

    /// Returns the text for a person: what failed, why, what is safe, what to type next.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            // The text repeats arguments, which may contain anything.
            Self::CommandLine { text, .. } => crate::domain::util::sanitize::block(text.trim_end()),
            Self::Refused(refusal) => refusal.lines(),
            Self::RefusedWith { refusal, next } => {
                refusal.lines_of(refusal.safe_state_hint().as_deref(), next)
            }
            Self::Store(error) => format!("error: {}\n{}", with_causes(error), store_next(error)),
            Self::Told { what, next: None, .. } => format!("error: {what}"),
            Self::Told { what, next: Some(next), .. } => format!("error: {what}\nnext: {next}"),
        }
    }

    /// Returns what to type next, for programs.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::CommandLine { .. } => None,
            Self::Refused(refusal) => Some(refusal.next()),
            Self::RefusedWith { next, .. } => Some(next.clone()),
            Self::Store(error) => {
                Some(store_next(error).lines().last()?.trim_start_matches("next: ").to_owned())
            }
            Self::Told { next, .. } => next.clone(),
        }
    }
}

fn refusal_exit(refusal: &Refusal) -> Exit {
    match refusal {
        Refusal::Held { .. } | Refusal::Offered { .. } | Refusal::Unsaved { .. } => Exit::Busy,
        Refusal::NotPermitted { .. } | Refusal::ReadOnly { .. } | Refusal::UnknownIdentity { .. } => {
            Exit::NotPermitted
        }
        Refusal::NotHeld { .. }
        | Refusal::NotHolder { .. }
        | Refusal::StaleToken { .. }
        | Refusal::Frozen { .. }
        | Refusal::NotQueued { .. }
        | Refusal::OutsideClaim { .. }
        | Refusal::OthersFiles { .. }
        | Refusal::Paused { .. }
        | Refusal::SessionUp { .. }
        | Refusal::RoleTaken { .. }
        | Refusal::Tainted { .. }
        | Refusal::NoViolation { .. }
        | Refusal::Task { .. }
        | Refusal::SelfTest
        | Refusal::Careless { .. }
        | Refusal::Diverted { .. }
        | Refusal::NotFrozen => Exit::Refused,
    }
}

fn store_exit(error: &StoreError) -> Exit {
    match error {
        StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Exit::NotPermitted
        }
        StoreError::TooLarge { .. } => Exit::Bug,
        StoreError::Io { .. } | StoreError::NotWritten { .. } | StoreError::Unconfirmed { .. } => {
            Exit::Unavailable
        }
        StoreError::Damaged { .. } => Exit::Damaged,
        StoreError::Newer { .. } | StoreError::NotInitialised => Exit::Config,
        StoreError::Busy { .. } => Exit::Busy,
        StoreError::IdTaken { .. } => Exit::Refused,
    }
}

/// Returns what is safe, and what to type next in the last line.
#[must_use]
pub fn store_next(error: &StoreError) -> String {
    match error {
        StoreError::Io { source, .. } | StoreError::NotWritten { source, .. } => {
            match source.raw_os_error() {
                Some(28) => {
                    "nothing was lost or changed; free some space, then try again\nnext: df -h .".to_owned()
                }
                Some(30) => {
                    "nothing was changed; the file system is read-only\nnext: mount | grep -w ro".to_owned()
                }
                _ => "nothing acknowledged was lost\nnext: cmw-doctor".to_owned(),
            }
        }
        StoreError::Unconfirmed { .. } => {
            "sending it again with the same --id is safe\nnext: df -h .".to_owned()
        }
        StoreError::TooLarge { .. } => "nothing was changed\nnext: cmw-doctor".to_owned(),
        StoreError::Damaged { remedy, .. } => format!("nothing was overwritten\nnext: {remedy}"),
        StoreError::Newer { .. } => {
            "nothing was changed; use the newer cmw that wrote it\nnext: cmw --version".to_owned()
        }
        StoreError::Busy { .. } => {
            "this step changed nothing; the process that holds it may be stopped\nnext: cmw-doctor".to_owned()
        }
        StoreError::NotInitialised => "next: cmw-init".to_owned(),
        StoreError::IdTaken { .. } => {
            "nothing was sent; leave --id out to get a new one\nnext: cmw-send --help".to_owned()
        }
    }
}

/// Returns an error and its causes, each once.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    crate::domain::util::sanitize::line(&text)
}

/// Converts an error of git or the repository.
#[must_use]
pub fn git_failure(error: &RepoError) -> Failure {
    Failure::with_next_step(Exit::Unavailable, with_causes(error), "git status")
}

/// Converts an error of git about refs.
#[must_use]
pub fn git_ref_failure(error: &RepoError) -> Failure {
    Failure::with_next_step(Exit::Unavailable, with_causes(error), "git show-ref")
}

/// Converts an error of git about its configuration.
#[must_use]
pub fn git_config_failure(error: &RepoError) -> Failure {
    Failure::with_next_step(Exit::Config, with_causes(error), "git config --list --show-origin")
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::with_next_step(
            Exit::Usage,
            crate::domain::util::sanitize::line(&error.to_string()),
            "cmw-session status",
        )
    }
}
