//! The record of what happened: audit records, the ref journal, and what went around the hooks.

pub mod anchor;
pub mod decide;
pub mod event_names;
pub mod journal_entry;
pub mod record;
pub mod ref_ledger;
pub mod reflog;
pub mod self_test;
pub mod severity;
pub mod taint;
pub mod violation;
