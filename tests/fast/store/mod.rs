//! Files on disk that are damaged, and disks that are full.

mod bad_input;
mod damage;
mod damaged_logs;
mod edited_state;
