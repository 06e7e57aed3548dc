//! A kubelet root without a kubelet, for the scenarios that are about clocks and collectors.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokenwatch_core::base::time::Wall;
use tokenwatch_lab::kubelet::{Payload, Volume};
use tokenwatch_lab::root::Root;
use tokenwatch_lab::signer::unsigned;

pub struct Tree {
    pub root: PathBuf,
}

pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

impl Tree {
    pub fn at(directory: &Path) -> Self {
        let root = Root::at(&directory.join("kubelet")).unwrap();
        Self { root: root.path().to_owned() }
    }

    /// Writes the next generation of a pod's token: issued `age` seconds ago, for `lifetime`
    /// seconds.
    pub fn write(&self, pod: usize, age: i64, lifetime: i64) {
        let uid = format!("00000000-0000-4000-8000-{pod:012}");
        let token = token(pod, &uid, now() - age, lifetime);
        let payload = Payload::from([("token".into(), token.into_bytes())]);
        let volume = Volume::new(&self.root, &uid, "kube-api-access-abcde");
        volume.write(&payload, Wall::from_secs(now())).unwrap();
    }
}

fn token(pod: usize, uid: &str, iat: i64, lifetime: i64) -> String {
    let claims = json!({
        "iss": "https://kubernetes.default.svc", "aud": ["https://kubernetes.default.svc"],
        "sub": "system:serviceaccount:shop:cart",
        "iat": iat, "nbf": iat, "exp": iat + lifetime, "jti": format!("jti-{pod}-{iat}"),
        "kubernetes.io": {
            "namespace": "shop", "serviceaccount": {"name": "cart", "uid": "sa"},
            "pod": {"name": format!("cart-{pod}"), "uid": uid},
        },
    });
    unsigned(&json!({"alg": "RS256", "kid": "k"}), &claims, "c2lnbmF0dXJl")
}
