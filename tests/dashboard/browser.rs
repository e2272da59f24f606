//! A real browser without a window, driven over the `WebDriver` protocol of `ChromeDriver`.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::TestWorld;

/// Nothing that the browser does by itself.
const ARGUMENTS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-features=OptimizationHints,MediaRouter,Translate",
    "--hide-scrollbars",
];
/// For a page under load to come about.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) struct Browser<'w> {
    world: &'w TestWorld,
    driver: Child,
    port: u16,
    session: String,
    profile: TempDir,
}

impl<'w> Browser<'w> {
    /// On the machine of the world, with a profile of its own.
    #[track_caller]
    pub(super) fn start(world: &'w TestWorld) -> Self {
        let profile = tempfile::tempdir().expect("a profile");
        let mut driver = world
            .command("chromedriver")
            .arg("--port=0")
            .env("HOME", profile.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver (package chromium-driver; `cargo xtask setup` installs it)");
        let port = told_port(&mut driver);
        let mut browser = Self {
            world,
            driver,
            port,
            session: String::new(),
            profile,
        };
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).to_vec();
        let data = browser.profile.path().join("data");
        arguments.push(format!("--user-data-dir={}", data.display()));
        let session = browser.call(
            "POST",
            "/session",
            &json!({ "capabilities": { "alwaysMatch": {
                "goog:chromeOptions": { "args": arguments, "binary": "/usr/bin/chromium" },
                "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            } } }),
        );
        let id = session["sessionId"].as_str().expect("a session");
        browser.session = format!("/session/{id}");
        browser
    }

    #[track_caller]
    pub(super) fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// What the body of a function gives.
    #[track_caller]
    pub(super) fn script(&self, body: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": body, "args": [] }))
    }

    /// Waits until the body of a function gives something true, and returns it.
    #[track_caller]
    pub(super) fn wait(&self, what: &str, body: &str) -> Value {
        let started = Instant::now();
        loop {
            let found = self.script(body);
            let is_there = !matches!(found, Value::Null | Value::Bool(false)) && found != "";
            if is_there {
                return found;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{what} did not come about:\n{}\n{}",
                self.script("return document.body.innerText"),
                self.world.report()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Presses keys, one after the other.
    #[track_caller]
    pub(super) fn press(&self, keys: &[&str]) {
        let presses = keys.iter().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": code(key) }))
        });
        let presses: Vec<Value> = presses.collect();
        let actions = json!({ "actions": [{ "type": "key", "id": "keys", "actions": presses }] });
        self.post("/actions", &actions);
    }

    #[track_caller]
    pub(super) fn write(&self, text: &str) {
        let keys: Vec<String> = text.chars().map(String::from).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        self.press(&keys);
    }

    /// Looks like a window of this size, in dark or in light.
    #[track_caller]
    pub(super) fn look(&self, width: u32, height: u32, dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// Writes down what is seen, all of the page.
    #[track_caller]
    pub(super) fn picture(&self, path: &Path) {
        let size = self.script("const e = document.documentElement; return [e.scrollWidth, Math.min(e.scrollHeight, 4000)]");
        let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 });
        let options = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.devtools("Page.captureScreenshot", &options);
        let bytes = STANDARD.decode(picture["data"].as_str().expect("a picture"));
        fs::write(path, bytes.expect("base64")).expect("a file");
    }

    /// What the console was told since this was asked last.
    #[track_caller]
    pub(super) fn console(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({ "type": "browser" }));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let told = |entry: &Value| format!("{} {}", entry["level"], entry["message"]);
        entries.iter().map(told).collect()
    }

    /// Every address that the browser asked since this was asked last.
    #[track_caller]
    pub(super) fn requests(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({ "type": "performance" }));
        let entries = entries.as_array().cloned().unwrap_or_default();
        let mut requests = Vec::new();
        for entry in entries {
            let text = entry["message"].as_str().unwrap_or_default();
            let Ok(message) = serde_json::from_str::<Value>(text) else {
                continue;
            };
            let message = &message["message"];
            if message["method"] == "Network.requestWillBeSent" {
                let url = &message["params"]["request"]["url"];
                requests.push(url.as_str().unwrap_or_default().to_owned());
            }
        }
        requests
    }

    #[track_caller]
    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post(
            "/goog/cdp/execute",
            &json!({ "cmd": command, "params": parameters }),
        )
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("{}{path}", self.session), body)
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.exchange(method, path, body);
        let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error:#}"));
        assert!(
            answer["value"]["error"].is_null(),
            "{method} {path}: {}",
            answer["value"]
        );
        answer["value"].clone()
    }

    fn exchange(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let mut stream = self
            .world
            .machine()
            .run(|| Ok(TcpStream::connect(address)?))?;
        stream.set_read_timeout(Some(2 * PATIENCE))?;
        let body = body.to_string();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse()?;
            }
            if line.is_empty() {
                break;
            }
        }
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes)?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // The browser ends with its session.
            self.exchange("DELETE", &self.session, &Value::Null).ok();
        }
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

/// Keys that are no letters, as `WebDriver` numbers them.
fn code(key: &str) -> &str {
    match key {
        "Tab" => "\u{e004}",
        "Enter" => "\u{e007}",
        "Escape" => "\u{e00c}",
        "End" => "\u{e010}",
        "Home" => "\u{e011}",
        "Up" => "\u{e013}",
        "Down" => "\u{e015}",
        letter => letter,
    }
}

/// The port that it says it listens on. The rest of what it says is read and forgotten.
fn told_port(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("successfully on port ")?;
        rest.trim_end_matches('.').parse().ok()
    });
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    port.expect("chromedriver says its port")
}
