//! Actors, mailboxes, and the addresses of messages.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::identity::role::{NameError, Role, RoleKind};

/// The actor of an event or a command.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Actor {
    /// An instance of the roster.
    Role(Role),
    /// The person.
    User,
    /// The programs themselves: cron, the monitor, an automatic freeze.
    System,
    /// An unidentified process (docs/decisions.md D3).
    Unproven,
}

impl Actor {
    /// Returns the role, when it is one.
    #[must_use]
    pub fn role(&self) -> Option<&Role> {
        match self {
            Self::Role(role) => Some(role),
            Self::User | Self::System | Self::Unproven => None,
        }
    }

    /// Returns the actor's name as it reads in a sentence.
    #[must_use]
    pub fn in_sentence(&self) -> String {
        match self {
            Self::Unproven => "an unidentified process".to_owned(),
            Self::Role(_) | Self::User | Self::System => self.to_string(),
        }
    }

    /// Returns the name of the mailbox that belongs to the actor, when there is one.
    #[must_use]
    pub fn mailbox(&self) -> Option<Mailbox> {
        match self {
            Self::Role(role) => Some(Mailbox::Role(role.clone())),
            Self::User => Some(Mailbox::User),
            Self::System | Self::Unproven => None,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => role.fmt(f),
            Self::User => f.write_str("User"),
            Self::System => f.write_str("System"),
            Self::Unproven => f.write_str("unproven"),
        }
    }
}

impl TryFrom<String> for Actor {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        match text.as_str() {
            "User" => Ok(Self::User),
            "System" => Ok(Self::System),
            "unproven" => Ok(Self::Unproven),
            name => Ok(Self::Role(Role::parse(name)?)),
        }
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.to_string()
    }
}

/// A recipient of messages: an instance or the person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Mailbox {
    /// An instance of the roster.
    Role(Role),
    /// The person.
    User,
}

impl Mailbox {
    /// Returns the name, which is also the name of the directory below `messages/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Role(role) => role.as_str(),
            Self::User => "User",
        }
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Mailbox {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        if text == "User" { Ok(Self::User) } else { Ok(Self::Role(Role::parse(&text)?)) }
    }
}

impl From<Mailbox> for String {
    fn from(mailbox: Mailbox) -> Self {
        mailbox.to_string()
    }
}

/// The address of a message, before it is resolved to mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// One role.
    Role(Role),
    /// The person.
    User,
    /// All but the sender, the person included.
    All,
    /// All members of a kind but the sender.
    Kind(RoleKind),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => role.fmt(f),
            Self::User => f.write_str("User"),
            Self::All => f.write_str("ALL"),
            Self::Kind(kind) => write!(f, "@{kind}"),
        }
    }
}
