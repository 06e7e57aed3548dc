//! What is published of how the services that exchange a token verify it: how long they accept it
//! after its end, and how long they keep the keys of an issuer. docs/verifiers.md has the table.

use super::Exchange;
use crate::base::time::Delta;

/// How long after `exp`, and before `nbf`, a service accepts a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leeway {
    /// So long, unless somebody configured another time.
    Usually(Delta),
    /// The service asks the API server (TokenReview), whose leeway counts.
    OfApiServer,
    /// No figure was found in the documentation of the service. Count on `exp`.
    NotDocumented,
}

/// How long a service accepts a key that the API server does not publish any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCache {
    /// Until it sees a token with a key that it does not have, and reads the keys again.
    UntilAnotherKey,
    /// The service asks the API server (TokenReview), and keeps no keys.
    OfApiServer,
    /// No figure was found in the documentation of the service.
    NotDocumented,
}

/// What is published about one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verification {
    /// How long after its end it accepts a token.
    pub leeway: Leeway,
    /// How long it accepts an old key.
    pub keys: KeyCache,
    /// Where that is published: documentation, or the source of the service.
    pub sources: &'static [&'static str],
}

/// No figure was found on these pages and around them on 2026-11-29.
const fn silent(sources: &'static [&'static str]) -> Verification {
    Verification { leeway: Leeway::NotDocumented, keys: KeyCache::NotDocumented, sources }
}

const AWS_STS: Verification = silent(&[
    "https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html",
]);
const POD_IDENTITY: Verification =
    silent(&["https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html"]);
const ENTRA: Verification = silent(&[
    "https://learn.microsoft.com/entra/workload-id/workload-identity-federation",
    "https://azure.github.io/azure-workload-identity/docs/",
]);
const GOOGLE_STS: Verification = silent(&[
    "https://cloud.google.com/iam/docs/workload-identity-federation-with-other-providers",
]);
/// The JWT method. `expiration_leeway` (150 s) counts only for a token without `exp`, which no API
/// server makes. The Kubernetes method sends a TokenReview.
const VAULT: Verification = Verification {
    leeway: Leeway::Usually(Delta::from_secs(60)), // `clock_skew_leeway` of the role
    keys: KeyCache::UntilAnotherKey,
    sources: &[
        "https://developer.hashicorp.com/vault/api-docs/auth/jwt",
        "https://github.com/hashicorp/cap/blob/main/jwt/jwt.go",
        "https://github.com/coreos/go-oidc/blob/v3/oidc/jwks.go",
    ],
};
const LINKERD: Verification = Verification {
    leeway: Leeway::OfApiServer,
    keys: KeyCache::OfApiServer,
    sources: &["https://github.com/linkerd/linkerd2/blob/main/controller/identity/validator.go"],
};

impl Exchange {
    /// Every service.
    pub const ALL: [Self; 6] = [
        Self::AwsSts,
        Self::EksPodIdentity,
        Self::Entra,
        Self::GoogleSts,
        Self::Vault,
        Self::Linkerd,
    ];

    /// What is published of how it verifies a token.
    pub fn verification(self) -> Verification {
        match self {
            Self::AwsSts => AWS_STS,
            Self::EksPodIdentity => POD_IDENTITY,
            Self::Entra => ENTRA,
            Self::GoogleSts => GOOGLE_STS,
            Self::Vault => VAULT,
            Self::Linkerd => LINKERD,
        }
    }

    /// How long after its end the service accepts a token, in a sentence.
    pub fn leeway_text(self) -> String {
        let name = self.name();
        match self.verification().leeway {
            Leeway::Usually(leeway) => {
                format!("{name} usually accepts it for {leeway} after exp ({CHOSEN}).")
            }
            Leeway::OfApiServer => {
                format!("{name} asks the API server about it, whose leeway of 60 s counts.")
            }
            Leeway::NotDocumented => {
                format!("{UNKNOWN} long after exp {name} accepts it: count on exp.")
            }
        }
    }

    /// How long the service accepts a key that the API server does not publish any more, in a
    /// sentence.
    pub fn keys_text(self) -> String {
        let name = self.name();
        match self.verification().keys {
            KeyCache::UntilAnotherKey => format!("{name} {OLD_KEY}."),
            KeyCache::OfApiServer => {
                format!("{name} keeps no keys: it accepts what the API server accepts.")
            }
            KeyCache::NotDocumented => {
                format!("{UNKNOWN} long {name} accepts a key that was replaced.")
            }
        }
    }
}

const CHOSEN: &str = "unless somebody configured another time";
const UNKNOWN: &str = "No documentation that we know shows how";
const OLD_KEY: &str = "accepts an old key until it sees a token of the new one";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_stated_and_so_is_that_there_is_none() {
        let table = [
            (
                Exchange::Vault,
                "accepts it for 1m 00s after exp",
                "until it sees a token of the new",
            ),
            (Exchange::Linkerd, "leeway of 60 s counts", "keeps no keys"),
            (Exchange::AwsSts, "No documentation that we know", "No documentation that we know"),
            (Exchange::Entra, "count on exp", "Microsoft Entra accepts a key"),
        ];
        for (service, leeway, keys) in table {
            assert!(service.leeway_text().contains(leeway), "{}", service.leeway_text());
            assert!(service.keys_text().contains(keys), "{}", service.keys_text());
        }
    }
}
