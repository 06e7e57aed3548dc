//! The tokens of volumes, read again for a review.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use tokenwatch_core::world::tokens::{Claims, TokenKey};

use super::request::review;
use super::{NoReview, Review};
use crate::discovery::roots::PROJECTED;
use crate::kubernetes::ApiClient;
use crate::sources::tokens::{At, Reader, TokenBytes};

/// Reads token files again, one at a time.
#[derive(Debug)]
pub(crate) struct TokenFiles {
    roots: Vec<PathBuf>,
    reader: Reader,
    /// Why no review is possible, once that is known.
    failed: Option<NoReview>,
}

impl TokenFiles {
    /// Below these kubelet roots.
    pub(crate) fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots, reader: Reader::new(), failed: None }
    }

    /// Asks about the token with these claims. After a failure that would repeat itself, the API
    /// server is not asked again.
    pub(crate) async fn review(
        &mut self,
        client: &ApiClient,
        key: &TokenKey,
        claims: &Claims,
    ) -> Result<Review, NoReview> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let token = self.read(key, claims).ok_or(NoReview::Changed)?;
        let answer = review(client, token, &claims.audiences).await;
        self.failed = answer.as_ref().err().filter(|error| error.is_lasting()).cloned();
        answer
    }

    /// The bytes of a token, if its file still holds the one with these claims.
    fn read(&mut self, key: &TokenKey, claims: &Claims) -> Option<TokenBytes> {
        let Self { roots, reader, .. } = self;
        roots.iter().find_map(|root| read(reader, root, key, claims))
    }
}

fn read(reader: &mut Reader, root: &Path, key: &TokenKey, claims: &Claims) -> Option<TokenBytes> {
    let place = root.join("pods").join(&key.pod_uid).join(PROJECTED).join(&key.volume);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let volume = open(&place, flags, Mode::empty()).ok()?;
    let at = At { volume: volume.as_fd(), base: Path::new("."), directory: volume.as_fd() };
    reader.bytes(&at, Path::new(&key.path), claims)
}
