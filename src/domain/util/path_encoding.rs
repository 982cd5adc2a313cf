//! An encoding of bytes that need not be UTF-8 (paths, names of refs) as text without loss.
//!
//! Git's paths and ref names are bytes; the state is stored as JSON. Valid UTF-8 stays as it is; every
//! other byte `b` becomes the private character `U+10FF00 + b`, and so do the four bytes of such a
//! private character itself, so that two different byte strings never become the same text.
//!
//! Invariants (each has a test of the same name):
//! * `different_bytes_become_different_text`

/// The first of the 256 characters that stand for single bytes.
const BASE: u32 = 0x10_FF00;

fn stands_for(c: char) -> Option<u8> {
    u8::try_from(u32::from(c).checked_sub(BASE)?).ok()
}

fn push_raw(out: &mut String, bytes: &[u8]) {
    out.extend(bytes.iter().filter_map(|b| char::from_u32(BASE + u32::from(*b))));
}

/// Returns the text that represents these bytes.
#[must_use]
pub fn to_text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if stands_for(c).is_some() {
                push_raw(&mut out, c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                out.push(c);
            }
        }
        push_raw(&mut out, chunk.invalid());
    }
    out
}

/// Returns the bytes that a text of [`to_text`] represents.
#[must_use]
pub fn from_text(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match stands_for(c) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

/// Returns the text as it is shown to people: bytes that are not UTF-8 as `\xNN`, and safe on any
/// terminal (docs/rules.md I14).
#[must_use]
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match stands_for(c) {
            Some(byte) => out.push_str(&format!("\\x{byte:02x}")),
            None => out.push(c),
        }
    }
    crate::domain::util::sanitize::line(&out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn different_bytes_become_different_text(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            // An encoding that can be reversed maps different bytes to different text.
            prop_assert_eq!(from_text(&to_text(&bytes)), bytes);
        }
    }

    #[test]
    fn private_characters_and_odd_bytes_survive() {
        for bytes in ["a/\u{10ff41}/b".as_bytes(), b"caf\xe9", "straße".as_bytes(), b"\xf4\x8f\xbd\x81\xff"]
        {
            assert_eq!(from_text(&to_text(bytes)), bytes);
        }
        assert_ne!(to_text("\u{10ff41}".as_bytes()), "\u{10ff41}", "it would be read as the byte A");
        assert_eq!(shown(&to_text(b"caf\xe9\x1b")), "caf\\xe9\\u{1b}");
    }
}
