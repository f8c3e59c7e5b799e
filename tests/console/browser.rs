//! A real Chromium without a window, driven by the WebDriver protocol (W3C WebDriver) through chromedriver.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long something may take to be seen, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// What keeps Chromium to the page that it is shown.
const ARGUMENTS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
];

/// One browser with one page; dropping it ends it.
pub struct Browser {
    driver: Child,
    base: String,
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser; without a session there is none.
        let _ = self.call(reqwest::Method::DELETE, "", None);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    pub fn start(width: u32, height: u32) -> Browser {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed; tools/test says how");
        let port = port_of(&mut driver);
        let profile = tempfile::tempdir().expect("a folder");
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(90))
            .build()
            .expect("a client");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let base = format!("http://127.0.0.1:{port}/session");
        let mut browser = Browser {
            driver,
            base,
            runtime,
            http,
            _profile: profile,
        };
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!(
            "--user-data-dir={}",
            browser._profile.path().display()
        ));
        arguments.push(format!("--window-size={width},{height}"));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let session = browser.post("", wanted);
        let id = session["sessionId"]
            .as_str()
            .unwrap_or_else(|| panic!("no session: {session}"));
        browser.base = format!("{}/{id}", browser.base);
        browser
    }

    fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Option<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let text = self
            .runtime
            .block_on(async { request.send().await.ok()?.text().await.ok() })?;
        serde_json::from_str::<Value>(&text)
            .ok()
            .map(|mut answer| answer["value"].take())
    }

    #[track_caller]
    fn post(&self, path: &str, body: Value) -> Value {
        let answer = self
            .call(reqwest::Method::POST, path, Some(body))
            .expect("the driver answers");
        assert!(answer.get("error").is_none(), "{path}: {answer}");
        answer
    }

    pub fn go(&self, url: &str) {
        self.post("/url", json!({ "url": url }));
    }

    /// What only Chromium's own protocol can do.
    #[track_caller]
    fn ask_chromium(&self, command: &str, parameters: Value) -> Value {
        self.post(
            "/goog/cdp/execute",
            json!({ "cmd": command, "params": parameters }),
        )
    }

    /// Makes the window exactly so large inside; below 500, it is a telephone.
    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.ask_chromium("Emulation.setDeviceMetricsOverride", size);
    }

    /// `light` or `dark`
    pub fn set_theme(&self, theme: &str) {
        let theme = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.ask_chromium("Emulation.setEmulatedMedia", theme);
    }

    /// The value of a script in the page.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: Value) -> Value {
        self.post(
            "/execute/sync",
            json!({ "script": script, "args": arguments }),
        )
    }

    #[track_caller]
    pub fn until(&self, what: &str, script: &str) {
        self.until_with(what, script, json!([]));
    }

    /// Waits until a script says true.
    #[track_caller]
    pub fn until_with(&self, what: &str, script: &str, arguments: Value) {
        let start = Instant::now();
        while self.run(script, arguments.clone()) != json!(true) {
            if start.elapsed() > PATIENCE {
                self.keep("console-failed");
                let text = self.run("return document.body.innerText", json!([]));
                panic!(
                    "never: {what}\n{}\n{:?}",
                    text.as_str().unwrap_or(""),
                    self.log()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The reference of an element.
    #[track_caller]
    fn element(&self, selector: &str) -> String {
        let found = self.post(
            "/element",
            json!({ "using": "css selector", "value": selector }),
        );
        let reference = found
            .as_object()
            .and_then(|found| found.values().next())
            .and_then(Value::as_str);
        reference.expect("an element").to_owned()
    }

    /// Clicks as a hand would: what is hidden or covered cannot be clicked.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.post(
            &format!("/element/{}/click", self.element(selector)),
            json!({}),
        );
    }

    /// Types a text in place of what is there.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.post(&format!("/element/{element}/clear"), json!({}));
        if !text.is_empty() {
            self.post(
                &format!("/element/{element}/value"),
                json!({ "text": text }),
            );
        }
    }

    /// What the browser has to complain about since it was last asked.
    fn log(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({ "type": "browser" }));
        let text = |entry: &Value| {
            format!(
                "{}: {}",
                entry["level"].as_str().unwrap_or(""),
                entry["message"]
            )
        };
        entries.as_array().into_iter().flatten().map(text).collect()
    }

    #[track_caller]
    pub fn is_calm(&self) {
        self.is_calm_but_for(&[]);
    }

    /// Nothing to complain about but what holds one of these words.
    #[track_caller]
    pub fn is_calm_but_for(&self, words: &[&str]) {
        let mut log = self.log();
        log.retain(|line| !words.iter().any(|word| line.contains(word)));
        assert_eq!(log, Vec::<String>::new());
    }

    /// Keeps a picture of what is in the window as target/NAME.png.
    pub fn keep(&self, name: &str) {
        let picture = self
            .call(reqwest::Method::GET, "/screenshot", None)
            .expect("a picture");
        keep_octets(name, &base64(picture.as_str().expect("in base 64")));
    }

    /// The same of the whole page.
    pub fn keep_whole(&self, name: &str) {
        let size = self.run(
            "return [innerWidth, document.documentElement.scrollHeight]",
            json!([]),
        );
        let clip = json!({ "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1 });
        let wanted = json!({ "captureBeyondViewport": true, "clip": clip });
        let picture = self.ask_chromium("Page.captureScreenshot", wanted);
        keep_octets(name, &base64(picture["data"].as_str().expect("in base 64")));
    }
}

fn keep_octets(name: &str, octets: &[u8]) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.parent().expect("it lies in target");
    std::fs::write(folder.join(format!("{name}.png")), octets).expect("target can be written");
}

/// The port of `ChromeDriver was started successfully on port 39035.`
fn port_of(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().expect("it is piped"))
        .lines()
        .map_while(Result::ok);
    let line = lines
        .find(|line| line.contains("started successfully on port"))
        .expect("chromedriver starts");
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    // What it says later must not stop it.
    std::thread::spawn(move || lines.for_each(drop));
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no port in {line:?}"))
}

/// RFC 4648 section 4.
fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let values: Vec<u32> = text
        .bytes()
        .filter_map(|octet| DIGITS.iter().position(|digit| *digit == octet))
        .map(|it| it as u32)
        .collect();
    let group = |group: &[u32]| {
        let bits = group.iter().fold(0, |bits, value| bits << 6 | value) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    values.chunks(4).flat_map(group).collect()
}
