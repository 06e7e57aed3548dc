//! The forms in which plugins keep tokens, their look-alikes, and what somebody may put there.

use std::fs::{create_dir_all, remove_file, write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::Mode;
use serde_json::json;
use tokenwatch_core::world::copies::{CopiesSeen, CopyKind, MAX_COPIES, Mention, Plugin};
use tokenwatch_core::world::observation::Observation;
use tokenwatch_lab::signer::unsigned;

use super::scan::{Scan, Scanner};
use super::{CopiesConfig, check};
use crate::sources::signatures::SharedKeys;
use crate::sources::watchdog::Watchdog;

const SIGNATURE: &str = "c2lnbmF0dXJlLXRoYXQtbm9ib2R5LXNlZXM";

/// A bound token of this account.
fn token(account: &str) -> String {
    let claims = json!({
        "aud": ["https://kubernetes.default.svc"], "iat": 1_800_000_000, "exp": 1_800_003_607,
        "iss": "https://kubernetes.default.svc", "jti": account,
        "kubernetes.io": {
            "namespace": "kube-system", "serviceaccount": {"name": account, "uid": "u"},
            "pod": {"name": format!("{account}-x"), "uid": format!("uid-{account}")},
        },
        "sub": format!("system:serviceaccount:kube-system:{account}"),
    });
    unsigned(&json!({"alg": "RS256", "kid": "k"}), &claims, SIGNATURE)
}

/// A Secret-based token.
fn legacy() -> String {
    let claims = json!({
        "iss": "kubernetes/serviceaccount", "kubernetes.io/serviceaccount/namespace": "kube-system",
        "kubernetes.io/serviceaccount/service-account.name": "multus",
    });
    unsigned(&json!({"alg": "RS256"}), &claims, SIGNATURE)
}

/// A kubeconfig as install scripts write it.
fn kubeconfig(user: &str, credentials: &str) -> String {
    format!(
        "# Kubeconfig file for CNI plugin.\napiVersion: v1\nkind: Config\nclusters:\n- name: \
         local\n  cluster:\n    server: https://[10.96.0.1]:443\n    \
         certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t\nusers:\n- name: \
         {user}\n  user:\n    {credentials}\ncontexts:\n- name: {user}-context\n  context:\n    \
         cluster: local\n    user: {user}\ncurrent-context: {user}-context\n"
    )
}

fn with_token(user: &str) -> String {
    kubeconfig(user, &format!("token: \"{}\"", token(user)))
}

/// A host's root directory.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        create_dir_all(self.at(path).parent().unwrap()).unwrap();
        write(self.at(path), content).unwrap();
        self
    }

    fn config(&self, paths: &[&str]) -> CopiesConfig {
        CopiesConfig {
            tree: Some(self.0.path().to_owned()),
            prefix: self.0.path().to_owned(),
            paths: paths.iter().map(Into::into).collect(),
            api_servers: vec!["https://10.96.0.1".into()],
            rescan: std::time::Duration::from_mins(1),
        }
    }

    fn scan(&self) -> Scan {
        Scanner::new(self.config(&[]), SharedKeys::default()).scan()
    }

    fn seen(&self) -> Vec<CopiesSeen> {
        copies(self.scan().observations)
    }
}

fn copies(observations: Vec<Observation>) -> Vec<CopiesSeen> {
    let copies = observations.into_iter().map(|observation| match observation {
        Observation::Copies(seen) => seen,
        other => panic!("{other:?}"),
    });
    copies.collect()
}

/// Account and user of each token.
fn tokens(seen: &CopiesSeen) -> Vec<(&str, Option<&str>)> {
    seen.tokens
        .iter()
        .map(|token| (token.claims.binding.service_account.name.as_str(), token.user.as_deref()))
        .collect()
}

const MULTUS: &str = "/etc/cni/net.d/multus.d/multus.kubeconfig";
const CALICO: &str = "/etc/cni/net.d/calico-kubeconfig";

fn conflist(plugins: &serde_json::Value) -> String {
    json!({"cniVersion": "0.3.1", "name": "k8s-pod-network", "plugins": plugins}).to_string()
}

