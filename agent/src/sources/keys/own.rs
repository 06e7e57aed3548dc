//! The claims of the agent's own token.

use std::os::fd::AsFd as _;
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use tokenwatch_core::world::tokens::Claims;

use crate::kubernetes::ApiClient;
use crate::sources::tokens::{At, Look, Reader};

/// The claims of the token with which `client` sends requests, if that is a file of its pod.
pub(super) async fn claims(client: &ApiClient) -> Option<Claims> {
    let directory = client.own_token()?.to_owned();
    tokio::task::spawn_blocking(move || read(&directory)).await.ok()?
}

fn read(directory: &Path) -> Option<Claims> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let volume = open(directory, flags, Mode::empty()).ok()?;
    let at = At { volume: volume.as_fd(), base: Path::new("."), directory: volume.as_fd() };
    match Reader::new().look(&at, Path::new("token"), None) {
        Look::Token(_, token, _) => Some(token.to_claims()),
        Look::Other(..)
        | Look::Malformed(_)
        | Look::Vanished
        | Look::Refused(_)
        | Look::Unreadable(..) => None,
    }
}
