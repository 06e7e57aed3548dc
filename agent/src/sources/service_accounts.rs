//! Service accounts, one at a time, and only those that are asked for: nothing is listed, nothing
//! watched.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use rand::Rng as _;
use serde::Deserialize;
use tokenwatch_core::world::cluster::{AccountName, AccountSeen};
use tokenwatch_core::world::observation::{Observation, SourceState};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::timeout;

use crate::kubernetes::{ApiServer, Ask, Trouble, quoted, whole};

/// What observations call this source.
const SOURCE: &str = "serviceaccounts";
/// Questions that may wait: as many accounts as the core keeps. What does not fit is asked again by
/// itself.
pub const QUEUE: usize = 256;
/// As for the pods: the API server waits up to 3 s for its cache, and flow control queues for up to
/// 15 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest object in etcd is 1.5 MB.
const LARGEST: usize = 2 << 20;
/// Between two questions, on average: when rotation stops everywhere at once, 5,000 nodes ask for
/// 1,000 accounts a second, and no more.
const PAUSE: Duration = Duration::from_secs(5);
/// What could not be answered is asked again after this, even if nobody wants to know any more:
/// whether it works is to be known, too.
const RETRY: Duration = Duration::from_mins(5);

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
    at_pace(server, asked, tell, Pace { pause: PAUSE, retry: RETRY }).await;
}

#[derive(Clone, Copy, Debug)]
struct Pace {
    pause: Duration,
    retry: Duration,
}

async fn at_pace(
    server: Arc<ApiServer>,
    asked: Receiver<AccountName>,
    tell: Sender<Observation>,
    pace: Pace,
) {
    let mut questions =
        Questions { asked, waiting: VecDeque::new(), unanswered: None, retry: pace.retry };
    let mut said = None;
    while let Some(account) = questions.next().await {
        let (seen, degraded) = match look(&server, account.clone()).await {
            Ok(seen) => (Some(Observation::ServiceAccount(seen)), None),
            Err(trouble) => (None, Some(complaint(&server, &trouble))),
        };
        questions.unanswered = degraded.is_some().then_some(account);
        let state = (said.as_ref() != Some(&degraded))
            .then(|| SourceState { source: SOURCE.to_owned(), degraded: degraded.clone() });
        said = Some(degraded);
        for observation in seen.into_iter().chain(state.map(Observation::Source)) {
            if tell.send(observation).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(spread(pace.pause)).await;
    }
}

/// The same for every account, so that it is said once.
fn complaint(server: &ApiServer, trouble: &Trouble) -> String {
    format!(
        "API server ({}): {trouble}. Why a token is late may be left unsaid; it is asked again in \
         five minutes",
        server.place()
    )
}

/// What is asked, in turn, each account once, however often while it waits.
struct Questions {
    asked: Receiver<AccountName>,
    waiting: VecDeque<AccountName>,
    /// The last one, if it came to nothing.
    unanswered: Option<AccountName>,
    retry: Duration,
}

impl Questions {
    /// Nothing once nobody asks any more.
    async fn next(&mut self) -> Option<AccountName> {
        if self.waiting.is_empty() {
            let first = self.wait().await?;
            self.put(first);
        }
        while let Ok(account) = self.asked.try_recv() {
            self.put(account);
        }
        self.waiting.pop_front()
    }

    async fn wait(&mut self) -> Option<AccountName> {
        let Some(again) = self.unanswered.take() else { return self.asked.recv().await };
        timeout(self.retry, self.asked.recv()).await.unwrap_or(Some(again))
    }

    fn put(&mut self, account: AccountName) {
        if !self.waiting.contains(&account) {
            self.waiting.push_back(account);
        }
    }
}

/// Nodes that ask at the same time do not go on asking at the same time.
fn spread(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..=1.5))
}

async fn look(server: &ApiServer, account: AccountName) -> Result<AccountSeen, Trouble> {
    let path = format!(
        "/api/v1/namespaces/{}/serviceaccounts/{}",
        quoted(&account.namespace),
        quoted(&account.name)
    );
    match server.ask(Ask::get(path), PATIENCE).await {
        Ok(answer) => {
            let body = whole(answer, LARGEST, PATIENCE).await?;
            let object: Object = serde_json::from_slice(&body)
                .map_err(|why| Trouble::Garbage(format!("its service account is none: {why}")))?;
            Ok(AccountSeen { account, uid: Some(object.metadata.uid) })
        }
        Err(Trouble::Refused { status: StatusCode::NOT_FOUND, message, .. })
            if says_so(&message, &account) =>
        {
            Ok(AccountSeen { account, uid: None })
        }
        Err(trouble) => Err(trouble),
    }
}

