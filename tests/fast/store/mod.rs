//! Files on disk that are damaged, and disks that are full.

mod bad_input;
mod edited_state;
