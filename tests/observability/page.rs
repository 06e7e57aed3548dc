//! The status page in a real browser: loaded, read, measured and photographed; and Prometheus' own
//! opinion of the figures.

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

/// A node with some of everything, two time servers that are right and one that is not.
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
        let time = [0.0, 0.002, 90.0].map(crate::fleet::time_server);
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

/// Where pictures go: to be looked at by whoever changed the page.
fn pictures() -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository().join("target"), PathBuf::from)
        .join("page");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn the_page_is_read_on_a_phone_and_on_a_desk_by_day_and_by_night() {
    let Some(chromium) = debian("chromium") else { return };
    let bed = Bed::start("page");
    let mut browser = Browser::start(&chromium, &bed.directory);
    let mut backgrounds = Vec::new();
    for window in [PHONE, DESKTOP] {
        for scheme in ["light", "dark"] {
            browser.look(window, scheme);
            browser.open(&bed.url());
            let what = format!("{} {scheme}", window.name);
            check_words(&mut browser);
            check_width(&mut browser, window.width, &what);
            check_contrast(&mut browser, &what);
            check_roles(&mut browser);
            backgrounds.push(browser.eval("getComputedStyle(document.body).backgroundColor"));
            browser.picture(&pictures().join(format!("{}-{scheme}.png", window.name)), None);
            assert_eq!(browser.complaints(), Vec::<String>::new(), "{what}");
            let elsewhere: Vec<_> = browser
                .requests()
                .into_iter()
                .filter(|asked| !asked.starts_with(&bed.url()) && asked != "data:,")
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

/// For the README: what is seen without scrolling.
fn photograph(browser: &mut Browser, url: &str, file: &Path) {
    browser.look(crate::browser::Window { width: 840, ..DESKTOP }, "light");
    browser.open(url);
    // One finding of the three, so that the rest can be seen too.
    browser
        .eval("document.querySelectorAll('.finding').forEach((one, n) => n > 0 && one.remove())");
    browser.picture(file, Some(1_030));
}

/// What a tired person looks for.
fn check_words(browser: &mut Browser) {
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
    assert!(first.contains("critical") && first.contains("token.expired"), "worst first: {first}");
}

fn check_width(browser: &mut Browser, width: u32, what: &str) {
    browser.eval("document.querySelectorAll('details').forEach((one) => one.open = true)");
    let wide = browser.eval("document.documentElement.scrollWidth").as_u64().unwrap();
    let sticking = "[...document.querySelectorAll('body *')].filter((one) => \
                    one.getBoundingClientRect().right > innerWidth + 1 && \
                    !one.closest('svg')).map((one) => one.outerHTML.slice(0, 120))";
    assert_eq!(browser.eval(sticking), Value::Array(Vec::new()), "{what}");
    assert!(wide <= u64::from(width), "{what}: {wide} pixels");
    browser.eval("document.querySelectorAll('details').forEach((one) => one.open = false)");
}

/// The least contrast of any text to what is behind it.
const LEAST_CONTRAST: &str = r"(() => {
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const light = (text) => {
    const [r, g, b] = rgb(text).map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if ((rgb(colour)[3] ?? 1) > 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const found = [...document.querySelectorAll('body *')].filter((one) => !one.closest('script, style, title') && [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
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

/// Every picture has its words, every part its heading; nothing is told by colour alone (each mark
/// is another shape).
fn check_roles(browser: &mut Browser) {
    let mute = "[...document.querySelectorAll('svg')].filter((one) => !one.ariaHidden && \
                !(one.role === 'img' && one.ariaLabel)).length";
    assert_eq!(browser.eval(mute), 0);
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
    let twice = "(() => { const ids = [...document.querySelectorAll('[id]')].map((one) => \
                 one.id); return ids.length - new Set(ids).size; })()";
    assert_eq!(browser.eval(twice), 0);
}

#[test]
fn the_page_follows_what_happens_and_says_when_it_cannot() {
    let Some(chromium) = debian("chromium") else { return };
    let mut bed = Bed::start("page-follows");
    let mut browser = Browser::start(&chromium, &bed.directory);
    browser.look(DESKTOP, "light");
    browser.open(&bed.url());
    browser
        .eval("window.sameDocument = true; document.querySelector('.token details').open = true");
    let open = browser.eval("document.querySelector('details[open]').id");

    bed.node.pod("newcomer-0", &token(&payload("newcomer-0", 3_800, 3_600)));
    until("the new token on the page", secs(30), || seen(&mut browser, "shop/newcomer-0"));
    assert_eq!(browser.eval("window.sameDocument"), true, "it was not loaded anew");
    assert_eq!(
        browser.eval("document.querySelector('details[open]').id"),
        open,
        "what was open stays open"
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());

    // Nobody looks: nobody asks.
    browser.eval("Object.defineProperty(document, 'hidden', {value: true, configurable: true})");
    let asked = browser.requests().len();
    std::thread::sleep(secs(11)); // two of its periods
    browser.eval("0");
    assert!(browser.requests().len() <= asked + 1, "one may have been under way");
    browser.eval("delete document.hidden");

    bed.agent = None;
    until("the page to say that nobody answers", secs(30), || {
        seen(&mut browser, "does not answer")
    });
    assert!(seen(&mut browser, "s old").is_some(), "and how old it is");
    bed.launch();
    until("the page to find the agent again", secs(60), || seen(&mut browser, "updates every 5 s"));
    assert_eq!(browser.eval("window.sameDocument"), true);
}

fn seen(browser: &mut Browser, text: &str) -> Option<()> {
    browser
        .eval("document.body.innerText")
        .as_str()
        .is_some_and(|body| body.contains(text))
        .then_some(())
}

#[test]
fn prometheus_has_nothing_to_say_against_the_figures() {
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
    let told = checked.wait_with_output().unwrap();
    assert!(told.status.success() && told.stderr.is_empty() && told.stdout.is_empty(), "{told:?}");
    assert!(bed.body("/metrics", "application/openmetrics-text").ends_with("# EOF\n"));
}

/// Scraped, the rules make the same of it as of what the gateway writes.
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
}
