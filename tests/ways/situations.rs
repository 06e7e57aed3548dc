//! The situations: what is on the node, what the API server and the time server say, and what every
//! way out must report.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_lab::time_server::TimeServer;

use crate::Findings;
use crate::api_server::{ApiServer, api_pod};
use crate::node::{Node, now, payload, token};

/// The name of the node and of its one pod.
pub(crate) const NODE: &str = "node-1";
pub(crate) const POD: &str = "cart-0";

/// The API server in a situation.
pub(crate) enum Api {
    /// None is configured.
    None,
    /// It knows the pod, and the account with this UID or no account. The UID in the token is
    /// "sa-uid".
    Account(Option<&'static str>),
    /// The pod is being deleted, and has this many seconds left. The account exists.
    Deleting(i64),
    /// All containers of the pod have ended. The account exists.
    Ended,
    /// A container mounts the token by `subPath`. The account exists.
    Subpath,
    /// One container mounts the token's volume. The account exists.
    Mounted,
    /// The node also has another pod, without its volume. The accounts exist.
    Missing,
    /// One container mounts the token's volume, and gives the token to AWS. The account exists.
    ForAws,
    /// It knows the pod and the account, and not the key of the token.
    OtherKey,
    /// Nothing answers at its address.
    Away,
}

/// One row of the table.
pub(crate) struct Situation {
    pub(crate) name: &'static str,
    /// Age and lifetime of a copy of the pod's token on the host.
    copy: Option<(i64, i64)>,
    /// Age and lifetime of the token in seconds, by true time; none: no token, but a cut one.
    token: Option<(i64, i64)>,
    api: Api,
    /// The audience of the token, if it is not that of the API server.
    audience: Option<&'static str>,
    /// How far the node's clock is behind that of the time servers, in seconds.
    behind: i64,
    /// Code and severity of each finding at warning or above.
    expected: &'static [(&'static str, &'static str)],
    pub(crate) verdict: Option<&'static str>,
    /// The verdict of `explain`, which knows the token and the clock, and asks no API server.
    pub(crate) explained: Option<&'static str>,
    /// Part of the sentences that people read.
    pub(crate) words: &'static [&'static str],
    /// Whether kubelet replaces the token, and a program keeps the old one.
    pub(crate) is_kept: bool,
    /// Whether the API server on the node refuses the pod's requests, and logs that.
    pub(crate) is_refused: bool,
    /// Whether kubelet logged why it does not replace the token.
    is_logged: bool,
}

impl Situation {
    /// Whether everything that is wrong is about the pod, or the node.
    pub(crate) fn is_about_pod(&self) -> bool {
        let is_elsewhere =
            |(code, _): &(&str, &str)| ["copy.stale", "token.missing"].contains(code);
        !self.is_only_seen_by_run()
            && self.copy.is_none()
            && !self.expected.iter().any(is_elsewhere)
    }

    /// Whether only an agent that goes on watching sees it, and no command that looks once.
    pub(crate) fn is_only_seen_by_run(&self) -> bool {
        self.is_kept || self.is_refused
    }

    pub(crate) fn findings(&self) -> Findings {
        let named = |(code, severity): &(&str, &str)| ((*code).into(), (*severity).into());
        self.expected.iter().map(|finding| (named(finding), 1)).collect()
    }
}

/// With time servers that agree, without findings, and live.
const QUIET: Situation = Situation {
    name: "quiet",
    copy: None,
    token: Some((60, 3_607)),
    api: Api::None,
    audience: None,
    behind: 0,
    expected: &[],
    verdict: Some("live"),
    explained: Some("live"),
    words: &[],
    is_kept: false,
    is_refused: false,
    is_logged: false,
};

/// The API server refuses the token because of its account.
const LOST: Situation = Situation {
    expected: &[("token.subject_replaced", "critical")],
    verdict: Some("dead"),
    ..QUIET
};

pub(crate) fn situations() -> Vec<Situation> {
    accounts().into_iter().chain(pods()).chain(clocks_and_files()).chain(copies()).collect()
}

