//! Parts of sentences that the descriptions of all subjects share.

use std::fmt::Display;

use crate::domain::util::path_encoding;
use crate::domain::util::sanitize;

/// The number of names in a sentence.
const NAMES_MAX: usize = 3;

/// Returns the name of one party with words before it, unless it is the acting party.
pub(crate) fn other<T: PartialEq + Display>(before: &str, one: &T, by: &T) -> String {
    if one == by { String::new() } else { format!("{before}{one} ") }
}

/// Returns the words in brackets with a space before them; nothing for no words.
pub(crate) fn bracketed(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(" ({})", sanitize::line(words)) }
}

/// Returns the first few names, and how many more there are.
pub(crate) fn listed<T: ToString>(names: &[T], between: &str) -> String {
    let shown: Vec<String> =
        names.iter().take(NAMES_MAX).map(|n| path_encoding::shown(&n.to_string())).collect();
    let more = names.len().saturating_sub(NAMES_MAX);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", shown.join(between))
}
