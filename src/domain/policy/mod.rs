//! What was settled: the rules and figures under which everything else decides.
//!
//! * `compiled`: the policy as a whole, what weakens it, its digest
//! * `checks`, `mode`, `ref_glob`, `settings`: its parts
//! * `decide`: who may change it

pub mod checks;
pub mod compiled;
pub mod decide;
pub mod mode;
pub mod ref_glob;
pub mod settings;
