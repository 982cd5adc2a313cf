//! A violation: refs that moved without having been allowed to (docs/rules.md R6.2), and its description.

use serde::{Deserialize, Serialize};

use crate::domain::audit::journal_entry::{DamagedFile, UnauthorizedUpdate, ViolationCause};
use crate::domain::util::phrase::listed;
use crate::domain::util::sanitize;
use crate::domain::util::time::WallTime;

/// A violation that is not adopted yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Violation {
    /// Its number: `V3`.
    pub id: u64,
    /// The time at which it was found.
    pub found: WallTime,
    /// The cause, as far as it is known.
    pub cause: ViolationCause,
    /// The movements of refs, oldest first; a ref may occur several times.
    pub refs: Vec<TaintedRef>,
}

/// A ref that a violation moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaintedRef {
    /// Its full name.
    pub name: String,
    /// Its value before; empty: none.
    pub was: String,
    /// Its value when it was found; empty: it is gone.
    pub is: String,
    /// Whether its commit came in by this movement, and must not go elsewhere.
    #[serde(default)]
    pub brings: bool,
}

impl TaintedRef {
    /// Copies the update without the evidence.
    #[must_use]
    pub fn of(stray: &UnauthorizedUpdate) -> Self {
        let (name, was, is) = (stray.name.clone(), stray.was.clone(), stray.is.clone());
        Self { name, was, is, brings: stray.brings }
    }

    /// Describes the movement in words.
    #[must_use]
    pub fn describe(&self) -> String {
        moved(&self.name, &self.was, &self.is)
    }
}

/// Describes the movements of a violation in words, a line for each ref.
#[must_use]
pub fn describe_movements(refs: &[TaintedRef]) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    for place in refs {
        if !names.contains(&place.name.as_str()) {
            names.push(&place.name);
        }
    }
    let describe = |name: &str| {
        let of_name: Vec<&TaintedRef> = refs.iter().filter(|place| place.name == name).collect();
        let (first, last) = (of_name[0], of_name[of_name.len() - 1]);
        let times =
            if of_name.len() > 1 { format!(" in {} movements", of_name.len()) } else { String::new() };
        format!("{}{times}", moved(name, &first.was, &last.is))
    };
    names.into_iter().map(describe).collect()
}

/// Describes the movement of a ref in words.
#[must_use]
pub fn moved(name: &str, was: &str, is: &str) -> String {
    let name = sanitize::line(name);
    let (was, is) = (short(was), short(is));
    match (was.is_empty(), is.is_empty()) {
        (true, _) => format!("{name} appeared at {is}"),
        (false, true) => format!("{name} disappeared (it was at {was})"),
        (false, false) if was == is => format!("{name} went somewhere and came back to {is}"),
        (false, false) => format!("{name} moved from {was} to {is}"),
    }
}

/// Returns the beginning of an object id; a symbolic value unchanged.
fn short(value: &str) -> String {
    let hex = value.len() >= 40 && value.bytes().all(|b| b.is_ascii_hexdigit());
    sanitize::line(if hex { &value[..10] } else { value })
}

/// Describes the cause of a violation in words; empty: unknown.
#[must_use]
pub fn describe_cause(cause: &ViolationCause) -> String {
    match cause {
        ViolationCause::Unknown => String::new(),
        ViolationCause::HooksOff { what } => sanitize::line(what),
        ViolationCause::Pin { reference } => {
            format!("the pin of {} was taken away", sanitize::line(reference.as_str()))
        }
        ViolationCause::Journal { line, why } => {
            format!("the ref journal, line {line}: {}", sanitize::line(why))
        }
        ViolationCause::Message { id } => {
            format!("the message {id} in the User's name, of which no record tells")
        }
        ViolationCause::Damage(damaged) => describe_damage(damaged),
        ViolationCause::State { why } => format!("the state document: {}", sanitize::line(why)),
    }
}

/// Describes damage in words: what was damaged, what is lost, where the evidence is.
#[must_use]
pub fn describe_damage(damaged: &DamagedFile) -> String {
    let DamagedFile { file, why, kept, lost, .. } = damaged;
    let kept = match kept.as_str() {
        "" => String::new(),
        kept => format!("; kept as {}", sanitize::line(kept)),
    };
    let lost = if lost.is_empty() { String::new() } else { format!("; lost: {}", ranges(lost)) };
    format!("{} was damaged: {}{kept}{lost}", sanitize::line(file), sanitize::line(why))
}

/// Writes gaps, each by its first and its last number.
#[must_use]
pub fn ranges(gaps: &[(u64, u64)]) -> String {
    let range = |(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    };
    listed(&gaps.iter().map(range).collect::<Vec<_>>(), ", ")
}
