//! The texts of work items on disk.

pub mod task_bodies;
