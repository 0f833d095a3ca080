//! HTTP/1.1 as far as asking one's own controller on loopback goes.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// The version of what was asked for.
    pub etag: Option<String>,
    pub body: String,
}

/// One request on a connection of its own.
pub fn ask(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Result<Response> {
    let what = || format!("{method} http://{to}{path}");
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2)).with_context(what)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut head = vec![
        format!("{method} {path} HTTP/1.1"),
        format!("host: {to}"),
        "connection: close".to_owned(),
    ];
    head.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    if !body.is_empty() {
        head.push("content-type: application/json".to_owned());
        head.push(format!("content-length: {}", body.len()));
    }
    let request = head.join("\r\n") + "\r\n\r\n" + &body;
    stream.write_all(request.as_bytes()).with_context(what)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).with_context(what)?;
    parse(&reply).with_context(what)
}

fn parse(reply: &[u8]) -> Result<Response> {
    let reply = String::from_utf8_lossy(reply);
    let (head, body) = reply.split_once("\r\n\r\n").context("the reply has no end of headers")?;
    let status = head.lines().next().and_then(|line| line.split(' ').nth(1));
    let status =
        status.and_then(|status| status.parse().ok()).context("the reply has no status")?;
    let header = |name: &str| {
        let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned())
    };
    let chunked = header("transfer-encoding").is_some_and(|how| how == "chunked");
    let body = if chunked { joined(body)? } else { body.to_owned() };
    Ok(Response { status, etag: header("etag"), body })
}

fn joined(mut rest: &str) -> Result<String> {
    let mut body = String::new();
    loop {
        let (length, after) = rest.split_once("\r\n").context("a chunk has no length")?;
        let length = usize::from_str_radix(length.trim(), 16).context("a chunk has no length")?;
        if length == 0 {
            return Ok(body);
        }
        let Some((chunk, after)) = after.split_at_checked(length) else { bail!("a chunk is cut") };
        body.push_str(chunk);
        rest = after.strip_prefix("\r\n").context("a chunk has no end")?;
    }
}

impl Response {
    /// The body, of a reply that says it went well.
    pub fn json(&self) -> Result<Value> {
        ensure!((200..300).contains(&self.status), "answered {}: {}", self.status, self.body);
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&self.body).with_context(|| format!("not JSON: {}", self.body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_whole_or_in_chunks() {
        let mut want = Response { status: 200, etag: None, body: "{\"a\":1}".to_owned() };
        let chunks =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n";
        assert_eq!(parse(chunks).unwrap(), want);
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nETag: \"3\"\r\n\r\n{\"a\":1}";
        want.etag = Some("\"3\"".to_owned());
        assert_eq!(parse(whole).unwrap(), want);
        assert!(parse(b"HTTP/1.1 200 OK").is_err());
    }
}
