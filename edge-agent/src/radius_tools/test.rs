//! `kennet-edge radius test`: one request, and its reply.

#![expect(clippy::print_stderr, reason = "a command-line tool's answer")]

use std::{
    env, fmt, fs,
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use radius::{
    AttrType, Code, Dictionary, Packet, Secret, Writer,
    attr::path::Path,
    authenticator::{MessageAuthenticator, message_authenticator_of_reply},
    client::{Client, Schedule},
    dictionary::{Pair, Secrets},
    packet::Authenticator,
    salted::Salt,
    writer::{Buffer, EncodeError},
};
use shared::daemon::Chain;
use zeroize::Zeroizing;

use super::{
    Dictionaries,
    credentials::{Method, Proof},
    link::{self, Seen, Tls},
};

pub(super) const EXAMPLES: &str = "Examples:
  kennet-edge radius test --secret-file s 127.0.0.1 auth User-Name=amina User-Password=simba
  kennet-edge radius test --secret-file s 10.0.0.1:3799 disconnect Acct-Session-Id=5A01
  kennet-edge radius test --tls --ca ca.pem --cert nas.pem --key nas.key radius.example status
  kennet-edge radius test --secret-file s ::1 acct - < start.txt";

#[derive(Args)]
pub(crate) struct Test {
    /// HOST, HOST:PORT or [IPV6]:PORT.
    server: String,
    /// What to ask.
    #[arg(value_enum)]
    kind: Kind,
    /// Attributes: Name=value, or `-` to read lines of them from standard input. There, several
    /// in one line are separated by commas.
    #[arg(value_name = "NAME=VALUE")]
    attributes: Vec<String>,
    /// The shared secret, alone in a file. Without it the environment variable
    /// KENNET_RADIUS_SECRET; with --tls it is `radsec` if nothing else is said.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// How the User-Password is proved.
    #[arg(long, value_enum, default_value_t = Method::Pap)]
    method: Method,
    /// Send no Message-Authenticator, and take replies without: for old servers. A Status-Server
    /// always has one.
    #[arg(long)]
    no_message_authenticator: bool,
    /// Seconds until a request is sent again.
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=60))]
    timeout: u16,
    /// How often a request is sent before it is given up.
    #[arg(long, value_name = "TIMES", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=20))]
    tries: u16,
    /// The local address to send from.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
    /// Print passwords and keys.
    #[arg(long)]
    show_secrets: bool,
    #[command(flatten)]
    dictionaries: Dictionaries,
    #[command(flatten)]
    tls: Tls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Access-Request.
    Auth,
    /// Accounting-Request.
    Acct,
    /// Status-Server.
    Status,
    /// Disconnect-Request; an Event-Timestamp is added.
    Disconnect,
    /// CoA-Request; an Event-Timestamp is added.
    Coa,
}

impl Kind {
    const fn code(self) -> Code {
        match self {
            Self::Auth => Code::ACCESS_REQUEST,
            Self::Acct => Code::ACCOUNTING_REQUEST,
            Self::Status => Code::STATUS_SERVER,
            Self::Disconnect => Code::DISCONNECT_REQUEST,
            Self::Coa => Code::COA_REQUEST,
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Auth | Self::Status => 1812,
            Self::Acct => 1813,
            Self::Disconnect | Self::Coa => 3799,
        }
    }
}

const TLS_PORT: u16 = 2083;
const SECRET_VARIABLE: &str = "KENNET_RADIUS_SECRET";
const NO_ANSWER: u8 = 2;

/// A request that can be written.
struct Request {
    kind: Kind,
    pairs: Vec<Pair>,
    proof: Option<Proof>,
    message_authenticator: bool,
    nonce: Authenticator,
    salt: Salt,
}

impl Test {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let dictionary = self.dictionaries.load()?;
        let request = self.request(&dictionary)?;
        let secret = self.secret()?;
        let (host, to) = self.address()?;
        let wait = Duration::from_secs(self.timeout.into());
        let schedule = Schedule {
            initial: wait,
            longest: Some(wait),
            sends: Some(self.tries.into()),
            duration: None,
            changes: false,
        };
        let mut client = Client::default();
        client.request(Instant::now(), to, &secret, schedule, |id, buffer| {
            request.write(id, buffer, &secret)
        })?;

