//! Which cause the text of an error names, from the table `causes.txt`.

use tokenwatch_core::world::kubelet::errors::ErrorCause;

/// The table. It is read from the start for each error: kubelet logs few.
const TABLE: &str = include_str!("causes.txt");
/// Stands for a name.
const NAME: char = '…';

/// The cause that the text of an error names.
pub(super) fn cause(error: &str) -> ErrorCause {
    let found = rows().find(|(_, text)| matches(error, text));
    found.and_then(|(cause, _)| ErrorCause::named(cause)).unwrap_or(ErrorCause::Other)
}

fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|line| line.split_once('|'))
}

fn matches(error: &str, text: &str) -> bool {
    let (text, is_begin) = text.strip_prefix('^').map_or((text, false), |text| (text, true));
    let (text, is_end) = text.strip_suffix('$').map_or((text, false), |text| (text, true));
    if is_begin || is_end {
        return (!is_begin || error.starts_with(text)) && (!is_end || error.ends_with(text));
    }
    let Some((before, after)) = text.split_once(NAME) else { return error.contains(text) };
    error.match_indices(before).any(|(at, _)| {
        let rest = &error[at + before.len()..];
        let name = rest.find('"').unwrap_or(rest.len());
        rest[name..].starts_with(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_cause_and_every_cause_a_row() {
        for (cause, text) in rows() {
            assert!(ErrorCause::named(cause).is_some(), "{cause}");
            assert!(!text.is_empty(), "{cause}");
        }
        for cause in ErrorCause::ALL.into_iter().filter(|cause| *cause != ErrorCause::Other) {
            assert!(rows().any(|(name, _)| name == cause.name()), "{cause:?}");
        }
    }

    /// No row is hidden by one before it.
    #[test]
    fn each_row_names_its_own_cause() {
        for (name, text) in rows() {
            let example = text.replace(NAME, "cart").replace(['^', '$'], "");
            assert_eq!(cause(&example).name(), name, "{text}");
        }
    }

    #[test]
    fn each_error_of_a_kubelet_has_its_cause() {
        let table = [
            (
                "serviceaccounts \"cart\" is forbidden: User \"system:node:n1\" cannot create \
                 resource \"serviceaccounts/token\" in API group \"\" in the namespace \"shop\": \
                 no relationship found between node 'n1' and this object",
                ErrorCause::NodeAuthorizer,
            ),
            (
                "failed to fetch token: serviceaccounts \"cart\" not found",
                ErrorCause::AccountMissing,
            ),
            ("failed to fetch token: pods \"cart-0\" not found", ErrorCause::PodMissing),
            (
                "serviceaccounts \"cart\" is forbidden: node requested token bound to a pod \
                 scheduled on a different node",
                ErrorCause::OtherNode,
            ),
            (
                "serviceaccounts \"cart\" is forbidden: audience \"a\" not found in pod spec \
                 volume, system:node:n1 is not authorized to request tokens for this audience",
                ErrorCause::Audience,
            ),
            (
                "Operation cannot be fulfilled on serviceaccounts \"cart\": the UID in the token \
                 request (a) does not match the UID of the service account (b)",
                ErrorCause::AccountReplaced,
            ),
            (
                "the UID in the bound object reference (a) does not match the UID in record. The \
                 object might have been deleted and then recreated",
                ErrorCause::PodReplaced,
            ),
            ("failed to fetch token: Unauthorized", ErrorCause::Credentials),
            ("Unauthorized", ErrorCause::Credentials),
            (
                "Post \"https://10.0.0.1:6443/api/v1/namespaces/shop/serviceaccounts/cart/token\": \
                 dial tcp 10.0.0.1:6443: connect: connection refused",
                ErrorCause::ApiServerAway,
            ),
            ("Post \"https://10.0.0.1:6443/x\": EOF", ErrorCause::ApiServerAway),
            (
                "Post \"https://a\": tls: failed to verify certificate: x509: certificate has \
                 expired or is not yet valid",
                ErrorCause::ServerCertificate,
            ),
            (
                "[failed to fetch token: Post \"https://a\": dial tcp: i/o timeout, failed to sync \
                 configmap cache: timed out waiting for the condition]",
                ErrorCause::ApiServerAway,
            ),
            (
                "failed to sync configmap cache: timed out waiting for the condition",
                ErrorCause::CacheNotSynced,
            ),
            ("object \"shop\"/\"kube-root-ca.crt\" not registered", ErrorCause::CacheNotSynced),
            ("configmap \"kube-root-ca.crt\" not found", ErrorCause::SourceMissing),
            ("error processing PVC shop/data: PVC is being deleted", ErrorCause::ClaimDeleted),
            ("write /var/lib/kubelet/x: no space left on device", ErrorCause::NotWritten),
        ];
        for (text, expected) in table {
            assert_eq!(cause(text), expected, "{text}");
        }
    }

    /// Texts that have a part of a row, and another cause or none.
    #[test]
    fn look_alikes_name_no_cause() {
        for text in [
            "Internal error occurred: failed calling webhook \"w\": Unauthorized",
            "Unauthorized access of nobody",
            "serviceaccounts \"cart\" is forbidden: exceeded quota",
            "serviceaccounts \"a\" and others: \"b\" not found",
            "persistentvolumeclaim \"data\" not found",
            "",
        ] {
            assert_eq!(cause(text), ErrorCause::Other, "{text}");
        }
    }
}
