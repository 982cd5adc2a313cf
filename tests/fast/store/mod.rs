//! Files on disk that are damaged, and disks that are full.

mod bad_input;
mod damage;
mod edited_state;
mod held_gate;