        let mut authenticator = request.nonce;
        let mut see = |seen: Seen<'_>| match seen {
            Seen::Sent(octets) => {
                if let Ok(packet) = Packet::decode(octets) {
                    authenticator = *packet.authenticator();
                    // What is hidden in a request with a hash for authenticator is so with zeros.
                    let secrets = self.secrets(&secret, &request.nonce);
                    print("Sent", "to", to, &dictionary, packet, secrets);
                }
            }
            Seen::SentAgain => say(format_args!("Sent it again to {to}\n")),
            Seen::Ignored(why) => eprintln!("kennet-edge: {to}: {why}"),
        };
        let reply = if self.tls.wanted {
            link::over_tls(self.tls.connection(&host)?, to, &mut client, wait, &mut see)
        } else {
            link::over_udp(self.source, to, &mut client, &mut random, &mut see)
        };
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                eprintln!("kennet-edge: {}", Chain(&error));
                return Ok(ExitCode::from(NO_ANSWER));
            }
        };
        let packet = Packet::decode(&reply).context("a reply that was taken is a packet")?;
        print("Received", "from", to, &dictionary, packet, self.secrets(&secret, &authenticator));
        Ok(request.verdict(&packet, &authenticator, &secret))
    }

    fn secrets<'s>(&self, secret: &'s Secret, request: &'s Authenticator) -> Secrets<'s> {
        if self.show_secrets { Secrets::Shown { secret, request } } else { Secrets::Hidden }
    }

    fn request(&self, dictionary: &Dictionary) -> anyhow::Result<Request> {
        let mut pairs = Vec::new();
        for argument in &self.attributes {
            if argument == "-" {
                let mut text = Zeroizing::new(String::new());
                io::stdin().read_to_string(&mut text).context("standard input")?;
                for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
                    for pair in commas(line) {
                        pairs.push(dictionary.parse_pair(pair).context("standard input")?);
                    }
                }
            } else {
                pairs.push(dictionary.parse_pair(argument)?);
            }
        }
        let has = |pairs: &[Pair], kind: AttrType| {
            pairs.iter().any(|pair| pair.place().path() == Path::standard(kind.0.into()))
        };
        if matches!(self.kind, Kind::Disconnect | Kind::Coa)
            && !has(&pairs, AttrType::EVENT_TIMESTAMP)
        {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            pairs.push(dictionary.parse_pair(&format!("Event-Timestamp = {now}"))?);
        }
        let proof = self.proof(&mut pairs)?;
        let [first, second, ..] = octets();
        Ok(Request {
            kind: self.kind,
            pairs,
            proof,
            message_authenticator: !self.no_message_authenticator,
            nonce: match self.kind {
                Kind::Auth | Kind::Status => octets(),
                Kind::Acct | Kind::Disconnect | Kind::Coa => [0; 16],
            },
            salt: Salt::new([first, second]),
        })
    }

    /// Takes the password out of the pairs where it is not sent.
    fn proof(&self, pairs: &mut Vec<Pair>) -> anyhow::Result<Option<Proof>> {
        if self.method == Method::Pap {
            return Ok(None);
        }
        ensure!(self.kind == Kind::Auth, "--method is for `auth`");
        let take = |kind: AttrType| {
            let path = Path::standard(kind.0.into());
            pairs.iter().find(|pair| pair.place().path() == path).cloned()
        };
        let method = self.method;
        let (Some(name), Some(password)) =
            (take(AttrType::USER_NAME), take(AttrType::USER_PASSWORD))
        else {
            bail!("--method needs a User-Name and a User-Password");
        };
        pairs.retain(|pair| pair.place() != password.place());
        let password = String::from_utf8(password.value().to_vec());
        let password = Zeroizing::new(password.context("the User-Password is not UTF-8")?);
        Ok(Some(Proof::new(method, name.value().to_vec(), password, [octets(), octets()])))
    }

    fn secret(&self) -> anyhow::Result<Secret> {
        let text = match (&self.secret_file, env::var(SECRET_VARIABLE)) {
            (Some(file), _) => fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?,
            (None, Ok(text)) => text,
            // RFC 6614 §2.3.
            (None, Err(_)) if self.tls.wanted => "radsec".to_owned(),
            (None, Err(_)) => bail!("name a --secret-file, or set {SECRET_VARIABLE}"),
        };
        let text = Zeroizing::new(text);
        let text = text.trim_end_matches(['\r', '\n']);
        ensure!(!text.is_empty(), "the secret is empty");
        Ok(Secret::new(text.as_bytes()))
    }

    /// The host as it was said, and where it is.
    fn address(&self) -> anyhow::Result<(String, SocketAddr)> {
        let default = if self.tls.wanted { TLS_PORT } else { self.kind.port() };
        let server = self.server.as_str();
        if let Ok(address) = server.parse::<SocketAddr>() {
            return Ok((address.ip().to_string(), address));
        }
        if let Ok(ip) = server.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok((ip.to_string(), SocketAddr::new(ip, default)));
        }
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) => {
                (host, port.parse().with_context(|| format!("`{port}` is not a port"))?)
            }
            None => (server, default),
        };
        let mut addresses = (host, port)
            .to_socket_addrs()
            .with_context(|| format!("cannot find the address of {host}"))?;
        // A local address says which family.
        let fits = |address: &SocketAddr| {
            self.source.is_none_or(|source| source.is_ipv4() == address.is_ipv4())
        };
        let address = addresses.find(fits).with_context(|| format!("{host} has no address"))?;
        Ok((host.to_owned(), address))
    }
}

