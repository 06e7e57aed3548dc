//! Files that a client is made of, as they are now: the agent's bearer token, and the certificate
//! authorities of its pod.
//!
//! kube would read these files again by itself, on a worker of the runtime, which a disk that hangs
//! would stop. And it panics at a token that no HTTP header can hold.

use std::fmt;
use std::io::{self, Read as _};
use std::path::Path;

use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::ConfigError;
use crate::regular_file::{self, Links};

/// Largest file: what a Secret can hold.
const MAX_BYTES: u64 = 1 << 20;

/// The bytes of a file of a usual size.
pub(super) fn bytes(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    regular_file::open(file, Links::Follow)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

/// The header with the token in a file. Blocks.
pub(super) fn token_in(file: &Path) -> Result<HeaderValue, ConfigError> {
    let read = || -> io::Result<HeaderValue> {
        let bytes = bytes(file)?;
        let text = str::from_utf8(&bytes).map_err(|_| io::Error::other(NotAToken::Character))?;
        bearer(text).map_err(io::Error::other)
    };
    read().map_err(|error| ConfigError::unreadable(file, &error))
}

/// The certificates in a file, in DER. Blocks.
pub(super) fn authorities_in(file: &Path) -> Result<Vec<Vec<u8>>, ConfigError> {
    let read = || -> io::Result<Vec<Vec<u8>>> {
        let bytes = bytes(file)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let found = found.map_err(|error| io::Error::other(format!("it is not PEM: {error}")))?;
        Ok(found.into_iter().map(|certificate| certificate.to_vec()).collect())
    };
    read().map_err(|error| ConfigError::unreadable(file, &error))
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotAToken {
    /// It is empty.
    Nothing,
    /// It has a character that no token has.
    Character,
}

impl fmt::Display for NotAToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "it holds no token",
            Self::Character => "it holds a character that no token has",
        })
    }
}

impl std::error::Error for NotAToken {}

/// The header `Authorization` of a token (RFC 6750 section 2.1). A line that ends after it is no
/// part of it: a block of YAML ends so, and what an editor writes.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, NotAToken> {
    let token = token.trim();
    if token.is_empty() {
        return Err(NotAToken::Nothing);
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(NotAToken::Character);
    }
    sensitive(&Zeroizing::new(format!("Bearer {token}")))
}

fn sensitive(header: &str) -> Result<HeaderValue, NotAToken> {
    let mut header = HeaderValue::from_str(header).map_err(|_| NotAToken::Character)?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_of_ascii() {
        for text in ["a.b-c_d", "a.b-c_d\n", "\r\n a.b-c_d \n"] {
            let header = bearer(text).unwrap();
            assert_eq!(header, "Bearer a.b-c_d");
            assert!(header.is_sensitive());
        }
        for text in ["", "\n", " \t"] {
            assert_eq!(bearer(text), Err(NotAToken::Nothing), "{text:?}");
        }
        for text in ["a\nb", "a b", "a\u{0}b", "a\u{7f}", "tok\u{e9}n", "\u{feff}ab", "a\tb"] {
            assert_eq!(bearer(text), Err(NotAToken::Character), "{text:?}");
        }
    }

    #[test]
    fn a_file_that_holds_none_is_named_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let large = "x".repeat((1 << 20) + 1);
        let contents: [(&[u8], &str); 4] = [
            (b"", "it holds no token"),
            (b"s3cret\ns3cret", "a character that no token has"),
            (b"s3cret\xff", "a character that no token has"),
            (large.as_bytes(), "larger than 1 MiB"),
        ];
        for (content, reason) in contents {
            std::fs::write(&file, content).unwrap();
            let error = token_in(&file).unwrap_err().to_string();
            let path = file.display().to_string();
            assert!(error.contains(&path) && error.contains(reason), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
