//! What the programs say of themselves: help, man pages, the one screen.

mod man;
mod transcripts;
mod umbrella;
