//! Which role a process acts as.

mod caller;
