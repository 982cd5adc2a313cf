//! Freezes, the pins of a hard freeze, and breaking the glass.

mod break_glass;
mod cli;
mod pins;
