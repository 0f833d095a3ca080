//! Where an operator may send this program: to addresses of the public internet and, only if the
//! installation allows it, to others.
//!
//! It is checked when a connection is made, after names are resolved: a name that is public when
//! it is written down may point elsewhere later. Nothing is followed to another place.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// How far it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// What everybody reaches, too.
    #[default]
    Public,
    /// Also what only this machine and its networks reach.
    Anywhere,
}

/// Goes there. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outward {
    reach: Reach,
    http: reqwest::Client,
}

#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    #[error("{0} is not on the public internet, and the setting `private_targets` refuses it")]
    Private(String),
    #[error("{0} is no URL")]
    NotUrl(String),
    #[error("{host} is not found")]
    NotFound { host: String, source: io::Error },
}

impl Outward {
    pub fn new(reach: Reach) -> Self {
        // Fails only if a provider is there already, which is as good.
        let _there = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            // Somebody else than was named is not told.
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would resolve names itself.
            .no_proxy()
            .dns_resolver(Arc::new(reach))
            .user_agent(concat!("KenNet/", env!("CARGO_PKG_VERSION")))
            .build()
            // Without its resolver it must not be used.
            .expect("a TLS provider is installed, and nothing else can fail");
        Self { reach, http }
    }

    pub fn post(&self, url: &str) -> Result<reqwest::RequestBuilder, ReachError> {
        let url: reqwest::Url = url.parse().map_err(|_| ReachError::NotUrl(url.to_owned()))?;
        // A host that is an address is not resolved. However it is spelled, here it is plain.
        let host = url.host_str().unwrap_or_default();
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            self.reach.check(address)?;
        }
        Ok(self.http.post(url))
    }

    /// Where a host is, for protocols other than HTTP.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ReachError> {
        let found = tokio::net::lookup_host((host, port)).await;
        let not_found = |source| ReachError::NotFound { host: host.to_owned(), source };
        let found: Vec<_> = found.map_err(not_found)?.collect();
        found.iter().try_for_each(|address| self.reach.check(address.ip()))?;
        Ok(found)
    }
}

impl Reach {
    fn check(self, address: IpAddr) -> Result<(), ReachError> {
        if self == Self::Anywhere || is_public(address) {
            return Ok(());
        }
        Err(ReachError::Private(address.to_string()))
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = *self;
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One that is not public makes the others suspect.
            found.iter().try_for_each(|address| reach.check(address.ip()))?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Pure. From the IANA registries of special-purpose addresses.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = u128::from(address);
    let within = |from: u32| {
        let low = u32::try_from((bits >> from) & u128::from(u32::MAX));
        Ipv4Addr::from_bits(low.expect("32 bits are left"))
    };
    // An address of IPv4 within (NAT64, 6to4) is as public as that one.
    if bits >> 32 == 0x0064_ff9b_0000_0000_0000_0000 {
        return is_public_v4(within(0));
    }
    if bits >> 112 == 0x2002 {
        return is_public_v4(within(80));
    }
    let begins = |word: u128, length: u32| bits >> (128 - length) == word >> (32 - length);
    // Global unicast, without Teredo and the other protocols', and without documentation.
    begins(0x2000_0000, 3)
        && !begins(0x2001_0000, 23)
        && !begins(0x2001_0db8, 32)
        && !begins(0x3fff_0000, 20)
}

const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_everybody_reaches_is_public() {
        for public in ["8.8.8.8", "196.201.214.200", "2a00:1450::1", "64:ff9b::808:808"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd00::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[tokio::test]
    async fn nobody_is_sent_to_this_machine() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (public, anywhere) = (Outward::new(Reach::Public), Outward::new(Reach::Anywhere));
        // However it is spelled: an address, a number, a name.
        for host in ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::ffff:127.0.0.1]"] {
            let refused = public.post(&format!("http://{host}:{port}/"));
            assert!(matches!(refused, Err(ReachError::Private(_))), "{host}");
        }
        let named = format!("http://localhost:{port}/");
        let refused = public.post(&named).unwrap().send().await.unwrap_err();
        assert!(refused.is_connect(), "{refused:?}");
        let said = shared::daemon::Chain(&refused).to_string();
        assert!(said.contains("not on the public internet"), "{said}");
        assert!(public.addresses("localhost", port).await.is_err());
        let nobody_called = tokio::time::timeout(Duration::from_millis(50), listener.accept());
        assert!(nobody_called.await.is_err());

        assert!(!anywhere.addresses("localhost", port).await.unwrap().is_empty());
        let sent = anywhere.post(&format!("http://127.0.0.1:{port}/")).unwrap();
        tokio::select! {
            called = listener.accept() => assert!(called.is_ok()),
            sent = sent.send() => panic!("{sent:?} before anybody answered"),
        }
    }
}
