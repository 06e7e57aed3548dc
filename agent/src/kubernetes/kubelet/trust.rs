//! Which certificates are kubelet's.
//!
//! Most kubelets sign their serving certificate themselves. Its file is on the node, so that a
//! certificate is verified that is one of those in it, byte for byte: the handshake proves that the
//! server has the key. A kubelet with `serverTLSBootstrap` has one that a certificate authority
//! signed for the node's name and address.

use std::fmt;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use zeroize::Zeroizing;

use crate::regular_file::{self, Links};

/// Bytes of a file with certificates: a bundle of public authorities has some 250 kB.
const MAX_FILE: u64 = 1 << 20;
/// What a private key in a PEM file has in its first line, of whichever kind (RFC 7468).
const KEY: &[u8] = b"PRIVATE KEY-----";

/// What verifies kubelet's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The file with kubelet's own certificate.
    pub certificate: PathBuf,
    /// The file with the authorities that may have signed it.
    pub authorities: Option<PathBuf>,
    /// The node's name.
    pub node: String,
}

/// Why nothing verifies kubelet's certificate. What is wrong with each file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustError {
    certificate: FileError,
    authorities: Option<FileError>,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileError {
    file: PathBuf,
    what: Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wrong {
    /// It cannot be read.
    Unreadable(std::io::ErrorKind),
    /// It is no regular file, or larger than certificates are.
    NoFile,
    /// It has a private key, which the agent must not see.
    HasKey,
    /// It has no certificate.
    Empty,
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.certificate.fmt(f)?;
        match &self.authorities {
            Some(error) => write!(f, ", and {error}"),
            None => f.write_str(", and kubelet.metrics_ca names no authority"),
        }
    }
}

impl std::error::Error for TrustError {}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.what {
            Wrong::Unreadable(error) => write!(f, "{file} cannot be read ({error})"),
            Wrong::NoFile => write!(f, "{file} is no file of at most {} MiB", MAX_FILE >> 20),
            Wrong::HasKey => write!(
                f,
                "{file} has a private key: mount the certificate alone, and not this file"
            ),
            Wrong::Empty => write!(f, "{file} has no certificate"),
        }
    }
}

impl Trust {
    /// Reads the files, and so blocks. Fails if neither has a certificate.
    pub(in crate::kubernetes) fn verifier(&self, address: IpAddr) -> Result<Verifier, TrustError> {
        let (own, authorities) =
            (certificates(&self.certificate), self.authorities.as_deref().map(authorities));
        let (pinned, authorities) = match (own, authorities) {
            (Ok(own), Some(Ok(authorities))) => (own, Some(authorities)),
            (Ok(own), Some(Err(_)) | None) => (own, None),
            (Err(_), Some(Ok(authorities))) => (Vec::new(), Some(authorities)),
            (Err(certificate), authorities) => {
                let authorities = authorities.and_then(Result::err);
                return Err(TrustError { certificate, authorities });
            }
        };
        let name = ServerName::try_from(self.node.clone()).ok();
        let names = name.into_iter().chain([ServerName::from(address)]).collect();
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Ok(Verifier { pinned, authorities, names, algorithms })
    }
}

/// The certificates in a file, of which there is at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let wrong = |what| FileError { file: file.to_owned(), what };
    let unreadable = |error: std::io::Error| wrong(Wrong::Unreadable(error.kind()));
    regular_file::reading(file.display());
    if !std::fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(wrong(Wrong::NoFile)); // a pipe would make the agent wait
    }
    let mut bytes = Zeroizing::new(Vec::new());
    let opened = regular_file::open(file, Links::Follow).map_err(unreadable)?;
    opened.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(wrong(Wrong::NoFile));
    }
    if bytes.windows(KEY.len()).any(|part| part == KEY) {
        return Err(wrong(Wrong::HasKey));
    }
    let all: Vec<_> = CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok).collect();
    if all.is_empty() { Err(wrong(Wrong::Empty)) } else { Ok(all) }
}

fn authorities(file: &Path) -> Result<Arc<WebPkiServerVerifier>, FileError> {
    let mut roots = RootCertStore::empty();
    let _ = roots.add_parsable_certificates(certificates(file)?); // an empty store fails below
    let provider = Arc::new(ring::default_provider());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|_| FileError { file: file.to_owned(), what: Wrong::Empty })
}

/// Accepts kubelet's certificate, and no other.
#[derive(Debug)]
pub(in crate::kubernetes) struct Verifier {
    /// kubelet's own certificates.
    pinned: Vec<CertificateDer<'static>>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    /// The node's name and address, one of which a certificate by an authority must have.
    names: Vec<ServerName<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.pinned.iter().any(|own| own.as_ref() == certificate.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        let unknown = Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        let Some(authorities) = &self.authorities else { return unknown };
        let verify =
            |name| authorities.verify_server_cert(certificate, intermediates, name, ocsp, now);
        self.names.iter().map(verify).fold(unknown, Result::or)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