/// A plugin of a conflist with a kubeconfig in the default directory.
fn plugin(kind: &str, file: &str) -> serde_json::Value {
    json!({"type": kind, "kubernetes": {"kubeconfig": format!("/etc/cni/net.d/{file}")}})
}

const WHEREABOUTS: &str = "/etc/cni/net.d/whereabouts.d/whereabouts.kubeconfig";
const ISTIO: &str = "/etc/cni/net.d/ZZZ-istio-cni-kubeconfig";
const LINKERD: &str = "/etc/cni/net.d/ZZZ-linkerd-cni-kubeconfig";
const OTHER: &str = "/etc/cni/net.d/ZZZ-other-kubeconfig";
const KUBE_ROUTER: &str = "/var/lib/kube-router/kubeconfig";
const K3S: &str = "/var/lib/rancher/k3s/agent/etc/cni/net.d/multus.d/multus.kubeconfig";

#[test]
fn every_plugins_file_is_found_with_whether_something_uses_it() {
    use Mention::{Named, NotNamed, OtherNamed, Unknown};
    let calico = plugin("calico", "calico-kubeconfig");
    let delegating = json!({
        "cniVersion": "0.3.1", "name": "multus-cni-network", "type": "multus",
        "kubeconfig": MULTUS, "delegates": [calico],
    });
    let chained = |kind: &str, file: &str| conflist(&json!([calico, plugin(kind, file)]));
    let bridge = json!({"type": "bridge", "cniVersion": "1.0.0"}).to_string();
    let macvlan = json!({"type": "macvlan", "ipam": {"type": "whereabouts"}}).to_string();
    let shim = json!({"type": "multus-shim", "cniVersion": "1.0.0"}).to_string();
    // An older installation left its file; the new one has another.
    let elsewhere = "/etc/kubernetes/cni/net.d/multus.d/multus.kubeconfig";
    let moved = json!({"type": "multus", "kubeconfig": elsewhere}).to_string();
    let in_pod = json!({"type": "multus", "kubeconfig": format!("/host{K3S}")}).to_string();
    // (file, user, configuration, plugin, whether it is named)
    let table = [
        (MULTUS, "multus", delegating.to_string(), Some(Plugin::Multus), Named),
        (MULTUS, "multus", shim, Some(Plugin::Multus), Named),
        (MULTUS, "multus", moved, Some(Plugin::Multus), OtherNamed),
        (MULTUS, "multus", conflist(&json!([calico])), Some(Plugin::Multus), NotNamed),
        (MULTUS, "multus", "no configuration".to_owned(), Some(Plugin::Multus), Unknown),
        (K3S, "multus", in_pod, Some(Plugin::Multus), Named),
        (CALICO, "calico", delegating.to_string(), Some(Plugin::Calico), Named),
        (CALICO, "calico", conflist(&json!([calico])), Some(Plugin::Calico), Named),
        (
            ISTIO,
            "istio-cni",
            chained("istio-cni", "ZZZ-istio-cni-kubeconfig"),
            Some(Plugin::IstioCni),
            Named,
        ),
        (
            LINKERD,
            "linkerd-cni",
            chained("linkerd-cni", "ZZZ-linkerd-cni-kubeconfig"),
            Some(Plugin::LinkerdCni),
            Named,
        ),
        (OTHER, "other", chained("other", "ZZZ-other-kubeconfig"), None, Named),
        (OTHER, "other", bridge.clone(), None, NotNamed),
        (WHEREABOUTS, "whereabouts", macvlan, Some(Plugin::Whereabouts), Named),
        (WHEREABOUTS, "whereabouts", bridge.clone(), Some(Plugin::Whereabouts), NotNamed),
        (KUBE_ROUTER, "kube-router", bridge, Some(Plugin::KubeRouter), NotNamed),
    ];
    for (path, user, configuration, plugin, mention) in table {
        let host = Host::new();
        let by = if path == K3S { &K3S[..K3S.len() - 27] } else { "/etc/cni/net.d" };
        let by = format!("{by}/05-network.conflist");
        let seen = host.file(path, with_token(user)).file(&by, &configuration).seen();
        assert_eq!(seen.len(), 1, "{path}: {seen:?}");
        let seen = &seen[0];
        assert_eq!((seen.path.as_str(), seen.kind), (path, CopyKind::Kubeconfig));
        assert_eq!((seen.plugin, seen.mention), (plugin, mention), "{path} by {configuration}");
        assert_eq!(tokens(seen), [(user, Some(user))], "{path}");
    }
}

