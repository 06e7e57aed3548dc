//! Broken and malicious collectors: each request ends in time, in bounded memory, and with a
//! reason.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use tokenwatch_otlp::protocol::{Compression, Protocol};

use super::super::failure::{Failure, Kind};
use super::super::transport::Transport;
use super::collector::{Answer, Collector};
use super::delivery::{alerts, own, sink};
use crate::config::otlp::OwnOtlp;
use crate::config::otlp::tests::resolved;

/// Far longer than any answer here needs, far shorter than a test may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes that a server can send before the agent disconnects: the limit of an answer, and what
/// sockets hold on both sides.
const MOST_TAKEN: usize = 16 << 20;

/// Serves every connection with `serve`; returns its address.
async fn server<F: Future<Output = std::io::Result<()>> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

fn transport(address: SocketAddr, protocol: Protocol, scheme: &str) -> Transport {
    let own = OwnOtlp {
        endpoint: Some(format!("{scheme}://{address}")),
        timeout: Some(TIMEOUT),
        compression: Some(Compression::Gzip),
        ..own(address, protocol)
    };
    Transport::new(resolved(&own, &[]).logs.unwrap())
}

async fn failure(address: SocketAddr, protocol: Protocol, scheme: &str) -> Failure {
    let started = Instant::now();
    let failure =
        transport(address, protocol, scheme).send(Bytes::from_static(b"x")).await.unwrap_err();
    assert!(
        started.elapsed() < TIMEOUT + Duration::from_secs(3),
        "{failure:?} took {:?}",
        started.elapsed()
    );
    failure
}

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

/// Reads a whole HTTP/1 request, more or less: what has come when the peer pauses.
async fn request(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 4_096];
    stream.read(&mut buffer).await.map(drop)
}

#[tokio::test]
async fn one_that_never_answers_and_one_that_never_shakes_hands() {
    for (protocol, scheme) in [
        (Protocol::Grpc, "http"),
        (Protocol::HttpProtobuf, "http"),
        (Protocol::Grpc, "https"),
        (Protocol::HttpProtobuf, "https"),
    ] {
        let silent = server(|mut stream| async move {
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
        })
        .await;
        let failure = failure(silent, protocol, scheme).await;
        assert_eq!(failure.kind, Kind::Connection, "{protocol:?} {scheme}");
        assert!(failure.text.contains("no answer within 2000 ms"), "{}", failure.text);
    }
}

#[tokio::test]
async fn one_that_answers_byte_by_byte() {
    let dripping = server(|mut stream| async move {
        request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
        loop {
            stream.write_all(b"x").await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let failure = failure(dripping.await, Protocol::HttpProtobuf, "http").await;
    assert_eq!(failure.kind, Kind::Connection);
    assert!(failure.text.contains("no answer within"), "{}", failure.text);
}

/// A server that sends `head` and then a gigabyte, and how much of it was taken.
async fn gigabyte(head: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let address = server(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            request(&mut stream).await?;
            stream.write_all(head).await?;
            let anything = vec![b'x'; 1 << 20];
            for _ in 0..1_024 {
                stream.write_all(&anything).await?;
                count.fetch_add(1 << 20, Ordering::Relaxed);
            }
            Ok(())
        }
    });
    (address.await, taken)
}

#[tokio::test]
async fn one_whose_answer_is_a_gigabyte() {
    let heads: [(&[u8], Kind); 4] = [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n", Kind::Connection),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 1073741824\r\n\r\n", Kind::Transient),
        (b"HTTP/1.1 400 Bad Request\r\ncontent-length: 1073741824\r\n\r\n", Kind::Data),
        (b"HTTP/1.1 200 OK\r\nx-endless: ", Kind::Connection),
    ];
    for (head, kind) in heads {
        let (address, taken) = gigabyte(head).await;
        let failure = failure(address, Protocol::HttpProtobuf, "http").await;
        assert_eq!(failure.kind, kind, "{}", failure.text);
        assert!(
            taken.load(Ordering::Relaxed) < MOST_TAKEN,
            "{} bytes were taken",
            taken.load(Ordering::Relaxed)
        );
    }
}

/// The start of an HTTP/2 connection, by hand: reads the client's preface, writes empty SETTINGS.
async fn http2(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await?;
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await
}

#[tokio::test]
async fn one_that_sends_goaway_without_end() {
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let rude = server(move |mut stream| {
        count.fetch_add(1, Ordering::Relaxed);
        async move {
            http2(&mut stream).await?;
            loop {
                // GOAWAY, last stream 0, NO_ERROR
                stream.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await?;
            }
        }
    });
    let failure = failure(rude.await, Protocol::Grpc, "http").await;
    assert_eq!(failure.kind, Kind::Connection, "{}", failure.text);
    // One for the try, and one or two for each way in which the endpoint is spoken to afterwards.
    assert!(
        connections.load(Ordering::Relaxed) < 9,
        "{} connections for one try",
        connections.load(Ordering::Relaxed)
    );
}

