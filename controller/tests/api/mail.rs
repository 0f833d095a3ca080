//! A mail server that is not ours: Debian's Exim, as a process of its own on a port of its own,
//! with STARTTLS, a login, and a Maildir in its folder.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Stopped when it is dropped.
pub(crate) struct MailServer {
    folder: TempDir,
    port: u16,
    /// In PEM: who vouches for it is itself.
    certificate: String,
    child: Option<Child>,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl MailServer {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder.path(), open).expect("the folder is ours");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
        let certificate = made.cert.pem();
        let user = nix::unistd::User::from_name("Debian-exim").expect("users can be read");
        let user = user.expect("these tests need Debian's package exim4-daemon-light");
        for name in ["spool", "log", "mail"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let key = made.signing_key.serialize_pem();
        fs::write(folder.path().join("cert.pem"), &certificate).expect("a file");
        fs::write(folder.path().join("key.pem"), key).expect("a file");
        for name in ["spool", "log", "mail", "cert.pem", "key.pem"] {
            let path = folder.path().join(name);
            chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .expect("these tests run as root: Exim drops to a user of its own");
        }
        let place = folder.path().to_str().expect("a path in UTF-8");
        let config = CONFIG.replace("PLACE", place).replace("PORT", &port.to_string());
        fs::write(folder.path().join("exim.conf"), config).expect("a file");
        let mut server = Self { folder, port, certificate, child: None };
        server.go();
        server
    }

    /// Starts it, again if it was stopped, and waits until it listens.
    pub(crate) fn go(&mut self) {
        let config = self.folder.path().join("exim.conf");
        let log = fs::File::create(self.folder.path().join("out")).expect("a file");
        let child = Command::new("/usr/sbin/exim4")
            .args([Path::new("-C"), &config, Path::new("-bdf"), Path::new("-q1h")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("these tests need Debian's package exim4-daemon-light");
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(20);
        // What answers as a mail server does is one.
        while !self.greets() {
            let said = fs::read_to_string(self.folder.path().join("out")).unwrap_or_default();
            assert!(Instant::now() < until, "Exim does not listen: {said}");
            let ended = self.child.as_mut().is_some_and(|c| !matches!(c.try_wait(), Ok(None)));
            assert!(!ended, "Exim does not start: {said}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn greets(&self) -> bool {
        let Ok(stream) = std::net::TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        let mut line = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("not zero");
        let _cut_off = BufReader::new(stream).read_line(&mut line);
        line.starts_with("220 mail.test")
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
    }

    /// As it is set up at a controller.
    pub(crate) fn provider(&self) -> Value {
        json!({
            "name": "Office", "secret": "open sesame",
            "setup": {
                "kind": "smtp", "host": "localhost", "port": self.port, "security": "starttls",
                "from": "Billing <billing@first.example>", "username": "kennet",
                "ca": self.certificate,
            },
        })
    }

    /// Waits until so many messages are there, and reads them, oldest first.
    pub(crate) fn inbox(&self, count: usize) -> Vec<String> {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let mut files: Vec<PathBuf> = fs::read_dir(self.folder.path().join("mail/new"))
                .map(|all| all.filter_map(|one| Some(one.ok()?.path())).collect())
                .unwrap_or_default();
            if files.len() >= count || Instant::now() > until {
                assert_eq!(files.len(), count, "{files:?}");
                files.sort_by_key(|file| fs::metadata(file).and_then(|m| m.modified()).ok());
                return files.iter().map(|f| fs::read_to_string(f).expect("text")).collect();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

const CONFIG: &str = r"
primary_hostname = mail.test
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = PLACE/spool
log_file_path = PLACE/log/%slog
pid_file_path = PLACE/exim.pid
local_interfaces = 127.0.0.1
keep_environment =
daemon_smtp_ports = PORT
tls_advertise_hosts = *
tls_certificate = PLACE/cert.pem
tls_privatekey = PLACE/key.pem
auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}
deliver_drop_privilege = true
message_size_limit = 5M
acl_smtp_rcpt = rcpt
acl_smtp_data = data
begin acl
rcpt:
  deny    !authenticated = *
          message = log in first
  deny    local_parts = nobody
          message = no such mailbox
  defer   local_parts = later
          message = come again
  accept
data:
  accept
begin routers
all:
  driver = accept
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = PLACE/mail
  maildir_format
  create_directory
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{kennet}}{eq{$auth3}{open sesame}}}}
  server_set_id = $auth2
";
