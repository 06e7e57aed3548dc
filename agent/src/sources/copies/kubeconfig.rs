//! Users of a kubeconfig: which one is in use, and how it authenticates.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;

/// Deepest nesting. A kubeconfig needs five levels; extensions may need more.
const MAX_DEPTH: usize = 32;

/// A user that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: Option<String>,
    /// `token`, or what takes its place in the text.
    pub(super) token: Option<String>,
    /// `tokenFile`
    pub(super) token_file: Option<String>,
    /// URL of the API server of its context.
    pub(super) server: Option<String>,
}

/// It is no YAML document of the form of a kubeconfig, or one that takes too much to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAKubeconfig;

impl fmt::Display for NotAKubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it looks like a kubeconfig, and does not parse as one")
    }
}

/// The users that the current context names; all of them where it names none.
pub(super) fn users(text: &str) -> Result<Vec<User>, NotAKubeconfig> {
    let Parsed { current, clusters, contexts, users } =
        serde_saphyr::from_str_with_options(text, options()).map_err(|_| NotAKubeconfig)?;
    let servers = Servers { current: &current, clusters: &clusters.0, contexts: &contexts.0 };
    let users: Vec<User> = users.0.into_iter().map(|one| user(one, &servers)).collect();
    let context = contexts.0.into_iter().find(|context| context.name.0 == current.0);
    let used = context.filter(|_| current.0.is_some()).and_then(|context| context.context?.user.0);
    let of_context: Vec<User> = users.iter().filter(|user| user.name == used).cloned().collect();
    Ok(if used.is_some() && !of_context.is_empty() { of_context } else { users })
}

fn user(named: NamedUser, servers: &Servers<'_>) -> User {
    let Credentials { token, token_file } = named.user.unwrap_or_default();
    let server = servers.of(&named.name);
    User { name: named.name.0, token: token.0, token_file: token_file.0, server }
}

/// Where the contexts of a kubeconfig lead.
struct Servers<'a> {
    current: &'a Text,
    clusters: &'a [NamedCluster],
    contexts: &'a [NamedContext],
}

impl Servers<'_> {
    /// The server of a user: that of the current context, else of the only one it has.
    fn of(&self, user: &Text) -> Option<String> {
        let of_user = |context: &&NamedContext| {
            context.context.as_ref().is_some_and(|context| context.user == *user)
        };
        let mut contexts = self.contexts.iter().filter(of_user);
        let current = contexts.clone().find(|context| context.name == *self.current);
        let only = match (contexts.next(), contexts.next()) {
            (Some(one), None) => Some(one),
            (Some(_), Some(_)) | (None, _) => None,
        };
        let name = &current.or(only)?.context.as_ref()?.cluster;
        let cluster = self.clusters.iter().find(|cluster| cluster.name == *name)?;
        cluster.cluster.as_ref()?.server.0.clone()
    }
}

/// Limits on time and memory, against multiplying anchors and deep nesting.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: 20_000,
            max_events: 50_000,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 20_000 },
    }
}

#[derive(serde::Deserialize)]
struct Parsed {
    #[serde(default, rename = "current-context")]
    current: Text,
    #[serde(default)]
    clusters: Items<NamedCluster>,
    #[serde(default)]
    contexts: Items<NamedContext>,
    #[serde(default)]
    users: Items<NamedUser>,
}

#[derive(serde::Deserialize)]
struct NamedContext {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    context: Option<Context>,
}

#[derive(serde::Deserialize)]
struct Context {
    #[serde(default)]
    cluster: Text,
    #[serde(default)]
    user: Text,
}

#[derive(serde::Deserialize)]
struct NamedCluster {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    cluster: Option<Server>,
}

#[derive(serde::Deserialize)]
struct Server {
    #[serde(default)]
    server: Text,
}

#[derive(serde::Deserialize)]
struct NamedUser {
    #[serde(default)]
    name: Text,
    #[serde(default)]
    user: Option<Credentials>,
}

#[derive(Default, serde::Deserialize)]
struct Credentials {
    #[serde(default)]
    token: Text,
    #[serde(default, rename = "tokenFile")]
    token_file: Text,
}

/// A list, or nothing where YAML has `null`.
struct Items<T>(Vec<T>);

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<Vec<T>>::deserialize(deserializer).map(|list| Self(list.unwrap_or_default()))
    }
}

/// A text that is not empty; nothing for any other value. A number in the place of a token is no
/// reason to refuse the file.
#[derive(Default, PartialEq)]
struct Text(Option<String>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        let text = text.trim();
        Ok(Text((!text.is_empty()).then(|| text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
        Ok(Text(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Text, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text(None))
    }
}
