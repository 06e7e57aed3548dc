//! The readers of an example node, as people and scripts see them.

use tokenwatch_core::engine::Status;
use tokenwatch_core::world::readers::ReaderView;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::cli::output::Layout;
use crate::cli::tests::golden;
use crate::reader_list::sample::{healthy, stale, unknown};
use crate::sinks::http::sample::{NOW, empty, token};

fn status() -> Status {
    let (cart, pay) = (token("cart-0", 600), token("pay-0", 30));
    let vm = token("vm-0", 60);
    let readers = vec![healthy(&cart, NOW.wall), unknown(&vm, NOW.wall), stale(&pay, NOW.wall)];
    Status { tokens: vec![cart, pay, vm], readers, ..empty() }
}

fn seen(origin: Origin, status: &Status) -> Found {
    Found { list: ReaderList::of(status, &["/var/lib/kubelet".into()], None), origin }
}

/// What the agent tells of the readers in `status`.
pub(in crate::cli) fn example(status: &Status) -> Found {
    seen(Origin::Agent("127.0.0.1:9723".parse().unwrap()), status)
}

fn by_agent() -> Found {
    seen(Origin::Agent("127.0.0.1:9723".parse().unwrap()), &status())
}

fn by_look(status: &Status) -> Found {
    let at = "127.0.0.1:9723".parse().unwrap();
    let why = Unanswered::Nobody(vec![(at, "connection refused".into())]);
    seen(Origin::Look(Delta::from_secs(10), why), status)
}

#[test]
fn the_table_shows_stale_readers_first_with_their_evidence() {
    let found = by_agent();
    let table = render::table(&found, Layout::plain());
    assert!(table.lines().all(|line| line.chars().count() <= 120), "{table}");
    golden("readers-table.txt", &table);
    assert_eq!(found.exit_code(), 1);
}

#[test]
fn the_json_matches_the_golden_file() {
    golden("readers.json", &format!("{:#}\n", json(&by_agent())));
}

#[test]
fn a_look_says_what_it_cannot_know() {
    let found = by_look(&Status { readers: Vec::new(), ..status() });
    golden("readers-look.txt", &render::table(&found, Layout::plain()));
    assert_eq!(found.exit_code(), 0);
}

#[test]
fn what_could_not_be_seen_is_not_healthy() {
    let mut status = Status { readers: Vec::new(), ..status() };
    status.agent.sources.insert("readers".into(), Some("no inotify instance is left".into()));
    let found = by_look(&status);
    assert_eq!(found.exit_code(), UNSEEN);
    let table = render::table(&found, Layout::plain());
    assert!(
        table.contains("not seen: no inotify instance is left")
            && table.ends_with("in what could be seen\n"),
        "{table}"
    );
}

#[test]
fn unknown_readers_are_counted_and_alone_are_not_healthy() {
    let at = |readers: &[ReaderView]| {
        let origin = Origin::Agent("127.0.0.1:9723".parse().unwrap());
        seen(origin, &Status { readers: readers.to_vec(), ..status() })
    };
    let (token, now) = (token("cart-0", 600), NOW.wall);
    let (well, bad, hidden) = (healthy(&token, now), stale(&token, now), unknown(&token, now));
    let table = [
        (vec![], "no stale reader", 0),
        (vec![well.clone()], "no stale reader", 0),
        (vec![well.clone(), hidden.clone(), hidden.clone()], "no stale reader; 2 unknown", 0),
        (vec![hidden.clone()], "no stale reader; 1 unknown", UNSEEN),
        (vec![bad.clone(), hidden], "1 stale reader; 1 unknown", 1),
        (vec![bad, well], "1 stale reader", 1),
    ];
    for (readers, expected, status) in table {
        let found = at(&readers);
        let table = render::table(&found, Layout::plain());
        assert!(table.ends_with(&format!("\n{expected}\n")), "{expected}: {table}");
        assert_eq!(found.exit_code(), status, "{expected}");
    }
}

#[test]
fn a_node_that_was_not_read_is_not_empty() {
    let mut status = empty();
    assert!(!is_blind(&status), "it has no token, and its files were read");
    status.agent.sources.insert(FILES.into(), Some("cannot read /k: EACCES".into()));
    assert!(is_blind(&status));
    status.agent.sources.clear();
    assert!(is_blind(&status), "the first scan did not end in time");
    status.tokens.push(token("cart-0", 60));
    assert!(!is_blind(&status));
}

/// Answers one request on a free port.
async fn answering(response: &'static str) -> Settings {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = Settings::default();
    settings.http.port.0 = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1_024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(response.as_bytes()).await.unwrap();
    });
    settings
}

#[tokio::test]
async fn whatever_answers_instead_of_the_agent_is_named() {
    let empty_list = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let table = [
        ("SSH-2.0-OpenSSH_9.2\r\n", "is not an agent"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "an older one (HTTP 404"),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "has too many requests"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhtml", "is not an agent"),
        (empty_list, "is not an agent"),
        ("", "is not an agent"),
    ];
    for (response, expected) in table {
        let settings = answering(response).await;
        let why = ask::agent(&settings, None).await.unwrap_err().to_string();
        assert!(why.contains(expected), "{response:?}: {why}");
    }
}

#[tokio::test]
async fn an_agent_that_does_not_run_is_named_with_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = Settings::default();
    settings.http.port.0 = listener.local_addr().unwrap().port();
    drop(listener);
    let why = ask::agent(&settings, None).await.unwrap_err().to_string();
    assert!(why.starts_with("no agent answers on this node (127.0.0.1:"), "{why}");
    settings.http.enabled = false;
    let why = ask::agent(&settings, None).await.unwrap_err().to_string();
    assert_eq!(why, "no agent can be asked (http.enabled is false)");
}
