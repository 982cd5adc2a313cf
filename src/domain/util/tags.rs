//! The tags of a subject's events, written once.

/// Gives an enum of events its `TAGS` and its `tag`. A variant that is missing does not compile; a test
/// compares each tag with the one that serde writes.
macro_rules! tags {
    ($event:ident: $($variant:ident => $tag:literal),* $(,)?) => {
        impl $event {
            /// The tags of this subject's events, as they stand on disk.
            pub const TAGS: &'static [&'static str] = &[$($tag),*];

            /// The event's tag, as it stands on disk.
            #[must_use]
            pub fn tag(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $tag,)*
                }
            }
        }
    };
}

pub(crate) use tags;
