//! What people paste, and the place of the token in it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::json;

use super::resemblance;
use crate::sources::tokens::found::{Token, find, text};

fn jwt(payload: &serde_json::Value) -> String {
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({"alg": "RS256", "kid": "nZbLmF1c3QtYmUtYS1LZXktSQ"});
    let signature = URL_SAFE_NO_PAD.encode([0xa7; 256]);
    format!("{}.{}.{signature}", part(&header), part(payload))
}

fn bound(account: &str) -> String {
    jwt(&json!({
        "aud": ["https://kubernetes.default.svc"], "exp": 1_749_207_355, "iat": 1_717_671_355,
        "iss": "https://kubernetes.default.svc", "jti": "e51f1fbc",
        "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": account, "uid": "u"}},
        "sub": format!("system:serviceaccount:shop:{account}")
    }))
}

fn token() -> String {
    bound("cart")
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

fn wrapped(text: &str, width: usize, end: &str) -> String {
    let lines: Vec<&str> =
        (0..text.len()).step_by(width).map(|at| &text[at..text.len().min(at + width)]).collect();
    lines.join(end)
}

/// The accounts of the tokens that are found, and their places.
fn found(text: &str) -> Vec<(String, String)> {
    let account = |token: &Token| match token {
        Token::Bound(claims) => claims.binding.service_account.name.clone(),
        Token::Legacy(legacy) => legacy.service_account.clone(),
        Token::Foreign(_) => "foreign".to_owned(),
    };
    let tokens = find(text).tokens;
    tokens.iter().map(|it| (account(&it.token), it.place.clone().unwrap_or_default())).collect()
}

fn kubeconfig(token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: local\n  cluster:\n    server: \
         https://10.0.0.1:443\nusers:\n- name: calico\n  user:\n    token: \"{token}\"\n\
         contexts: []\n"
    )
}

