//! A token file for tests.

use super::claims_for_tests as claims;
use super::{Change, FileContent, FileSeen, KubeletPolicy, TokenKey, Tracked};
use crate::base::time::{Monotonic, Reading, Wall};

/// When the first generation is issued.
pub(crate) const IAT: i64 = 1_800_000_000;

/// The clocks when that generation has this age, in seconds.
pub(crate) fn at(age: i64) -> Reading {
    Reading {
        wall: Wall::from_secs(IAT + age),
        monotonic: Monotonic::from_nanos(age * 1_000_000_000),
    }
}

/// A token file.
pub(crate) fn key() -> TokenKey {
    TokenKey { pod_uid: "pod-uid".into(), volume: "kube-api-access-x".into(), path: "token".into() }
}

/// That file with this content.
pub(crate) fn file(content: FileContent, written_at: Option<i64>) -> FileSeen {
    let written_at = written_at.map(|age| Wall::from_secs(IAT + age));
    FileSeen { key: key(), written_at, directory: None, content, signature: None }
}

/// Shows `tracked` a token that was issued at age `iat_age`, at age `now`.
pub(crate) fn see(tracked: &mut Tracked, iat_age: i64, written: Option<i64>, now: i64) -> Change {
    let content = FileContent::Token(Box::new(claims(IAT + iat_age, 600, None)));
    tracked.see(file(content, written), &at(now), KubeletPolicy::default())
}
