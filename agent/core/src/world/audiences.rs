//! Tokens whose audience does not fit the client that reads them, by a convention that shows the
//! client.

use std::collections::BTreeSet;

use super::World;
use crate::world::cluster::{Convention, Pod};
use crate::world::tokens::{API_ACCESS, Claims, Exchange, TokenKey};

/// A token whose audience does not fit the client that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// What shows the client.
    pub convention: Convention,
    /// How certain it is that the token is refused.
    pub kind: MisfitKind,
}

/// How certain it is that a token is refused because of its audience. The worst is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MisfitKind {
    /// Whoever runs the verifier chooses the audience, and may have chosen this one.
    Chosen,
    /// So it is, but the audience looks like the usual one with a mistake in it.
    Misspelt,
    /// The verifier accepts another audience alone.
    Refused,
}

/// What a verifier accepts.
struct Accepted {
    by: Convention,
    /// The usual audience.
    usual: &'static str,
    /// Parts of audiences that it is known to accept somewhere.
    parts: &'static [&'static str],
    /// Part of what somebody writes who means the usual one, in lower case.
    stem: &'static str,
    /// Whether it accepts the usual audience alone.
    alone: bool,
}

/// What each accepts. The API server is not among them: its audiences are the cluster's own. Nor is
/// Vault: whoever writes a role chooses any audience, or none.
const ACCEPTED: [Accepted; 5] = [
    // The list of audiences of the identity provider in IAM. `sts.amazonaws.com.cn` in China, and
    // `amazonaws.com` in clusters of kOps (pkg/model/iam/subject.go).
    Accepted {
        by: Convention::AwsWebIdentity,
        usual: "sts.amazonaws.com",
        parts: &["amazonaws.com", "amazonaws.eu"],
        stem: "amazon",
        alone: false,
    },
    // The variable is of the SDKs, and another agent may answer at the address beside it.
    Accepted {
        by: Convention::AwsContainerAuthorization,
        usual: "pods.eks.amazonaws.com",
        parts: &["pods.eks.amazonaws.com"],
        stem: "amazon",
        alone: false,
    },
    // The federated credential has it. In some clouds a name of theirs follows.
    Accepted {
        by: Convention::AzureFederated,
        usual: "api://AzureADTokenExchange",
        parts: &["api://AzureADTokenExchange"],
        stem: "azuread",
        alone: false,
    },
    // `global.sds.token.aud` of istio's chart; the workload pool where Google runs the mesh.
    Accepted {
        by: Convention::IstioToken,
        usual: "istio-ca",
        parts: &["istio-ca", ".svc.id.goog"],
        stem: "istio",
        alone: false,
    },
    // A constant of linkerd's proxy injector and identity service.
    Accepted {
        by: Convention::LinkerdIdentity,
        usual: "identity.l5d.io",
        parts: &["identity.l5d.io"],
        stem: "l5d",
        alone: true,
    },
];

impl Accepted {
    /// How the audiences of a token fail to fit; none if they fit.
    fn misfit(&self, audiences: &[String]) -> Option<MisfitKind> {
        let has = |part: &&str| audiences.iter().any(|one| one.contains(*part));
        (!self.parts.iter().any(has)).then(|| self.kind(audiences))
    }

    fn kind(&self, audiences: &[String]) -> MisfitKind {
        let is_alike = |one: &String| one.to_ascii_lowercase().contains(self.stem);
        match (self.alone, audiences.iter().any(is_alike)) {
            (true, _) => MisfitKind::Refused,
            (false, true) => MisfitKind::Misspelt,
            (false, false) => MisfitKind::Chosen,
        }
    }
}

impl Convention {
    /// The name of the verifier, for people.
    pub fn verifier(self) -> &'static str {
        match self {
            Self::AwsWebIdentity => "AWS STS",
            Self::AwsContainerAuthorization => "the agent of EKS Pod Identity",
            Self::AzureFederated => "Microsoft Entra",
            Self::InCluster => "the API server",
            Self::IstioToken => "istiod",
            Self::LinkerdIdentity => "linkerd's identity service",
            Self::VaultAgent => "Vault",
        }
    }

    /// The audience that the verifier usually accepts; none: it is the cluster's own, or that of a
    /// role.
    pub fn usual(self) -> Option<&'static str> {
        self.accepted().map(|accepted| accepted.usual)
    }

    fn accepted(self) -> Option<&'static Accepted> {
        ACCEPTED.iter().find(|accepted| accepted.by == self)
    }
}

