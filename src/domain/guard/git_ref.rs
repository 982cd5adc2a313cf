//! Git's object ids and ref names.
//!
//! Invariants (each has a test of the same name):
//! * `a_ref_name_never_leaves_its_directory`
//! * `an_oid_is_40_or_64_lower_case_hex_digits`

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::util::path_encoding;
use crate::domain::util::sanitize;

/// The longest ref name that is accepted, in bytes (the limit of a path on Linux).
pub const NAME_BYTES_MAX: usize = 4096;

/// An object id: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits; all zeros mean "none".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Oid(String);

/// The reason for which bytes are not a value that git would write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefError {
    /// Not an object id.
    #[error("{0:?} is not an object id (40 or 64 lower-case hex digits)")]
    Oid(String),
    /// Not the name of a ref.
    #[error("{0:?} is not the name of a ref")]
    Name(String),
}

fn cut(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
}

impl Oid {
    /// Parses an id strictly: no white space, no upper case, no abbreviation.
    ///
    /// # Errors
    /// [`RefError::Oid`].
    pub fn parse(text: &[u8]) -> Result<Self, RefError> {
        let hex = text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match std::str::from_utf8(text) {
            Ok(text) if hex && matches!(text.len(), 40 | 64) => Ok(Self(text.to_owned())),
            Ok(_) | Err(_) => Err(RefError::Oid(cut(text))),
        }
    }

    /// Whether it means "none".
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.bytes().all(|b| b == b'0')
    }

    /// Returns the hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Oid {
    type Error = RefError;
    fn try_from(text: String) -> Result<Self, RefError> {
        Self::parse(text.as_bytes())
    }
}

impl From<Oid> for String {
    fn from(oid: Oid) -> Self {
        oid.0
    }
}

/// The full name of a ref (`refs/heads/main`, `HEAD`), by the rules of `git check-ref-format`
/// except that one level is enough. Kept as text by [`path_encoding::to_text`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RefName(String);

impl RefName {
    /// Parses a name as git gives it.
    ///
    /// # Errors
    /// [`RefError::Name`].
    pub fn parse(name: &[u8]) -> Result<Self, RefError> {
        let bad_byte = |b: &u8| *b <= b' ' || *b == 0x7f || b"~^:?*[\\".contains(b);
        let bad_part = |part: &[u8]| part.is_empty() || part[0] == b'.' || part.ends_with(b".lock");
        let has = |pair: &[u8; 2]| name.windows(2).any(|w| w == pair);
        let bad = name.len() > NAME_BYTES_MAX
            || name == b"@"
            || name.ends_with(b".")
            || has(b"..")
            || has(b"@{")
            || name.iter().any(bad_byte)
            || name.split(|b| *b == b'/').any(bad_part);
        if bad { Err(RefError::Name(cut(name))) } else { Ok(Self(path_encoding::to_text(name))) }
    }

    /// Returns the name as text; bytes that are not UTF-8 as [`path_encoding::to_text`] writes them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the bytes of the name as git has them: the name is stored as text, other bytes escaped.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        path_encoding::from_text(&self.0)
    }

    /// Whether git keeps it for each work tree: `HEAD` and the like, `refs/bisect/`,
    /// `refs/worktree/`, `refs/rewritten/`.
    #[must_use]
    pub fn is_per_worktree(&self) -> bool {
        let part_of = |dir| self.0.starts_with(dir);
        !self.0.contains('/')
            || ["refs/bisect/", "refs/worktree/", "refs/rewritten/"].into_iter().any(part_of)
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&path_encoding::shown(&self.0))
    }
}

impl TryFrom<String> for RefName {
    type Error = RefError;
    fn try_from(text: String) -> Result<Self, RefError> {
        Self::parse(&path_encoding::from_text(&text))
    }
}

impl From<RefName> for String {
    fn from(name: RefName) -> Self {
        name.0
    }
}

/// The value of a ref, before or after a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RefTarget {
    /// There is no such ref (git writes zeros); as an old value also "do not care".
    Zero,
    /// An object; never zeros.
    Oid(Oid),
    /// Another ref (git writes `ref:` and its name).
    Symref(RefName),
}

impl RefTarget {
    /// Parses a value as git's hooks write it.
    ///
    /// # Errors
    /// [`RefError`].
    pub fn parse(text: &[u8]) -> Result<Self, RefError> {
        if let Some(name) = text.strip_prefix(b"ref:") {
            return Ok(Self::Symref(RefName::parse(name)?));
        }
        Ok(Self::from(Oid::parse(text)?))
    }
}

impl From<Oid> for RefTarget {
    fn from(oid: Oid) -> Self {
        if oid.is_zero() { Self::Zero } else { Self::Oid(oid) }
    }
}

impl fmt::Display for RefTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => f.write_str("nothing"),
            Self::Oid(oid) => oid.fmt(f),
            Self::Symref(name) => write!(f, "ref:{name}"),
        }
    }
}

/// Returns the beginning of a commit's id; `None` when the branch was removed.
#[must_use]
pub fn short(commit: &str) -> Option<String> {
    let is_none = commit.bytes().all(|b| b == b'0');
    (!is_none).then(|| sanitize::line(commit.get(..10).unwrap_or(commit)))
}

/// Returns a branch's short name.
#[must_use]
pub fn branch(name: &RefName) -> String {
    path_encoding::shown(name.as_str().strip_prefix("refs/heads/").unwrap_or(name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oid_is_40_or_64_lower_case_hex_digits() {
        assert!(Oid::parse("0".repeat(40).as_bytes()).unwrap().is_zero());
        assert!(!Oid::parse("a1".repeat(32).as_bytes()).unwrap().is_zero());
        for bad in
            ["", "0", &"a".repeat(39), &"a".repeat(41), &"A".repeat(40), &"g".repeat(40), &" ".repeat(40)]
        {
            assert!(Oid::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_ref_name_never_leaves_its_directory() {
        for good in
            ["HEAD", "refs/heads/main", "refs/heads/agent/Dev-A/x", "refs/heads/ü", "refs/heads/a.b", "-"]
        {
            assert_eq!(RefName::parse(good.as_bytes()).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "refs/../HEAD",
            "refs/heads/..",
            "refs//heads",
            "refs/heads/",
            ".",
            "refs/.x",
            "refs/heads/main.lock",
            "refs/heads/a.lock/b",
            "a b",
            "a\tb",
            "a\x7f",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[b",
            "a\\b",
            "a@{1}",
            "@",
            "a.",
            "a..b",
            "a\0b",
            "a\n",
        ] {
            assert!(RefName::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(RefName::parse("a".repeat(NAME_BYTES_MAX + 1).as_bytes()).is_err());
        let latin = RefName::parse(b"refs/heads/caf\xe9").unwrap();
        assert_eq!(latin.to_bytes(), b"refs/heads/caf\xe9");
        assert_eq!(latin.to_string(), "refs/heads/caf\\xe9");
        let json = serde_json::to_string(&latin).unwrap();
        assert_eq!(serde_json::from_str::<RefName>(&json).unwrap(), latin);
    }

    #[test]
    fn values_are_told_apart() {
        let oid = "1".repeat(40);
        assert_eq!(RefTarget::parse("0".repeat(64).as_bytes()).unwrap(), RefTarget::Zero);
        assert!(matches!(RefTarget::parse(oid.as_bytes()).unwrap(), RefTarget::Oid(_)));
        assert_eq!(RefTarget::parse(b"ref:refs/heads/x").unwrap().to_string(), "ref:refs/heads/x");
        for bad in ["ref:", "ref: refs/heads/x", "ref:../x", "", "main"] {
            assert!(RefTarget::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
