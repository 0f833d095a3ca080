//! What a request asks, and of whom (pure).
//!
//! The kernel brings requests here that were meant for others: only `Host` tells which they are.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{
    probes::{self, Success},
    wispr::Wispr,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Post,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// For somebody else: to the page of the portal.
    Away,
    /// For somebody else, to find out whether the device is on-line.
    Probe(Success),
    Page,
    Login,
    Logout,
    /// RFC 8908.
    Api,
    Wispr(Wispr),
    /// There is nothing there.
    Nothing,
    /// It is there, for these methods only.
    OnlyBy(&'static str),
}

impl Route {
    /// For counters.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Probe(_) => "probe",
            Self::Page => "page",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Api => "api",
            Self::Wispr(_) => "wispr",
            Self::Nothing | Self::OnlyBy(_) => "nothing",
        }
    }
}

/// Where a request arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Own<'a> {
    pub(super) address: SocketAddr,
    /// Of the certificate; over TLS only.
    pub(super) name: Option<&'a str>,
}

pub(super) fn route(own: Own<'_>, method: Method, host: &str, path: &str) -> Route {
    let reads = matches!(method, Method::Get | Method::Head);
    if !own.is(host) {
        let name = host.strip_suffix(":80").unwrap_or(host);
        return match probes::success(name, path) {
            Some(success) if reads => Route::Probe(success),
            Some(_) | None => Route::Away,
        };
    }
    match path {
        "/" if reads => Route::Page,
        API if reads => Route::Api,
        // Who comes back to the address of a form sees the page.
        LOGIN | LOGOUT if reads => Route::Away,
        LOGIN if method == Method::Post => Route::Login,
        LOGOUT if method == Method::Post => Route::Logout,
        "/" | API => Route::OnlyBy("GET, HEAD"),
        LOGIN | LOGOUT => Route::OnlyBy("GET, HEAD, POST"),
        path => match Wispr::at(path) {
            None => Route::Nothing,
            Some(asked) if method == Method::Post || (reads && asked != Wispr::Login) => {
                Route::Wispr(asked)
            }
            Some(asked) => Route::OnlyBy(asked.methods()),
        },
    }
}

pub(super) const LOGIN: &str = "/login";
pub(super) const LOGOUT: &str = "/logout";
pub(super) const API: &str = "/api/captive-portal";

/// Where the page of the portal is, without a slash at the end: at the address where a request
/// arrived, or by `name` at the port of TLS where there is one.
pub(super) fn origin(address: SocketAddr, tls: Option<(&str, u16)>) -> String {
    match tls {
        None => format!("http://{address}"),
        Some((name, HTTPS)) => format!("https://{name}"),
        Some((name, port)) => format!("https://{name}:{port}"),
    }
}

const HTTP: u16 = 80;
const HTTPS: u16 = 443;

