//! The controller as a process, and the office that talks to it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    lab::{Lab, Process},
    provider::http::{self, Response},
    workspace,
};

#[derive(Debug)]
pub struct Controller {
    pub process: Process,
    pub http: SocketAddr,
    pub mqtt: SocketAddr,
    command: Launch,
}

/// How it is started, and started again.
#[derive(Debug)]
struct Launch {
    program: PathBuf,
    arguments: Vec<String>,
    data: PathBuf,
}

impl Controller {
    /// Starts it with its own Postgres and, without `broker`, with its own broker.
    pub fn start(lab: &Lab, binaries: &Path, broker: Option<SocketAddr>) -> Result<Self> {
        let data = lab.folder("controller")?;
        let [http, own] = free_ports()?;
        let mqtt = broker.unwrap_or(own);
        let mut arguments = vec![
            "--data-dir".to_owned(),
            data.display().to_string(),
            "--http-listen".to_owned(),
            http.to_string(),
        ];
        arguments.extend(match broker {
            Some(url) => ["--mqtt-url".to_owned(), format!("mqtt://{url}")],
            None => ["--mqtt-listen".to_owned(), mqtt.to_string()],
        });
        let command = Launch { program: binaries.join("kennet-controller"), arguments, data };
        let process = command.start(lab)?;
        let mut controller = Self { process, http, mqtt, command };
        controller.wait_until_ready()?;
        Ok(controller)
    }

    /// Starts it again on the same data, after it was killed.
    pub fn restart(&mut self, lab: &Lab) -> Result<()> {
        self.process = self.command.start(lab)?;
        self.wait_until_ready()
    }

    pub fn wait_until_ready(&mut self) -> Result<()> {
        let at = self.http;
        self.process.wait_until("ready", Duration::from_mins(1), || {
            Ok(http::ask(at, "GET", "/readyz", &[], None).is_ok_and(|reply| reply.status == 200))
        })
    }

    /// One of its own commands, on its data.
    pub fn command(&self, lab: &Lab, arguments: &[&str]) -> Command {
        let mut command = lab.command(None, &self.command.program.display().to_string());
        command.args(&self.command.arguments).args(arguments);
        command
    }

    /// Logs the operators' command line in; returns what to type before its words.
    pub fn log_in_cli(&self, lab: &Lab) -> Result<String> {
        let program = self.command.program.with_file_name("kennet");
        let (login, password) = (lab.dir().join("login.json"), lab.dir().join("password"));
        fs::write(&password, PASSWORD)
            .with_context(|| format!("cannot write {}", password.display()))?;
        let url = format!("http://{}", self.http);
        let mut command = lab.command(None, &program.display().to_string());
        command.args(["login", &url, EMAIL, "--password-file"]).arg(&password);
        workspace::output(command.env("KENNET_LOGIN_FILE", &login))?;
        Ok(format!("KENNET_LOGIN_FILE={} {}", login.display(), program.display()))
    }

    /// The process of its private Postgres.
    pub fn postgres(&self) -> Result<u32> {
        let file = find(&self.command.data, "postmaster.pid", 4)
            .with_context(|| format!("no postmaster.pid in {}", self.command.data.display()))?;
        let text =
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
        pid.with_context(|| format!("{}: no process id in it", file.display()))
    }
}

impl Launch {
    fn start(&self, lab: &Lab) -> Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("serve");
        lab.start("controller", &mut command)
    }
}

/// Somebody at a desk, logged in.
#[derive(Clone, Debug)]
pub struct Office {
    pub http: SocketAddr,
    token: String,
}

impl Office {
    /// Makes the first tenant with its owner, as whoever unpacks the product does.
    pub fn open(http: SocketAddr) -> Result<Self> {
        let register = json!({
            "tenant": "Demo ISP", "name": "Demo Owner", "email": EMAIL, "password": PASSWORD,
        });
        http::ask(http, "POST", "/api/auth/register", &[], Some(&register))?.json()?;
        let login = json!({ "email": EMAIL, "password": PASSWORD });
        let reply = http::ask(http, "POST", "/api/auth/login", &[], Some(&login))?.json()?;
        let token = text(&reply, "/token")?;
        Ok(Self { http, token })
    }

    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response> {
        let bearer = format!("Bearer {}", self.token);
        http::ask(self.http, method, path, &[("authorization", &bearer)], body)
    }

    pub fn get(&self, path: &str) -> Result<Value> {
        self.ask("GET", path, None)?.json().with_context(|| format!("GET {path}"))
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask("POST", path, Some(body))?.json().with_context(|| format!("POST {path} {body}"))
    }

    /// Changes what nobody else has changed in between.
    pub fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        let seen = self.ask("GET", path, None)?;
        let etag = seen.etag.with_context(|| format!("GET {path}: no ETag: {}", seen.body))?;
        let bearer = format!("Bearer {}", self.token);
        let headers = [("authorization", bearer.as_str()), ("if-match", &etag)];
        let reply = http::ask(self.http, "PATCH", path, &headers, Some(body))?;
        reply.json().with_context(|| format!("PATCH {path} {body}"))
    }

    /// All items of a paged list.
    pub fn list(&self, path: &str) -> Result<Vec<Value>> {
        let page = self.get(path)?;
        let items = page.get("items").and_then(Value::as_array);
        items.cloned().with_context(|| format!("GET {path}: no `items` in {page}"))
    }
}

pub fn text(value: &Value, pointer: &str) -> Result<String> {
    let text = value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    text.with_context(|| format!("no text at {pointer} in {value}"))
}

pub fn number(value: &Value, pointer: &str) -> Result<u64> {
    let number = value.pointer(pointer);
    // Counters beyond 2^53 are texts, so that no JSON reader rounds them.
    let number = number.and_then(|it| it.as_u64().or_else(|| it.as_str()?.parse().ok()));
    number.with_context(|| format!("no number at {pointer} in {value}"))
}

/// Loopback ports that were free just now, each another.
pub fn free_ports<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut held = Vec::new();
    let mut ports = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for port in &mut ports {
        let listener = TcpListener::bind(*port).context("cannot find a free port")?;
        *port = listener.local_addr()?;
        held.push(listener);
    }
    Ok(ports)
}

fn find(folder: &Path, name: &str, depth: usize) -> Option<PathBuf> {
    let mut below = Vec::new();
    for entry in fs::read_dir(folder).ok()?.flatten() {
        if entry.file_name() == name {
            return Some(entry.path());
        }
        below.push(entry.path());
    }
    let deeper =
        |depth| below.iter().filter(|path| path.is_dir()).find_map(|at| find(at, name, depth));
    depth.checked_sub(1).and_then(deeper)
}

/// Of the demo's office. It listens on loopback only and lives as long as the lab.
pub const EMAIL: &str = "owner@demo.example";
pub const PASSWORD: &str = "a long demo password";

/// Fails with what the other side said.
pub fn expect(reply: &Response, status: u16) -> Result<()> {
    ensure!(reply.status == status, "answered {}, not {status}: {}", reply.status, reply.body);
    Ok(())
}
