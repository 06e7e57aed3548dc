//! The conventions that show who reads a token: variables of a container, names of volumes, and
//! the directory of clients of the API server.

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tokenwatch_core::world::cluster::{Container, Convention, TokenMount};

use super::bounds::MAX_TEXT;

/// The variables that name the file of a token (the SDKs of AWS and Azure).
const VARIABLES: [Convention; 3] =
    [Convention::AwsWebIdentity, Convention::AwsContainerAuthorization, Convention::AzureFederated];
/// The volumes that a mesh adds to pods.
const VOLUMES: [Convention; 2] = [Convention::IstioToken, Convention::LinkerdIdentity];
/// The file in the directory of clients of the API server (client-go, rest.InClusterConfig).
const TOKEN: &str = "token";
/// On most systems `/var/run` is a link to it.
const RUN: &str = "/run/";

/// The container that Vault's injector adds (vault-k8s, agent-inject/agent/container_sidecar.go).
const VAULT_AGENT: &str = "vault-agent";
/// The methods with which Vault's agent gives the token to Vault. `kubernetes` is the default.
const VAULT_METHODS: [&str; 2] = ["kubernetes", "jwt"];
/// What Go takes for true (strconv.ParseBool), as the injector does.
const TRUE: [&str; 6] = ["1", "t", "T", "TRUE", "true", "True"];

/// A variable of a container, if it names the file of a token.
#[derive(Debug)]
pub(super) struct Variable(pub(super) Option<NamedFile>);

/// A file that a variable names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedFile {
    convention: Convention,
    file: String,
}

/// The convention by which somebody reads the token of this volume, at this path in the container.
pub(super) fn of(volume: &str, file: &str, named: &[NamedFile]) -> Option<Convention> {
    let is_it = |other: &str| same(other, file);
    let by_variable = named.iter().find(|named| is_it(&named.file)).map(|named| named.convention);
    let by_volume = VOLUMES.into_iter().find(|convention| convention.sign() == volume);
    let in_cluster = is_it(&format!("{}/{TOKEN}", Convention::InCluster.sign()));
    by_variable.or(by_volume).or(in_cluster.then_some(Convention::InCluster))
}

/// Whether the annotations of a pod show that Vault's agent gives a token to Vault: `agent-inject`
/// and, if there is one, `auth-type`.
pub(super) fn injects_vault(inject: &str, auth: Option<&str>) -> bool {
    TRUE.contains(&inject) && auth.is_none_or(|auth| VAULT_METHODS.contains(&auth))
}

/// A container of a pod with Vault's agent. The agent has the token that the client of the API
/// server would have, or the one of `agent-service-account-token-volume-name`.
pub(super) fn of_vault(container: Container) -> Container {
    let is_agent = container.name == VAULT_AGENT;
    let of = |mount: TokenMount| {
        let is_free = matches!(mount.convention, None | Some(Convention::InCluster));
        let convention = if is_free { Some(Convention::VaultAgent) } else { mount.convention };
        TokenMount { convention, ..mount }
    };
    if !is_agent {
        return container;
    }
    Container { tokens: container.tokens.into_iter().map(of).collect(), ..container }
}

/// Whether two absolute paths are the same, apart from `/var/run`, `//` and `/./`.
fn same(one: &str, other: &str) -> bool {
    let parts = |path: &str| -> Vec<String> {
        let path = path.strip_prefix("/var").filter(|rest| rest.starts_with(RUN)).unwrap_or(path);
        let names = path.split('/').filter(|name| !name.is_empty() && *name != ".");
        names.map(ToOwned::to_owned).collect()
    };
    parts(one) == parts(other)
}

/// Values of other variables may be secrets: they are skipped, and not copied.
impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(OfVariable)
    }
}

struct OfVariable;

impl<'de> Visitor<'de> for OfVariable {
    type Value = Variable;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a variable")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variable, A::Error> {
        let (mut convention, mut file) = (None, None);
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Name => convention = named(&map.next_value::<String>()?),
                // The API server writes the name first.
                Key::Value if convention.is_some() => file = map.next_value::<Option<String>>()?,
                Key::Value | Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let file = file.filter(|file| file.len() <= MAX_TEXT);
        let both = convention.zip(file);
        Ok(Variable(both.map(|(convention, file)| NamedFile { convention, file })))
    }
}

