//! `tokenwatch explain`.

use serde_json::{Value, json};

use crate::golden::golden;
use crate::node::{self, Node, SIGNATURE, payload, token};
use crate::{fed, run};

#[test]
fn explain_shows_the_deadlines_and_never_the_signature() {
    let text = token(&payload("cart-0", 1_000, 3_600)) + "\n";
    let node = Node::new();
    let file = node.file("token", &text);
    let (status, out, err) = run(&[
        "explain",
        &file.to_string_lossy(),
        "--output",
        "json",
        "--clock-assumed-bound",
        "1s",
    ]);
    assert_eq!((status, err.as_str()), (Some(0), ""), "{out}");
    let seen: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&seen["state"], &seen["verdict"], &seen["stale"]),
        (&json!("fresh"), &json!("live"), &json!(false))
    );
    assert_eq!(seen["pod"], json!({"name": "cart-0", "uid": "uid-cart-0"}));
    for arguments in [&["explain", "-"][..], &["explain"], &["explain", "-", "--output", "json"]] {
        let (_, out, _) = fed(arguments, text.as_bytes());
        assert!(
            out.contains("cart-0") && !out.contains(SIGNATURE) && !out.contains(&text[..40]),
            "{out}"
        );
    }
}

#[test]
fn the_exit_status_of_explain_depends_on_whether_the_token_works() {
    let status = |payload: &Value| {
        fed(&["explain", "--clock-assumed-bound", "1s"], token(payload).as_bytes()).0
    };
    assert_eq!(status(&payload("dead", 3_700, 3_600)), Some(1));
    let mut extended = payload("stale", 5_000, 31_536_000);
    extended["kubernetes.io"]["warnafter"] = json!(node::now() - 5_000 + 3_607);
    let (stale, out, _) =
        fed(&["explain", "--clock-assumed-bound", "1s"], token(&extended).as_bytes());
    assert_eq!(stale, Some(1));
    assert!(out.contains("--service-account-extend-token-expiration"), "{out}");
    let uncertain = fed(
        &["explain", "--output", "json", "--clock-assumed-bound", "1s"],
        token(&payload("u", 3_630, 3_600)).as_bytes(),
    );
    assert_eq!(uncertain.0, Some(1));
    assert!(uncertain.1.contains("\"uncertain\""));
}

#[test]
fn explain_describes_input_that_is_no_token() {
    let pem = "-----BEGIN CERTIFICATE-----\nMIIB\n";
    let foreign = token(&json!({"iss": "https://else.where", "iat": 1, "exp": 2}));
    let encoded = "ZXlKaGJHY2lPaUpTVXpJMU5pSjk=";
    let oversized = format!("eyJ{}", "a".repeat(100_000));
    let huge = format!("eyJ{}", "a".repeat(10_000_000));
    let cases = [
        ("", "the input is empty"),
        (pem, "a certificate or a key in PEM"),
        ("{\"kind\": \"Secret\"}", "JSON"),
        (foreign.as_str(), "a JWT of another issuer"),
        (encoded, "starts like one, but a JWT has 3 parts"),
        ("eyJhbGciOiJSUzI1NiJ9.e30", "starts like one, but a JWT has 3 parts"),
        ("eyJhbGciOiJkaXIifQ..YQ.YQ.YQ", "is an encrypted JWT (JWE), not a service-account token"),
        (oversized.as_str(), "longer than 65536 bytes"),
        (huge.as_str(), "longer than 2 MiB"),
        ("hunter2", "some other text"),
    ];
    for (input, message) in cases {
        let (status, out, err) = fed(&["explain", "-"], input.as_bytes());
        assert_eq!((status, out.as_str()), (Some(2), ""), "{message}");
        assert!(
            err.contains(message) && !err.contains("hunter2") && !err.contains("MIIB"),
            "{message}: {err}"
        );
    }
    assert_eq!(fed(&["explain"], &[0xff, 0xfe, 0]).0, Some(2));
    assert_eq!(run(&["explain", "/nowhere/token"]).0, Some(2));
    assert_eq!(run(&["explain", "/"]).0, Some(2));
}

/// The payload of a Secret's token.
pub(crate) fn legacy() -> Value {
    json!({
        "iss": "kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace": "shop",
        "kubernetes.io/serviceaccount/secret.name": "cart-token-x",
        "kubernetes.io/serviceaccount/service-account.name": "cart",
    })
}

