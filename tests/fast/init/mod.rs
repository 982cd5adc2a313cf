//! `cmw-init`: setting up, hooks of other tools, uninstalling.

mod adopt_hooks;
mod transcripts;