impl World {
    /// How the audience of a token fails to fit the clients that read it; the worst of them.
    pub(super) fn misfit(&self, key: &TokenKey, claims: &Claims, pod: &Pod) -> Option<Misfit> {
        let conventions = pod.mounts(key).filter_map(|(_, mount)| mount.convention);
        let misfits = conventions.filter_map(|convention| {
            let kind = match convention.accepted() {
                Some(accepted) => accepted.misfit(&claims.audiences),
                None if convention == Convention::InCluster => self.misfit_of_cluster(key, claims),
                None => None, // Vault's roles
            };
            Some(Misfit { convention, kind: kind? })
        });
        misfits.max_by_key(|misfit| misfit.kind)
    }

    /// The volumes that the admission plugin adds show which audiences the API server has: it puts
    /// all of them into a token that asks for none. Without such a volume they are not known. A
    /// token for a service may be there because the service's own client looks there, too.
    fn misfit_of_cluster(&self, key: &TokenKey, claims: &Claims) -> Option<MisfitKind> {
        if key.volume.starts_with(API_ACCESS) {
            return None;
        }
        let accepted = self.api_audiences(&claims.issuer);
        let fits = claims.audiences.iter().any(|one| accepted.contains(one.as_str()));
        let of_service = Exchange::of(claims).is_some();
        let kind = if of_service { MisfitKind::Chosen } else { MisfitKind::Refused };
        (!fits && !accepted.is_empty()).then_some(kind)
    }

    /// The audiences that the API server with this issuer has, as far as tokens on the node show
    /// them: those that pods have by their specs. Other files may be anybody's.
    fn api_audiences(&self, issuer: &str) -> BTreeSet<&str> {
        let is_by_spec =
            |key: &TokenKey| self.cluster.pod(&key.pod_uid).is_some_and(|pod| pod.needs(key));
        let of_cluster = self.tokens.iter().filter(|one| one.key.volume.starts_with(API_ACCESS));
        let by_spec = of_cluster.filter(|one| is_by_spec(&one.key));
        let claims = by_spec.filter_map(|one| Some(&one.current.as_ref()?.claims));
        let same = claims.filter(|claims| claims.issuer == issuer);
        same.flat_map(|claims| claims.audiences.iter().map(String::as_str)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audience_fits_the_verifier_or_not() {
        use MisfitKind::{Chosen, Misspelt, Refused};
        let table = [
            (Convention::AwsWebIdentity, "sts.amazonaws.com", None),
            (Convention::AwsWebIdentity, "sts.amazonaws.com.cn", None),
            (Convention::AwsWebIdentity, "sts.amazon.com", Some(Misspelt)),
            (Convention::AwsWebIdentity, "amazonaws.com", None), // kOps
            (Convention::AwsWebIdentity, "sts.amazonaws.eu", None),
            (Convention::IstioToken, "shop.svc.id.goog", None),
            (Convention::AwsWebIdentity, "https://kubernetes.default.svc", Some(Chosen)),
            (Convention::AwsWebIdentity, "my-company", Some(Chosen)),
            (Convention::AwsContainerAuthorization, "pods.eks.amazonaws.com", None),
            (Convention::AwsContainerAuthorization, "sts.amazonaws.com", Some(Misspelt)),
            (Convention::AwsContainerAuthorization, "greengrass", Some(Chosen)),
            (Convention::AzureFederated, "api://AzureADTokenExchange", None),
            (Convention::AzureFederated, "api://AzureADTokenExchangeUSGov", None),
            (Convention::AzureFederated, "api://azureadtokenexchange", Some(Misspelt)),
            (Convention::AzureFederated, "AzureADTokenExchange", Some(Misspelt)),
            (Convention::IstioToken, "istio-ca", None),
            (Convention::IstioToken, "istiod", Some(Misspelt)),
            (Convention::IstioToken, "mesh.example", Some(Chosen)),
            (Convention::LinkerdIdentity, "identity.l5d.io", None),
            (Convention::LinkerdIdentity, "https://kubernetes.default.svc", Some(Refused)),
            (Convention::LinkerdIdentity, "", Some(Refused)),
        ];
        for (convention, audience, expected) in table {
            let accepted = convention.accepted().unwrap();
            assert_eq!(accepted.misfit(&[audience.into()]), expected, "{audience}");
            let with_usual = [audience.into(), accepted.usual.into()];
            assert_eq!(accepted.misfit(&with_usual), None, "{audience}");
        }
    }
}
