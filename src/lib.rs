//! `cmw` lets a person run a dozen AI coding agents in one git repository.
//!
//! * [`domain`]: the rules. Pure: no file, clock, environment, process or git.
//! * [`store`]: the only code that touches state on disk.
//! * [`adapters`]: git, tmux, processes and the clock, as plain domain types.
//! * [`app`]: what the programs do with them: transactions, sessions, the monitor. No clap, nothing printed.
//! * [`cli`]: clap and rendering: a folder per tool, the shared `main`, how answers and refusals are printed.
//!
//! Imports go one way: `bin → cli → app → {store, adapters} → domain`; store and adapters never see each
//! other (`tests/tidy.rs`).

#![deny(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

pub mod adapters;
pub mod app;
pub mod cli;
pub mod domain;
pub mod store;

/// See Cargo.toml: musl's own allocator costs the short-lived programs too much.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