#[test]
fn tokens_are_found_in_every_form() {
    let t = token("a");
    let wrapped: Vec<&str> = vec![&t[..80], &t[80..160], &t[160..]];
    let yaml = |credentials: &str| kubeconfig("u", credentials);
    let table = [
        ("f", format!("{t}\n"), CopyKind::Token, None),
        ("f", yaml(&format!("token: {t}")), CopyKind::Kubeconfig, Some("u")),
        ("f", yaml(&format!("token: '{t}'")), CopyKind::Kubeconfig, Some("u")),
        ("f", yaml(&format!("token: &t {t}")), CopyKind::Kubeconfig, Some("u")),
        (
            "f",
            yaml(&format!("token: >-\n      {}", wrapped.join("\n      "))),
            CopyKind::Kubeconfig,
            Some("u"),
        ),
        ("f", format!("x-token: &t {t}\n{}", yaml("token: *t")), CopyKind::Kubeconfig, Some("u")),
        ("f", format!("---\n{}", yaml(&format!("token: {t}"))), CopyKind::Kubeconfig, Some("u")),
        ("f", yaml(&format!("token: {t}")).replace('\n', "\r\n"), CopyKind::Kubeconfig, Some("u")),
        (
            "f",
            json!({"kind": "Config", "users": [{"name": "u", "user": {"token": t}}]}).to_string(),
            CopyKind::Kubeconfig,
            Some("u"),
        ),
        (
            "env",
            format!("KUBERNETES_SERVICE_HOST=10.0.0.1\nK8S_API_TOKEN={t}\n"),
            CopyKind::Text,
            Some("K8S_API_TOKEN"),
        ),
        (
            "10-calico.conf",
            json!({"type": "calico", "policy": {"type": "k8s", "k8s_auth_token": t}}).to_string(),
            CopyKind::Configuration,
            Some("k8s_auth_token"),
        ),
        ("f", format!("curl -u admin:S3cret:{t}\n"), CopyKind::Text, None), // may be a password
        ("f", json!({"note": "see #12", "jwt": t}).to_string(), CopyKind::Text, Some("jwt")),
        ("f", format!("note: 'a # b'\ntoken: \"{t}\"\n"), CopyKind::Text, Some("token")),
        ("f", format!("a: 'see #1', token: {t}\n"), CopyKind::Text, Some("token")),
    ];
    for (name, content, kind, user) in table {
        let host = Host::new();
        let seen = host.file(&format!("/etc/cni/net.d/{name}"), &content).seen();
        assert_eq!(seen.len(), 1, "{content}");
        assert_eq!(seen[0].kind, kind, "{content}");
        assert_eq!(tokens(&seen[0]), [("a", user)], "{content}");
    }
}

#[test]
fn what_holds_no_token_that_expires_is_no_copy() {
    let opaque = "0123456789abcdef0123456789abcdef";
    let foreign =
        unsigned(&json!({"alg": "RS256"}), &json!({"iss": "https://idp", "exp": 1}), "c2ln");
    let unused = format!(
        "apiVersion: v1\nkind: Config\nusers:\n- name: old\n  user:\n    token: {}\n- name: new\n  \
         user:\n    client-certificate: /etc/x.crt\ncontexts:\n- name: c\n  context:\n    user: \
         new\ncurrent-context: c\n",
        token("old")
    );
    let table = [
        kubeconfig("u", "client-certificate-data: LS0tLS1CRUdJTg==\n    client-key-data: LS0tLQ=="),
        kubeconfig("u", "client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem"),
        kubeconfig("u", &format!("token: {}", legacy())),
        kubeconfig("u", &format!("token: {opaque}")),
        kubeconfig("u", &format!("token: {foreign}")),
        kubeconfig("u", "token: 12345"),
        kubeconfig("u", "tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token"),
        kubeconfig("u", &format!("tokenFile: /nowhere\n    # token: {}", token("old"))),
        kubeconfig("u", &format!("username: x # token: {}", token("old"))),
        unused,
        legacy(),
        format!("# TOKEN={}\nTOKEN=\n", token("old")),
        String::new(),
        "apiVersion: v1\nkind: Config\nusers: null\n".to_owned(),
        "apiVersion: v1\nkind: Config\nusers:\n- name: u\n  user: null\n- {}\n".to_owned(),
    ];
    for content in table {
        let host = Host::new();
        let scan = host.file("/etc/cni/net.d/a-kubeconfig", &content).scan();
        assert_eq!(copies(scan.observations), [], "{content}");
        assert_eq!(scan.problems, [""; 0], "{content}");
    }
}