impl Request {
    fn verdict(
        &self,
        reply: &Packet<'_>,
        authenticator: &Authenticator,
        secret: &Secret,
    ) -> ExitCode {
        let is_accept = reply.code() == Code::ACCESS_ACCEPT;
        if self.kind == Kind::Auth
            && message_authenticator_of_reply(reply, authenticator, secret)
                == MessageAuthenticator::Absent
        {
            eprintln!(
                "kennet-edge: the reply has no Message-Authenticator: somebody on the way could \
                 have made it (CVE-2024-3596)"
            );
        }
        if let (true, Some(proof)) = (is_accept, &self.proof) {
            match proof.check(reply) {
                Ok(true) => {
                    say(format_args!("MS-CHAP2-Success is right: the server knows the password\n"));
                }
                Ok(false) => {}
                Err(impostor) => {
                    eprintln!("kennet-edge: {impostor}");
                    return ExitCode::FAILURE;
                }
            }
        }
        match reply.code() {
            Code::ACCESS_ACCEPT
            | Code::ACCOUNTING_RESPONSE
            | Code::DISCONNECT_ACK
            | Code::COA_ACK => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }

    fn write<'b>(
        &self,
        id: u8,
        buffer: &'b mut Buffer,
        secret: &Secret,
    ) -> Result<&'b [u8], EncodeError> {
        let code = self.kind.code();
        let mut writer = match self.kind {
            Kind::Disconnect | Kind::Coa if self.message_authenticator => {
                Writer::change_request(buffer, code, id)
            }
            Kind::Acct | Kind::Disconnect | Kind::Coa => {
                Writer::accounting_request(buffer, code, id)
            }
            Kind::Auth if !self.message_authenticator => {
                Writer::unsigned_request(buffer, code, id, self.nonce)
            }
            // RFC 5997 §3: a Status-Server always has one.
            Kind::Auth | Kind::Status => Writer::request(buffer, code, id, self.nonce),
        };
        let mut salt = self.salt;
        for pair in &self.pairs {
            writer.pair_with(pair, salt, secret);
            salt = salt.next();
        }
        if let Some(proof) = &self.proof {
            proof.write(&mut writer);
        }
        writer.sign(secret)
    }
}

fn print(
    verb: &str,
    preposition: &str,
    peer: SocketAddr,
    dictionary: &Dictionary,
    packet: Packet<'_>,
    secrets: Secrets<'_>,
) {
    let (code, id, len) = (packet.code(), packet.id(), packet.as_bytes().len());
    let attributes = dictionary.show(packet, secrets);
    say(format_args!("{verb} {code} Id {id} {preposition} {peer} length {len}\n{attributes}"));
}

/// Who reads may have read enough, as `head` does: the exit code still tells.
fn say(text: fmt::Arguments<'_>) {
    let _ = io::stdout().write_fmt(text);
}

/// Pairs of a line, between commas that are in no quotes.
fn commas(line: &str) -> impl Iterator<Item = &str> {
    let mut quote = None;
    let mut escaped = false;
    let parts = line.split(move |letter: char| {
        let is_comma = quote.is_none() && letter == ',';
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"') if letter == '\\' => escaped = true,
            Some(open) if open == letter => quote = None,
            None if matches!(letter, '"' | '\'') => quote = Some(letter),
            Some(_) | None => {}
        }
        is_comma
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

fn octets() -> [u8; 16] {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).expect("the kernel has random numbers");
    octets
}

fn random() -> u32 {
    let [a, b, c, d, ..] = octets();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_are_text() {
        let parts: Vec<_> = commas(r#"A = "x, \", y", B='p,q' , ,C=1"#).collect();
        assert_eq!(parts, [r#"A = "x, \", y""#, "B='p,q'", "C=1"]);
    }
}
