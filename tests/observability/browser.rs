//! A real browser, driven over its DevTools protocol.
//!
//! Messages are JSON, each ended by a zero byte, on the descriptors 3 and 4 of Chromium
//! (`--remote-debugging-pipe`): no port, no websocket.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

/// A browser that sends nothing for so long has failed: it starts in a second or two on an idle
/// core.
const PATIENCE: Duration = Duration::from_mins(1);

/// One window.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub name: &'static str,
    pub width: u32,
    pub height: u32,
    pub is_phone: bool,
}

pub const PHONE: Window = Window { name: "phone", width: 360, height: 740, is_phone: true };
pub const DESKTOP: Window = Window { name: "desktop", width: 1_280, height: 900, is_phone: false };

/// A browser with one page. It ends with the test.
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    last_id: u64,
    session: Option<String>,
    /// The browser's events about the page.
    pub events: Vec<Value>,
}

impl Browser {
    /// Starts the browser with its profile in `directory`.
    pub fn start(chromium: &Path, directory: &Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", r#"exec "$@" 3<&0 4>&1 0</dev/null 1>/dev/null"#, "sh"]).arg(chromium);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ]);
        command.args([
            "--disable-component-update",
            "--disable-default-apps",
            "--disable-sync",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", directory.join("profile").display()));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (commands, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let received = BufReader::new(out).split(0).map_while(Result::ok);
            received
                .filter_map(|message| serde_json::from_slice(&message).ok())
                .all(|message| sender.send(message).is_ok())
        });
        let mut browser =
            Self { child, commands, messages, last_id: 0, session: None, events: Vec::new() };
        browser.attach();
        browser
    }

    fn attach(&mut self) {
        let target =
            self.call("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let attached =
            self.call("Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        self.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Network", "Log"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
    }

    /// Calls a method and returns its result. Keeps the events that arrive in the meantime.
    pub fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let message = self.next();
            if message["id"] == json!(self.last_id) {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn next(&mut self) -> Value {
        self.messages
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|why| panic!("the browser sends nothing any more ({why})"))
    }

    /// Sets the window's size and `prefers-color-scheme`.
    pub fn emulate(&mut self, window: Window, scheme: &str) {
        let Window { width, height, is_phone, .. } = window;
        let scale = if is_phone { 2 } else { 1 };
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone,
        });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        );
    }

    /// Loads `url`, and waits until it is loaded.
    pub fn open(&mut self, url: &str) {
        self.events.clear();
        let opened = self.call("Page.navigate", &json!({"url": url}));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        let end = Instant::now() + PATIENCE;
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            assert!(Instant::now() < end, "{url} does not load");
            let event = self.next();
            self.events.push(event);
        }
    }

    /// The value of an expression in the page.
    pub fn eval(&mut self, expression: &str) -> Value {
        let answer = self.call(
            "Runtime.evaluate",
            &json!({"expression": expression, "returnByValue": true, "awaitPromise": true}),
        );
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Writes the page as PNG: all of it, or only the first `height` pixels.
    pub fn picture(&mut self, file: &Path, height: Option<u32>) {
        let size = self.call("Page.getLayoutMetrics", &json!({}))["cssContentSize"].clone();
        let height = height.map_or(size["height"].clone(), |height| json!(height));
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1});
        let taken = self.call(
            "Page.captureScreenshot",
            &json!({"format": "png", "captureBeyondViewport": true, "clip": clip}),
        );
        let png = base64::engine::general_purpose::STANDARD
            .decode(taken["data"].as_str().unwrap())
            .unwrap();
        std::fs::write(file, png).unwrap();
    }

    /// Errors of scripts and of the network, warnings, and violations of the page's
    /// Content-Security-Policy.
    pub fn complaints(&self) -> Vec<String> {
        let is_complaint = |event: &&Value| {
            let level = event["params"]["entry"]["level"]
                .as_str()
                .or(event["params"]["type"].as_str())
                .unwrap_or_default();
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" | "Network.loadingFailed" => true,
                "Log.entryAdded" | "Runtime.consoleAPICalled" => {
                    ["error", "warning"].contains(&level)
                }
                _ => false,
            }
        };
        self.events.iter().filter(is_complaint).map(ToString::to_string).collect()
    }

    /// Every URL that the page requested.
    pub fn requests(&self) -> Vec<String> {
        let requests =
            self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        requests
            .filter_map(|event| Some(event["params"]["request"]["url"].as_str()?.to_owned()))
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
