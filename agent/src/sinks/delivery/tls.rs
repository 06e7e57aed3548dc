//! TLS from files that are replaced while the agent runs: cert-manager and kubelet rotate them, and
//! nobody restarts an agent for that.

use std::fmt;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::config::otlp::TlsFiles;
use crate::regular_file::{self, Links, NoAnswer};

/// Chains and bundles take some 200 kB; a larger file is something else.
const LARGEST_FILE: u64 = 4 << 20;

/// Why there is no TLS configuration.
#[derive(Debug)]
pub(super) enum TlsError {
    /// A file could not be read.
    Unreadable { file: PathBuf, why: std::io::Error },
    /// A file, or the system's certificate store, has not answered.
    NoAnswer(NoAnswer),
    /// Not a regular file below 4 MiB.
    NotAFile { file: PathBuf },
    /// Not PEM.
    NotPem { file: PathBuf, why: String },
    /// PEM without a certificate.
    NoCertificate { file: PathBuf },
    /// PEM without a private key.
    NoKey { file: PathBuf, why: String },
    /// The key is of another certificate, or one of them cannot be used.
    Mismatch { key: PathBuf, certificate: PathBuf, why: rustls::Error },
    /// No usable certificate authority; the system's where no file was named.
    NoAuthority { file: Option<PathBuf> },
    /// The library offers no protocol version.
    Library(rustls::Error),
}

impl TlsError {
    /// What follows the name of the file.
    fn problem(&self) -> String {
        match self {
            Self::NoAnswer(why) => why.to_string(),
            Self::Unreadable { why, .. } => format!("cannot be read ({why}): {CHECK_PATH}"),
            Self::NotAFile { .. } => NOT_A_FILE.to_owned(),
            Self::NotPem { why, .. } => format!("is not valid PEM: {why}"),
            Self::NoCertificate { .. } => "holds no certificate in PEM".to_owned(),
            Self::NoKey { why, .. } => format!("holds no private key in PEM ({why})"),
            Self::Mismatch { certificate, why, .. } => {
                format!("does not match {}: {why}", certificate.display())
            }
            Self::NoAuthority { .. } => NO_AUTHORITY.to_owned(),
            Self::Library(why) => format!("TLS cannot be set up: {why}"),
        }
    }
}

const CHECK_PATH: &str = "check the path and the volume it comes from";
const NOT_A_FILE: &str = "is not a PEM file: it has to be a regular file below 4 MiB";
const NO_AUTHORITY: &str = "holds no usable certificate authority: set the collector's CA file \
                            (OTEL_EXPORTER_OTLP_CERTIFICATE)";

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, .. }
            | Self::NotAFile { file }
            | Self::NotPem { file, .. }
            | Self::NoCertificate { file }
            | Self::NoKey { file, .. }
            | Self::Mismatch { key: file, .. } => {
                write!(f, "{} {}", file.display(), self.problem())
            }
            Self::NoAuthority { file } => {
                write!(f, "{} {}", store(file.as_deref()), self.problem())
            }
            Self::NoAnswer(_) | Self::Library(_) => f.write_str(&self.problem()),
        }
    }
}

impl std::error::Error for TlsError {}

impl From<NoAnswer> for TlsError {
    fn from(why: NoAnswer) -> Self {
        Self::NoAnswer(why)
    }
}

const SYSTEM_STORE: &str = "the system's certificate store";

fn store(file: Option<&Path>) -> String {
    file.map_or_else(|| SYSTEM_STORE.to_owned(), |file| file.display().to_string())
}

/// What the files held when they were read.
pub(super) struct Material {
    ca: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl Material {
    /// Blocks, as [`Self::config`] does: for [`regular_file::Reads`].
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
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
    pub(super) fn config(&self, files: &TlsFiles) -> Result<ClientConfig, TlsError> {
        let builder = builder()?.with_root_certificates(self.roots(files)?);
        let (Some((certificate, key)), Some((certificate_file, key_file))) =
            (&self.client, &files.client)
        else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates(certificate, certificate_file)?;
        let config = builder.with_client_auth_cert(chain, private_key(key, key_file)?);
        let (key, certificate) = (key_file.clone(), certificate_file.clone());
        config.map_err(|why| TlsError::Mismatch { key, certificate, why })
    }

    fn roots(&self, files: &TlsFiles) -> Result<RootCertStore, TlsError> {
        let certificates = match (&self.ca, &files.ca) {
            (Some(pem), Some(file)) => certificates(pem, file)?,
            (Some(_), None) | (None, _) => of_the_system(),
        };
        let mut roots = RootCertStore::empty();
        let (added, _unusable) = roots.add_parsable_certificates(certificates);
        if added == 0 { Err(TlsError::NoAuthority { file: files.ca.clone() }) } else { Ok(roots) }
    }
}

/// The library opens whatever `SSL_CERT_FILE` names, and waits for what may be a pipe.
fn of_the_system() -> Vec<CertificateDer<'static>> {
    regular_file::reading(SYSTEM_STORE);
    rustls_native_certs::load_native_certs().certs
}

/// For connections without TLS, whose connector wants a configuration all the same: it trusts
/// nobody.
pub(super) fn unused() -> Result<ClientConfig, TlsError> {
    Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Library)
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |why| TlsError::Unreadable { file: file.to_owned(), why };
    let opened = regular_file::open(file, Links::Follow).map_err(|why| match why.kind() {
        ErrorKind::InvalidInput => TlsError::NotAFile { file: file.to_owned() },
        _ => unreadable(why),
    })?;
    // A buffer that grows would leave copies of a key behind.
    let length = opened.metadata().map_err(unreadable)?.len().min(LARGEST_FILE);
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1);
    opened.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(TlsError::NotAFile { file: file.to_owned() });
    }
    Ok(bytes)
}

fn private_key(pem: &[u8], file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|why| TlsError::NoKey { file: file.to_owned(), why: why.to_string() })
}

fn certificates(pem: &[u8], file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(certificates) if certificates.is_empty() => {
            Err(TlsError::NoCertificate { file: file.to_owned() })
        }
        Ok(certificates) => Ok(certificates),
        Err(why) => Err(TlsError::NotPem { file: file.to_owned(), why: why.to_string() }),
    }
}
