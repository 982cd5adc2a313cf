//! The record of what happened, and the comparison of refs with it.
//!
//! * `record`, `severity`, `anchor`: the audit trail's records, their chain and its anchors
//! * `journal_entry`, `known_ref`, `ref_ledger`, `reflog`: what the ref journal says that refs must be
//! * `history`: the state that the trail tells, and whether it allowed what the journal says
//! * `violation`, `growth`, `taint`, `self_test`: movements that bypassed the hooks, and their consequences
//! * `event`, `evolve`, `describe`, `notices`, `decide`: the subject's events and rules

pub mod anchor;
pub mod decide;
pub mod describe;
pub mod event;
pub mod evolve;
pub mod growth;
pub mod history;
pub mod journal_entry;
pub mod known_ref;
pub mod notices;
pub mod record;
pub mod ref_ledger;
pub mod reflog;
pub mod self_test;
pub mod severity;
pub mod taint;
pub mod violation;
