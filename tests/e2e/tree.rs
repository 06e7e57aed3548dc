//! A kubelet root without a kubelet, for the scenarios that are about clocks and collectors.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

pub struct Tree {
    pub root: PathBuf,
}

pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

impl Tree {
    pub fn at(directory: &Path) -> Self {
        let root = directory.join("kubelet");
        std::fs::create_dir_all(root.join("pods")).unwrap();
        Self { root }
    }

    /// Writes the next generation of a pod's token: issued `age` seconds ago, for `lifetime`
    /// seconds.
    pub fn write(&self, pod: usize, age: i64, lifetime: i64) {
        let uid = format!("00000000-0000-4000-8000-{pod:012}");
        let volume = self
            .root
            .join("pods")
            .join(&uid)
            .join("volumes/kubernetes.io~projected/kube-api-access-abcde");
        let generation = volume.join(format!("..2026_01_01_00_00_00.{}", now() - age));
        std::fs::create_dir_all(&generation).unwrap();
        std::fs::write(generation.join("token"), token(pod, &uid, now() - age, lifetime)).unwrap();
        let _ = std::fs::remove_file(volume.join("..data_tmp"));
        symlink(generation.file_name().unwrap(), volume.join("..data_tmp")).unwrap();
        std::fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
        let _ = symlink("..data/token", volume.join("token"));
    }
}

fn token(pod: usize, uid: &str, iat: i64, lifetime: i64) -> String {
    let claims = json!({
        "iss": "https://kubernetes.default.svc", "aud": ["https://kubernetes.default.svc"], "sub": "system:serviceaccount:shop:cart",
        "iat": iat, "nbf": iat, "exp": iat + lifetime, "jti": format!("jti-{pod}-{iat}"),
        "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "cart", "uid": "sa"}, "pod": {"name": format!("cart-{pod}"), "uid": uid}}
    });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2lnbmF0dXJl", part(&json!({"alg": "RS256", "kid": "k"})), part(&claims))
}