/// A field of a variable (`v1.EnvVar`).
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    Name,
    Value,
    #[serde(other)]
    Other,
}

fn named(name: &str) -> Option<Convention> {
    VARIABLES.into_iter().find(|convention| convention.sign() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(json: &str) -> Option<NamedFile> {
        serde_json::from_str::<Variable>(json).unwrap().0
    }

    #[test]
    fn a_variable_names_the_file_of_a_token_or_nothing() {
        let aws = variable(r#"{"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/t/token"}"#);
        let expected =
            NamedFile { convention: Convention::AwsWebIdentity, file: "/t/token".into() };
        assert_eq!(aws, Some(expected));
        for other in [
            r#"{"name": "PASSWORD", "value": "s3cret"}"#,
            r#"{"name": "AZURE_FEDERATED_TOKEN_FILE", "valueFrom": {"fieldRef": {"a": ["b"]}}}"#,
            r#"{"name": "AZURE_FEDERATED_TOKEN_FILE", "value": null}"#,
            r#"{"name": "AZURE_FEDERATED_TOKEN_FILE"}"#,
            r#"{"value": "/t/token"}"#,
            "{}",
        ] {
            assert_eq!(variable(other), None, "{other}");
        }
    }

    #[test]
    fn variables_volumes_and_a_directory_show_who_reads_a_token() {
        let named = |file: &str| {
            vec![NamedFile { convention: Convention::AzureFederated, file: file.into() }]
        };
        let in_cluster = "/var/run/secrets/kubernetes.io/serviceaccount/token";
        let table = [
            ("v", "/t/token", named("/t/token"), Some(Convention::AzureFederated)),
            ("v", "/t//token", named("/t/./token"), Some(Convention::AzureFederated)),
            ("v", "/run/a/token", named("/var/run/a/token"), Some(Convention::AzureFederated)),
            ("v", "/t/token", named("/t/other"), None),
            ("istio-token", "/t/token", vec![], Some(Convention::IstioToken)),
            ("linkerd-identity-token", "/t/token", vec![], Some(Convention::LinkerdIdentity)),
            ("v", in_cluster, vec![], Some(Convention::InCluster)),
            (
                "v",
                "/run/secrets/kubernetes.io/serviceaccount/token",
                vec![],
                Some(Convention::InCluster),
            ),
            ("v", "/var/run/secrets/kubernetes.io/serviceaccount/vault", vec![], None),
            ("v", in_cluster, named(in_cluster), Some(Convention::AzureFederated)),
        ];
        for (volume, file, named, expected) in table {
            assert_eq!(of(volume, file, &named), expected, "{volume} {file}");
        }
    }

    #[test]
    fn only_the_agent_of_vault_gives_its_token_to_vault() {
        let table = [
            ("true", None, true),
            ("1", Some("kubernetes"), true),
            ("True", Some("jwt"), true),
            ("true", Some("approle"), false),
            ("true", Some(""), false),
            ("false", None, false),
            ("yes", None, false), // the injector refuses it
            ("", None, false),
        ];
        for (inject, auth, expected) in table {
            assert_eq!(injects_vault(inject, auth), expected, "{inject} {auth:?}");
        }
        let of = |container: &str, convention| {
            let mount = TokenMount {
                volume: "v".into(),
                path: "token".into(),
                mount_path: "/t".into(),
                part: tokenwatch_core::world::cluster::MountedPart::Whole,
                convention,
            };
            let tokens = vec![mount];
            let container = Container { name: container.into(), tokens, ..Container::default() };
            of_vault(container).tokens[0].convention
        };
        let vault = Some(Convention::VaultAgent);
        assert_eq!(of(VAULT_AGENT, None), vault);
        assert_eq!(of(VAULT_AGENT, Some(Convention::InCluster)), vault);
        assert_eq!(of(VAULT_AGENT, Some(Convention::IstioToken)), Some(Convention::IstioToken));
        assert_eq!(of("app", Some(Convention::InCluster)), Some(Convention::InCluster));
        assert_eq!(of("app", None), None);
    }
}
