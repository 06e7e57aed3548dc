//! The tokens of pods that the incidents are about.

use crate::node::{Spec, Verifier};

const YEAR: i64 = 365 * 86_400;

impl Spec {
    /// The default token, where the API server does not extend its expiry.
    pub(crate) const HOUR: Self = Self {
        volume: "kube-api-access-x",
        audience: "", // the API server's own
        life: 3_607,
        warn_after: None,
        verifier: Verifier::Api,
    };
    /// The default token, extended to a year: the default of Kubernetes.
    pub(crate) const YEAR: Self = Self { life: YEAR, warn_after: Some(3_607), ..Self::HOUR };
    /// The default token, extended to 90 days, as EKS does.
    pub(crate) const DAYS_90: Self = Self { life: 90 * 86_400, ..Self::YEAR };
    /// The default token, extended to a day.
    pub(crate) const DAY: Self = Self { life: 86_400, ..Self::YEAR };
    /// The shortest token that the API server issues.
    pub(crate) const TEN_MINUTES: Self = Self { life: 600, ..Self::HOUR };
    /// A token for Istio's certificates, which lives for 12 hours. Istio asks the API server.
    pub(crate) const ISTIO: Self = Self {
        volume: "istio-token",
        audience: "istio-ca",
        life: 43_200,
        warn_after: None,
        verifier: Verifier::Api,
    };
    /// A token for AWS, as the webhook of IAM roles for service accounts requests it.
    pub(crate) const AWS: Self = Self {
        volume: "aws-iam-token",
        audience: "sts.amazonaws.com",
        life: 86_400,
        warn_after: None,
        verifier: Verifier::Outside,
    };
    /// A token for Microsoft Entra, as the webhook of Azure workload identity requests it.
    pub(crate) const ENTRA: Self = Self {
        volume: "azure-identity-token",
        audience: "api://AzureADTokenExchange",
        life: 3_600,
        ..Self::AWS
    };
    /// A token for a service of the user's own, which lives for an hour.
    pub(crate) const SERVICE: Self =
        Self { volume: "ledger-token", audience: "ledger", life: 3_600, ..Self::AWS };
}