/// Anything on the way can say 404; that an account does not exist is believed only in the API
/// server's own words (apimachinery, NewNotFound).
fn says_so(message: &str, account: &AccountName) -> bool {
    message == format!("serviceaccounts \"{}\" not found", account.name)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::kubernetes::fake::{Fake, Reply, status};

    const AT_ONCE: Pace = Pace { pause: Duration::ZERO, retry: Duration::ZERO };

    fn named(name: &str) -> AccountName {
        AccountName { namespace: "shop".into(), name: name.into() }
    }

    /// All that is observed when these are the answers to as many questions, for shop/a, shop/b and
    /// so on.
    async fn observed(replies: Vec<Reply>) -> (Vec<Observation>, Fake) {
        let names: Vec<String> = ('a'..).take(replies.len()).map(String::from).collect();
        let fake = Fake::start(replies).await;
        let (ask, asked) = channel(QUEUE);
        let (tell, mut heard) = channel(QUEUE);
        for name in names.iter().chain(&names) {
            ask.send(named(name)).await.unwrap();
        }
        drop(ask); // and that was all
        at_pace(fake.client(), asked, tell, AT_ONCE).await;
        let mut all = Vec::new();
        while let Some(observation) = heard.recv().await {
            all.push(observation);
        }
        (all, fake)
    }

    fn seen(name: &str, uid: Option<&str>) -> Observation {
        Observation::ServiceAccount(AccountSeen { account: named(name), uid: uid.map(Into::into) })
    }

    fn degraded(observation: &Observation) -> Option<&Option<String>> {
        if let Observation::Source(SourceState { source, degraded }) = observation {
            (source == SOURCE).then_some(degraded)
        } else {
            None
        }
    }

    fn whole(code: u16, body: &str) -> Reply {
        Reply::Whole(code, None, body.to_owned())
    }

    #[tokio::test]
    async fn who_it_is_and_that_there_is_none_each_asked_once_however_often_it_waits() {
        let object = r#"{"kind": "ServiceAccount", "metadata": {"name": "a", "uid": "u-1"}, "secrets": [{"name": "x"}]}"#;
        let none = whole(404, &status(404, r#"serviceaccounts \"b\" not found"#));
        let (all, fake) = observed(vec![whole(200, object), none]).await;
        assert_eq!((&all[0], &all[2], all.len()), (&seen("a", Some("u-1")), &seen("b", None), 3));
        assert_eq!(degraded(&all[1]), Some(&None), "and that it works is said once");
        let asked: Vec<String> = fake
            .asked()
            .into_iter()
            .map(|asked| format!("{} {}", asked.method, asked.path))
            .collect();
        assert_eq!(
            asked,
            [
                "GET /api/v1/namespaces/shop/serviceaccounts/a",
                "GET /api/v1/namespaces/shop/serviceaccounts/b"
            ]
        );
    }

    #[tokio::test]
    async fn only_the_api_server_itself_can_say_that_there_is_none() {
        let words = [
            whole(404, "<html>not found</html>"),
            whole(404, &status(404, "the server could not find the requested resource")),
            whole(404, &status(404, r#"serviceaccounts \"other\" not found"#)),
            whole(200, "{}"),
            whole(200, r#"{"metadata": {"uid": 7}}"#),
            Reply::Cut(vec!["{".into()]),
        ];
        for reply in words {
            let all = observed(vec![reply]).await.0;
            assert!(all.len() == 1 && degraded(&all[0]).is_some_and(Option::is_some), "{all:?}");
        }
    }

    #[tokio::test]
    async fn a_right_that_is_missing_is_said_once_with_what_to_do() {
        let refused = || whole(403, &status(403, "serviceaccounts is forbidden"));
        let all = observed(vec![refused(), refused(), whole(200, r#"{"metadata": {"uid": "u"}}"#)])
            .await
            .0;
        let why = degraded(&all[0]).unwrap().as_ref().unwrap();
        assert!(why.contains("403 Forbidden") && why.contains("get on serviceaccounts"), "{why}");
        assert_eq!(
            (&all[1], degraded(&all[2]), all.len()),
            (&seen("c", Some("u")), Some(&None), 3)
        );
    }

    #[tokio::test]
    async fn what_came_to_nothing_is_asked_again_although_nobody_wants_to_know_any_more() {
        let fake =
            Fake::start(vec![whole(503, ""), whole(200, r#"{"metadata": {"uid": "u"}}"#)]).await;
        let (ask, asked) = channel(QUEUE);
        let (tell, mut heard) = channel(QUEUE);
        ask.send(named("a")).await.unwrap();
        let source = tokio::spawn(at_pace(fake.client(), asked, tell, AT_ONCE));
        assert!(degraded(&heard.recv().await.unwrap()).is_some_and(Option::is_some));
        assert_eq!(heard.recv().await, Some(seen("a", Some("u"))));
        assert_eq!(degraded(&heard.recv().await.unwrap()), Some(&None), "and it works again");
        drop(ask);
        source.await.unwrap();
    }

    #[tokio::test]
    async fn whoever_asked_first_is_answered_first() {
        let (ask, asked) = channel(QUEUE);
        let mut questions =
            Questions { asked, waiting: VecDeque::new(), unanswered: None, retry: Duration::ZERO };
        for name in ["z", "a", "z", "m"] {
            ask.send(named(name)).await.unwrap();
        }
        assert_eq!(questions.next().await, Some(named("z")));
        ask.send(named("a")).await.unwrap();
        ask.send(named("z")).await.unwrap();
        for name in ["a", "m", "z"] {
            assert_eq!(questions.next().await, Some(named(name)));
        }
    }

    #[tokio::test]
    async fn hostile_names_stay_within_the_path() {
        let fake = Fake::start(vec![whole(200, "{}")]).await;
        let (ask, asked) = channel(QUEUE);
        let (tell, _heard) = channel(1);
        ask.send(AccountName { namespace: "../..".into(), name: "a/b?c=d#e\n".into() })
            .await
            .unwrap();
        drop(ask);
        at_pace(fake.client(), asked, tell, AT_ONCE).await;
        assert_eq!(
            fake.asked()[0].path,
            "/api/v1/namespaces/..%2F../serviceaccounts/a%2Fb%3Fc%3Dd%23e%0A"
        );
    }
}
