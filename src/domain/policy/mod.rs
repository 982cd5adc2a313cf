//! The policy: the rules and figures under which everything else decides.
//!
//! * `compiled`: the policy as a whole, what weakens it, its digest
//! * `checks`, `mode`, `ref_glob`, `settings`: its parts
//! * `event`, `evolve`, `describe`, `notices`, `decide`: the subject's events and rules

pub mod checks;
pub mod compiled;
pub mod decide;
pub mod describe;
pub mod event;
pub mod evolve;
pub mod mode;
pub mod notices;
pub mod ref_glob;
pub mod settings;
