//! The status page in a real browser: its texts, layout, contrast and roles, and screenshots of it;
//! and Prometheus's own checks of the metrics.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tokenwatch_lab::time_server::TimeServer;

use crate::bed::{repository, tokenwatch, workdir};
use crate::browser::{Browser, DESKTOP, PHONE};
use crate::node::{Node, payload, token};
use crate::process::Process;
use crate::prometheus::Prometheus;
use crate::tools::{all_there, debian};
use crate::wait::{secs, until};
use crate::web::{free_port, get};

/// Contrast that WCAG 2.2 asks for (level AA, 1.4.3), for text of any size.
const CONTRAST: f64 = 4.5;

/// A node with tokens in several states, two correct time servers and a wrong one.
struct Bed {
    node: Node,
    agent: Option<Process>,
    port: u16,
    directory: PathBuf,
    servers: Vec<String>,
    _time: [TimeServer; 3],
}

impl Bed {
    fn start(name: &str) -> Self {
        // 0.1 ms is within the servers' own root dispersion (0.2 ms): the first two agree always.
        let time = [0.0, 0.000_1, 90.0].map(crate::fleet::time_server);
        let node = Node::new();
        for (pod, age) in [
            ("checkout-7c9f8d6b5-x2k4q", 600),
            ("payments-0", 3_310),
            ("search-5d8f7b9c4-mm2tz", 3_700),
            ("cart-6f7d8c9b5-8vq2r", 2_890),
        ] {
            node.pod(pod, &token(&payload(pod, age, 3_600)));
        }
        let servers = time.iter().map(|server| server.address().to_string()).collect();
        let mut bed = Self {
            node,
            agent: None,
            port: free_port(),
            directory: workdir(name),
            servers,
            _time: time,
        };
        bed.launch();
        bed
    }

    fn launch(&mut self) {
        let mut command = tokenwatch();
        command.env("TOKENWATCH_HTTP_ENABLED", "true").args([
            "run",
            "--node",
            "worker-3",
            "--clock-discover",
            "false",
        ]);
        command
            .args(["--clock-interval", "2s", "--http-port", &self.port.to_string(), "--root"])
            .arg(self.node.root());
        self.servers.iter().for_each(|server| {
            command.args(["--clock-server", server]);
        });
        self.agent = Some(Process::start(&mut command, &self.directory.join("agent.log")));
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], self.port));
        until("the agent to be ready", secs(30), || {
            get(address, "/readyz", "").filter(|answer| answer.status == 200)
        });
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    fn body(&self, path: &str, accept: &str) -> String {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], self.port));
        get(address, path, &format!("Accept: {accept}\r\n")).unwrap().body
    }
}

/// The folder for screenshots, to review after a change of the page.
fn pictures() -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository().join("target"), PathBuf::from)
        .join("page");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn the_page_is_readable_on_phone_and_desktop_in_light_and_dark() {
    let Some(chromium) = debian("chromium") else { return };
    let bed = Bed::start("page");
    let mut browser = Browser::start(&chromium, &bed.directory);
    let mut backgrounds = Vec::new();
    for window in [PHONE, DESKTOP] {
        for scheme in ["light", "dark"] {
            browser.emulate(window, scheme);
            browser.open(&bed.url());
            let what = format!("{} {scheme}", window.name);
            check_texts(&mut browser);
            check_width(&mut browser, window.width, &what);
            check_contrast(&mut browser, &what);
            check_roles(&mut browser);
            backgrounds.push(browser.eval("getComputedStyle(document.body).backgroundColor"));
            browser.picture(&pictures().join(format!("{}-{scheme}.png", window.name)), None);
            assert_eq!(browser.complaints(), Vec::<String>::new(), "{what}");
            let elsewhere: Vec<_> = browser
                .requests()
                .into_iter()
                .filter(|url| !url.starts_with(&bed.url()) && url != "data:,")
                .collect();
            assert_eq!(elsewhere, Vec::<String>::new(), "{what}");
        }
    }
    assert!(
        backgrounds[0] != backgrounds[1] && backgrounds[0] == backgrounds[2],
        "{backgrounds:?}"
    );
    if let Some(file) = std::env::var_os("STATUS_PICTURE") {
        photograph(&mut browser, &bed.url(), Path::new(&file));
    }
}

/// The README's screenshot: the part of the page that is visible without scrolling.
fn photograph(browser: &mut Browser, url: &str, file: &Path) {
    browser.emulate(crate::browser::Window { width: 840, ..DESKTOP }, "light");
    browser.open(url);
    // Keeps one finding of three, so that the rest is visible too.
    browser
        .eval("document.querySelectorAll('.finding').forEach((one, n) => n > 0 && one.remove())");
    browser.picture(file, Some(1_030));
}

