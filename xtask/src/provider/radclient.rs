//! A NAS, played by FreeRADIUS's `radclient`.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    lab::{Counters, Lab, Namespace, Seat},
    workspace,
};

/// The NAS whose requests come from the edge's own loopback.
#[derive(Clone, Copy, Debug)]
pub struct Nas<'lab> {
    pub lab: &'lab Lab,
    pub namespace: &'lab Namespace,
    pub secret: &'lab str,
}

#[derive(Clone, Copy, Debug)]
pub enum Password<'a> {
    Pap(&'a str),
    Chap(&'a str),
}

/// What came back, if anything did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `Access-Accept`, `Access-Reject`, `Accounting-Response`; none when nobody answered.
    pub code: Option<String>,
    /// The Class attribute, to be echoed in accounting.
    pub class: Option<String>,
    pub text: String,
}

impl Nas<'_> {
    pub fn login(&self, seat: &Seat, username: &str, password: Password<'_>) -> Result<Answer> {
        let password = match password {
            Password::Pap(word) => format!("User-Password = \"{word}\""),
            Password::Chap(word) => format!("CHAP-Password = \"{word}\""),
        };
        let request = format!(
            "{}\n{password}\nMessage-Authenticator = 0x00\nNAS-IP-Address = 127.0.0.1\n\
             NAS-Port-Type = Wireless-802.11\n",
            who(seat, username)
        );
        self.send("127.0.0.1:1812", "auth", &request)
    }

    pub fn start(&self, seat: &Seat, username: &str, id: &str, class: &str) -> Result<Answer> {
        self.account(seat, username, id, class, "Acct-Status-Type = Start")
    }

    /// `seen` is what a NAS would have counted; this edge's kernel knows better.
    pub fn stop(
        &self,
        seat: &Seat,
        username: &str,
        id: &str,
        class: &str,
        seen: Counters,
    ) -> Result<Answer> {
        let gigawords = |bytes: u64| (bytes >> 32, bytes & 0xffff_ffff);
        let (up_high, up) = gigawords(seen.up_bytes);
        let (down_high, down) = gigawords(seen.down_bytes);
        let status = format!(
            "Acct-Status-Type = Stop\nAcct-Terminate-Cause = User-Request\n\
             Acct-Input-Octets = {up}\nAcct-Input-Gigawords = {up_high}\n\
             Acct-Output-Octets = {down}\nAcct-Output-Gigawords = {down_high}"
        );
        self.account(seat, username, id, class, &status)
    }

    fn account(
        &self,
        seat: &Seat,
        username: &str,
        id: &str,
        class: &str,
        status: &str,
    ) -> Result<Answer> {
        let who = who(seat, username);
        let request = format!(
            "{who}\n{status}\nAcct-Session-Id = \"{id}\"\nClass = {class}\n\
             NAS-IP-Address = 127.0.0.1\n"
        );
        self.send("127.0.0.1:1813", "acct", &request)
    }

    /// `radclient` fails when the answer is a reject or none at all; that is for the caller.
    pub fn send(&self, to: &str, kind: &str, request: &str) -> Result<Answer> {
        let mut command: Command = self.lab.command(Some(self.namespace), "radclient");
        // Accounting waits for a disk, so it is given time; nothing is sent twice.
        command.args(["-x", "-r", "1", "-t", "10", to, kind, self.secret]);
        let line = workspace::shown(&command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{line}`"))?;
        child.stdin.take().context("its input is piped")?.write_all(request.as_bytes())?;
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(text.contains("Sent "), "`{line}` sent nothing: {text}{errors}\n{request}");
        Ok(Answer::read(text + &errors))
    }
}

impl Answer {
    fn read(text: String) -> Self {
        let mut received = text.lines().skip_while(|line| !line.starts_with("Received "));
        let code = received.next().and_then(|line| line.split(' ').nth(1)).map(str::to_owned);
        let class = received.find_map(|line| line.trim().strip_prefix("Class = "));
        let class = class.map(str::to_owned);
        Self { code, class, text }
    }

    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

fn who(seat: &Seat, username: &str) -> String {
    format!(
        "User-Name = \"{username}\"\nCalling-Station-Id = \"{}\"\nFramed-IP-Address = {}\n\
         NAS-Identifier = \"lab\"\nService-Type = Framed-User",
        seat.mac, seat.v4
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radclient_s_words_are_understood() {
        let text = "Sent Access-Request Id 1 from 0.0.0.0:1 to 127.0.0.1:1812 length 50\n\
            \tClass = 0x00\n\
            Received Access-Accept Id 1 from 127.0.0.1:1812 to 0.0.0.0:1 length 64\n\
            \tMessage-Authenticator = 0x01\n\tClass = 0x0102\n";
        let answer = Answer::read(text.to_owned());
        assert!(answer.is("Access-Accept"));
        assert_eq!(answer.class.as_deref(), Some("0x0102"));
        let answer = Answer::read("Sent …\n(0) No reply from server for ID 1\n".to_owned());
        assert_eq!((answer.code, answer.class), (None, None));
    }
}