/// Tokens and their service accounts.
fn accounts() -> Vec<Situation> {
    vec![
        QUIET,
        Situation { name: "quiet, with an API server", api: Api::Account(Some("sa-uid")), ..QUIET },
        Situation {
            name: "stalled",
            token: Some((3_250, 3_607)),
            api: Api::Account(Some("sa-uid")),
            expected: &[("token.rotation_stalled", "warning")],
            words: &["kubelet has stopped rotating it"],
            ..QUIET
        },
        Situation {
            name: "stalled, and kubelet logged why",
            token: Some((3_250, 3_607)),
            api: Api::Account(Some("sa-uid")),
            expected: &[("token.rotation_stalled", "warning")],
            words: &[
                "kubelet has stopped rotating it",
                "its node authorizer does not know that the pod runs on this node",
                "no relationship found between node",
            ],
            is_logged: true,
            ..QUIET
        },
        Situation {
            name: "expired",
            token: Some((3_700, 3_600)),
            expected: &[("token.expired", "critical")],
            verdict: Some("dead"),
            explained: Some("dead"),
            ..QUIET
        },
        Situation {
            name: "expired, and the API server is away",
            token: Some((3_700, 3_600)),
            api: Api::Away,
            expected: &[("token.expired", "critical")],
            verdict: Some("dead"),
            explained: Some("dead"),
            ..QUIET
        },
        Situation {
            name: "fresh, and its account was deleted",
            api: Api::Account(None),
            words: &["service account shop/cart does not exist any more"],
            ..LOST
        },
        Situation {
            name: "fresh, and its account was replaced",
            api: Api::Account(Some("another")),
            words: &["was deleted and created again", "kubelet keeps it until it is due"],
            ..LOST
        },
        Situation {
            name: "fresh, and the API server does not have its key",
            api: Api::OtherKey,
            expected: &[("token.key_unknown", "warning")],
            verdict: Some("uncertain"),
            words: &["do not have the key of 1 token", "shop/cart-0"],
            ..QUIET
        },
        Situation {
            name: "late, and its account was deleted",
            token: Some((3_100, 3_607)),
            api: Api::Account(None),
            words: &["service account shop/cart does not exist any more"],
            ..LOST
        },
        Situation {
            name: "expired, and its account was replaced",
            token: Some((3_700, 3_600)),
            api: Api::Account(Some("another")),
            explained: Some("dead"),
            words: &["kubelet should have replaced it"],
            ..LOST
        },
    ]
}

/// Pods that come to their end, and pods without their token.
fn pods() -> Vec<Situation> {
    vec![
        Situation {
            name: "terminating longer than its token lives",
            token: Some((3_000, 3_600)),
            api: Api::Deleting(3_000),
            expected: &[("token.pod_terminating", "warning")],
            ..QUIET
        },
        Situation {
            name: "the pod should have ended, and its token has expired",
            token: Some((3_700, 3_600)),
            api: Api::Deleting(-400),
            expected: &[("token.pod_terminating", "critical")],
            verdict: Some("dead"),
            explained: Some("dead"),
            words: &["terminating, still running, token dead"],
            ..QUIET
        },
        Situation {
            name: "the pod should have ended, and its token is fresh",
            api: Api::Deleting(-180),
            expected: &[("token.pod_terminating", "critical")],
            verdict: Some("dead"),
            words: &["The API server has refused the token for 2m"],
            ..QUIET
        },
        Situation {
            name: "evicted, and its token has expired",
            token: Some((9_000, 3_600)),
            api: Api::Ended,
            verdict: Some("dead"),
            explained: Some("dead"),
            ..QUIET
        },
        Situation {
            name: "the token is mounted by subPath",
            api: Api::Subpath,
            expected: &[("token.subpath", "warning")],
            words: &["subPath"],
            ..QUIET
        },
        Situation {
            name: "the audience is misspelt",
            api: Api::ForAws,
            audience: Some("sts.amazon.com"),
            expected: &[("token.audience_unknown", "warning")],
            words: &["gives it to AWS STS", "looks like sts.amazonaws.com with a mistake"],
            ..QUIET
        },
        Situation {
            name: "the audience is that of its client",
            api: Api::ForAws,
            audience: Some("sts.amazonaws.com"),
            ..QUIET
        },
        Situation {
            name: "a program keeps a replaced token",
            api: Api::Mounted,
            expected: &[("token.reader_stale", "warning")],
            words: &["still uses the token \"token\"", "Container app", "shop/cart-0"],
            is_kept: true,
            ..QUIET
        },
        Situation {
            name: "a program keeps a replaced token, without an API server",
            expected: &[("token.reader_stale", "warning")],
            words: &["still uses the token \"token\"", "shop/cart-0"],
            is_kept: true,
            ..QUIET
        },
        Situation {
            name: "the API server on the node refuses the pod's requests",
            expected: &[("apiserver.rejecting", "warning")],
            words: &["refused 3 requests (401)", "shop/cart-0", "tokenwatch missed this"],
            is_refused: true,
            ..QUIET
        },
        Situation {
            name: "another running pod has no token",
            api: Api::Missing,
            expected: &[("token.missing", "critical")],
            words: &["shop/other-0"],
            ..QUIET
        },
    ]
}

