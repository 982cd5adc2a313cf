//! `cmw-send` and `cmw-inbox`, as they are typed.

mod damage;
mod forged;
mod many;
mod read;
mod send;
mod wait;

/// An id to send under, so that its end can be written in a test. `n`: two characters.
fn id(n: &str) -> String {
    format!("01JCQ4K3M5N6P7R8S9T0V1W2{n}")
}
