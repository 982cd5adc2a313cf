//! The state directory on a disk that stops before every step.

mod crash;
mod rebuild;
