//! Why a connection failed, as a typed value, for all clients of the agent. The texts of errors
//! differ between libraries, systems and tries.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError};
use tokenwatch_core::base::time::{Delta, Wall};

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The name has no address.
    Name,
    /// Nothing listens at the address.
    Closed,
    /// No way leads to the address.
    Unreachable,
    /// No answer came in time.
    Late,
    /// The connection ended before an answer, or the answer is in no known protocol.
    Broken,
    /// The answer to a TLS handshake is not TLS.
    NoTls,
    /// TLS failed otherwise.
    Tls,
    /// The server's certificate is not accepted.
    Certificate(Certificate),
    /// The server does not accept the agent's certificate, or its lack.
    ClientCertificate,
}

/// What is wrong with a certificate. Times are in seconds since the epoch, where they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// It is not valid before this time.
    NotYet(Option<u64>),
    /// It was valid until this time.
    Expired(Option<u64>),
    /// It is for another name.
    Name,
    /// Nobody whom the agent trusts has issued it.
    Issuer,
    /// Anything else.
    Other,
}

impl Trouble {
    /// That of the outermost error that shows one.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        causes(error).find_map(direct).unwrap_or(Self::Broken)
    }
}

/// The error and what caused it. What an I/O error wraps is among it, which `source` leaves out.
pub fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
}

/// The texts of the error and of what caused it, without what a wrapper only repeats.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        next = error.source();
    }
    text
}

fn direct(error: &(dyn Error + 'static)) -> Option<Trouble> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(of_tls(tls));
    }
    if let Some(io) = error.downcast_ref::<io::Error>() {
        return of_io(io);
    }
    // The connector's own type is private.
    (error.to_string() == "dns error").then_some(Trouble::Name)
}

fn of_io(error: &io::Error) -> Option<Trouble> {
    match error.kind() {
        ErrorKind::ConnectionRefused => Some(Trouble::Closed),
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable
        | ErrorKind::PermissionDenied => Some(Trouble::Unreachable),
        ErrorKind::TimedOut => Some(Trouble::Late),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Some(Trouble::Broken),
        _ => None,
    }
}

fn of_tls(error: &rustls::Error) -> Trouble {
    match error {
        rustls::Error::InvalidCertificate(why) => Trouble::Certificate(of_certificate(why)),
        rustls::Error::InvalidMessage(_) => Trouble::NoTls,
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate,
        ) => Trouble::ClientCertificate,
        _ => Trouble::Tls,
    }
}

fn of_certificate(error: &CertificateError) -> Certificate {
    match error {
        CertificateError::NotValidYet => Certificate::NotYet(None),
        CertificateError::NotValidYetContext { not_before, .. } => {
            Certificate::NotYet(Some(not_before.as_secs()))
        }
        CertificateError::Expired => Certificate::Expired(None),
        CertificateError::ExpiredContext { not_after, .. } => {
            Certificate::Expired(Some(not_after.as_secs()))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Certificate::Name
        }
        CertificateError::UnknownIssuer => Certificate::Issuer,
        _ => Certificate::Other,
    }
}

/// How far true time is ahead of the node's clock; none unless the clock is known to be off.
pub type KnownOffset = Arc<dyn Fn() -> Option<Delta> + Send + Sync>;

impl Certificate {
    /// How a wrong clock explains a certificate that is not valid by it: `this node's clock is 2h
    /// 00m ahead of true time …`. None for a certificate that has another fault.
    pub fn by_clock(self, now: Wall, offset: Delta) -> Option<String> {
        let true_time = u64::try_from((now + offset).as_secs()).unwrap_or(0);
        let is_valid = match self {
            Self::NotYet(from) => from.is_some_and(|from| true_time >= from),
            Self::Expired(until) => until.is_some_and(|until| true_time <= until),
            Self::Name | Self::Issuer | Self::Other => return None,
        };
        let side = if offset < Delta::ZERO { "ahead of" } else { "behind" };
        let then = if is_valid {
            "by true time the certificate is valid: correct the clock"
        } else {
            "correct the clock; by true time the certificate is not valid either"
        };
        Some(format!("this node's clock is {} {side} true time; {then}", offset.abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io(kind: ErrorKind) -> io::Error {
        kind.into()
    }

    #[test]
    fn the_trouble_does_not_depend_on_the_text() {
        let wrapped = io::Error::other(io::Error::new(
            ErrorKind::InvalidData,
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer),
        ));
        let table = [
            (io(ErrorKind::ConnectionRefused), Trouble::Closed),
            (io(ErrorKind::HostUnreachable), Trouble::Unreachable),
            (io(ErrorKind::ConnectionReset), Trouble::Broken),
            (io(ErrorKind::UnexpectedEof), Trouble::Broken),
            (io::Error::other("port 51234 says 17"), Trouble::Broken),
            (io::Error::other("dns error"), Trouble::Name),
            (wrapped, Trouble::Certificate(Certificate::Issuer)),
        ];
        for (error, expected) in table {
            assert_eq!(Trouble::of(&error), expected, "{error}");
        }
    }

    #[test]
    fn only_a_certificates_time_is_explained_by_the_clock() {
        let text = |certificate: Certificate, offset| {
            certificate.by_clock(Wall::from_secs(1_700_000_000), Delta::from_secs(offset))
        };
        let early = text(Certificate::NotYet(Some(1_700_000_600)), 7_200).unwrap();
        assert!(early.contains("2h 00m behind true time; by true time the"), "{early}");
        let over = text(Certificate::Expired(Some(1_600_000_000)), -7_200).unwrap();
        assert!(over.contains("2h 00m ahead of") && over.contains("not valid either"), "{over}");
        assert_eq!(text(Certificate::Issuer, 7_200), None);
    }
}
