//! Message ids: ULIDs, chosen by the sender, sorted by time.

use std::fmt;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::domain::util::time::WallTime;

/// A ULID in its canonical form: 26 characters, upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MessageId(Ulid);

/// The reason for which a text is not the id of a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a message id (26 characters, such as 01JCQ4K3M5N6P7R8S9T0V1W2X3)")]
pub struct MessageIdError(String);

/// The number of characters of an id that are shown to people.
const SHOWN: usize = 8;

impl MessageId {
    /// Returns an id for this moment; 80 random bits (the low ones of `random`) distinguish it from others.
    #[must_use]
    pub fn from_parts(wall_ms: i64, random: u128) -> Self {
        Self(Ulid::from_parts(u64::try_from(wall_ms).unwrap_or(0), random))
    }

    /// Parses the canonical form only.
    ///
    /// # Errors
    /// [`MessageIdError`].
    pub fn parse(text: &str) -> Result<Self, MessageIdError> {
        // The decoder accepts lower case and too large values; comparing with its own output detects them.
        let wrong = || MessageIdError(text.chars().take(40).collect());
        let ulid = Ulid::from_string(text).map_err(|_| wrong())?;
        if ulid.to_string() == text { Ok(Self(ulid)) } else { Err(wrong()) }
    }

    /// Returns its random end, which distinguishes it from others on a screen.
    #[must_use]
    pub fn short(&self) -> String {
        let id = self.to_string();
        id.get(id.len() - SHOWN..).unwrap_or_default().to_owned()
    }

    /// Returns when the id was made, by the sender's wall clock.
    #[must_use]
    pub fn made_at(&self) -> WallTime {
        WallTime(i64::try_from(self.0.timestamp_ms()).unwrap_or(i64::MAX))
    }

    /// Returns the 16 bytes, which sort in the order of the text.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 16] {
        self.0.to_bytes()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; ulid::ULID_LEN];
        f.write_str(self.0.array_to_str(&mut buffer))
    }
}

impl TryFrom<String> for MessageId {
    type Error = MessageIdError;
    fn try_from(text: String) -> Result<Self, MessageIdError> {
        Self::parse(&text)
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_an_id() {
        let id = MessageId::from_parts(1_763_334_000_123, u128::MAX);
        assert_eq!(MessageId::parse(&id.to_string()), Ok(id));
        assert_eq!(id.made_at(), WallTime(1_763_334_000_123));
        assert!(MessageId::from_parts(1, u128::MAX) < MessageId::from_parts(2, 0));
        let lower = id.to_string().to_lowercase();
        for wrong in ["", "x", &lower, "81JCQ4K3M5N6P7R8S9T0V1W2X3", "../JCQ4K3M5N6P7R8S9T0V1W2X", "é\n"] {
            assert!(MessageId::parse(wrong).is_err(), "{wrong}");
        }
    }
}
