//! Who verifies a token, by its audience and by what shows its reader.

use tokenwatch_core::engine::Why;
use tokenwatch_core::world::cluster::Convention;
use tokenwatch_core::world::keys::KeyState;
use tokenwatch_core::world::tokens::{Exchange, is_for_api_server};

/// For whom the token is, and what is published of how that one verifies it.
pub(super) fn audience(why: &Why) -> String {
    let claims = &why.token.claims;
    let is_for_api_server = is_for_api_server(claims);
    if is_read_by_vault(why) {
        let text = if is_for_api_server { VAULT_DEFAULT } else { VAULT_OWN };
        return format!("{text} {}", published(Exchange::Vault, why));
    }
    match Exchange::of(claims) {
        _ if is_for_api_server => FOR_API_SERVER.to_owned(),
        Some(service) => {
            let name = service.name();
            format!("By its audience, the token is for {name}. {}", published(service, why))
        }
        None => FOR_OTHER.to_owned(),
    }
}

const FOR_API_SERVER: &str = "By its audience, the token is for the API server. Authenticators for \
                              other tokens (webhook, OIDC) do not show here.";
const FOR_OTHER: &str = "By its audience, the token is for another verifier, whose configuration \
                         does not show here.";

/// Whether the annotations of the pod show that Vault's agent has the token.
fn is_read_by_vault(why: &Why) -> bool {
    let pod = why.token.known.as_ref();
    let mut mounts = pod.into_iter().flat_map(|pod| pod.mounts(&why.token.key));
    mounts.any(|(_, mount)| mount.convention == Some(Convention::VaultAgent))
}

const VAULT_DEFAULT: &str = "Vault's agent reads it (annotation vault.hashicorp.com/agent-inject), \
                             and it is for the API server. A role of Vault's Kubernetes method \
                             accepts that if it names no audience, or this one; a role of the JWT \
                             method must have this one in its bound_audiences. The role does \
                             not show here.";
const VAULT_OWN: &str = "Vault's agent reads it (annotation vault.hashicorp.com/agent-inject). A \
                         role of Vault's Kubernetes method must name its audience; a role of the \
                         JWT method must have it in its bound_audiences. The role does not show \
                         here.";

/// The leeway of the service, and how long it keeps an old key where that matters.
fn published(service: Exchange, why: &Why) -> String {
    let by_method = match service {
        Exchange::Vault => "With the JWT method: ",
        Exchange::AwsSts
        | Exchange::EksPodIdentity
        | Exchange::Entra
        | Exchange::GoogleSts
        | Exchange::Linkerd => "",
    };
    let keys =
        if is_key_old(why.key) { format!(" {}", service.keys_text()) } else { String::new() };
    format!("{by_method}{}{keys}", service.leeway_text())
}

/// Whether an API server lacks the key: then others may still have it.
fn is_key_old(state: KeyState) -> bool {
    match state {
        KeyState::Split | KeyState::Missing | KeyState::Unknown => true,
        KeyState::NotChecked | KeyState::Open | KeyState::Known | KeyState::Suspected => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenwatch_core::world::tokens::{KeyCache, Leeway, Verification};

    const TABLE: &str = include_str!("../../../../../docs/verifiers.md");

    /// The row of the documentation about a service.
    fn row(service: Exchange) -> String {
        let Verification { leeway, keys, sources } = service.verification();
        let leeway = match leeway {
            Leeway::Usually(leeway) => format!("{leeway}"),
            Leeway::OfApiServer => "that of the API server".to_owned(),
            Leeway::NotDocumented => "not documented".to_owned(),
        };
        let keys = match keys {
            KeyCache::UntilAnotherKey => "until a token names a key that it does not have",
            KeyCache::OfApiServer => "it keeps none",
            KeyCache::NotDocumented => "not documented",
        };
        let life = service.credential_life().map_or("not documented".into(), |of| of.to_string());
        let sources = sources.join(" ");
        format!("| {} | {leeway} | {keys} | {life} | {sources} |", service.name())
    }

    #[test]
    fn the_documentation_has_every_service_with_its_sources() {
        for service in Exchange::ALL {
            assert!(TABLE.contains(&row(service)), "docs/verifiers.md lacks\n{}", row(service));
            let sources = service.verification().sources;
            assert!(!sources.is_empty(), "{service:?}");
            assert!(sources.iter().all(|source| source.starts_with("https://")), "{sources:?}");
        }
    }
}
