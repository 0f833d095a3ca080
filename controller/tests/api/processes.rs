//! The binary itself: it comes up again by itself, whoever was killed; it ends with wrong settings.

use std::{
    fs,
    io::Read as _,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

/// A controller with a private cluster; killed with its Postgres when it is dropped.
struct Controller {
    child: Child,
    http: String,
    ports: [String; 2],
    folder: TempDir,
}

impl Controller {
    fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("the machine lets it");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .expect("the machine lets it");
        let ports = [free_port(), free_port()];
        let child = Self::spawn(folder.path(), &ports);
        let http = format!("http://{}", ports.first().expect("two"));
        Self { child, http, ports, folder }
    }

    fn spawn(folder: &Path, [http, mqtt]: &[String; 2]) -> Child {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join("log"))
            .expect("the machine lets it");
        Command::new(env!("CARGO_BIN_EXE_kennet-controller"))
            .args(["serve", "--http-listen", http, "--mqtt-listen", mqtt, "--data-dir"])
            .arg(folder.join("data"))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("the machine lets it")
    }

    fn again(&mut self) {
        self.child = Self::spawn(self.folder.path(), &self.ports);
    }

    async fn ready(&mut self) -> Duration {
        let start = Instant::now();
        let url = format!("{}/readyz", self.http);
        while start.elapsed() < Duration::from_mins(1) {
            if reqwest::get(&url).await.is_ok_and(|reply| reply.status() == 200) {
                return start.elapsed();
            }
            if let Some(status) = self.child.try_wait().expect("the machine lets it") {
                panic!("it ended with {status}: {}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not ready: {}", self.log());
    }

    fn postmaster(&self) -> Option<Pid> {
        let file = self.folder.path().join("data/postgres/postmaster.pid");
        let text = fs::read_to_string(file).ok()?;
        Some(Pid::from_raw(text.lines().next()?.trim().parse().ok()?))
    }

    fn kill(&mut self, signal: Signal) -> std::process::ExitStatus {
        kill(Pid::from_raw(self.child.id().try_into().expect("the machine lets it")), signal)
            .expect("the machine lets it");
        self.child.wait().expect("the machine lets it")
    }

    /// One of its commands, on the same data.
    fn command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kennet-controller"));
        let data = self.folder.path().join("data");
        let output = command
            .args(arguments)
            .arg("--data-dir")
            .arg(data)
            .output()
            .expect("the machine lets it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("the machine lets it")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        let postmaster = self.postmaster();
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The controller had no time to stop it. SIGQUIT: at once, with all of its children.
        if let Some(postmaster) = postmaster {
            let _ = kill(postmaster, Signal::SIGQUIT);
            for _ in 0..200 {
                if kill(postmaster, None).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0")
        .expect("the machine lets it")
        .local_addr()
        .expect("the machine lets it")
        .to_string()
}

#[tokio::test]
async fn the_private_cluster_comes_up_again_whoever_was_killed() {
    let mut controller = Controller::start();
    let cold = controller.ready().await;
    // Beside the running controller, in its cluster; twice is once.
    let first = controller.command(&["demo-seed", "--months", "0", "--json"]);
    let second = controller.command(&["demo-seed", "--months", "3", "--json"]);
    let (first, second): (Value, Value) =
        (serde_json::from_str(&first).unwrap(), serde_json::from_str(&second).unwrap());
    assert_eq!(first["subscribers"], second["subscribers"]);
    assert_eq!(second["owner"]["password"], Value::Null);
    let password = first["owner"]["password"].as_str().unwrap();
    let login = serde_json::json!({ "email": first["owner"]["email"], "password": password });
    assert_eq!(subscribers(&controller, &login).await, 3);

    // Postgres dies: its supervisor starts it again.
    let dead = controller.postmaster().unwrap();
    kill(dead, Signal::SIGKILL).unwrap();
    let start = Instant::now();
    while controller.postmaster().is_none_or(|pid| pid == dead) {
        assert!(start.elapsed() < Duration::from_secs(30), "{}", controller.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    controller.ready().await;
    assert_eq!(subscribers(&controller, &login).await, 3);

    // The controller dies and leaves Postgres behind: the next one takes its place.
    controller.kill(Signal::SIGKILL);
    let orphan = controller.postmaster().unwrap();
    kill(orphan, None).expect("Postgres outlives a killed controller");
    controller.again();
    controller.ready().await;
    assert_ne!(controller.postmaster().unwrap(), orphan);
    assert_eq!(subscribers(&controller, &login).await, 3);

    // Both die.
    let postmaster = controller.postmaster().unwrap();
    controller.kill(Signal::SIGKILL);
    kill(postmaster, Signal::SIGKILL).unwrap();
    controller.again();
    controller.ready().await;
    assert_eq!(subscribers(&controller, &login).await, 3);

    // And it stops when it is asked to, with everything that it started.
    let status = controller.kill(Signal::SIGTERM);
    assert!(status.success(), "{status}: {}", controller.log());
    assert_eq!(controller.postmaster(), None);
    controller.again();
    let warm = controller.ready().await;
    println!("ready after {cold:?} with a new cluster, {warm:?} with an old one");
}

async fn subscribers(controller: &Controller, login: &Value) -> usize {
    let http = reqwest::Client::new();
    let url = |path: &str| format!("{}{path}", controller.http);
    let reply = http.post(url("/api/auth/login")).json(login).send().await.expect("an answer");
    let reply: Value = reply.json().await.expect("an answer");
    let token = reply.get("token").and_then(Value::as_str).unwrap_or_else(|| panic!("{reply}"));
    let request = http.get(url("/api/subscribers")).bearer_auth(token);
    let page: Value = request.send().await.expect("an answer").json().await.expect("an answer");
    page.pointer("/items").and_then(Value::as_array).expect("an answer").len()
}

#[tokio::test]
async fn two_controllers_do_not_share_a_data_directory() {
    let mut controller = Controller::start();
    controller.ready().await;
    let data = controller.folder.path().join("data");
    let output = Command::new(env!("CARGO_BIN_EXE_kennet-controller"))
        .args(["serve", "--http-listen", &free_port(), "--mqtt-listen", &free_port()])
        .arg("--data-dir")
        .arg(&data)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another controller runs in"), "{said}");
}

#[test]
fn wrong_settings_end_it_before_anything_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kennet-controller"));
    let mut child = command
        .args(["serve", "--mqtt-listen", "1883", "--data-dir"])
        .arg(&data)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(64));
    let want = "kennet-controller: `mqtt_listen` should be an address and a port like \
                127.0.0.1:8080 or [::]:8080, not `1883`\n";
    assert_eq!(said, want);
    assert!(!data.exists());
}
