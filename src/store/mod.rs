//! The only code that touches state on disk.

pub mod disk;
