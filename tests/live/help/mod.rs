//! The commands of README and guide, run as they stand.

mod guide;