#[test]
fn the_user_of_the_current_context_counts() {
    let users = format!(
        "apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user: {{token: {}}}\n- name: b\n  \
         user: {{token: {}}}\ncontexts:\n- name: c\n  context: {{user: b}}\n",
        token("a"),
        token("b")
    );
    let table: [(&str, &[&str]); 3] = [
        ("current-context: c\n", &["b"]),
        ("current-context: unknown\n", &["a", "b"]),
        ("", &["a", "b"]),
    ];
    for (context, accounts) in table {
        let host = Host::new();
        let seen = host.file(MULTUS, format!("{users}{context}")).seen();
        let found: Vec<&str> = tokens(&seen[0]).into_iter().map(|(account, _)| account).collect();
        assert_eq!(found, accounts, "{context}");
    }
}

#[test]
fn a_token_file_is_found_inside_the_host_and_judged_with_its_kubeconfig() {
    let host = Host::new();
    let by =
        |path: &str| kubeconfig("u", &format!("token: {}\n    tokenFile: {path}", token("old")));
    host.file("/opt/token", token("new")).file("/etc/cni/net.d/x/token", token("new"));
    create_dir_all(host.at("/srv")).unwrap();
    symlink("/opt/token", host.at("/srv/link")).unwrap(); // absolute on the host
    for (path, expected) in [
        ("/opt/token", ("new", Some("/opt/token"))),
        ("/srv/link", ("new", Some("/srv/link"))),
        ("token", ("new", Some("/etc/cni/net.d/x/token"))),
        ("/missing", ("old", None)),
        ("/../../../../../../../opt/token", ("new", Some("/../../../../../../../opt/token"))),
    ] {
        let seen = host.file("/etc/cni/net.d/x/kubeconfig", by(path)).seen();
        let token = &seen.iter().find(|seen| seen.kind == CopyKind::Kubeconfig).unwrap().tokens[0];
        let account = token.claims.binding.service_account.name.as_str();
        assert_eq!((account, token.token_file.as_deref()), expected, "{path}");
        // The relative path names a file that is read anyway: it is judged once.
        assert_eq!(seen.len(), if path == "token" { 1 } else { 2 }, "{path}: {seen:?}");
    }
}

#[test]
fn a_token_file_that_is_missing_is_reported_where_it_should_exist() {
    let named = json!({"type": "multus", "kubeconfig": MULTUS}).to_string();
    let table = [
        ("/opt/token", Some("its tokenFile /opt/token cannot be read: No such file")),
        ("/opt/pipe", Some("its tokenFile /opt/pipe cannot be read: it is no regular file")),
        ("/opt/empty", Some("its tokenFile /opt/empty cannot be read: it holds no token")),
        ("/opt/legacy", None),
        ("/var/run/secrets/kubernetes.io/serviceaccount/token", None),
    ];
    for (path, expected) in table {
        let host = Host::new();
        host.file(MULTUS, kubeconfig("u", &format!("tokenFile: {path}")));
        host.file("/opt/empty", "").file("/opt/legacy", legacy());
        nix::unistd::mkfifo(&host.at("/opt/pipe"), Mode::S_IRWXU).unwrap();
        let not_named = host.scan().problems;
        assert_eq!(not_named, [""; 0], "{path}: nothing is known to use it");
        let problems = host.file("/etc/cni/net.d/00-multus.conf", &named).scan().problems.join("");
        let part = expected.unwrap_or_default();
        assert!(problems.contains(part), "{part} in {problems}");
        assert_eq!(problems.is_empty(), expected.is_none(), "{path}: {problems}");
    }
}