impl Own<'_> {
    fn is(self, host: &str) -> bool {
        self.address_is(host) || self.name.is_some_and(|name| self.name_is(name, host))
    }

    fn name_is(self, name: &str, host: &str) -> bool {
        let (bare, port) = match host.rsplit_once(':') {
            Some((bare, port)) => (bare, port.parse().ok()),
            None => (host, Some(HTTPS)),
        };
        bare.eq_ignore_ascii_case(name) && port == Some(self.address.port())
    }

    fn address_is(self, host: &str) -> bool {
        let without_port = || {
            let bare: Option<IpAddr> = host.parse().ok();
            let six = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let six: Option<Ipv6Addr> = six.and_then(|text| text.parse().ok());
            let ip = bare.filter(IpAddr::is_ipv4).or(six.map(IpAddr::V6))?;
            Some(SocketAddr::new(ip, if self.name.is_some() { HTTPS } else { HTTP }))
        };
        let address: Option<SocketAddr> = host.parse().ok().or_else(without_port);
        let own = self.address;
        address.is_some_and(|it| it.ip() == own.ip() && it.port() == own.port())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWN: &str = "10.0.0.1:2080";

    fn at(own: &str, method: Method, host: &str, path: &str) -> Route {
        route(Own { address: own.parse().unwrap(), name: None }, method, host, path)
    }

    #[test]
    fn what_is_for_others_is_sent_to_the_page() {
        for host in ["example.com", "10.0.0.1", "10.0.0.1:80", "10.0.0.2:2080", "[::1]:2080", ""] {
            for path in ["/", "/login", "/api/captive-portal", "*", ""] {
                for method in [Method::Get, Method::Head, Method::Post, Method::Other] {
                    assert_eq!(at(OWN, method, host, path), Route::Away, "{host}{path}");
                }
            }
        }
    }

    #[test]
    fn a_probe_is_known_by_host_and_path_and_only_asks() {
        let probe = |method, host| at(OWN, method, host, "/generate_204");
        let host = "connectivitycheck.gstatic.com";
        assert_eq!(probe(Method::Get, host), Route::Probe(Success::Nothing));
        assert_eq!(probe(Method::Head, host), Route::Probe(Success::Nothing));
        assert_eq!(probe(Method::Post, host), Route::Away);
        let apple = at(OWN, Method::Get, "captive.apple.com:80", "/hotspot-detect.html");
        assert!(matches!(apple, Route::Probe(Success::Html(_))), "{apple:?}");
        assert_eq!(probe(Method::Get, OWN), Route::Nothing);
    }

    #[test]
    fn what_is_for_the_portal_is_known_by_its_own_address() {
        for (own, host) in [
            (OWN, OWN),
            ("10.0.0.1:80", "10.0.0.1"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[fd00::1]:2080", "[fd00::1]:2080"),
            ("[fd00::1]:80", "[fd00::1]"),
            ("[fd00::1]:80", "[FD00:0:0::1]"),
        ] {
            assert_eq!(at(own, Method::Get, host, "/"), Route::Page, "{host} at {own}");
        }
    }

    #[test]
    fn over_tls_the_portal_is_known_by_its_name_too() {
        let over = |port: u16, host| {
            let own = Own { address: ([10, 0, 0, 1], port).into(), name: Some("p.example") };
            route(own, Method::Get, host, "/")
        };
        for (port, host) in [
            (443, "p.example"),
            (443, "P.Example:443"),
            (2443, "p.example:2443"),
            (443, "10.0.0.1"),
            (2443, "10.0.0.1:2443"),
        ] {
            assert_eq!(over(port, host), Route::Page, "{host} at {port}");
        }
        for (port, host) in
            [(2443, "p.example"), (443, "p.example:80"), (443, "example"), (443, ""), (443, ":443")]
        {
            assert_eq!(over(port, host), Route::Away, "{host} at {port}");
        }
        let address = ([10, 0, 0, 1], 2080).into();
        assert_eq!(origin(address, None), "http://10.0.0.1:2080");
        assert_eq!(origin(address, Some(("p.example", 443))), "https://p.example");
        assert_eq!(origin(address, Some(("p.example", 2443))), "https://p.example:2443");
    }

    #[test]
    fn each_page_has_its_methods() {
        use Method::{Get, Head, Other, Post};
        for (method, path, expected) in [
            (Head, "/", Route::Page),
            (Post, "/", Route::OnlyBy("GET, HEAD")),
            (Get, "/api/captive-portal", Route::Api),
            (Post, "/api/captive-portal", Route::OnlyBy("GET, HEAD")),
            (Post, "/login", Route::Login),
            (Post, "/wispr", Route::Wispr(Wispr::Login)),
            (Get, "/wispr", Route::OnlyBy("POST")),
            (Get, "/wispr/logoff", Route::Wispr(Wispr::Logoff)),
            (Other, "/wispr/abort", Route::OnlyBy("GET, HEAD, POST")),
            (Get, "/login", Route::Away),
            (Other, "/login", Route::OnlyBy("GET, HEAD, POST")),
            (Post, "/logout", Route::Logout),
            (Get, "/logout", Route::Away),
            (Get, "/favicon.ico", Route::Nothing),
            (Other, "*", Route::Nothing),
        ] {
            assert_eq!(at(OWN, method, OWN, path), expected, "{method:?} {path}");
        }
    }

    proptest! {
        #[test]
        fn any_host_and_any_path_is_somewhere(host in ".*", path in ".*") {
            let _ = at(OWN, Method::Get, &host, &path);
            prop_assert_ne!(at(OWN, Method::Post, &host, &path), Route::Login);
        }
    }
}