/// What an operator looks for first.
fn check_texts(browser: &mut Browser) {
    let text = browser.eval("document.body.innerText").as_str().unwrap().to_owned();
    let headline = browser
        .eval("document.querySelector('.headline h2').innerText")
        .as_str()
        .unwrap()
        .to_owned();
    assert!(headline.contains("1 critical") && headline.contains("warning"), "{headline}");
    for wanted in [
        "worker-3",
        "token.expired",
        "token.rotation_stalled",
        "shop/payments-0",
        "journalctl",
        "since ",
        "synchronised",
        "falseticker",
        "4 tokens",
        "What this agent cannot see",
        "not used: names come from the tokens",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    let first =
        browser.eval("document.querySelector('.finding').innerText").as_str().unwrap().to_owned();
    assert!(
        first.contains("critical") && first.contains("token.expired"),
        "the worst finding must be first: {first}"
    );
    let worst = browser.eval("document.querySelector('.headline p').innerText");
    let worst = worst.as_str().unwrap();
    assert!(worst.contains("worst: shop/search-5d8f7b9c4-mm2tz token.expired"), "{worst}");
}

fn check_width(browser: &mut Browser, width: u32, what: &str) {
    browser.eval("document.querySelectorAll('details').forEach((one) => one.open = true)");
    let scroll_width = browser.eval("document.documentElement.scrollWidth").as_u64().unwrap();
    let overflowing = "[...document.querySelectorAll('body *')].filter((one) => \
                    one.getBoundingClientRect().right > innerWidth + 1 && \
                    !one.closest('svg')).map((one) => one.outerHTML.slice(0, 120))";
    assert_eq!(browser.eval(overflowing), Value::Array(Vec::new()), "{what}");
    assert!(scroll_width <= u64::from(width), "{what}: {scroll_width} pixels");
    browser.eval("document.querySelectorAll('details').forEach((one) => one.open = false)");
}

/// The least contrast between any text and its background, and that element.
const LEAST_CONTRAST: &str = r"(() => {
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const light = (text) => {
    const [r, g, b] = rgb(text).map((c) =>
      (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if ((rgb(colour)[3] ?? 1) > 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const found = [...document.querySelectorAll('body *')].filter((one) =>
    !one.closest('script, style, title') &&
    [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
  const of = (one) => {
    const style = getComputedStyle(one);
    const [a, b] = [light(one.closest('svg') ? style.fill : style.color), light(behind(one))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.outerHTML.slice(0, 100)];
  };
  return found.map(of).sort((a, b) => a[0] - b[0])[0];
})()";

fn check_contrast(browser: &mut Browser, what: &str) {
    let least = browser.eval(LEAST_CONTRAST);
    assert!(least[0].as_f64().unwrap() >= CONTRAST, "{what}: {least}");
}

/// Every picture has a text alternative, every section its heading, and every id is unique.
fn check_roles(browser: &mut Browser) {
    let unlabelled = "[...document.querySelectorAll('svg')].filter((one) => !one.ariaHidden && \
                      !(one.role === 'img' && one.ariaLabel)).length";
    assert_eq!(browser.eval(unlabelled), 0);
    let nameless = "[...document.querySelectorAll('section[aria-labelledby]')].filter((one) => \
                    !document.getElementById(one.getAttribute('aria-labelledby'))).length";
    assert_eq!(browser.eval(nameless), 0);
    assert_eq!(
        browser.eval(
            "[document.documentElement.lang, document.querySelectorAll('h1').length, \
             document.querySelectorAll('main').length].join()"
        ),
        "en,1,1"
    );
    let duplicates = "(() => { const ids = [...document.querySelectorAll('[id]')].map((one) => \
                 one.id); return ids.length - new Set(ids).size; })()";
    assert_eq!(browser.eval(duplicates), 0);
}

#[test]
fn the_page_updates_itself_and_shows_when_it_cannot() {
    let Some(chromium) = debian("chromium") else { return };
    let mut bed = Bed::start("page-follows");
    let mut browser = Browser::start(&chromium, &bed.directory);
    browser.emulate(DESKTOP, "light");
    browser.open(&bed.url());
    browser
        .eval("window.sameDocument = true; document.querySelector('.token details').open = true");
    let open = browser.eval("document.querySelector('details[open]').id");

    bed.node.pod("newcomer-0", &token(&payload("newcomer-0", 3_800, 3_600)));
    until("the new token on the page", secs(30), || seen(&mut browser, "shop/newcomer-0"));
    assert_eq!(browser.eval("window.sameDocument"), true, "the page must not be reloaded");
    assert_eq!(
        browser.eval("document.querySelector('details[open]').id"),
        open,
        "open details must stay open"
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());

    // A hidden page sends no requests.
    browser.eval(STILL);
    let sent = browser.requests().len();
    std::thread::sleep(secs(11)); // two of its intervals
    browser.eval("0");
    assert!(browser.requests().len() <= sent + 1, "one may have been in flight");
    browser.eval("delete document.hidden");

    bed.agent = None;
    until("the page to show that the agent does not answer", secs(30), || {
        seen(&mut browser, "does not answer")
    });
    assert!(seen(&mut browser, "s old").is_some(), "the page must show the age of its data");
    bed.launch();
    until("the page to find the agent again", secs(60), || seen(&mut browser, "updates every 5 s"));
    assert_eq!(browser.eval("window.sameDocument"), true);
}

/// A hidden page does not update itself.
const STILL: &str = "Object.defineProperty(document, 'hidden', {value: true, configurable: true})";

/// A clipboard of the test; a browser without a window may refuse its own.
const CLIPBOARD: &str = "Object.defineProperty(navigator, 'clipboard', {configurable: true, \
                         value: {writeText: async (text) => { window.copied = text; }}})";

#[test]
fn commands_are_copied_namespaces_are_selected_and_runbooks_open() {
    let Some(chromium) = debian("chromium") else { return };
    let bed = Bed::start("page-tools");
    let mut browser = Browser::start(&chromium, &bed.directory);
    browser.emulate(DESKTOP, "light");
    browser.open(&bed.url());
    browser.eval(STILL);
    browser.eval(CLIPBOARD);
    assert_eq!(browser.eval("document.querySelectorAll('button.copy[hidden]').length"), 0);
    browser.eval("document.querySelector('button.copy').click()");
    let command = browser.eval("document.querySelector('.finding pre').textContent");
    until("the command to be copied", secs(10), || {
        (browser.eval("window.copied") == command).then_some(())
    });
    // Without a clipboard, as over plain HTTP, the command is selected and copied.
    browser.eval("Object.defineProperty(navigator, 'clipboard', {value: undefined})");
    browser
        .eval("document.execCommand = () => { window.by = String(getSelection()); return true; }");
    browser.eval("document.querySelector('button.copy').click()");
    until("the selection to be copied", secs(10), || {
        (browser.eval("window.by") == command).then_some(())
    });

    let shown = "[...document.querySelectorAll('.token')].filter((one) => !one.hidden).length";
    assert_eq!(browser.eval("document.getElementById('filter').hidden"), true, "one namespace");
    browser.eval("document.querySelector('.token').dataset.ns = 'other'");
    browser.eval("document.getElementById('namespace').dispatchEvent(new Event('change'))");
    let options = "[...document.getElementById('namespace').options].map((one) => one.text).join()";
    assert_eq!(browser.eval(options), "all,other,shop");
    browser.eval("document.getElementById('namespace').value = 'other'");
    browser.eval("document.getElementById('namespace').dispatchEvent(new Event('change'))");
    assert_eq!(browser.eval(shown), 1);
    assert!(seen(&mut browser, "of other namespaces are hidden").is_some(), "it says so");
    assert_eq!(browser.complaints(), Vec::<String>::new());

    let runbook = browser.eval("document.querySelector('.finding h3 a').href");
    browser.open(runbook.as_str().unwrap());
    assert!(seen(&mut browser, "False positives").is_some());
    check_contrast(&mut browser, "runbook");
    check_width(&mut browser, DESKTOP.width, "runbook");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

fn seen(browser: &mut Browser, text: &str) -> Option<()> {
    browser
        .eval("document.body.innerText")
        .as_str()
        .is_some_and(|body| body.contains(text))
        .then_some(())
}

#[test]
fn promtool_accepts_the_metrics() {
    let Some(promtool) = debian("promtool") else { return };
    let bed = Bed::start("figures");
    let mut checked = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    checked.stdin.take().unwrap().write_all(bed.body("/metrics", "text/plain").as_bytes()).unwrap();
    let output = checked.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty() && output.stdout.is_empty(),
        "{output:?}"
    );
    assert!(bed.body("/metrics", "application/openmetrics-text").ends_with("# EOF\n"));
}

/// The rules give the same results for scraped metrics as for those that the gateway writes.
#[test]
fn a_scraped_node_has_its_name_and_its_alerts() {
    if !all_there() {
        return;
    }
    let bed = Bed::start("scraped");
    let prometheus = Prometheus::start(&bed.directory, &[bed.port]);
    let expired = ("TokenwatchTokenExpired".to_owned(), "worker-3".to_owned());
    until("an alert of the scraped node", secs(60), || {
        prometheus.firing().contains(&expired).then_some(())
    });
    for series in [
        "tokens:max",
        "findings:max",
        "deadline_min_seconds:min",
        "clock_offset_seconds:max",
        "clock_state:max",
        "sources_up:min",
    ] {
        let query = format!("node:tokenwatch_{series}{{k8s_node_name=\"worker-3\"}}");
        until(&query, secs(30), || prometheus.query(&query).ok().filter(|found| !found.is_empty()));
    }
    // With the labels that people expect: those of the pod of the finding.
    let expired = "tokenwatch_finding_info{code=\"token.expired\",severity=\"critical\"}";
    let found = prometheus.query(expired).unwrap();
    assert!(!found.is_empty());
    for one in found {
        let label = |name: &str| one["metric"][name].as_str().unwrap_or_default().to_owned();
        assert_eq!(label("namespace"), label("k8s_namespace_name"), "{one}");
        assert_eq!(label("pod"), label("k8s_pod_name"), "{one}");
        assert_ne!((label("namespace"), label("pod")), (String::new(), String::new()), "{one}");
    }
    let others = prometheus.query("tokenwatch_findings{code!=\"\"}").unwrap();
    assert!(others.is_empty(), "{others:?}");
}
