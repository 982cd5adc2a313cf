//! Claims: the files that a role says it will change, and whether a path is among them.
//!
//! A glob is a path below the repository's root. `*` and `?` stay within one name, `**` is any
//! number of directories, `[ab]` is one of these characters and takes a special character
//! literally (`[*]`); no other character is special, `{` and `\` are not. A path whose last name has no
//! wildcard claims itself and everything below it; `src/` and `src/**` claim only what is below.
//! Case matters. (docs/rules.md R4.19: changed files ⊆ claimed files.)
//!
//! Invariants (each has a test of the same name):
//! * `a_glob_is_no_substring_and_no_regular_expression`
//! * `a_glob_never_leaves_the_repository`
//! * `a_hostile_glob_is_still_judged_at_once`

use std::fmt;

use glob::{MatchOptions, Pattern};
use serde::{Deserialize, Serialize};

use crate::domain::util::path_encoding;

/// Longest glob, in bytes.
pub const GLOB_BYTES_MAX: usize = 4096;

/// Most globs in one claim.
pub const GLOBS_MAX: usize = 1000;

const EXACTLY: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// The reason for which a text is no claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// A glob is not valid; the text says which and why.
    #[error("{glob:?} cannot be claimed: {why}")]
    Glob {
        /// The glob, cut to 80 characters.
        glob: String,
        /// The reason.
        why: String,
    },
    /// More than [`GLOBS_MAX`].
    #[error("{0} globs are too many (at most {GLOBS_MAX}); claim directories, or everything")]
    TooMany(usize),
}

/// One component of a glob.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// `**`: any number of directories.
    Dirs,
    /// One name. Names are matched one by one, so that a pattern can never run away: within one
    /// name the crate's matcher gives up early, across `/` it would try every division.
    Name(Pattern),
}

/// A glob for paths below the repository's root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathGlob {
    text: String,
    parts: Vec<Part>,
    /// Whether paths below a match are claimed too.
    below: bool,
}

fn is_wild(name: &str) -> bool {
    // `[*]` is one literal character; escaped paths contain such brackets.
    let mut rest = name;
    while let Some(at) = rest.find(['*', '?', '[']) {
        let escape = rest[at..].strip_prefix('[').and_then(|r| {
            let c = r.chars().next().filter(|c| *c != '!')?;
            r[c.len_utf8()..].strip_prefix(']')
        });
        let Some(after) = escape else { return true };
        rest = after;
    }
    false
}

impl PathGlob {
    /// Parses a glob; a leading `./` is dropped.
    ///
    /// # Errors
    /// [`ClaimError::Glob`] for a text that is absolute, leaves the repository, is empty, too long, or no
    /// pattern.
    pub fn parse(text: &str) -> Result<Self, ClaimError> {
        let fail =
            |why: &str| Err(ClaimError::Glob { glob: text.chars().take(80).collect(), why: why.to_owned() });
        let mut path = text;
        while let Some(rest) = path.strip_prefix("./") {
            path = rest;
        }
        if text.len() > GLOB_BYTES_MAX {
            return fail("it is longer than 4096 bytes");
        }
        if text.contains('\0') {
            return fail("no path has a NUL in it");
        }
        if path.starts_with('/') {
            return fail("name it relative to the repository's root");
        }
        let (path, inside_only) = path.strip_suffix('/').map_or((path, false), |p| (p, true));
        let mut parts = Vec::new();
        let mut below = false;
        for name in path.split('/') {
            match name {
                "" | "." => return fail("a name in it is empty"),
                ".." => return fail("it leaves the repository"),
                "**" => parts.push(Part::Dirs),
                name => match Pattern::new(name) {
                    Ok(pattern) => parts.push(Part::Name(pattern)),
                    Err(error) => return fail(error.msg),
                },
            }
            below = !is_wild(name);
        }
        if inside_only {
            parts.push(Part::Dirs);
        }
        // At the end, `**` means one more name and everything below it.
        if parts.last() == Some(&Part::Dirs) {
            parts.pop();
            parts.push(Part::Name(Pattern::new("*").expect("a star is a pattern")));
            below = true;
        }
        Ok(Self { text: path_text(path, inside_only), parts, below })
    }

    /// Returns the glob for exactly this path (and, should it become a directory, for everything below it).
    ///
    /// # Errors
    /// As [`PathGlob::parse`].
    pub fn exact(path: &[u8]) -> Result<Self, ClaimError> {
        Self::parse(&Pattern::escape(&path_encoding::to_text(path)))
    }

