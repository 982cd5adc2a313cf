//! Random numbers from the kernel, for ids.

/// Returns 128 random bits, for ids.
///
/// # Panics
/// When the kernel cannot provide random numbers.
#[must_use]
pub fn bits() -> u128 {
    let mut bytes = [0_u8; 16];
    let got = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    assert_eq!(got, Ok(bytes.len()), "the kernel must provide random numbers");
    u128::from_ne_bytes(bytes)
}