fn clocks_and_files() -> Vec<Situation> {
    vec![
        Situation {
            name: "the clock is hours behind, and the token looks future-dated",
            behind: 25_680,
            expected: &[("clock.offset", "critical")],
            ..QUIET
        },
        Situation {
            name: "the clock is hours ahead, and the token looks expired",
            behind: -25_680,
            expected: &[("clock.offset", "critical")],
            ..QUIET
        },
        Situation {
            name: "the clock is hours behind, and the token is dead",
            token: Some((7_000, 3_600)),
            behind: 7_200,
            expected: &[("clock.offset", "critical")],
            verdict: Some("dead"),
            explained: Some("dead"),
            ..QUIET
        },
        Situation {
            name: "cut",
            token: None,
            expected: &[("token.malformed", "warning")],
            verdict: None,
            explained: None,
            ..QUIET
        },
    ]
}

/// Copies of the pod's token on the host.
fn copies() -> Vec<Situation> {
    let api = || Api::Account(Some("sa-uid"));
    vec![
        Situation {
            name: "the copy of a token is written again",
            token: Some((400, 3_607)),
            api: api(),
            copy: Some((400, 3_607)),
            ..QUIET
        },
        Situation {
            name: "the copy of a token is not written again",
            token: Some((400, 3_607)),
            api: api(),
            copy: Some((3_100, 3_607)),
            expected: &[("copy.stale", "warning")],
            words: &["holds an old token of pod shop/cart-0"],
            ..QUIET
        },
        Situation {
            name: "the copy of a token has expired",
            token: Some((400, 3_607)),
            api: api(),
            copy: Some((4_000, 3_607)),
            expected: &[("copy.stale", "critical")],
            words: &["the API server refuses it"],
            ..QUIET
        },
    ]
}

/// A situation on this machine. Dropping it removes it.
pub(crate) struct Scene {
    pub(crate) node: Node,
    pub(crate) api: Option<ApiServer>,
    /// Three, because one alone proves nothing about who is wrong.
    time: [TimeServer; 3],
    kubeconfig: Option<PathBuf>,
    copy: Option<PathBuf>,
    /// The log of the API server on this node.
    pub(crate) server_log: PathBuf,
    /// The log of kubelet on this node, where it has one.
    kubelet_log: Option<PathBuf>,
}

/// What an API server logs at level 4 of a request that it refuses.
const REFUSED: &str = "I1128 04:17:00.123456       1 claims.go:179] Could not retrieve bound pod \
                       shop/cart-0 for service account shop/cart: pods \"cart-0\" not found\n\
                       E1128 04:17:00.123457       1 authentication.go:75] \"Unable to \
                       authenticate the request\" err=\"[invalid bearer token, service account \
                       token has been invalidated]\"\n";

/// What kubelet logged just now.
fn kubelet_log() -> String {
    let time = Wall::from_secs(now()).rfc3339();
    let time = format!("{}{} {}.1", &time[5..7], &time[8..10], &time[11..19]);
    format!(
        "E{time}    1234 projected.go:196] Error preparing data for projected volume \
         kube-api-access for pod shop/cart-0: failed to fetch token: serviceaccounts \"cart\" is \
         forbidden: User \"system:node:node-1\" cannot create resource \
         \"serviceaccounts/token\" in API group \"\" in the namespace \"shop\": no relationship \
         found between node 'node-1' and this object\n\
         I{time}    1234 kubelet.go:1] \"SyncLoop\"\n"
    )
}

impl Scene {
    /// The API server refuses three requests of the pod.
    pub(crate) fn refuse(&self) {
        std::fs::write(&self.server_log, REFUSED.repeat(3)).unwrap();
    }

    pub(crate) fn set(situation: &Situation) -> Self {
        let node = Node::new();
        let behind = situation.behind;
        node.pod(POD, &content(situation.token, behind, situation.audience));
        let time = [(); 3].map(|()| {
            let at = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
            TimeServer::start(at, move || true_time(behind)).unwrap()
        });
        let api = match &situation.api {
            Api::None | Api::Away => None,
            Api::Account(uid) => Some(ApiServer::start(vec![api_pod(POD, NODE)], *uid)),
            Api::OtherKey => {
                let api = ApiServer::start(vec![mounting(POD, false)], Some("sa-uid"));
                api.verify_with(&["key-2"]);
                Some(api)
            }
            Api::Deleting(left) => Some(ApiServer::start(vec![deleted(*left)], Some("sa-uid"))),
            Api::Ended => Some(ApiServer::start(vec![ended()], Some("sa-uid"))),
            Api::Mounted => Some(ApiServer::start(vec![mounting(POD, false)], Some("sa-uid"))),
            Api::ForAws => Some(ApiServer::start(vec![for_aws()], Some("sa-uid"))),
            Api::Subpath => Some(ApiServer::start(vec![mounting(POD, true)], Some("sa-uid"))),
            Api::Missing => {
                std::fs::create_dir_all(node.root().join("pods/uid-other-0/volumes")).unwrap();
                let pods = vec![mounting(POD, false), mounting("other-0", false)];
                Some(ApiServer::start(pods, Some("sa-uid")))
            }
        };
        let away = matches!(situation.api, Api::Away).then(|| away(&node));
        let kubeconfig = api.as_ref().map(|api| api.kubeconfig(node.root())).or(away);
        let copied = situation.copy.map(|of| content(Some(of), behind, None));
        let copy = copied.map(|token| node.file("copy", &token));
        let server_log = node.file("server-log", "");
        let kubelet_log = situation.is_logged.then(|| node.file("kubelet-log", &kubelet_log()));
        Self { node, api, time, kubeconfig, copy, server_log, kubelet_log }
    }

