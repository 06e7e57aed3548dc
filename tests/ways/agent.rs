//! What each way out shows: a running agent, and the commands beside it.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokenwatch_core::findings::Code;

use crate::Findings;
use crate::keeper::Keeper;
use crate::node::bare;
use crate::running::Running;
use crate::situations::{POD, Scene, Situation};
use crate::web::{free_port, get};

/// A debug build on a busy machine, twenty of them at once.
const PATIENCE: Duration = Duration::from_secs(90);

/// Time from the start of an agent to its first look at the logs of the API server.
const LOOKS: Duration = Duration::from_secs(3);

/// Number of agents that were started.
static AGENTS: AtomicU8 = AtomicU8::new(1);

/// The same findings, seen in every way.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) out: String,
    pub(crate) printed: Findings,
    pub(crate) metrics: Findings,
    pub(crate) html: String,
    pub(crate) page: Findings,
    pub(crate) page_verdict: Option<String>,
    /// None where no API server takes them.
    pub(crate) events: Option<Findings>,
    pub(crate) table: String,
    pub(crate) check_table: Findings,
    pub(crate) check_json: Findings,
    pub(crate) check_status: Option<i32>,
    pub(crate) check_verdict: Option<String>,
    pub(crate) explain_verdict: Option<String>,
    pub(crate) why: Findings,
    pub(crate) why_status: Option<i32>,
    pub(crate) readers: Readers,
}

/// What the commands report of readers beside a running agent.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    statuses: [Option<i32>; 2],
    lists: [Value; 2],
    served: Value,
    metric: bool,
}

impl Readers {
    fn of(agent: &Agent, scene: &Scene) -> Self {
        let (host, port) = (agent.address.ip().to_string(), agent.address.port().to_string());
        let at =
            ["--output", "json", "--http", "true", "--http-address", &host, "--http-port", &port];
        let json = |text: &str| serde_json::from_str(text).unwrap_or_default();
        let (readers, list) = run("readers", &[scene.node_flags()], &at);
        let more = [&["--readers"][..], &at].concat();
        let (check, checked) = run("check", &[scene.node_flags(), scene.clock_flags()], &more);
        let checked: Value = json(&checked);
        let metrics = agent.get("/metrics").unwrap_or_default();
        Self {
            statuses: [readers, check],
            lists: [json(&list), checked["readers"].clone()],
            served: json(&agent.get("/readers?pod=shop/cart-0").unwrap_or_default()),
            metric: metrics.contains("tokenwatch_readers{token_reader_verdict=\"stale\"} 1\n"),
        }
    }

    /// What is wrong with it where one reader is stale.
    pub(crate) fn differences(&self) -> Vec<String> {
        let is_stale = |list: &Value| {
            let readers = list["readers"].as_array();
            readers
                .is_some_and(|all| all.iter().filter(|one| one["verdict"] == "stale").count() == 1)
        };
        let statuses = self.statuses == [Some(1); 2];
        let lists = self.lists.iter().chain([&self.served]).all(is_stale);
        let found = (!statuses || !lists || !self.metric).then(|| format!("readers: {self:?}"));
        found.into_iter().collect()
    }
}

impl Seen {
    /// Waits until the agent shows `expected` in its metrics, or until it is clear that it will
    /// not. The other ways follow within moments.
    pub(crate) fn of(scene: &Scene, situation: &Situation, expected: &Findings) -> Self {
        let agent = Agent::start(scene);
        let events = || scene.api.is_none() || scene.events() == *expected;
        wait(|| agent.get("/readyz").is_some_and(|body| body.starts_with("ok")));
        let _keeper = situation.is_kept.then(|| Keeper::start(scene));
        if situation.is_refused {
            std::thread::sleep(LOOKS); // the agent reads what is written after its first look
            scene.refuse();
        }
        wait(|| agent.metrics() == *expected && agent.printed() == *expected && events());
        let html = agent.get("/").unwrap_or_default();
        let mut seen = Self {
            out: agent.output(),
            printed: agent.printed(),
            metrics: agent.metrics(),
            page: loud(on_page(&html)),
            page_verdict: verdict_on_page(&html, situation),
            html: html.replace("&quot;", "\""),
            events: scene.api.as_ref().map(|_| scene.events()),
            ..Self::default()
        };
        seen.commands(scene);
        if situation.is_kept {
            seen.readers = Readers::of(&agent, scene);
        }
        seen
    }

