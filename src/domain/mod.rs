//! The rules of the system, as pure functions.

pub mod audit;
pub mod command;
pub mod decide;
pub mod decision;
pub mod describe;
pub mod event;
pub mod evolve;
pub mod facts;
pub mod freeze;
pub mod guard;
pub mod health;
pub mod identity;
pub mod lock;
pub mod mail;
pub mod notices;
pub mod policy;
pub mod refusal;
pub mod rescue;
pub mod session;
pub mod state;
pub mod util;
pub mod work;
