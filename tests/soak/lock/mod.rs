//! The lock, under a storm of processes that are killed.

mod storm;
