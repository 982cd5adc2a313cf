//! The checks that hooks make, the level of each, and the presets that set all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A preset of the levels of all checks (docs/rules.md R5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Enforces freeze and lock.
    Solo,
    /// Enforces identity, role and claims too.
    Team,
    /// As `team` until gates and the second factor exist.
    Strict,
}

/// Makes [`Check`], the list of all checks, and their names.
macro_rules! checks {
    ($($(#[$doc:meta])* $check:ident = $name:literal,)*) => {
        /// A check that hooks make, by the name that configuration has for it (docs/rules.md R5.2).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Check {
            $($(#[$doc])* $check,)*
        }

        impl Check {
            /// All checks.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$check),*];

            /// Returns the name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$check => $name,)*
                }
            }
        }
    };
}

checks! {
    /// During a freeze no protected ref moves.
    Freeze = "freeze",
    /// `CLAUDE_ROLE` does not contradict the pane.
    Identity = "identity",
    /// A librarian only reads; an actor that is not in the roster does not commit.
    Role = "role",
    /// Only the holder of the write lock moves protected refs.
    Lock = "lock",
    /// The changed files were claimed, and are not another role's.
    Claims = "claims",
}

/// The consequence of a failed check; from weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The check is not made.
    Off,
    /// A warning is printed and recorded.
    Warn,
    /// The action is refused.
    Enforce,
}

impl Level {
    /// Returns the name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        }
    }
}

impl FromStr for Level {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Off, Self::Warn, Self::Enforce];
        all.into_iter()
            .find(|level| level.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not a level; write enforce, warn or off"))
    }
}

/// The level of each check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checks(BTreeMap<Check, Level>);

impl Checks {
    /// Returns the levels of a preset (docs/rules.md R5.3).
    #[must_use]
    pub fn of(preset: Preset) -> Self {
        let level = |check| match (preset, check) {
            (_, Check::Freeze | Check::Lock) | (Preset::Team | Preset::Strict, _) => Level::Enforce,
            (Preset::Solo, Check::Identity | Check::Role | Check::Claims) => Level::Off,
        };
        Self(Check::ALL.into_iter().map(|check| (check, level(check))).collect())
    }

    /// Returns the level of a check. A check without a level, unknown to an earlier version, is enforced.
    #[must_use]
    pub fn level(&self, check: Check) -> Level {
        self.0.get(&check).copied().unwrap_or(Level::Enforce)
    }

    /// Sets a level.
    pub fn set(&mut self, check: Check, level: Level) {
        self.0.insert(check, level);
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Solo => "solo",
            Self::Team => "team",
            Self::Strict => "strict",
        })
    }
}

impl FromStr for Preset {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "solo" => Ok(Self::Solo),
            "team" => Ok(Self::Team),
            "strict" => Ok(Self::Strict),
            other => Err(format!("{other:?} is not a preset; write solo, team or strict")),
        }
    }
}
