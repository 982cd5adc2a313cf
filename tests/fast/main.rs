//! Tests that need no timing: each sets a scene, acts, and looks. A folder for each subject.

mod audit;
#[expect(dead_code, reason = "nothing crashes here")]
#[path = "../support/crash_disk.rs"]
mod crash_disk;
mod doctor;
mod freeze;
mod git;
mod golden;
mod guard;
mod health;
mod help;
mod house;
mod identity;
mod init;
mod lock;
mod mail;
mod policy;
mod rescue;
mod rules;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod work;
