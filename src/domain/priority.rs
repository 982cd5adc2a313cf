//! Owns the four priorities of messages and of requests for the write lock (DOMAIN section 3).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How urgent something is; the most urgent sorts first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Priority {
    /// Freezes, crashes, the person's decisions.
    Critical,
    /// Before ordinary work.
    High,
    /// What is said nothing of.
    #[default]
    Normal,
    /// Status and acknowledgements.
    Low,
}

impl Priority {
    /// The name, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "CRITICAL",
            Self::High => "HIGH",
            Self::Normal => "NORMAL",
            Self::Low => "LOW",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Priority {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Critical, Self::High, Self::Normal, Self::Low]
            .into_iter()
            .find(|p| p.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("{text:?} is not a priority; write critical, high, normal or low"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_sorts_first() {
        assert!(Priority::Critical < Priority::High && Priority::Normal < Priority::Low);
        assert_eq!("high".parse(), Ok(Priority::High));
        assert!("urgent".parse::<Priority>().is_err());
    }
}
