//! SHA-256 digests, and the step of a hash chain.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest; written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The value before the first link of a chain.
    pub const ZERO: Self = Self([0; 32]);

    /// Returns the digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Returns the next link of a chain: SHA-256 over this link, the record's number (big-endian) and the
    /// digest of the record's content.
    #[must_use]
    pub fn link(&self, seq: u64, content: &Self) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(self.0);
        hasher.update(seq.to_be_bytes());
        hasher.update(content.0);
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from(*self))
    }
}

impl TryFrom<String> for Digest {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a SHA-256 digest (64 lower-case hexadecimal digits)");
        let digit = |b: u8| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        };
        if text.len() != 64 {
            return Err(wrong());
        }
        let mut out = [0; 32];
        for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { return Err(wrong()) };
            *byte = high << 4 | low;
        }
        Ok(Self(out))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
        digest.0.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
    }
}

/// Returns lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        write!(out, "{byte:02x}").expect("writing to a String cannot fail");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_written_and_read() {
        let digest = Digest::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((digest.to_string(), String::from(digest)), (text.to_owned(), text.to_owned()));
        assert_eq!(Digest::try_from(text.to_owned()), Ok(digest));
        for wrong in ["", "ab", &text.to_uppercase(), &format!("{}g", &text[1..]), &"é".repeat(32)] {
            assert!(Digest::try_from((*wrong).to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_link_depends_on_everything_before_it() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let link = Digest::ZERO.link(1, &a);
        assert!(
            link != Digest::ZERO.link(2, &a) && link != Digest::ZERO.link(1, &b) && link != a.link(1, &a)
        );
    }
}