#[test]
fn explain_describes_a_legacy_token() {
    let (status, out, _) = fed(&["explain"], token(&legacy()).as_bytes());
    assert_eq!(status, Some(0));
    golden("explain-legacy.txt", &out);
}

/// Pasted in other forms: the answer is the same, and no byte of the token is shown.
#[test]
fn explain_takes_what_people_paste() {
    let text = token(&payload("cart-0", 1_000, 3_600));
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &text);
    let kubeconfig =
        format!("kind: Config\nusers:\n- name: calico\n  user:\n    token: \"{text}\"\n");
    for (pasted, place) in [
        (format!("Authorization: Bearer {text}\n"), json!("the value after the word Bearer")),
        (format!("\"{text}\"\n"), Value::Null),
        (encoded, json!("base64")),
        (
            json!({"kind": "TokenRequest", "status": {"token": text}}).to_string(),
            json!("status.token of a TokenRequest"),
        ),
        (kubeconfig, json!("token of user calico in a kubeconfig, line 5")),
    ] {
        let (_, out, err) = fed(&["explain", "--output", "json"], pasted.as_bytes());
        assert_eq!(err, "", "{pasted}");
        let seen: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(seen["pod"]["name"], "cart-0");
        assert_eq!(seen["read_from"], json!({"file": null, "place": place}));
        assert!(!out.contains(SIGNATURE) && !out.contains(&text[..40]), "{out}");
    }
    let two = format!("a: {text}\ntoken: {}\n", token(&payload("cart-1", 1_000, 3_600)));
    let (status, out, err) = fed(&["explain"], two.as_bytes());
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(err.contains("2 tokens") && err.contains("(token, line 2)"), "{err}");
}

#[test]
fn explain_names_the_file_and_opens_it_as_check_does() {
    let node = Node::new();
    node.pod("cart-0", &token(&payload("cart-0", 1_000, 3_600)));
    let volume =
        node.root().join("pods/uid-cart-0/volumes/kubernetes.io~projected/kube-api-access");
    // From Kubernetes 1.36 on the links belong to the pod's user, in a sticky directory: the kernel
    // follows them for nobody else where fs.protected_symlinks is 1.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    std::fs::set_permissions(&volume, mode).unwrap();
    for link in ["..data", "token"] {
        let _ = std::os::unix::fs::lchown(volume.join(link), Some(1_000), Some(1_000)); // as root
    }
    for path in ["token", "..data/token"] {
        let file = volume.join(path).to_string_lossy().into_owned();
        let (status, out, err) = run(&["explain", "--clock-assumed-bound", "1s", &file]);
        assert_eq!((status, err.as_str()), (Some(0), ""), "{out}");
        assert!(out.contains(&format!("  read from    {file}\n")), "{out}");
    }
    let legacy = node.file("legacy", &token(&legacy())).to_string_lossy().into_owned();
    let (_, out, _) = run(&["explain", "--output", "json", &legacy]);
    let seen: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(seen["read_from"], json!({"file": legacy, "place": null}));
}

/// Each answers at once: nothing here is waited for.
#[test]
fn what_is_no_file_is_refused_by_name() {
    let node = Node::new();
    let path = |name: &str| node.root().join(name).to_string_lossy().into_owned();
    nix::unistd::mkfifo(path("fifo").as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    drop(std::os::unix::net::UnixListener::bind(path("socket")).unwrap());
    std::os::unix::fs::symlink("loop", path("loop")).unwrap();
    node.file("empty", "");
    std::fs::write(path("binary"), [0, 159, 146, 150]).unwrap();
    std::fs::File::create(path("huge")).unwrap().set_len(1 << 40).unwrap();
    for (file, why) in [
        (path("fifo"), "it is a named pipe"),
        (path("socket"), "it is a socket"),
        (path("loop"), "ELOOP"),
        (path("empty"), "the input is empty"),
        (path("binary"), "binary data"),
        (path("huge"), "longer than 2 MiB"),
        (path(""), "it is a directory"),
        ("/dev/zero".to_owned(), "it is a device"),
        ("/dev/null".to_owned(), "it is a device"),
        ("/nowhere/token".to_owned(), "No such file or directory"),
        (format!("{}/x", path("empty")), "Not a directory"),
        (path(&"x".repeat(300)), "File name too long"),
    ] {
        let (status, out, err) = run(&["explain", &file]);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{file}");
        assert!(err.starts_with(&format!("tokenwatch: {file}: ")) && err.contains(why), "{err}");
    }
}

/// `explain /dev/stdin`, and `explain <(command)`, which is a pipe with a number.
#[test]
fn explain_reads_descriptors_that_it_was_given() {
    let text = token(&payload("cart-0", 1_000, 3_600));
    for path in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        let (_, out, err) = fed(&["explain", path], text.as_bytes());
        assert!(out.contains("cart-0") && out.contains(path), "{out} {err}");
    }
    let (status, _, err) = run(&["explain", "/dev/stdin"]); // /dev/null
    assert!(status == Some(2) && err.contains("device"), "{err}");
}

