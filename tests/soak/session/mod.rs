//! Sessions over a whole night.

mod night_shift;
