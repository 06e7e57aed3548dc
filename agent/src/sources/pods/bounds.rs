//! Bounds on what is kept of the API server's answers.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Containers, volumes and mounts read of a pod. The rest is ignored.
const MAX_PARTS: usize = 128;
/// Bytes kept of a name, image or UID. Names in Kubernetes have at most 253 characters, and images
/// and UIDs are not longer than this either.
pub(super) const MAX_TEXT: usize = 512;

/// At most [`MAX_TEXT`] bytes of it.
pub(super) fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default().to_owned()
}

/// A list of which at most [`MAX_PARTS`] elements are kept.
pub(super) fn bounded<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    let each: fn(T) -> Option<T> = Some;
    from.deserialize_option(Bounded { max: MAX_PARTS, each })
}

/// A list of which at most `max` elements are kept, each converted as soon as it is read; or
/// `null`.
pub(super) struct Bounded<T, U> {
    pub(super) max: usize,
    pub(super) each: fn(T) -> Option<U>,
}

impl<'de, T: Deserialize<'de>, U> Visitor<'de> for Bounded<T, U> {
    type Value = Vec<U>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < self.max {
            let Some(one) = list.next_element::<T>()? else { return Ok(kept) };
            kept.extend((self.each)(one));
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept)
    }
}
