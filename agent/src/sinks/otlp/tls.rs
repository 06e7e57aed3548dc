//! TLS from files that are replaced under us: cert-manager and kubelet rotate them, and nobody
//! restarts an agent for that.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::settings::TlsFiles;

/// Files hold chains and bundles of some 200 kB; what is larger is something else.
const LARGEST_FILE: u64 = 4 << 20;

/// What the files held when they were read.
pub(super) struct Material {
    ca: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl Material {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, String> {
        let ca = files.ca.as_deref().map(read).transpose()?;
        let client = match &files.client {
            Some((certificate, key)) => Some((read(certificate)?, Zeroizing::new(read(key)?))),
            None => None,
        };
        Ok(Self { ca, client })
    }

    /// Changes when any file's content does. Contents are compared, not times: a projected volume
    /// swaps a symlink.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let (certificate, key) = self
            .client
            .as_ref()
            .map_or((&[][..], &[][..]), |(certificate, key)| (certificate, key));
        for part in [self.ca.as_deref().unwrap_or_default(), certificate, key] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// A configuration made from it, without ALPN: the connector sets that.
    pub(super) fn config(&self, files: &TlsFiles) -> Result<ClientConfig, String> {
        let builder = builder()?.with_root_certificates(self.roots(files)?);
        match (&self.client, &files.client) {
            (Some((certificate, key)), Some((certificate_file, key_file))) => {
                let chain = certificates(certificate, certificate_file)?;
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|why| {
                    format!("{}: no private key in PEM ({why})", key_file.display())
                })?;
                let config = builder.with_client_auth_cert(chain, key);
                config.map_err(|why| {
                    format!(
                        "{} does not go with {}: {why}",
                        key_file.display(),
                        certificate_file.display()
                    )
                })
            }
            _ => Ok(builder.with_no_client_auth()),
        }
    }

    fn roots(&self, files: &TlsFiles) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        let (certificates, place) = match (&self.ca, &files.ca) {
            (Some(pem), Some(file)) => (certificates(pem, file)?, file.display().to_string()),
            _ => (
                rustls_native_certs::load_native_certs().certs,
                "the system's certificate store".to_owned(),
            ),
        };
        let (added, _unusable) = roots.add_parsable_certificates(certificates);
        match added {
            0 => Err(format!(
                "{place} holds no usable authority: name the collector's CA file \
                 (OTEL_EXPORTER_OTLP_CERTIFICATE)"
            )),
            _ => Ok(roots),
        }
    }
}

/// For connections without TLS, whose connector wants a configuration all the same: it trusts
/// nobody.
pub(super) fn unused() -> Result<ClientConfig, String> {
    Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| format!("TLS: {why}"))
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let told = |why: std::io::Error| {
        format!(
            "{} cannot be read ({why}): check the path and the volume it comes from",
            file.display()
        )
    };
    let metadata = std::fs::metadata(file).map_err(told)?;
    if !metadata.is_file() || metadata.len() > LARGEST_FILE {
        return Err(format!(
            "{} is not a PEM file: it has to be a regular file below 4 MiB",
            file.display()
        ));
    }
    std::fs::read(file).map_err(told)
}

fn certificates(pem: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(certificates) if certificates.is_empty() => {
            Err(format!("{} holds no certificate in PEM", file.display()))
        }
        Ok(certificates) => Ok(certificates),
        Err(why) => Err(format!("{} is not valid PEM: {why}", file.display())),
    }
}