    /// Returns the text from which it was parsed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches a path below the repository's root, as git writes the path.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.matches_text(&path_encoding::to_text(path))
    }

    /// Compares glob and path name by name; after a mismatch only the last `**` takes one more name.
    fn matches_text(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').collect();
        let (mut part, mut name) = (0, 0);
        let mut again: Option<(usize, usize)> = None;
        loop {
            let fits = match (self.parts.get(part), names.get(name)) {
                (Some(Part::Dirs), _) => {
                    part += 1;
                    again = Some((part, name));
                    continue;
                }
                (None, None) => return true,
                (None, Some(_)) if self.below => return true,
                (Some(Part::Name(pattern)), Some(text)) => pattern.matches_with(text, EXACTLY),
                (None, Some(_)) => false,
                (Some(Part::Name(_)), None) => return false,
            };
            if fits {
                (part, name) = (part + 1, name + 1);
            } else if let Some((after, from)) = again {
                again = Some((after, from + 1));
                (part, name) = (after, from + 1);
            } else {
                return false;
            }
        }
    }
}

fn path_text(path: &str, inside_only: bool) -> String {
    if inside_only { format!("{path}/") } else { path.to_owned() }
}

impl fmt::Display for PathGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&path_encoding::shown(&self.text))
    }
}

impl TryFrom<String> for PathGlob {
    type Error = ClaimError;
    fn try_from(text: String) -> Result<Self, ClaimError> {
        Self::parse(&text)
    }
}

impl From<PathGlob> for String {
    fn from(glob: PathGlob) -> Self {
        glob.text
    }
}

/// The files that a role says it will change. In JSON `"*"` or a list of globs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Claim {
    /// Everything.
    All,
    /// Only paths that one of these globs matches; with no glob, no path.
    Paths(Vec<PathGlob>),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Word(String),
    List(Vec<PathGlob>),
}

impl Claim {
    /// Parses globs from a command line; none at all claims everything (docs/rules.md R4.2).
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn parse<S: AsRef<str>>(globs: &[S]) -> Result<Self, ClaimError> {
        if globs.is_empty() {
            return Ok(Self::All);
        }
        Self::of(globs.iter().map(|g| PathGlob::parse(g.as_ref())).collect::<Result<_, _>>()?)
    }

    /// Returns the claim for exactly these paths, as an automatic lock takes it; everything when they are
    /// too many to be listed or one cannot be written as a glob.
    #[must_use]
    pub fn exactly<P: AsRef<[u8]>>(paths: &[P]) -> Self {
        let globs = paths.iter().map(|p| PathGlob::exact(p.as_ref())).collect::<Result<_, _>>();
        globs.and_then(Self::of).unwrap_or(Self::All)
    }

    fn of(globs: Vec<PathGlob>) -> Result<Self, ClaimError> {
        if globs.len() > GLOBS_MAX { Err(ClaimError::TooMany(globs.len())) } else { Ok(Self::Paths(globs)) }
    }

    /// Whether a path below the repository's root, as git writes it, is claimed.
    #[must_use]
    pub fn covers(&self, path: &[u8]) -> bool {
        let Self::Paths(globs) = self else { return true };
        let text = path_encoding::to_text(path);
        globs.iter().any(|glob| glob.matches_text(&text))
    }

    /// Whether a path is claimed by its very name, and not only by a pattern or with its directory.
    #[must_use]
    pub fn names(&self, path: &[u8]) -> bool {
        let Self::Paths(globs) = self else { return false };
        let text = path_encoding::to_text(path);
        let escaped = Pattern::escape(&text);
        globs.iter().any(|glob| glob.as_str() == text || glob.as_str() == escaped)
    }

    /// Returns the union of this claim and another one; everything when they are too many to be listed.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        let (Self::Paths(mine), Self::Paths(more)) = (self, other) else { return Self::All };
        let new = more.iter().filter(|glob| !mine.contains(glob));
        Self::of(mine.iter().chain(new).cloned().collect()).unwrap_or(Self::All)
    }

    /// Returns those of the paths that are not claimed, in their order.
    #[must_use]
    pub fn uncovered<P: AsRef<[u8]>>(&self, paths: impl IntoIterator<Item = P>) -> Vec<P> {
        paths.into_iter().filter(|path| !self.covers(path.as_ref())).collect()
    }
}

impl fmt::Display for Claim {
    /// Writes a short form: three globs at most.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let globs = match self {
            Self::All => return f.write_str("all files"),
            Self::Paths(globs) if globs.is_empty() => return f.write_str("no files"),
            Self::Paths(globs) => globs,
        };
        let shown: Vec<String> = globs
            .iter()
            .take(3)
            .map(|g| crate::domain::util::sanitize::shorten(&g.to_string(), 60))
            .collect();
        f.write_str(&shown.join(", "))?;
        match globs.len() {
            0..=3 => Ok(()),
            n => write!(f, " and {} more", n - 3),
        }
    }
}

impl TryFrom<Written> for Claim {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Word(word) if word == "*" => Ok(Self::All),
            Written::Word(_) => Err("a claim is \"*\" or a list of globs".to_owned()),
            Written::List(globs) => Self::of(globs).map_err(|e| e.to_string()),
        }
    }
}

impl From<Claim> for Written {
    fn from(claim: Claim) -> Self {
        match claim {
            Claim::All => Self::Word("*".to_owned()),
            Claim::Paths(globs) => Self::List(globs),
        }
    }
}

#[cfg(test)]
#[path = "claim_tests.rs"]
mod tests;