#[test]
fn what_a_token_is_bound_to_is_shown_with_what_revokes_it() {
    let base = payload("cart-0", 1_000, 3_600);
    let with = |bindings: &[(&str, Value)]| {
        let mut payload = base.clone();
        for kind in ["pod", "node"] {
            payload["kubernetes.io"].as_object_mut().unwrap().remove(kind);
        }
        for (kind, object) in bindings {
            payload["kubernetes.io"][kind] = object.clone();
        }
        token(&payload)
    };
    let (secret, node) =
        (json!({"name": "s-1", "uid": "u-1"}), json!({"name": "n-1", "uid": "u-2"}));
    let table = [
        (with(&[]), Value::Null, "not bound to a pod, a Secret or a node", "bound to no object"),
        (
            with(&[("secret", secret)]),
            json!("secret"),
            "bound to Secret s-1",
            "deleting the Secret",
        ),
        (with(&[("node", node)]), json!("node"), "bound to node n-1", "deleting the Node"),
        (token(&base), json!("pod"), "bound to pod cart-0 on node node-1", "the pod is deleted"),
    ];
    for (text, bound_to, title, revocation) in table {
        let (_, out, _) = fed(&["explain"], text.as_bytes());
        let flat = out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(title) && flat.contains(revocation), "{out}");
        let is_of_kubelet = bound_to == "pod";
        assert_eq!(flat.contains("kubelet's rule: this token"), is_of_kubelet, "{out}");
        assert_eq!(flat.contains("kubelet does not replace this token"), !is_of_kubelet, "{out}");
        let (_, out, _) = fed(&["explain", "--output", "json"], text.as_bytes());
        let seen: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&seen["bound_to"], seen["state"].as_str()), (&bound_to, Some("fresh")));
        assert_eq!(seen["refresh_due"].is_null(), !is_of_kubelet);
    }
    // Long past kubelet's time to replace it, and none of kubelet's business.
    let mut late = base.clone();
    late["kubernetes.io"].as_object_mut().unwrap().remove("pod");
    late["iat"] = json!(node::now() - 3_500);
    let (_, out, _) = fed(&["explain"], token(&late).as_bytes());
    assert!(out.contains("fresh: it is not near its end") && !out.contains("stalled"), "{out}");
    late["exp"] = json!(node::now() + 300); // of 3,800 s: the last tenth
    let (_, out, _) = fed(&["explain"], token(&late).as_bytes());
    assert!(out.contains("late: near its end, and kubelet does not replace it"), "{out}");
}

#[test]
fn a_jwt_of_another_issuer_gets_honest_words() {
    let expired = json!({
        "iss": "https://accounts.example", "aud": "web", "sub": "jane@example.org",
        "iat": 1, "exp": 2
    });
    let (status, out, err) = fed(&["explain"], token(&expired).as_bytes());
    assert_eq!((status, out.as_str()), (Some(2), ""));
    for words in [
        "https://accounts.example",
        "audiences web",
        "It expired at 1970-01-01T00:00:02Z",
        "kubelet does not replace it",
        "--oidc-issuer-url",
    ] {
        assert!(err.contains(words), "{err}");
    }
    assert!(!err.contains("jane"), "not who it is about: {err}");
    let endless = json!({"iss": "https://accounts.example"});
    let (_, _, err) = fed(&["explain"], token(&endless).as_bytes());
    assert!(err.contains("has no exp"), "{err}");
}
