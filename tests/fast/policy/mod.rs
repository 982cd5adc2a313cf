//! The policy: what each check does at each level, and who may change it.

mod checks;
