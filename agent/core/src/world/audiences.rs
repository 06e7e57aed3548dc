//! Tokens whose audience does not fit the client that reads them, by a convention that shows the
//! client.

use super::World;
use crate::world::cluster::{Convention, Pod};
use crate::world::tokens::{API_ACCESS, Claims, TokenKey};

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
    /// Part of the usual audience.
    usual: &'static str,
    /// Part of what somebody writes who means the usual one, in lower case.
    stem: &'static str,
    /// Whether it accepts the usual audience alone.
    alone: bool,
}

/// What each accepts. The API server is not among them: its audiences are the cluster's own.
const ACCEPTED: [Accepted; 5] = [
    // The list of audiences of the identity provider in IAM. In China it may end in `.cn`.
    of(Convention::AwsWebIdentity, "sts.amazonaws.com", "amazon"),
    // The variable is of the SDKs, and another agent may answer at the address beside it.
    of(Convention::AwsContainerAuthorization, "pods.eks.amazonaws.com", "amazon"),
    // The federated credential has it. In some clouds a name of theirs follows.
    of(Convention::AzureFederated, "api://AzureADTokenExchange", "azuread"),
    // `global.sds.token.aud` of istio's chart.
    of(Convention::IstioToken, "istio-ca", "istio"),
    // A constant of linkerd's proxy injector and identity service.
    Accepted { alone: true, ..of(Convention::LinkerdIdentity, "identity.l5d.io", "l5d") },
];

const fn of(by: Convention, usual: &'static str, stem: &'static str) -> Accepted {
    Accepted { by, usual, stem, alone: false }
}

impl Accepted {
    /// How the audiences of a token fail to fit; none if they fit.
    fn misfit(&self, audiences: &[String]) -> Option<MisfitKind> {
        let has = |part: &str| audiences.iter().any(|one| one.contains(part));
        (!has(self.usual)).then(|| self.kind(audiences))
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
        }
    }

    /// The audience that the verifier usually accepts; none: it is the cluster's own.
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
                None => self.misfit_of_cluster(key, claims),
            };
            Some(Misfit { convention, kind: kind? })
        });
        misfits.max_by_key(|misfit| misfit.kind)
    }

    /// The volumes that the admission plugin adds show which audiences the API server has: it puts
    /// all of them into a token that asks for none. Without such a volume they are not known.
    fn misfit_of_cluster(&self, key: &TokenKey, claims: &Claims) -> Option<MisfitKind> {
        if key.volume.starts_with(API_ACCESS) {
            return None;
        }
        let accepted = self.api_audiences()?;
        let fits = claims.audiences.iter().any(|one| accepted.contains(one));
        (!fits).then_some(MisfitKind::Refused)
    }

    /// The audiences of the API server, if a token on the node shows them.
    pub fn api_audiences(&self) -> Option<&[String]> {
        let of_cluster = self.tokens.iter().filter(|one| one.key.volume.starts_with(API_ACCESS));
        let generations = of_cluster.filter_map(|one| one.current.as_ref());
        let newest = generations.max_by_key(|one| one.claims.issued_at)?;
        Some(&newest.claims.audiences)
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
            (Convention::AwsWebIdentity, "amazonaws.com", Some(Misspelt)),
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
