//! Tokens in cookies, for a browser: its scripts never see them.
//!
//! A browser sends cookies along for whatever page asks, so a change needs `X-CSRF-Token` too: a
//! word that is told to our pages only, and belongs to the login.

use axum::http::{HeaderMap, HeaderValue, header};
use jiff::SignedDuration;
use shared::secret::Secret;

use crate::logins::{LOGIN_LIFE, REFRESH_LIFE, TOKEN_LIFE};

/// What a login puts into the browser.
#[derive(Clone, Debug)]
pub(super) struct Jar<'a> {
    pub(super) token: &'a Secret,
    pub(super) refresh: &'a Secret,
    /// None: the browser has it already.
    pub(super) csrf: Option<&'a Secret>,
}

impl Jar<'_> {
    /// `plain`: the browser is on the machine itself, without TLS.
    pub(super) fn fill(&self, plain: bool, headers: &mut HeaderMap) {
        let life = REFRESH_LIFE;
        put(headers, TOKEN, self.token.expose(), "/", true, plain, TOKEN_LIFE);
        put(headers, REFRESH, self.refresh.expose(), REFRESH_PATH, true, plain, life);
        if let Some(csrf) = self.csrf {
            put(headers, CSRF, csrf.expose(), "/", false, plain, LOGIN_LIFE);
        }
    }
}

pub(super) fn empty(plain: bool, headers: &mut HeaderMap) {
    for (name, path) in [(TOKEN, "/"), (REFRESH, REFRESH_PATH), (CSRF, "/")] {
        put(headers, name, "", path, name != CSRF, plain, SignedDuration::ZERO);
    }
}

pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    read(headers, TOKEN)
}

pub(super) fn refresh(headers: &HeaderMap) -> Option<&str> {
    read(headers, REFRESH)
}

/// What a script of ours has added.
pub(super) fn csrf(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-csrf-token")?.to_str().ok()
}

/// A browser on the machine itself may come without TLS; every other keeps `Secure` cookies.
pub(super) fn is_plain(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

fn put(
    headers: &mut HeaderMap,
    name: &str,
    value: &str,
    path: &str,
    hidden: bool,
    plain: bool,
    life: SignedDuration,
) {
    let hidden = if hidden { "; HttpOnly" } else { "" };
    let secure = if plain { "" } else { "; Secure" };
    let seconds = life.as_secs();
    let cookie =
        format!("{name}={value}; Path={path}; Max-Age={seconds}; SameSite=Strict{secure}{hidden}");
    let mut cookie = HeaderValue::from_str(&cookie).expect("tokens are letters of a URL");
    cookie.set_sensitive(true);
    headers.append(header::SET_COOKIE, cookie);
}

fn read<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

const TOKEN: &str = "kennet_token";
const REFRESH: &str = "kennet_refresh";
const CSRF: &str = "kennet_csrf";
const REFRESH_PATH: &str = "/api/auth/refresh";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let read = |line: &str| token(&headers(header::COOKIE, line)).map(str::to_owned);
        assert_eq!(read("a=b; kennet_token=abc; c=d"), Some("abc".to_owned()));
        assert_eq!(read("xkennet_token=abc"), None);
        assert_eq!(read("kennet_token"), None);
        assert_eq!(token(&HeaderMap::new()), None);
    }

    #[test]
    fn only_the_machine_itself_is_plain() {
        let plain = |host: &str| is_plain(&headers(header::HOST, host));
        assert!(plain("localhost:8080") && plain("127.0.0.1") && plain("[::1]:80"));
        assert!(plain("[::1]"));
        assert!(!plain("kennet.example") && !plain("localhost.example:80") && !plain(""));
    }

    #[test]
    fn cookies_are_hidden_from_scripts_but_the_word_for_them() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let (token, refresh, csrf) = (secret("t"), secret("r"), secret("c"));
        let mut headers = HeaderMap::new();
        Jar { token: &token, refresh: &refresh, csrf: Some(&csrf) }.fill(false, &mut headers);
        let cookies: Vec<_> = headers.get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(
            cookies,
            [
                "kennet_token=t; Path=/; Max-Age=3600; SameSite=Strict; Secure; HttpOnly",
                "kennet_refresh=r; Path=/api/auth/refresh; Max-Age=1209600; SameSite=Strict; \
                 Secure; HttpOnly",
                "kennet_csrf=c; Path=/; Max-Age=7776000; SameSite=Strict; Secure",
            ]
        );
        let mut headers = HeaderMap::new();
        empty(true, &mut headers);
        let first = headers.get(header::SET_COOKIE).unwrap();
        assert_eq!(first, "kennet_token=; Path=/; Max-Age=0; SameSite=Strict; HttpOnly");
    }
}
