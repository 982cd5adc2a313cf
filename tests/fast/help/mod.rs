//! What the programs say of themselves: help, man pages, the one screen, the guide's commands.

mod guide;
mod man;
mod transcripts;
mod umbrella;
