//! A pattern over ref names, as used in `cmw.protect`.

use crate::domain::lock::claim::{ClaimError, PathGlob};

/// A glob over refs, such as `main` or `release/**` (branches), or `refs/wip/**` (any ref).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RefGlob {
    text: String,
    glob: PathGlob,
}

impl RefGlob {
    /// Parses a glob; without the prefix `refs/` it matches branches.
    ///
    /// # Errors
    /// As [`PathGlob::parse`].
    pub fn parse(text: &str) -> Result<Self, ClaimError> {
        let full = if text.starts_with("refs/") { text.to_owned() } else { format!("refs/heads/{text}") };
        Ok(Self { text: text.to_owned(), glob: PathGlob::parse(&full)? })
    }

    /// Returns the text from which it was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the full name of a ref matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.glob.matches(&crate::domain::util::path_encoding::from_text(name))
    }
}

impl TryFrom<String> for RefGlob {
    type Error = ClaimError;
    fn try_from(text: String) -> Result<Self, ClaimError> {
        Self::parse(&text)
    }
}

impl From<RefGlob> for String {
    fn from(glob: RefGlob) -> Self {
        glob.text
    }
}
