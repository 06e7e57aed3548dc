//! Names of files as text. Two names are never the same text, whatever bytes they have: one would
//! take the place of the other.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

/// A name or a path. Each byte that is not UTF-8 becomes a NUL and its number, because no name of a
/// file has a NUL.
pub(super) fn text(name: &OsStr) -> Cow<'_, str> {
    if let Some(text) = name.to_str() {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(out, "\0{byte:02x}"); // writing to a String cannot fail
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_differ_in_a_byte_differ_as_text() {
        let of = |bytes: &[u8]| text(OsStr::from_bytes(bytes)).into_owned();
        assert_eq!(of("tökèn".as_bytes()), "tökèn");
        assert_eq!((of(b"a\xff"), of(b"a\xfe")), ("a\0ff".into(), "a\0fe".into()));
        assert_ne!(of(b"a\xff"), of("a\u{fffd}".as_bytes()));
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None, ..ProptestConfig::default()
        })]

        #[test]
        fn any_two_names_stay_two(
            one in prop::collection::vec(1..=255_u8, 0..6),
            other in prop::collection::vec(1..=255_u8, 0..6),
        ) {
            let (of, with) = (text(OsStr::from_bytes(&one)), text(OsStr::from_bytes(&other)));
            prop_assert_eq!(of == with, one == other);
        }
    }
}
