//! The rules of this code base, and the test harness itself.

mod harness;
mod imports;
mod tidy;
