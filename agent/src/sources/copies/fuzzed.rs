//! Any bytes as a file on the host that may hold copies of tokens.

use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::copies::{CopiedToken, MAX_COPIED_TOKENS};

use super::checks::Checks;
use super::content;
use super::servers::Servers;
use crate::fuzzed::{assert_no_signature, assert_no_token};
use crate::sources::tokens::Stamp;

/// A kubeconfig, a CNI configuration or a token: the name decides only about the second.
pub(crate) fn copies(bytes: &[u8]) {
    let servers = Servers::at(&["https://10.96.0.1:443".to_owned()]);
    let mut checks = Checks::default();
    checks.begin();
    let Some(stamp) = any_stamp() else { return };
    for name in ["kubeconfig", "10-net.conflist"] {
        let read = content::of(bytes, name, &servers, &mut checks.of(stamp, Wall::from_secs(0)));
        match read {
            Ok(content) => {
                assert_no_signature(bytes, &format!("{content:?}"));
                assert!(content.tokens.len() <= MAX_COPIED_TOKENS);
                content.tokens.iter().for_each(unchanged);
            }
            Err(why) => assert_no_token(bytes, &format!("{why} {why:?}")),
        }
    }
}

/// The stamp of a file that every node has.
fn any_stamp() -> Option<Stamp> {
    let null = std::path::Path::new("/dev/null");
    nix::sys::stat::stat(null).ok().map(|stat| Stamp::of(&stat))
}

fn unchanged(token: &CopiedToken) {
    let json = serde_json::to_vec(token).unwrap_or_default();
    assert_eq!(serde_json::from_slice::<CopiedToken>(&json).ok().as_ref(), Some(token));
}
