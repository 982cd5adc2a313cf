//! `cmw`: runs the tools, and shows how things stand.

fn main() {}