#[test]
fn a_kubeconfig_elsewhere_is_read_if_a_configuration_names_it() {
    const RUN: &str = "/run/istio-cni/istio-cni-kubeconfig";
    let istio =
        |kubeconfig: &str| json!({"type": "istio-cni", "kubeconfig": kubeconfig}).to_string();
    let table = [
        (RUN, "/var/run/istio-cni/istio-cni-kubeconfig", Some(Plugin::IstioCni)),
        (RUN, "", Some(Plugin::IstioCni)),
        ("/opt/cni/kubeconfig", "/opt/cni/kubeconfig", None),
        ("/opt/cni/kubeconfig", "/host/opt/cni/kubeconfig", None),
        ("/etc/kubeconfig", "../../kubeconfig", None),
    ];
    for (path, named, plugin) in table {
        let host = Host::new();
        create_dir_all(host.at("/var")).unwrap();
        symlink("../run", host.at("/var/run")).unwrap();
        host.file("/etc/cni/net.d/10-x.conf", istio(named)).file(path, with_token("istio-cni"));
        let seen = host.seen();
        assert_eq!(seen.len(), 1, "{named}: {seen:?}");
        assert_eq!((seen[0].plugin, seen[0].mention), (plugin, Mention::Named), "{named}");
        assert_eq!(tokens(&seen[0]), [("istio-cni", Some("istio-cni"))]);
    }
    let host = Host::new();
    host.file("/opt/kubeconfig", with_token("a"));
    let plugins = istio("/opt/kubeconfig");
    assert_eq!(host.file("/etc/cni/net.d/multus.d/x.conf", plugins).seen(), [], "nobody reads it");
}

#[test]
fn a_kubeconfig_that_something_uses_and_that_is_emptied_is_reported() {
    let host = Host::new();
    let named = json!({"type": "multus", "kubeconfig": MULTUS}).to_string();
    host.file("/etc/cni/net.d/00-multus.conf", named);
    let whole = with_token("multus");
    let half = &token("multus")[..200];
    let table = [
        (whole.clone(), None),
        (String::new(), Some("it holds no token that can be read")),
        (kubeconfig("multus", ""), Some("it holds no token that can be read")),
        (
            kubeconfig("multus", &format!("token: {half}")),
            Some("it holds no token that can be read"),
        ),
        (kubeconfig("multus", "client-certificate: /etc/x.crt"), None),
        (kubeconfig("multus", "exec: {command: aws}"), None),
    ];
    for (content, expected) in table {
        let problems = host.file(MULTUS, &content).scan().problems.join("");
        assert!(problems.contains(expected.unwrap_or_default()), "{content}: {problems}");
        assert_eq!(problems.is_empty(), expected.is_none(), "{content}: {problems}");
    }
}

#[test]
fn a_file_of_the_settings_must_hold_a_token_and_its_neighbours_need_not() {
    let table = [
        ("not a token\n".to_owned(), Some("it holds no token that can be read")),
        (token("a")[..200].to_owned(), Some("it holds no token that can be read")),
        (String::new(), Some("it holds no token that can be read")),
        (token("a"), None),
        (legacy(), None),
    ];
    for (content, expected) in table {
        let host = Host::new();
        host.file("/opt/a/token", &content).file("/opt/a/agent", [0x7f, b'E', 0, 0xff]);
        host.file("/opt/a/log", vec![b'x'; 100_000]).file("/opt/a/notes", "none");
        symlink("/nowhere", host.at("/opt/a/link")).unwrap();
        drop(UnixListener::bind(host.at("/opt/a/socket")).unwrap());
        let problems = check(host.config(&["/opt/a"])).1;
        assert_eq!(problems, [""; 0], "in a directory: {content}");
        let problems = check(host.config(&["/opt/a/token"])).1.join("");
        assert!(problems.contains(expected.unwrap_or_default()), "{content}: {problems}");
        assert_eq!(problems.is_empty(), expected.is_none(), "{content}: {problems}");
    }
}

