//! A collector over HTTP on loopback. It keeps what the alerts that it accepted are about.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;

/// What an alert is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Alert {
    /// `tokenwatch.finding.raised`, `.reminded` or `.cleared`.
    pub(crate) event: String,
    pub(crate) code: String,
    /// UID of the pod; empty for the node.
    pub(crate) pod: String,
    /// The sentence.
    pub(crate) text: String,
}

impl Alert {
    fn of(record: LogRecord) -> Self {
        let text = |name| text_of(&record.attributes, name);
        let (code, pod) = (text("tokenwatch.finding.code"), text("k8s.pod.uid"));
        let body = record.body.and_then(|body| body.value);
        Self {
            event: record.event_name,
            code,
            pod,
            text: body.and_then(string).unwrap_or_default(),
        }
    }

    /// Whether it reports that a finding with this code began.
    pub(crate) fn raises(&self, code: &str) -> bool {
        self.code == code && self.event == "tokenwatch.finding.raised"
    }
}

fn text_of(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|pair| pair.key == name);
    found.and_then(|pair| pair.value.clone()?.value).and_then(string).unwrap_or_default()
}

fn string(value: any_value::Value) -> Option<String> {
    match value {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}

/// How it answers: the status, and how long it takes for that.
pub(crate) type Answer = (u16, Duration);

/// A running collector. It ends with the process.
#[derive(Clone)]
pub(crate) struct Collector {
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    accepted: Arc<Mutex<Vec<Alert>>>,
}

impl Collector {
    pub(crate) fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let collector = Self { address, answer, accepted: Arc::default() };
        let serving = collector.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let collector = serving.clone();
                std::thread::spawn(move || collector.serve(stream));
            }
        });
        collector
    }

    /// Answers like this from now on.
    pub(crate) fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`, with the protocol `http/protobuf`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The alerts that it accepted.
    pub(crate) fn accepted(&self) -> Vec<Alert> {
        self.accepted.lock().unwrap().clone()
    }

    /// Until the client closes the connection.
    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut stream = stream;
        loop {
            let (path, body) = request(&mut reader)?;
            let (status, takes) = *self.answer.lock().unwrap();
            std::thread::sleep(takes);
            if status == 200 && path == "/v1/logs" {
                self.accepted.lock().unwrap().extend(alerts(&body));
            }
            let head = "content-type: application/x-protobuf\r\ncontent-length: 0";
            stream.write_all(format!("HTTP/1.1 {status} X\r\n{head}\r\n\r\n").as_bytes()).ok()?;
        }
    }
}

fn alerts(body: &[u8]) -> impl Iterator<Item = Alert> {
    let request = ExportLogsServiceRequest::decode(body).expect("a request for logs");
    let scopes = request.resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
    scopes.flat_map(|scope| scope.log_records).map(Alert::of)
}

/// Path and content of a request; none at the end of the connection.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let header = line.to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, body))
}
