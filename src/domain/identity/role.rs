//! The names of roles, and the kinds of work that they do.
//!
//! Source of the rules: docs/rules.md R1. Names are compared without case, with `-` and `_`
//! alike; the stored form is the roster's.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest name of a role or kind, in bytes.
pub const NAME_BYTES_MAX: usize = 32;

/// Names that roles may not have: the person, broadcasts, the programs themselves.
const RESERVED: [&str; 5] = ["User", "ALL", "System", "unproven", "nobody"];

/// A role's name, such as `Dev-A`: letters, digits and `-`, starting with a letter.
///
/// Two roles are the same when their names fold to the same text;
/// [`Roster::resolve`](crate::domain::identity::roster::Roster::resolve) gives the
/// stored form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Role(String);

/// The reason for which a text is not the name of a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The characters are wrong; the text is shown with everything unprintable escaped.
    #[error("{0:?} is not a role name (letters, digits and '-', first a letter, at most 32)")]
    Malformed(String),
    /// The name is reserved.
    #[error("{0} is a reserved name")]
    Reserved(String),
    /// No role of the roster has the name.
    #[error("no role is called {name}{}", did_you_mean(.near))]
    Unknown {
        /// The name that was given.
        name: String,
        /// The nearest names of the roster, best first.
        near: Vec<String>,
    },
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) }
}

impl Role {
    /// Parses a name.
    ///
    /// # Errors
    /// [`NameError::Malformed`] or [`NameError::Reserved`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !first || !rest || text.len() > NAME_BYTES_MAX || text.ends_with(['-', '_']) {
            let shown: String = text.chars().take(40).collect();
            return Err(NameError::Malformed(shown));
        }
        // None has a '-': folding changes only their case.
        if RESERVED.iter().any(|name| name.eq_ignore_ascii_case(text)) {
            return Err(NameError::Reserved(text.to_owned()));
        }
        Ok(Self(text.replace('_', "-")))
    }

    /// Returns the stored form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Role {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.0
    }
}

/// Returns the form in which names are compared.
pub(crate) fn fold(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// The kind of work of a role; decides its rights and which roles may replace it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleKind(String);

impl RoleKind {
    /// Parses a kind: like a role's name, in lower case.
    ///
    /// # Errors
    /// [`NameError::Malformed`] or [`NameError::Reserved`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        Ok(Self(Role::parse(&text.to_ascii_lowercase())?.0))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is read-only oversight: may neither take the write lock nor commit (docs/rules.md R1).
    #[must_use]
    pub fn is_librarian(&self) -> bool {
        self.0 == "librarian"
    }

    /// Whether it is the coordinator: may force-release the write lock (docs/rules.md R1).
    #[must_use]
    pub fn is_orchestrator(&self) -> bool {
        self.0 == "orchestrator"
    }
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RoleKind {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<RoleKind> for String {
    fn from(kind: RoleKind) -> Self {
        kind.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_role_name_is_refused() {
        for text in
            ["../x", "..", ".", "", "/etc/passwd", "a/b", "a\0b", "-rf", "--help", "a b", "Dev-A\n", "~x"]
        {
            assert!(matches!(Role::parse(text), Err(NameError::Malformed(_))), "{text:?}");
        }
        for text in ["$(touch x)", "`x`", "%2e%2e", "dev\u{2011}a", &"x".repeat(33), "dev-"] {
            assert!(matches!(Role::parse(text), Err(NameError::Malformed(_))), "{text:?}");
        }
        for text in ["user", "ALL", "System", "UNPROVEN"] {
            assert!(matches!(Role::parse(text), Err(NameError::Reserved(_))), "{text:?}");
        }
    }
}
