//! A real browser on the device, driven by WebDriver: it loads, types and clicks as a person does.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::world::{Cable, Reply, Side};

pub(crate) struct Browser<'a> {
    cable: &'a Cable,
    driver: Child,
    session: String,
    /// What it keeps; it goes with it.
    profile: tempfile::TempDir,
}

impl<'a> Browser<'a> {
    /// Whatever it looks up is at `internet`; `here` is where it says.
    pub(crate) fn start(cable: &'a Cable, internet: &str, here: &str) -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut driver = cable.command(Side::Device, "unshare");
        // Whatever it starts ends with it, however this test ends.
        driver.args(["--pid", "--fork", "--kill-child", "--mount-proc", "chromedriver"]);
        driver.arg(format!("--port={PORT}")).stdout(Stdio::null()).stderr(Stdio::null());
        let driver = driver.spawn().expect("unshare");
        let mut browser = Self { cable, driver, session: String::new(), profile };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !browser.is_listening() {
            assert!(
                Instant::now() < deadline,
                "chromedriver does not come up: apt-get install chromium chromium-driver"
            );
            thread::sleep(Duration::from_millis(100));
        }
        let profile = browser.profile.path().display();
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--no-proxy-server".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-quic".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            // It would ask for every page over TLS first.
            "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable".to_owned(),
            format!("--host-resolver-rules=MAP * {internet}, EXCLUDE {here}"),
            format!("--user-data-dir={profile}"),
        ];
        let options = json!({ "args": arguments });
        let wanted =
            json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let session = browser.ask("POST", "/session", &wanted);
        let id = session.get("sessionId").and_then(Value::as_str);
        id.expect("a session has an id").clone_into(&mut browser.session);
        browser
    }

    fn is_listening(&self) -> bool {
        let address = ([127, 0, 0, 1], PORT).into();
        self.cable.inside(Side::Device, || {
            TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
        })
    }

    /// What the driver says, and that it fails, if it does.
    fn try_ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{PORT}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let server = ([127, 0, 0, 1], PORT).into();
        let reply = self.cable.inside(Side::Device, || ask_driver(server, &request));
        let said: Value = serde_json::from_str(&reply.body).expect("WebDriver speaks JSON");
        let value = said.get("value").cloned().expect("an answer has a value");
        if reply.status == 200 { Ok(value) } else { Err(value) }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let said = self.try_ask(method, path, body);
        said.unwrap_or_else(|fault| panic!("{method} {path}: {fault}"))
    }

    fn of_session(&self, method: &str, path: &str, body: &Value) -> Value {
        self.ask(method, &format!("/session/{}{path}", self.session), body)
    }

    pub(crate) fn open(&self, url: &str) {
        self.of_session("POST", "/url", &json!({ "url": url }));
    }

    pub(crate) fn url(&self) -> String {
        self.of_session("GET", "/url", &Value::Null).as_str().expect("a text").to_owned()
    }

    fn try_element(&self, selector: &str) -> Result<String, Value> {
        let which = json!({ "using": "css selector", "value": selector });
        let path = format!("/session/{}/element", self.session);
        let found = self.try_ask("POST", &path, &which)?;
        let (_, id) = found.as_object().and_then(|it| it.iter().next()).expect("an element");
        Ok(id.as_str().expect("its id is a text").to_owned())
    }

    fn element(&self, selector: &str) -> String {
        let found = self.try_element(selector);
        found.unwrap_or_else(|fault| panic!("{selector}: {fault}"))
    }

    /// What a person reads there at this moment, of a page that may just be going.
    fn try_text(&self, selector: &str) -> Result<String, Value> {
        let element = self.try_element(selector)?;
        let path = format!("/session/{}/element/{element}/text", self.session);
        let text = self.try_ask("GET", &path, &Value::Null)?;
        Ok(text.as_str().expect("a text").to_owned())
    }

    /// Waits until a person reads `expected` there: a click is over before its page is there.
    #[track_caller]
    pub(crate) fn reads(&self, selector: &str, expected: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let text = self.try_text(selector);
            if text.as_deref() == Ok(expected) {
                return;
            }
            assert!(Instant::now() < deadline, "{selector}: {text:?}, and not {expected:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let path = format!("/element/{}/value", self.element(selector));
        self.of_session("POST", &path, &json!({ "text": text }));
    }

    pub(crate) fn click(&self, selector: &str) {
        let path = format!("/element/{}/click", self.element(selector));
        self.of_session("POST", &path, &json!({}));
    }

    /// A colour or a size, as it is drawn.
    pub(crate) fn style(&self, selector: &str, property: &str) -> String {
        let path = format!("/element/{}/css/{property}", self.element(selector));
        self.of_session("GET", &path, &Value::Null).as_str().expect("a text").to_owned()
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        let _gone = self.driver.kill();
        let _reaped = self.driver.wait();
        // The last of its processes may still write.
        for _ in 0..40 {
            if fs::remove_dir_all(self.profile.path()).is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The browser that it starts has the connection, too, so that it stays open: the length counts.
fn ask_driver(server: SocketAddr, request: &str) -> Reply {
    let mut stream = TcpStream::connect(server).expect("chromedriver takes connections");
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout can be set");
    stream.write_all(request.as_bytes()).expect("chromedriver listens");
    let mut reader = BufReader::new(stream);
    let (mut said, mut length) = (String::new(), 0);
    while !said.ends_with("\r\n\r\n") {
        let begun = said.len();
        let more = reader.read_line(&mut said).expect("chromedriver answers");
        assert!(more > 0, "half a head: {said:?}");
        let line = said.split_at(begun).1.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length is a number");
        }
    }
    reader.take(length).read_to_string(&mut said).expect("chromedriver answers");
    Reply::read(&said)
}

const PORT: u16 = 9515;
