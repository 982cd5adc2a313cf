//! Helpers that every subject uses: time, digests, sanitised text, paths as text.

pub mod digest;
pub mod path_encoding;
pub mod phrase;
pub mod sanitize;
pub mod tags;
pub mod time;
pub mod time_arg;

/// Whether a number is 0: then the fields of some records are left out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}