#[test]
fn the_settings_decide_on_a_file_at_a_known_place() {
    let bridge = json!({"type": "bridge", "cniVersion": "1.0.0"}).to_string();
    for path in [MULTUS, "/etc/cni/net.d/multus.d", "/etc/cni/net.d"] {
        let host = Host::new();
        host.file(MULTUS, with_token("multus")).file("/etc/cni/net.d/10-x.conf", &bridge);
        let seen = copies(check(host.config(&[path])).0);
        assert_eq!(seen.len(), 1, "{seen:?}");
        let expected = (Some(Plugin::Multus), Mention::Configured);
        assert_eq!((seen[0].plugin, seen[0].mention), expected, "{path}");
    }
}

#[test]
fn words_that_begin_like_tokens_hide_none() {
    let decoys = "# eyJx\n".repeat(70);
    let host = Host::new();
    let scan = host.file(MULTUS, format!("{decoys}{}", with_token("multus"))).scan();
    let problems = scan.problems.join("\n");
    assert!(problems.contains("64 or more words in it begin like a token"), "{problems}");
    assert!(!format!("{:?}", scan.observations).contains(SIGNATURE));
}

#[test]
fn only_changes_are_reported() {
    let host = Host::new();
    let config = host.file(MULTUS, with_token("multus")).config(&[]);
    let mut scanner = Scanner::new(config, SharedKeys::default());
    let mut next = || copies(scanner.scan().observations);
    assert_eq!(next().len(), 1);
    assert_eq!(next(), []);
    host.file(MULTUS, with_token("other"));
    assert_eq!(tokens(&next()[0]), [("other", Some("other"))]);
    host.file("/etc/cni/net.d/00-multus.conf", json!({"type": "multus"}).to_string());
    assert_eq!(next()[0].mention, Mention::Named);
    remove_file(host.at(MULTUS)).unwrap();
    let gone = next();
    assert_eq!((gone.len(), gone[0].path.as_str(), gone[0].tokens.len()), (1, MULTUS, 0));
    assert_eq!(next(), []);
}

/// What people or attackers may put there. (what, whether it is a problem)
#[test]
fn hostile_files_are_bounded_and_reported() {
    let bomb = {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = [(); 9].map(|()| format!("*a{}", n - 1)).join(", ");
            text.extend([format!("a{n}: &a{n} [{before}]\n")]);
        }
        format!("apiVersion: v1\nkind: Config\n{text}users:\n- name: u\n  user: {{token: *a11}}\n")
    };
    let endless = "kind: Config\nusers: &u\n- name: a\n  user: *u\n".to_owned();
    let deep = format!("kind: Config\nusers: {}\n", "[".repeat(30_000));
    let huge = vec![b'a'; 100_000];
    let files: [(&str, Vec<u8>); 7] = [
        ("bomb-kubeconfig", bomb.into()),
        ("endless-kubeconfig", endless.into()),
        ("deep-kubeconfig", deep.into()),
        ("huge-kubeconfig", huge),
        ("binary-kubeconfig", vec![0xff, 0x00, 0xfe, b'e', b'y', b'J']),
        ("latin1-kubeconfig", b"kind: Config\nusers: [{name: \xe9}]\n".to_vec()),
        ("list-kubeconfig", b"kind: Config\nusers: 7\n".to_vec()),
    ];
    for (name, content) in files {
        let host = Host::new();
        host.file(&format!("/etc/cni/net.d/{name}"), content).file(MULTUS, with_token("multus"));
        let scan = host.scan();
        assert_eq!(scan.problems.len(), 1, "{name}: {:?}", scan.problems);
        assert!(scan.problems[0].starts_with(&format!("/etc/cni/net.d/{name}: ")), "{name}");
        assert_eq!(copies(scan.observations).len(), 1, "{name}: the others are judged");
    }
}

