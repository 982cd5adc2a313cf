//! Messages on disk: the registry, mailboxes and receipts.

pub mod inbox;
pub mod mail_query;
pub mod mailbox;
pub mod receipts;
pub mod registry;
pub mod user_mail;
