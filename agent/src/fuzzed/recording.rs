//! The lines of a recording, through an engine.

use tokenwatch_core::base::secrecy::looks_like_a_token;
use tokenwatch_core::base::time::Reading;
use tokenwatch_core::replay::{Content, Entry, Key, Line, Player, Pseudonyms, Reader, written};
use tokenwatch_core::world::observation::Observation;

use super::{assert_no_signature, assert_no_token, assert_shown_without_signature};

/// Entries of one input. More would take long, and show nothing further.
const MAX_ENTRIES: usize = 64;

/// Whatever a file holds, it is replayed or refused, and a line that is taken is written as it was
/// read.
pub(super) fn recording(bytes: &[u8]) {
    let (mut reader, mut player) = (Reader::new(), None);
    let names = Pseudonyms::new(Key::new([7; 32]));
    for line in bytes.split_inclusive(|byte| *byte == b'\n').take(MAX_ENTRIES) {
        let ended = line.ends_with(b"\n");
        match reader.line(line.trim_ascii_end(), ended) {
            Ok(Line::Header(header)) => player = Some(Player::new(&header)),
            Ok(Line::Entry(entry)) => {
                unchanged(&entry);
                without_names(bytes, &names.entry((*entry).clone()));
                let _ = player.as_mut().map(|player| player.take(*entry));
            }
            Ok(Line::CutOff) => {}
            Err(error) => return assert_no_token(bytes, &format!("{error} {error:?}")),
        }
    }
    let _ = player.map(|player| player.active());
}

/// With pseudonyms, as `replay --pseudonyms --write` writes it, it has no signature either.
fn without_names(input: &[u8], entry: &Entry) {
    unchanged(entry);
    if let Ok(line) = written(entry) {
        assert_no_signature(input, &String::from_utf8_lossy(&line));
    }
}

/// An observation shows no signature, and a recording has it as it was.
pub(crate) fn assert_recorded(input: &[u8], observation: Observation) {
    assert_shown_without_signature(input, &format!("{observation:?}"));
    let content = Content::Observation(observation);
    unchanged(&Entry { now: Reading::default(), content });
}

/// An entry that is written is the same when it is read again. What looks like a token in it is
/// left out on the way.
fn unchanged(entry: &Entry) {
    let Ok(line) = written(entry) else { return };
    assert!(!looks_like_a_token(&String::from_utf8_lossy(&line)));
    let is_hidden = serde_json::to_string(entry).is_ok_and(|json| looks_like_a_token(&json));
    let again = serde_json::from_slice::<Entry>(&line).ok();
    assert!(is_hidden || again.as_ref() == Some(entry), "{entry:?} became {again:?}");
}
