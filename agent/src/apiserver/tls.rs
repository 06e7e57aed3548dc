//! TLS as the API server wants it.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::access::{Credential, Found};

/// A configuration, without ALPN: the connector sets that.
pub(super) fn config(found: &Found) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|why| format!("TLS: {why}"))?.with_root_certificates(roots(found)?);
    let Credential::Certificate { chain, key } = &found.credential else { return Ok(builder.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|why| format!("client-key is no private key in PEM ({why})"))?;
    let config = builder.with_client_auth_cert(certificates(chain, "client-certificate")?, key);
    config.map_err(|why| format!("client-key does not go with client-certificate: {why}"))
}

/// An address without TLS needs none.
fn roots(found: &Found) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if found.server.scheme() != Some(&http::uri::Scheme::HTTPS) {
        return Ok(roots);
    }
    let (certificates, place) = match &found.authorities {
        Some((pem, place)) => (certificates(pem, place)?, place.as_str()),
        None => (rustls_native_certs::load_native_certs().certs, "the system's certificate store"),
    };
    match roots.add_parsable_certificates(certificates) {
        (0, _) => Err(format!("{place} holds no usable authority")),
        _ => Ok(roots),
    }
}

fn certificates(pem: &[u8], place: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    parsed.map_err(|why| format!("{place} is not valid PEM: {why}"))
}
