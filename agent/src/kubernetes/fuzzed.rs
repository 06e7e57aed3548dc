//! Any bytes as the kubeconfig of the agent, as certificates, and as the time of a response.

use std::net::Ipv4Addr;
use std::path::Path;

use http::HeaderMap;
use rustls::pki_types::CertificateDer;
use tokenwatch_core::base::time::Wall;
use tokio::runtime::Builder;

use super::connector::{MAX_NAMES, ServerNames};
use super::{Access, ConfigError, Trust, client, kubeconfig};
use crate::fuzzed::{Folder, assert_no_token};

/// What a private key begins with.
const KEY: &[u8] = b"PRIVATE KEY-----";

/// The `Date` of a response: any text is a time, or none.
pub(crate) fn date(headers: &HeaderMap) -> Option<Wall> {
    client::date(headers)
}

/// The certificate that an API server shows, which rustls has not verified in this case.
pub(crate) fn certificate(der: &[u8]) {
    let names = ServerNames::in_certificate(&CertificateDer::from(der));
    assert!(names.0.len() <= MAX_NAMES, "{names:?}");
    assert!(names.0.iter().all(|name| *name == name.to_ascii_lowercase()), "{names:?}");
}

/// The file of kubelet's certificate, and that of an authority.
pub(crate) fn trusted(bytes: &[u8], file: &Path) {
    let node = String::from_utf8_lossy(bytes).chars().take(64).collect();
    let authorities = Some(file.to_owned());
    let trust = Trust { certificate: file.to_owned(), authorities, node };
    let is_trusted = trust.verifier(Ipv4Addr::LOCALHOST.into()).map(drop);
    if let Err(error) = &is_trusted {
        assert_no_token(bytes, &error.to_string());
    }
    let has_key = bytes.windows(KEY.len()).any(|part| part == KEY);
    assert!(!has_key || is_trusted.is_err(), "a file with a key is read by nobody");
}

/// It is read or refused, a client is made of what is read, and no error repeats what it holds.
pub(crate) fn kubeconfig(bytes: &[u8]) {
    let Some(folder) = Folder::new() else { return };
    let file = folder.write("kubeconfig", bytes);
    match kubeconfig::read(&file) {
        Ok(_) => {
            let server = kubeconfig::server(&file);
            assert!(server.is_none_or(|server| server.len() <= bytes.len() * 4));
            if let Err(error) = connected(&file) {
                assert_no_token(bytes, &error.to_string());
            }
        }
        Err(error) => assert_no_token(bytes, &error.to_string()),
    }
}

/// Makes a client, which opens no connection.
fn connected(file: &Path) -> Result<(), ConfigError> {
    let runtime = Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| ConfigError::Client(error.to_string()))?;
    let _entered = runtime.enter();
    client::connected(&Access::Kubeconfig(file.to_owned()), None).map(drop)
}
