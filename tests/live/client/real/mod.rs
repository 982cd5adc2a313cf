//! The real client in real panes, with a scripted model on this machine instead of a language model.
//!
//! Needs the client, which `scripts/test-claude.sh` installs; without it these tests are not run.
#![expect(clippy::disallowed_methods, reason = "a test reads its environment, and writes where it works")]
#![expect(clippy::unwrap_used, reason = "a test may, and so may what it is set up with")]

mod crash;
mod guests;
mod http;
mod lab;
mod lives;
mod locks;
mod mail;
mod model;
mod rules;
mod script;
mod sight;
