//! Long ones: disks that stop before every step, storms of killed processes, whole nights. A folder for each subject.

#[path = "../support/crash_disk.rs"]
mod crash_disk;
mod lock;
mod mail;
mod session;
mod store;
#[path = "../support/mod.rs"]
mod support;