    fn commands(&mut self, scene: &Scene) {
        let check = |more: &[&str]| run("check", &[scene.node_flags(), scene.clock_flags()], more);
        let (_, table) = check(&[]);
        (self.check_table, self.table) = (loud(in_table(&table)), table);
        let (status, json) = check(&["--output", "json"]);
        let json: Value = serde_json::from_str(&json).unwrap_or_default();
        self.check_status = status;
        self.check_json = loud(in_json(&json));
        self.check_verdict = text(&json["tokens"][0]["verdict"]);
        let file = scene
            .node
            .root()
            .join(format!("pods/uid-{POD}/volumes/kubernetes.io~projected/kube-api-access/token"));
        let file = file.to_string_lossy().into_owned();
        let (_, json) = run("explain", &[scene.clock_flags()], &["--output", "json", &file]);
        let json: Value = serde_json::from_str(&json).unwrap_or_default();
        self.explain_verdict = text(&json["verdict"]);
        let mut flags = scene.node_flags();
        flags.retain(|flag| !flag.starts_with("--copies"));
        // The name of a pod without a token is known from the API server alone.
        let more = ["--why", &format!("uid-{POD}"), "--output", "json"];
        let (status, json) = run("explain", &[flags, scene.clock_flags()], &more);
        let json: Value = serde_json::from_str(&json).unwrap_or_default();
        self.why_status = status;
        self.why = loud(in_why(&json));
    }
}

/// Without what is only informative, and may come and go while the ways are compared, and without
/// what this machine's own kernel reports, which is not part of a situation.
fn loud(mut findings: Findings) -> Findings {
    let of_machine = "clock.unsynchronized";
    findings.retain(|(code, severity), _| severity != "info" && code != of_machine);
    findings
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(ToOwned::to_owned)
}

/// Runs a command to its end: exit status and standard output.
fn run(command: &str, flags: &[Vec<String>], more: &[&str]) -> (Option<i32>, String) {
    let mut tokenwatch = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
    bare(&mut tokenwatch).arg(command).args(flags.concat()).args(more).stdin(Stdio::null());
    let output = tokenwatch.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Scene {
    /// The findings that the Events report. Events of resolved findings take theirs away.
    fn events(&self) -> Findings {
        let events = self.api.as_ref().map(crate::api_server::ApiServer::events);
        let mut findings = Findings::new();
        for event in events.unwrap_or_default() {
            let reason = event["reason"].as_str().unwrap_or_default();
            let Some(code) = code_of(reason.trim_end_matches("Cleared")) else { continue };
            findings.retain(|(known, _), _| family(known) != family(&code));
            if let Some(severity) = severity_of(&event) {
                findings.insert((code, severity.to_owned()), 1);
            }
        }
        findings
    }
}

/// The family of a code: findings of one family about one token are one finding.
fn family(code: &str) -> Option<&'static str> {
    code.parse::<Code>().ok().map(Code::family)
}

/// The code whose Events have this reason: `TokenExpired` for `token.expired`.
fn code_of(reason: &str) -> Option<String> {
    let plain = |code: &str| code.replace(['.', '_'], "");
    let codes = Code::ALL.iter().map(|code| code.as_str());
    codes.filter(|code| plain(code) == reason.to_lowercase()).map(ToOwned::to_owned).next()
}

/// The severity in the last character of an Event's name; none for info and for what is resolved.
fn severity_of(event: &Value) -> Option<&'static str> {
    match event["metadata"]["name"].as_str()?.chars().last()? {
        '1' => Some("warning"),
        '2' => Some("critical"),
        _ => None,
    }
}

