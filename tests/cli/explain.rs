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
    let oversized = format!("eyJ{}", "a".repeat(10_000_000));
    let cases = [
        ("", "the input is empty"),
        (pem, "a certificate or a key in PEM"),
        ("{\"kind\": \"Secret\"}", "JSON"),
        (foreign.as_str(), "a JWT of another issuer"),
        (encoded, "base64 -d"),
        ("eyJhbGciOiJSUzI1NiJ9.e30", "starts like one, but a JWT has 3 parts"),
        ("eyJhbGciOiJkaXIifQ..YQ.YQ.YQ", "is an encrypted JWT (JWE), not a service-account token"),
        (oversized.as_str(), "longer than 65536 bytes"),
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
