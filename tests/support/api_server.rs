//! Just enough of an API server: the pods of a node, its service accounts, and Events, over plain
//! HTTP on loopback.

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// The key that signs the tokens of `support/node.rs`.
const KEY: &str = "key-1";
/// Their issuer.
const ISSUER: &str = "https://kubernetes.default.svc";

/// What it knows, and what it was asked.
#[derive(Debug, Default)]
struct Known {
    pods: Vec<Value>,
    /// UIDs by namespace and name.
    accounts: BTreeMap<(String, String), String>,
    /// Ids of the keys that it verifies with.
    keys: Vec<String>,
    /// Whole keys that it publishes besides.
    jwks: Vec<Value>,
    /// Its answer to a TokenReview: HTTP status and `status`.
    review: Option<(&'static str, Value)>,
    /// The TokenReviews that it received.
    reviews: Vec<Value>,
    events: Vec<Value>,
    requests: Vec<String>,
}

/// A running server. It ends with the process.
#[derive(Clone, Debug)]
pub(crate) struct ApiServer {
    port: u16,
    known: Arc<Mutex<Known>>,
}

/// A running pod as the API shows it.
pub(crate) fn api_pod(name: &str, node: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}")},
        "spec": {
            "nodeName": node, "serviceAccountName": "cart",
            "containers": [{"name": "app", "image": "registry.example/cart:1"}],
        },
        "status": {"phase": "Running"},
    })
}

impl ApiServer {
    /// With these pods, and the UID of the service account shop/cart, if it exists.
    pub(crate) fn start(pods: Vec<Value>, account: Option<&str>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let name = ("shop".to_owned(), "cart".to_owned());
        let accounts = account.map(|uid| (name, uid.to_owned())).into_iter().collect();
        let known = Arc::new(Mutex::new(Known {
            pods,
            accounts,
            keys: vec![KEY.to_owned()],
            ..Known::default()
        }));
        let server = Self { port, known };
        let serving = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = serving.clone();
                std::thread::spawn(move || server.serve(stream));
            }
        });
        server
    }

    /// Verifies with these keys from now on.
    pub(crate) fn verify_with(&self, keys: &[&str]) {
        self.known.lock().expect("not poisoned").keys =
            keys.iter().map(ToString::to_string).collect();
    }

    /// Publishes these keys, and no others.
    #[allow(dead_code)] // not every test that includes this file needs it
    pub(crate) fn publish(&self, keys: Vec<Value>) {
        let mut known = self.known.lock().expect("not poisoned");
        (known.keys, known.jwks) = (Vec::new(), keys);
    }

    /// Answers every TokenReview like this from now on.
    #[allow(dead_code)] // not every test that includes this file needs it
    pub(crate) fn review_with(&self, status: &'static str, answer: Value) {
        self.known.lock().expect("not poisoned").review = Some((status, answer));
    }

    /// The TokenReviews that it received.
    #[allow(dead_code)] // not every test that includes this file needs it
    pub(crate) fn reviews(&self) -> Vec<Value> {
        self.known.lock().expect("not poisoned").reviews.clone()
    }

    /// The Events that were written.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.known.lock().expect("not poisoned").events.clone()
    }

    /// Method and path of each request.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.known.lock().expect("not poisoned").requests.clone()
    }

    /// A kubeconfig for it, below `directory`.
    pub(crate) fn kubeconfig(&self, directory: &Path) -> PathBuf {
        let file = directory.join("kubeconfig");
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{
                "name": "c",
                "cluster": {"server": format!("http://127.0.0.1:{}", self.port)},
            }],
            "users": [{"name": "u", "user": {"token": "t"}}],
        });
        std::fs::write(&file, text.to_string()).expect("a kubeconfig");
        file
    }

    /// Answers one request. A watch stays open, and nothing happens in it.
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
        let Some((method, path, body)) = request(&mut reader) else { return };
        let mut stream = stream;
        if path.contains("watch=true") {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                        transfer-encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head.as_bytes());
            std::thread::sleep(Duration::from_mins(5));
            return;
        }
        let (status, answer) = self.answer(&method, &path, body);
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            answer.len()
        );
        let _ = stream.write_all((head + &answer).as_bytes());
    }

    fn answer(&self, method: &str, path: &str, body: Value) -> (&'static str, Value) {
        let mut known = self.known.lock().expect("not poisoned");
        known.requests.push(format!("{method} {path}"));
        if method == "PATCH" && !is_known_event(&known, path) {
            return ("404 Not Found", json!({"kind": "Status", "code": 404}));
        }
        if path.ends_with("/tokenreviews") {
            let answer = known.review.clone().unwrap_or(("404 Not Found", json!({})));
            let echoed = json!({"spec": body["spec"], "status": answer.1});
            known.reviews.push(body);
            return (answer.0, echoed);
        }
        if method == "POST" {
            known.events.push(body);
        }
        if method != "GET" {
            return ("201 Created", json!({}));
        }
        let place = path.split('?').next().unwrap_or_default();
        if let Some(published) = published(&known, place) {
            return ("200 OK", published);
        }
        match place.strip_prefix("/api/v1/namespaces/").and_then(|rest| rest.split_once('/')) {
            Some((namespace, account)) => {
                account_of(&known, namespace, account.trim_start_matches("serviceaccounts/"))
            }
            None => ("200 OK", pods_of(&known, path)),
        }
    }
}

/// The keys and the issuer.
fn published(known: &Known, path: &str) -> Option<Value> {
    let key = |id: &String| json!({"use": "sig", "kty": "RSA", "kid": id, "alg": "RS256"});
    match path {
        "/openid/v1/jwks" => {
            let keys = known.keys.iter().map(key).chain(known.jwks.iter().cloned());
            Some(json!({"keys": keys.collect::<Vec<_>>()}))
        }
        "/.well-known/openid-configuration" => Some(json!({"issuer": ISSUER})),
        _ => None,
    }
}

fn is_known_event(known: &Known, path: &str) -> bool {
    let name = path.split('?').next().and_then(|path| path.rsplit('/').next());
    known.events.iter().any(|event| event["metadata"]["name"].as_str() == name)
}

fn account_of(known: &Known, namespace: &str, name: &str) -> (&'static str, Value) {
    match known.accounts.get(&(namespace.to_owned(), name.to_owned())) {
        Some(uid) => ("200 OK", json!({"metadata": {"name": name, "uid": uid}})),
        None => (
            "404 Not Found",
            json!({
                "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404,
                "message": format!("serviceaccounts \"{name}\" not found"),
            }),
        ),
    }
}

/// The pods of the node in the field selector.
fn pods_of(known: &Known, path: &str) -> Value {
    let node = path.split("spec.nodeName%3D").nth(1).and_then(|rest| rest.split('&').next());
    let is_there = |pod: &&Value| pod["spec"]["nodeName"].as_str() == node;
    let items: Vec<&Value> = known.pods.iter().filter(is_there).collect();
    json!({"kind": "PodList", "metadata": {"resourceVersion": "100"}, "items": items})
}

/// Method, path and content of a request; none if the client closed the connection.
fn request(reader: &mut impl std::io::BufRead) -> Option<(String, String, Value)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(ToOwned::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((method, path, serde_json::from_slice(&body).unwrap_or_default()))
}
