//! A headless Chromium, driven through its debugging pipe.
//!
//! The protocol is JSON with a zero byte after each message, on descriptors 3 and 4 of the browser. A shell
//! puts our two pipes there, so that neither a web socket nor anything unsafe is needed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

/// If this is `required`, a missing browser is a failure and no reason to skip.
const REQUIRED: &str = "LINEARIZE_BROWSER";

/// No answer takes longer, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

const OPTIONS: [&str; 12] = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--window-size=1400,900",
];

/// The browser of this process. All tests share it, because its start takes longer than most of them. One test
/// has it at a time: some measure, and others beside them would disturb that.
static SHARED: Mutex<Option<Process>> = Mutex::new(None);

/// A browser that runs. It ends when its pipe is closed, at the latest with this process.
struct Process {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    last: u64,
    directory: PathBuf,
}

/// A tab of the browser.
pub(crate) struct Browser {
    process: MutexGuard<'static, Option<Process>>,
    /// What happened without being asked for.
    pub(crate) events: Vec<Value>,
    target: Value,
    session: String,
}

impl Process {
    /// Starts a browser; `None`, and a line that says so, if none is installed.
    fn start() -> Option<Process> {
        let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
            let paths = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&paths).any(|path| path.join(name).is_file())
        });
        let Some(name) = found else {
            let required = std::env::var_os(REQUIRED).is_some_and(|value| value == "required");
            assert!(!required, "{REQUIRED}=required, but there is no chromium in PATH");
            println!("skipped: no chromium");
            return None;
        };
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("linearize-browser-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let profile = format!("--user-data-dir={}", directory.join("profile").display());
        // A static is never dropped, so the shell clears up behind the browser.
        let script = "\"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null; rm -rf \"$HOME\"";
        let mut child = Command::new("sh")
            .args(["-c", script, name])
            .args(OPTIONS)
            .args([profile.as_str(), "about:blank"])
            .env("HOME", &directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let messages = messages_from(child.stdout.take().unwrap());
        Some(Process { child, input, messages, last: 0, directory })
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

/// What the browser says, until its pipe is closed.
fn messages_from(output: ChildStdout) -> Receiver<Value> {
    let (sender, messages) = channel();
    let mut output = BufReader::new(output);
    std::thread::spawn(move || {
        let mut message = Vec::new();
        while output.read_until(0, &mut message).is_ok_and(|count| count > 0) {
            message.pop();
            let Ok(value) = serde_json::from_slice(&message) else { break };
            if sender.send(value).is_err() {
                break;
            }
            message.clear();
        }
    });
    messages
}

impl Browser {
    /// A tab with one empty page; `None`, and a line that says so, if no browser is installed.
    pub(crate) fn start() -> Option<Browser> {
        let mut process = SHARED.lock();
        if process.as_mut().is_none_or(Process::has_ended) {
            *process = Some(Process::start()?);
        }
        let mut browser =
            Browser { process, events: Vec::new(), target: Value::Null, session: String::new() };
        browser.attach();
        Some(browser)
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("a tab has a browser")
    }

    fn attach(&mut self) {
        self.target = self.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let params = json!({ "targetId": self.target, "flatten": true });
        let session = self.call("Target.attachToTarget", params)["sessionId"].as_str().unwrap().to_owned();
        self.session = session;
        for domain in ["Page", "Runtime", "Network", "Log"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Calls a method of the protocol and waits for its answer.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let session = self.session.clone();
        let process = self.process();
        process.last += 1;
        let id = json!(process.last);
        let mut request = json!({ "id": id, "method": method, "params": params });
        if !session.is_empty() {
            request["sessionId"] = json!(session);
        }
        let mut bytes = request.to_string().into_bytes();
        bytes.push(0);
        process.input.write_all(&bytes).unwrap();
        loop {
            let message = self.process().messages.recv_timeout(PATIENCE).expect("the browser answers");
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.keep(message);
        }
    }

    /// Keeps an event of this tab. Events of earlier tabs may still be in the pipe.
    fn keep(&mut self, message: Value) {
        if message["sessionId"] == json!(self.session) {
            self.events.push(message);
        }
    }

    fn wait_for(&mut self, method: &str) {
        while !self.events.iter().any(|event| event["method"] == method) {
            let message = self.process().messages.recv_timeout(PATIENCE).expect("the browser goes on");
            self.keep(message);
        }
    }

    /// Writes a page to a file, opens it with `rest` (`?query#fragment`) behind its name, and waits until it
    /// is drawn.
    pub(crate) fn open(&mut self, page: &str, rest: &str) {
        let file = self.process().directory.join("page.html");
        std::fs::write(&file, page).unwrap();
        // By way of an empty page: to change the fragment alone would load nothing.
        for url in ["about:blank".to_owned(), format!("file://{}{rest}", file.display())] {
            self.events.clear();
            self.call("Page.navigate", json!({ "url": url }));
            self.wait_for("Page.loadEventFired");
        }
        self.evaluate(
            "new Promise((done) => { const look = () => document.getElementById('bench').dataset.complete || \
             /could not be drawn/.test(document.getElementById('detail').textContent) ? done(1) : requestAnimationFrame(look); look(); })",
        );
    }

    /// The value of an expression on the page; of a promise, what it comes to.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// The text of the element with this id.
    pub(crate) fn text_of(&mut self, id: &str) -> String {
        self.evaluate(&format!("document.getElementById({id:?}).textContent")).as_str().unwrap().to_owned()
    }

    /// Presses a key and waits for the next frame.
    pub(crate) fn press(&mut self, key: &str) {
        let text = if key.len() == 1 { key } else { "" };
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyDown", "key": key, "text": text }));
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key }));
        self.frame();
    }

    /// A mouse event at a place of the window.
    pub(crate) fn mouse(&mut self, kind: &str, x: f64, y: f64, more: Value) {
        let mut params =
            json!({ "type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1 });
        if let (Some(params), Value::Object(more)) = (params.as_object_mut(), more) {
            params.extend(more);
        }
        self.call("Input.dispatchMouseEvent", params);
    }

    /// Waits until what was changed is drawn.
    pub(crate) fn frame(&mut self) {
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
    }

    /// Everything that the browser complained about, and every address that it asked for other than the page.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        self.evaluate("1");
        let mut complaints = Vec::new();
        for event in &self.events {
            let params = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.exceptionThrown" | "Log.entryAdded" => complaints.push(params.to_string()),
                "Network.requestWillBeSent" => {
                    let url = params["request"]["url"].as_str().unwrap_or_default();
                    if !url.starts_with("file://") && !url.starts_with("about:") {
                        complaints.push(format!("a request for {url}"));
                    }
                }
                "Page.javascriptDialogOpening" => complaints.push("a dialog".to_owned()),
                _ => {}
            }
        }
        complaints
    }

    /// Writes a picture of the window in base64 to `path`, for people to look at.
    pub(crate) fn screenshot(&mut self, path: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        std::fs::write(path, answer["data"].as_str().unwrap()).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.session.clear();
            self.call("Target.closeTarget", json!({ "targetId": self.target }));
        } else if let Some(mut process) = self.process.take() {
            // Its state is unknown, so the next test gets a new one. A browser that is told to end takes its
            // helpers with it.
            let _ = process.input.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
            while process.messages.recv_timeout(Duration::from_secs(5)).is_ok() {}
        }
    }
}
