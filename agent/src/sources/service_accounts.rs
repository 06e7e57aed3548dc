//! Service accounts, one at a time, and only those that are asked for: nothing is listed, nothing watched.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use rand::Rng as _;
use serde::Deserialize;
use tokenwatch_core::cluster::{AccountName, AccountSeen};
use tokenwatch_core::observation::Observation;
use tokenwatch_core::text::shown;
use tokio::sync::mpsc::{Receiver, Sender};

use crate::apiserver::{ApiServer, Ask, Trouble, quoted, whole};

/// Questions that may wait; what does not fit is asked again by itself. A full node has some fifty accounts.
pub const QUEUE: usize = 64;
/// As for the pods: the API server waits up to 3 s for its cache, and flow control queues for up to 15 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest object in etcd is 1.5 MB.
const LARGEST: usize = 2 << 20;
/// Between two questions, on average: when rotation stops everywhere at once, 5,000 nodes ask for 1,000 accounts a second, and no more.
const PAUSE: Duration = Duration::from_secs(5);

/// A service account, of which no more is read than who it is.
#[derive(Debug, Deserialize)]
struct Object {
    metadata: Meta,
}

#[derive(Debug, Deserialize)]
struct Meta {
    uid: String,
}

/// Answers questions until nobody asks or listens any more.
pub async fn run(server: Arc<ApiServer>, asked: Receiver<AccountName>, tell: Sender<Observation>) {
    at_pace(server, asked, tell, PAUSE).await;
}

async fn at_pace(server: Arc<ApiServer>, mut asked: Receiver<AccountName>, tell: Sender<Observation>, pause: Duration) {
    while let Some(account) = asked.recv().await {
        match look(&server, account.clone()).await {
            Ok(seen) => {
                if tell.send(Observation::ServiceAccount(seen)).await.is_err() {
                    return;
                }
            }
            Err(trouble) => {
                tracing::info!(
                    "service account {}/{} is not known: API server ({}): {trouble}",
                    shown(&account.namespace),
                    shown(&account.name),
                    server.place()
                );
            }
        }
        tokio::time::sleep(spread(pause)).await;
    }
}

/// Nodes that ask at the same time do not go on asking at the same time.
fn spread(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.5))
}

async fn look(server: &ApiServer, account: AccountName) -> Result<AccountSeen, Trouble> {
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/{}", quoted(&account.namespace), quoted(&account.name));
    match server.ask(Ask::get(path), PATIENCE).await {
        Ok(answer) => {
            let body = whole(answer, LARGEST, PATIENCE).await?;
            let object: Object =
                serde_json::from_slice(&body).map_err(|why| Trouble::Garbage(format!("its service account is none: {why}")))?;
            Ok(AccountSeen { account, uid: Some(object.metadata.uid) })
        }
        Err(Trouble::Refused { status: StatusCode::NOT_FOUND, message, .. }) if says_so(&message, &account) => {
            Ok(AccountSeen { account, uid: None })
        }
        Err(trouble) => Err(trouble),
    }
}

/// Anything on the way can say 404; that an account does not exist is believed only in the API server's own words (apimachinery, NewNotFound).
fn says_so(message: &str, account: &AccountName) -> bool {
    message == format!("serviceaccounts \"{}\" not found", account.name)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::apiserver::fake::{Fake, Reply, status};

    fn named(name: &str) -> AccountName {
        AccountName { namespace: "shop".into(), name: name.into() }
    }

    /// What is observed when that is the answer to a question for shop/cart.
    async fn answered(reply: Reply) -> (Option<Option<String>>, Fake) {
        let fake = Fake::start(vec![reply]).await;
        let (ask, asked) = channel(QUEUE);
        let (tell, mut heard) = channel(1);
        ask.send(named("cart")).await.unwrap();
        drop(ask); // and that was all
        at_pace(fake.client(), asked, tell, Duration::ZERO).await;
        let seen = match heard.recv().await {
            Some(Observation::ServiceAccount(seen)) => {
                assert_eq!(seen.account, named("cart"));
                Some(seen.uid)
            }
            Some(other) => panic!("{other:?}"),
            None => None,
        };
        (seen, fake)
    }

    fn whole(code: u16, body: &str) -> Reply {
        Reply::Whole(code, None, body.to_owned())
    }

    #[tokio::test]
    async fn who_it_is_and_that_there_is_none() {
        let object = r#"{"kind": "ServiceAccount", "metadata": {"name": "cart", "uid": "u-1"}, "secrets": [{"name": "x"}]}"#;
        let (uid, fake) = answered(whole(200, object)).await;
        assert_eq!(uid, Some(Some("u-1".to_owned())));
        let asked = fake.asked();
        assert_eq!((&*asked[0].method, &*asked[0].path), ("GET", "/api/v1/namespaces/shop/serviceaccounts/cart"));
        let none = whole(404, &status(404, r#"serviceaccounts \"cart\" not found"#));
        assert_eq!(answered(none).await.0, Some(None));
    }

    #[tokio::test]
    async fn only_the_api_server_itself_can_say_that_there_is_none() {
        let words = [
            whole(404, "<html>not found</html>"),
            whole(404, &status(404, "the server could not find the requested resource")),
            whole(404, &status(404, r#"serviceaccounts \"other\" not found"#)),
            whole(403, &status(403, r#"serviceaccounts \"cart\" is forbidden"#)),
            whole(200, "{}"),
            whole(200, r#"{"metadata": {"uid": 7}}"#),
            Reply::Cut(vec!["{".into()]),
        ];
        for reply in words {
            assert_eq!(answered(reply).await.0, None);
        }
    }

    #[tokio::test]
    async fn hostile_names_stay_within_the_path() {
        let fake = Fake::start(vec![whole(200, "{}")]).await;
        let (ask, asked) = channel(QUEUE);
        let (tell, _heard) = channel(1);
        ask.send(AccountName { namespace: "../..".into(), name: "a/b?c=d#e\n".into() }).await.unwrap();
        drop(ask);
        at_pace(fake.client(), asked, tell, Duration::ZERO).await;
        assert_eq!(fake.asked()[0].path, "/api/v1/namespaces/..%2F../serviceaccounts/a%2Fb%3Fc%3Dd%23e%0A");
    }
}