#[test]
fn a_token_is_found_in_whatever_it_is_pasted_with() {
    let t = token();
    let header = "the value after the word Bearer";
    let request = json!({"kind": "TokenRequest", "status": {"token": t}});
    let credential = json!({
        "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
        "status": {"expirationTimestamp": "2026-11-28T10:00:00Z", "token": t},
    });
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "data": {"ca.crt": base64("-----BEGIN CERTIFICATE-----"), "token": base64(&t)},
    });
    let table = [
        (t.clone(), ""),
        (format!("\n \t{t}\r\n\n"), ""),
        (format!("\"{t}\""), ""),
        (format!("'{t}'\n"), ""),
        (format!("`{t}`,"), ""),
        (format!("{t}."), ""),
        (wrapped(&t, 64, "\n"), ""),
        (wrapped(&t, 80, " \r\n"), ""),
        (wrapped(&t, 30, "\n    "), ""),
        (format!("Bearer {t}"), header),
        (format!("bearer  {t}"), header),
        (format!("Authorization: Bearer {t}"), header),
        (format!("-H \"Authorization: Bearer {t}\""), header),
        (format!("curl -k -H 'authorization: bearer {t}' https://x/api"), header),
        (
            format!("> GET /api HTTP/2\n> Authorization: Bearer {t}\n>\n"),
            "the value after the word Bearer, line 2",
        ),
        (format!("Authorization=Bearer%20{}", t.replace('.', "%2E")), header),
        (format!("token: {t}\n"), "token"),
        (format!("TOKEN={t}"), "TOKEN"),
        (format!("export TOKEN=\"{t}\""), "TOKEN"),
        (format!("--token={t}"), "token"),
        (format!("https://x/y?access_token={t}&z"), "access_token"),
        (format!("hunter2={t}"), ""),
        (
            format!("Name: x\nType: kubernetes.io/service-account-token\n\ntoken:      {t}\n"),
            "token, line 4",
        ),
        (format!("token: >-\n  {}\nnext: 1\n", wrapped(&t, 70, "\n  ")), "token, line 2"),
        (format!("token: \"{}\"\n", wrapped(&t, 70, "\\\n  ")), "token, line 1"),
        (request.to_string(), "status.token of a TokenRequest"),
        (format!("{request:#}"), "status.token of a TokenRequest, line 4"),
        (credential.to_string(), "status.token of an ExecCredential"),
        (
            format!("kind: ExecCredential\nstatus:\n  token: {t}\n"),
            "status.token of an ExecCredential, line 3",
        ),
        (kubeconfig(&t), "token of user calico in a kubeconfig, line 10"),
        (
            json!({"kind": "Config", "users": [{"name": "a", "user": {"token": t}}]}).to_string(),
            "token of user a in a kubeconfig",
        ),
        (base64(&t), "base64"),
        (wrapped(&base64(&t), 76, "\n"), "base64"),
        (base64(&base64(&t)), "base64: base64"),
        (base64(&format!("Bearer {t}")), "base64"),
        (base64(&kubeconfig(&t)), "base64: token of user calico in a kubeconfig, line 10"),
        (secret.to_string(), "data.token of a Secret, base64"),
        (
            format!(
                "apiVersion: v1\nkind: Secret\ndata:\n  namespace: c2hvcA==\n  token: {}\n",
                base64(&t)
            ),
            "data.token of a Secret, line 5, base64",
        ),
        (
            format!("{{\"https://x\":{{\"token\":\"{t}\",\"expirationTimestamp\":\"2026\"}}}}"),
            "token",
        ),
        (format!(r#""{{\"token\":\"{t}\"}}""#), "token"),
        (format!("\u{201c}{t}\u{201d}"), ""),
    ];
    for (pasted, place) in table {
        let seen = found(&pasted);
        assert_eq!(seen.len(), 1, "{pasted}");
        assert_eq!(seen[0].0, "cart", "{pasted}");
        // A place within base64 names the base64 once.
        assert!(
            seen[0].1 == place || (place == "base64" && seen[0].1.contains("base64")),
            "{pasted}: {} is not {place}",
            seen[0].1
        );
    }
}

#[test]
fn several_tokens_are_several_and_the_same_one_twice_is_one() {
    let (first, second) = (bound("cart"), bound("till"));
    assert_eq!(found(&format!("{first}\n{second}\n")).len(), 2);
    assert_eq!(found(&format!("{first} {first}")), [("cart".to_owned(), String::new())]);
    let foreign = jwt(&json!({"iss": "https://accounts.google.com", "exp": 1}));
    let names: Vec<String> =
        found(&format!("id-token: {foreign}\ntoken: {first}")).into_iter().map(|it| it.0).collect();
    assert_eq!(names, ["foreign", "cart"]);
    let many = format!("{first}\n").repeat(100) + &second;
    assert_eq!(found(&many).len(), 1, "no more beginnings are examined than people paste");
}

#[test]
fn what_is_cut_off_or_broken_is_malformed() {
    let t = token();
    let parts: Vec<&str> = t.split('.').collect();
    for broken in [
        &t[..60],
        &t[..t.len() / 2],
        parts[0],
        parts[1],
        &format!("{}.{}", parts[0], parts[1]),
        &format!("Bearer {}...", &t[..40]),
        &format!("token: {}…", &t[..40]),
        "eyJ",
    ] {
        let seen = find(broken);
        assert!(seen.tokens.is_empty() && seen.malformed.is_some(), "{broken}");
    }
    assert!(find(parts[2]).malformed.is_none());
}

#[test]
fn text_of_windows_is_text() {
    let t = token();
    let wide = |from: fn(u16) -> [u8; 2], mark: &[u8]| {
        let units: Vec<u8> = t.encode_utf16().flat_map(from).collect();
        [mark, &units].concat()
    };
    for bytes in [
        wide(u16::to_le_bytes, &[0xff, 0xfe]),
        wide(u16::to_be_bytes, &[0xfe, 0xff]),
        [&[0xef, 0xbb, 0xbf], t.as_bytes()].concat(),
        t.clone().into_bytes(),
    ] {
        assert_eq!(found(&text(&bytes).unwrap()).len(), 1);
    }
    for binary in [&[0xff, 0xfe, 0x00, 0xd8][..], &[0xff, 0xff], b"a\0b"] {
        assert!(text(binary).is_none());
    }
}

#[test]
fn other_things_are_named_with_what_to_pass_instead() {
    for (text, words) in [
        ("", "the input is empty"),
        (" \n\t ", "the input is empty"),
        ("users:\n- name: a\n  user:\n    token: REDACTED\n", "kubectl config view --raw"),
        ("Authorization: Bearer <masked>", "hidden"),
        ("users:\n- name: a\n  user:\n    tokenFile: /x\n", "tokenFile"),
        ("users:\n- name: a\n  user:\n    exec: {command: aws}\n", "users[].user.exec"),
        ("kind: Config\nusers: []\n", "kubeconfig"),
        ("-----BEGIN CERTIFICATE-----", "PEM"),
        ("k8s-aws-v1.aHR0cHM6Ly9zdHM", "AWS"),
        ("abcdef.0123456789abcdef", "bootstrap token"),
        (r#"{"iss": "x", "sub": "y", "exp": 1}"#, "decoded part"),
        (r#"{"kind":"TokenRequest","spec":{}}"#, "status.token"),
        (r#"{"kind": "Secret"}"#, "data.token"),
        ("{}", "JSON"),
        ("apiVersion: v1\nkind: Pod\n", "YAML"),
        ("Authorization: Bearer opaque", "no JWT"),
        ("aHR0cHM6Ly9leGFtcGxlLmNvbS9hL2I=", "base64"),
        ("hello", "some other text"),
    ] {
        let what = resemblance::of(text);
        assert!(what.contains(words), "{text}: {what}");
    }
}

/// Far more than any paste, made to be slow.
#[test]
fn hostile_input_costs_no_time() {
    for piece in ["eyJ\n", "ZXl\n", "%25", "eyJ.", "ZXlK", "QmV ", "\"kind\":", "eyJhbGci\n  "] {
        let text = piece.repeat(super::input::MAX_BYTES / piece.len());
        let _ = (find(&text), resemblance::of(&text));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(text) = text(&bytes) {
            let _ = (find(&text), resemblance::of(&text));
        }
    }

    #[test]
    fn a_place_contains_nothing_of_the_token(
        before in "[a-z:=\"' \n]{0,12}[:= \"\n]", after in "[ \n\"',}][a-z ]{0,12}",
        width in 20..90_usize,
    ) {
        let token = token();
        let pasted = format!("{before}{}{after}", wrapped(&token, width, "\n"));
        let seen = found(&pasted);
        prop_assert_eq!(seen.len(), 1, "{}", pasted);
        prop_assert!(!seen[0].1.contains("eyJ"));
    }
}