#[tokio::test]
async fn one_that_resets_and_one_that_is_no_collector() {
    let resetting = server(|stream| async move {
        nix::sys::socket::setsockopt(
            &stream,
            nix::sys::socket::sockopt::Linger,
            &nix::libc::linger { l_onoff: 1, l_linger: 0 },
        )?;
        drop(stream); // RST
        Ok(())
    });
    let address = resetting.await;
    for protocol in BOTH {
        assert_eq!(failure(address, protocol, "http").await.kind, Kind::Connection);
    }
    let ssh =
        server(|mut stream| async move { stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await });
    let address = ssh.await;
    for protocol in BOTH {
        assert_eq!(failure(address, protocol, "http").await.kind, Kind::Connection);
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = server(|_| async { panic!("nobody was sent here") }).await;
    let redirecting = server(move |mut stream| async move {
        request(&mut stream).await?;
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{elsewhere}/v1/logs\r\n\
             content-length: 0\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await
    });
    let failure = failure(redirecting.await, Protocol::HttpProtobuf, "http").await;
    assert_eq!(failure.kind, Kind::Refused);
    assert!(failure.text.contains("HTTP 307"), "{}", failure.text);
}

/// A gRPC server whose answer is marked as gzip and inflates to 64 MiB.
#[tokio::test]
async fn an_answer_that_inflates_is_refused() {
    use std::io::Write as _;

    use http_body_util::Full;

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; 64 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 100_000);
    let mut message = vec![1];
    message.extend(u32::try_from(bomb.len()).unwrap().to_be_bytes());
    message.extend(bomb);
    let message = Bytes::from(message);
    let address = server(move |stream| {
        let message = message.clone();
        async move {
            let service = hyper::service::service_fn(move |_| {
                let body = Full::new(message.clone());
                let answer = http::Response::builder()
                    .header("content-type", "application/grpc")
                    .header("grpc-encoding", "gzip")
                    .body(body);
                async move { answer }
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            let served =
                hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new())
                    .serve_connection(io, service);
            served.await.map_err(std::io::Error::other)
        }
    });
    let failure = failure(address.await, Protocol::Grpc, "http").await;
    assert!(
        failure.text.to_lowercase().contains("grpc-encoding")
            || failure.text.contains("Unimplemented"),
        "{}",
        failure.text
    );
}

#[tokio::test]
async fn an_answer_in_no_protocol_is_no_acceptance() {
    let garbage = server(|mut stream| async move {
        loop {
            request(&mut stream).await?;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n<html>hi</html>")
                .await?;
        }
    });
    let sink = sink(&own(garbage.await, Protocol::HttpProtobuf));
    let mut delivery = sink.delivery();
    sink.take(alerts(2));
    let state = delivery.wait_for(|state| state.last_error.is_some()).await.unwrap().clone();
    assert_eq!((state.waiting, state.rejected), (2, 0));
    assert!(
        state.last_error.unwrap().contains("check that the endpoint is the collector's OTLP port")
    );
}

#[tokio::test]
async fn any_success_without_a_body_is_acceptance() {
    let terse = server(|mut stream| async move {
        loop {
            request(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
        }
    });
    let sink = sink(&own(terse.await, Protocol::HttpProtobuf));
    sink.take(alerts(2));
    assert!(sink.shutdown(Duration::from_secs(5)).await.is_clean());
}

/// The collector takes everything but one record.
#[tokio::test]
async fn an_alert_that_is_refused_alone_is_dropped_and_the_others_arrive() {
    for protocol in BOTH {
        let collector = Collector::new(protocol, std::iter::repeat_n(Answer::Poison("\"2\""), 50));
        let sink = sink(&own(collector.serve().await, protocol));
        let mut delivery = sink.delivery();
        sink.take(alerts(4));
        collector.until(|seen| seen.accepted.len() == 3).await;
        let given_up = delivery.wait_for(|state| state.rejected == 1);
        let state = tokio::time::timeout(Duration::from_secs(10), given_up)
            .await
            .expect("it is dropped")
            .unwrap()
            .clone();
        assert_eq!((state.waiting, state.given_up), (0, 0), "{protocol:?}");
        assert!(sink.shutdown(Duration::from_secs(2)).await.is_clean());
    }
}

/// The cause may be the configuration: no alert is given up, the error is reported, and the tries
/// become slower.
#[tokio::test]
async fn a_collector_that_refuses_all_data_costs_no_alert() {
    for protocol in BOTH {
        let collector = Collector::new(protocol, std::iter::repeat_n(Answer::Bad, 1_000));
        let sink = sink(&own(collector.serve().await, protocol));
        let mut delivery = sink.delivery();
        sink.take(alerts(2));
        collector.until(|seen| seen.requests >= 4).await; // both, each alone, and the first again
        let state = delivery.wait_for(|state| state.last_error.is_some()).await.unwrap().clone();
        assert_eq!((state.waiting, state.given_up, state.rejected), (2, 0, 0), "{protocol:?}");
        let report = sink.shutdown(Duration::from_millis(100)).await;
        assert_eq!(report.alerts_left, 2);
        assert!(collector.seen.lock().unwrap().requests < 10, "no storm");
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_failure_like_others() {
    let own = OwnOtlp {
        endpoint: Some("http://collector.invalid:4318".into()),
        ..own("127.0.0.1:1".parse().unwrap(), Protocol::HttpProtobuf)
    };
    let transport = Transport::new(resolved(&own, &[]).logs.unwrap());
    assert_eq!(transport.send(Bytes::new()).await.unwrap_err().kind, Kind::Connection);
}