    /// The settings of the clock, for any command.
    pub(crate) fn clock_flags(&self) -> Vec<String> {
        let flag = |server: &TimeServer| ["--clock-server".into(), server.address().to_string()];
        self.time.iter().flat_map(flag).collect()
    }

    /// The settings of the node and of the API server, for `run` and `check`.
    pub(crate) fn node_flags(&self) -> Vec<String> {
        let root = self.node.root().to_string_lossy().into_owned();
        let kubernetes = self.kubeconfig.as_ref().map(|file| {
            let file = file.to_string_lossy().into_owned();
            ["--kubernetes".to_owned(), "true".to_owned(), "--kubeconfig".to_owned(), file]
        });
        let node = ["--root".to_owned(), root, "--node".to_owned(), NODE.to_owned()];
        let copy = self
            .copy
            .as_ref()
            .map(|file| ["--copies-path".to_owned(), file.to_string_lossy().into_owned()]);
        let log = self.kubelet_log.as_ref().map(|file| file.to_string_lossy().into_owned());
        let log = log.map(|file| ["--kubelet-log".to_owned(), file]);
        let node = node.into_iter().chain(log.into_iter().flatten());
        let more = kubernetes.into_iter().flatten().chain(copy.into_iter().flatten());
        node.chain(more).collect()
    }
}

/// The file's content: a token that has this age at true time.
fn content(token_of: Option<(i64, i64)>, behind: i64, audience: Option<&str>) -> String {
    match token_of {
        Some((age, lifetime)) => {
            let mut payload = payload(POD, age - behind, lifetime);
            if let Some(audience) = audience {
                payload["aud"] = json!([audience]);
            }
            token(&payload)
        }
        None => "eyJhbGciOiJSUzI1NiJ9.cut".to_owned(),
    }
}

/// The time on a node whose clock is behind by so many seconds.
fn true_time(behind: i64) -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Wall::from_nanos(i64::try_from(since.as_nanos()).unwrap()) + Delta::from_secs(behind)
}

fn deleted(left: i64) -> Value {
    let mut pod = api_pod(POD, NODE);
    pod["metadata"]["deletionTimestamp"] = json!(Wall::from_secs(now() + left).rfc3339());
    pod["metadata"]["deletionGracePeriodSeconds"] = json!(3_600);
    pod
}

fn ended() -> Value {
    let mut pod = api_pod(POD, NODE);
    pod["status"] = json!({"phase": "Failed", "reason": "Evicted"});
    pod
}

/// A pod whose container mounts the token's volume, as a whole or one file of it.
fn mounting(name: &str, by_subpath: bool) -> Value {
    let mut pod = api_pod(name, NODE);
    let mut mount = json!({"name": "kube-api-access", "mountPath": "/var/run/token"});
    if by_subpath {
        mount["subPath"] = json!("token");
    }
    pod["spec"]["containers"][0]["volumeMounts"] = json!([mount]);
    let source = json!({"serviceAccountToken": {"path": "token", "expirationSeconds": 3_607}});
    pod["spec"]["volumes"] =
        json!([{"name": "kube-api-access", "projected": {"sources": [source]}}]);
    let started = Wall::from_secs(now() - 30).rfc3339();
    pod["status"]["containerStatuses"] = json!([{
        "name": "app", "ready": true, "restartCount": 0, "image": "i", "imageID": "i",
        "state": {"running": {"startedAt": started}},
    }]);
    pod
}

/// A pod whose container gives the token to AWS.
fn for_aws() -> Value {
    let mut pod = mounting(POD, false);
    pod["spec"]["containers"][0]["env"] =
        json!([{"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/var/run/token/token"}]);
    pod
}

/// A kubeconfig with an address where nothing listens.
fn away(node: &Node) -> PathBuf {
    let text = ApiServer::start(Vec::new(), None).kubeconfig(node.root());
    let mut kubeconfig: Value =
        serde_json::from_str(&std::fs::read_to_string(text).unwrap()).unwrap();
    kubeconfig["clusters"][0]["cluster"]["server"] = json!("http://127.0.0.1:1");
    node.file("kubeconfig", &kubeconfig.to_string())
}
