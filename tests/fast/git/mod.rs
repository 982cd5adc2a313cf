//! The git adapter against git itself.

mod adapter;
mod stale_locks;