fn wait(is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A running agent that prints on standard output and serves HTTP.
struct Agent {
    _child: Running,
    address: SocketAddr,
    out: std::path::PathBuf,
}

impl Agent {
    fn start(scene: &Scene) -> Self {
        // An address of its own: the port is free there, whatever the servers of other tests take.
        let number = AGENTS.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::new(Ipv4Addr::new(127, 0, 7, number).into(), free_port());
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let out = scene.node.root().join("out");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenwatch"));
        bare(&mut command)
            .env("TOKENWATCH_HTTP_ENABLED", "true")
            .env("TOKENWATCH_APISERVER_LOGS", &scene.server_log)
            .args(["run", "--http-address", &host, "--http-port", &port])
            .args(scene.node_flags())
            .args(scene.clock_flags())
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(scene.node.root().join("log")).unwrap());
        Self { _child: Running::start(&mut command), address, out }
    }

    fn get(&self, path: &str) -> Option<String> {
        let answer = get(self.address, path, "")?;
        (answer.status == 200).then_some(answer.body)
    }

    fn output(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// The findings that were printed as raised, without those that were printed as cleared.
    fn printed(&self) -> Findings {
        let mut findings = Findings::new();
        for line in self.output().lines().filter(|line| line.starts_with("20")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, label, code, ..] = words[..] else { continue };
            match label {
                "cleared" => findings.retain(|(known, _), _| family(known) != family(code)),
                "warning" | "CRITICAL" => {
                    findings.retain(|(known, _), _| family(known) != family(code));
                    findings.insert((code.to_owned(), label.to_lowercase()), 1);
                }
                _ => {}
            }
        }
        loud(findings)
    }

    fn metrics(&self) -> Findings {
        let text = self.get("/metrics").unwrap_or_default();
        let series = text.lines().filter_map(|line| line.strip_prefix("tokenwatch_findings{"));
        let of = |series: &str| {
            let (labels, count) = series.split_once("} ")?;
            let value = |name: &str| {
                let (_, rest) = labels.split_once(&format!("{name}=\""))?;
                rest.split('"').next().map(ToOwned::to_owned)
            };
            let finding =
                (value("tokenwatch_finding_code")?, value("tokenwatch_finding_severity")?);
            Some((finding, count.trim().parse().ok()?))
        };
        loud(series.filter_map(of).collect())
    }
}

/// `<article class="finding critical">…<code>token.expired</code>`.
fn on_page(html: &str) -> Findings {
    let mut findings = Findings::new();
    for article in html.split("<article class=\"finding ").skip(1) {
        let severity = article.split('"').next().unwrap_or_default();
        let code = article.split("<code>").nth(1).and_then(|rest| rest.split('<').next());
        let finding = (code.unwrap_or_default().to_owned(), severity.to_owned());
        *findings.entry(finding).or_default() += 1;
    }
    findings
}

/// The page leaves a live verdict out.
fn verdict_on_page(html: &str, situation: &Situation) -> Option<String> {
    situation.verdict?;
    let token = html.split("<article class=\"token\"").nth(1)?;
    let texts = [("API servers refuse it", "dead"), ("API servers may refuse it", "uncertain")];
    let shown = texts.into_iter().find(|(text, _)| token.contains(text));
    Some(shown.map_or("live", |(_, verdict)| verdict).to_owned())
}

/// `critical token.expired  shop/cart-0 …`.
fn in_table(table: &str) -> Findings {
    let mut findings = Findings::new();
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [severity @ ("warning" | "critical"), code, _, ..] = words[..]
            && code.contains('.')
        {
            *findings.entry((code.to_owned(), severity.to_owned())).or_default() += 1;
        }
    }
    findings
}

/// The findings that `explain --why` has about the pod and the node.
fn in_why(json: &Value) -> Findings {
    let tokens = json["tokens"].as_array().into_iter().flatten();
    let of_tokens = tokens.filter_map(|token| token["findings"].as_array());
    let others = json["other_findings"].as_array();
    let all: Vec<Value> = of_tokens.chain(others).flatten().cloned().collect();
    in_json(&serde_json::json!({"findings": all}))
}

fn in_json(checked: &Value) -> Findings {
    let mut findings = Findings::new();
    for finding in checked["findings"].as_array().into_iter().flatten() {
        let (code, severity) = (text(&finding["code"]), text(&finding["severity"]));
        let finding = (code.unwrap_or_default(), severity.unwrap_or_default());
        *findings.entry(finding).or_default() += 1;
    }
    findings
}
