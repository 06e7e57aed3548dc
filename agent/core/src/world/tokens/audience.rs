//! Whom a token is meant for, as far as the names of its audiences show it.

use super::Claims;
use crate::base::time::Delta;

/// A service that exchanges a token. Its clients read the token when the credential that they got
/// for it must be renewed, hours or days later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// AWS Security Token Service (IAM roles for service accounts).
    AwsSts,
    /// EKS Pod Identity.
    EksPodIdentity,
    /// Microsoft Entra (Azure workload identity).
    Entra,
    /// Google Security Token Service (workload identity federation, GKE).
    GoogleSts,
    /// HashiCorp Vault, and what is compatible with it.
    Vault,
    /// The certificates of linkerd.
    Linkerd,
}

/// What the audience of such a token contains.
const AUDIENCES: [(&str, Exchange); 8] = [
    ("pods.eks.amazonaws.com", Exchange::EksPodIdentity),
    ("sts.amazonaws.com", Exchange::AwsSts),
    // The European Sovereign Cloud.
    ("sts.amazonaws.eu", Exchange::AwsSts),
    ("api://AzureADTokenExchange", Exchange::Entra),
    ("iam.googleapis.com", Exchange::GoogleSts),
    ("svc.id.goog", Exchange::GoogleSts),
    ("vault", Exchange::Vault),
    ("identity.l5d.io", Exchange::Linkerd),
];

/// The audience of AWS STS in kOps. It is the domain of EKS issuers, too, so it must be all.
const KOPS: &str = "amazonaws.com";

/// What an audience of the API server contains, if it is not the issuer.
const API_SERVER: &str = "kubernetes";
/// The audience of the API server in k3s.
const K3S: &str = "k3s";

/// Whether the API server accepts a token with these claims.
pub fn is_for_api_server(claims: &Claims) -> bool {
    let is_it = |audience: &String| {
        *audience == claims.issuer || audience.contains(API_SERVER) || audience == K3S
    };
    claims.audiences.iter().any(is_it)
}

/// The part of an audience that decides what it is for. It names no user.
pub fn telling_part(audience: &str) -> Option<&'static str> {
    let parts = AUDIENCES.iter().map(|(name, _)| *name).chain([API_SERVER]);
    let whole = [K3S, KOPS].into_iter().filter(|whole| audience == *whole);
    whole.chain(parts.filter(|part| audience.contains(part))).next()
}

impl Exchange {
    /// The service for which a token with these claims is meant. The name of a cluster is no
    /// service: the API server's own audience is often its issuer.
    pub fn of(claims: &Claims) -> Option<Self> {
        let others = || claims.audiences.iter().filter(|audience| **audience != claims.issuer);
        let has = |name: &str| others().any(|audience| audience.contains(name));
        let kops = others().any(|audience| audience == KOPS).then_some(Self::AwsSts);
        kops.or_else(|| AUDIENCES.iter().find(|(name, _)| has(name)).map(|(_, service)| *service))
    }

    /// The name of the service.
    pub fn name(self) -> &'static str {
        match self {
            Self::AwsSts => "AWS STS",
            Self::EksPodIdentity => "EKS Pod Identity",
            Self::Entra => "Microsoft Entra",
            Self::GoogleSts => "Google STS",
            Self::Vault => "Vault",
            Self::Linkerd => "linkerd",
        }
    }

    /// How long its credentials live, if nobody chose another time. None: not known.
    pub fn credential_life(self) -> Option<Delta> {
        let hours = |hours: i64| Some(Delta::from_secs(hours * 3_600));
        match self {
            // `DurationSeconds` of AssumeRoleWithWebIdentity, for which a role may allow 12 hours;
            // `expires_in` of Google's exchange, and of an impersonated service account.
            Self::AwsSts | Self::GoogleSts => hours(1),
            Self::EksPodIdentity => None,
            // `default_lease_ttl`: 768 hours. The role's `token_ttl` is often shorter.
            Self::Vault => hours(768),
            // `identity.issuer.issuanceLifetime` of linkerd's chart. Entra: at least an hour, and
            // a day where the resource supports continuous access evaluation.
            Self::Linkerd | Self::Entra => hours(24),
        }
    }

    /// How long its credentials live at most, if that is not unusual. A client that has not read a
    /// valid token for longer has none.
    pub fn longest_life(self) -> Delta {
        let hours = match self {
            // The longest session of a role.
            Self::AwsSts | Self::EksPodIdentity | Self::GoogleSts => 12,
            Self::Entra => 28,
            // `max_lease_ttl`
            Self::Vault => 768,
            Self::Linkerd => 48,
        };
        Delta::from_secs(hours * 3_600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::tokens::claims_for_tests;

    #[test]
    fn the_audience_shows_who_exchanges_a_token() {
        let table = [
            ("sts.amazonaws.com", Some(("AWS STS", Some(3_600)))),
            ("sts.amazonaws.com.cn", Some(("AWS STS", Some(3_600)))),
            ("sts.amazonaws.eu", Some(("AWS STS", Some(3_600)))),
            ("amazonaws.com", Some(("AWS STS", Some(3_600)))),
            ("https://oidc.eks.eu-west-1.amazonaws.com/id/1", None),
            ("pods.eks.amazonaws.com", Some(("EKS Pod Identity", None))),
            ("api://AzureADTokenExchange", Some(("Microsoft Entra", Some(86_400)))),
            ("//iam.googleapis.com/projects/1/x", Some(("Google STS", Some(3_600)))),
            ("shop.svc.id.goog", Some(("Google STS", Some(3_600)))),
            ("https://vault.example:8200", Some(("Vault", Some(768 * 3_600)))),
            ("identity.l5d.io", Some(("linkerd", Some(86_400)))),
            ("https://kubernetes.default.svc", None),
            ("", None),
        ];
        for (audience, expected) in table {
            let claims = crate::world::tokens::Claims {
                audiences: vec![audience.into()],
                ..claims_for_tests(1_800_000_000, 3_600, None)
            };
            let found = Exchange::of(&claims)
                .map(|one| (one.name(), one.credential_life().map(Delta::as_secs)));
            assert_eq!(found, expected, "{audience}");
            assert!(Exchange::of(&claims).is_none_or(|one| {
                one.credential_life().is_none_or(|life| life <= one.longest_life())
            }));
        }
    }

    #[test]
    fn a_cluster_that_is_called_like_a_service_exchanges_nothing() {
        let issuer = "https://k8s.vault-prod.example:6443";
        let claims = crate::world::tokens::Claims {
            issuer: issuer.into(),
            audiences: vec![issuer.into()],
            ..claims_for_tests(1_800_000_000, 3_600, None)
        };
        assert_eq!(Exchange::of(&claims), None);
        assert!(is_for_api_server(&claims));
    }
}
