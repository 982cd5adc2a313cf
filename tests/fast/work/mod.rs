//! Work items: `cmw-work`.

mod cli;