#[test]
fn nothing_but_regular_files_is_opened() {
    let host = Host::new();
    host.file(MULTUS, with_token("multus"));
    let at = |name: &str| host.at(&format!("/etc/cni/net.d/{name}"));
    nix::unistd::mkfifo(&at("fifo-kubeconfig"), Mode::S_IRWXU).unwrap();
    drop(UnixListener::bind(at("socket")).unwrap());
    symlink("loop", at("loop")).unwrap();
    symlink("/nowhere", at("dangling-kubeconfig")).unwrap();
    symlink(".", at("self")).unwrap();
    symlink("multus.d/multus.kubeconfig", at("alias")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    write(outside.path().join("secret"), token("outside")).unwrap();
    symlink(outside.path().join("secret"), at("out-kubeconfig")).unwrap();
    let scan = host.scan();
    let seen = copies(scan.observations);
    assert_eq!(seen.len(), 1, "the same file is judged once: {seen:?}");
    assert_eq!(tokens(&seen[0]), [("multus", Some("multus"))]);
    let problems = scan.problems.join("\n");
    for part in ["fifo-kubeconfig: it is no regular file", "loop: Too many"] {
        assert!(problems.contains(part), "{part} in {problems}");
    }
    assert_eq!(scan.problems.len(), 2, "a socket there is none: {problems}");
}

#[test]
fn the_number_of_files_is_bounded() {
    let host = Host::new();
    for n in 0..MAX_COPIES + 5 {
        host.file(&format!("/etc/cni/net.d/{n:03}"), with_token("multus"));
    }
    let scan = host.scan();
    assert_eq!(scan.observations.len(), MAX_COPIES);
    assert!(scan.problems[0].contains("more than 64 files"), "{:?}", scan.problems);
    for n in 0..2_000 {
        host.file(&format!("/etc/cni/net.d/a/{n}"), "x");
    }
    let scan = host.scan();
    assert!(scan.problems.iter().any(|why| why.contains("more than 512")), "{:?}", scan.problems);
    assert!(scan.problems.len() <= 9 && scan.observations.len() <= MAX_COPIES);
}

#[test]
fn files_and_directories_of_the_settings_are_read_and_must_exist() {
    let host = Host::new();
    host.file("/opt/agent/token", token("a")).file("/srv/kubeconfig", with_token("b"));
    let config = host.config(&["/opt/agent", "/srv/kubeconfig", "/missing"]);
    let (seen, problems, _) = check(config.clone());
    let seen = copies(seen);
    let found: Vec<_> = seen.iter().map(|seen| (seen.path.as_str(), seen.mention)).collect();
    let configured = Mention::Configured;
    assert_eq!(found, [("/opt/agent/token", configured), ("/srv/kubeconfig", configured)]);
    assert_eq!(problems, ["/missing: No such file or directory"]);
    let without = CopiesConfig { tree: None, ..host.config(&[]) };
    let (seen, problems, _) = check(without);
    assert_eq!((seen, problems), (vec![], vec![]));
}

#[test]
fn no_byte_of_a_token_leaves_the_source() {
    let host = Host::new();
    host.file(MULTUS, with_token("multus"));
    host.file(&format!("/etc/cni/net.d/{}", &token("name")[..200]), "kind: Config\nusers: 7\n");
    let scan = host.scan();
    let all = format!("{scan:?} {}", serde_json::to_string(&scan.observations).unwrap());
    assert!(!all.contains(SIGNATURE) && !all.contains("eyJ"), "{all}");
    assert_eq!(scan.observations.len(), 1);
}

#[tokio::test]
async fn a_rewritten_file_is_seen_at_once() {
    let host = Host::new();
    host.file(MULTUS, with_token("multus"));
    let config = CopiesConfig { rescan: std::time::Duration::from_hours(1), ..host.config(&[]) };
    let (sender, mut receiver) = tokio::sync::mpsc::channel(16);
    let running =
        tokio::spawn(super::run(config, SharedKeys::default(), Watchdog::default(), sender));
    let mut next = async || match receiver.recv().await.unwrap() {
        Observation::Copies(seen) => Some(seen),
        Observation::Source(state) if state.degraded.is_none() => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(tokens(&next().await.unwrap()).len(), 1);
    assert_eq!(next().await, None, "the source works");
    // The watch is set: see what comes of a script that writes in place, and of a rename.
    for account in ["second", "third"] {
        if account == "second" {
            write(host.at(MULTUS), with_token(account)).unwrap();
        } else {
            let new = Path::new(MULTUS).with_extension("new");
            host.file(new.to_str().unwrap(), with_token(account));
            std::fs::rename(host.at(new.to_str().unwrap()), host.at(MULTUS)).unwrap();
        }
        loop {
            let seen = next().await.unwrap();
            if seen.path == MULTUS && tokens(&seen) == [(account, Some(account))] {
                break;
            }
        }
    }
    running.abort();
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod signatures;
