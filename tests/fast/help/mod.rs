//! Tests of the programs' own documentation: help, man pages, the one screen.

mod man;
mod transcripts;
mod umbrella;
