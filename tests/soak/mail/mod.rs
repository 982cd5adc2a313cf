//! Messages on a disk that stops before every step.

mod crash;
