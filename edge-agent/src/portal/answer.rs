//! What is answered, whatever carries it (pure).

use super::{
    capport, page,
    probes::Success,
    standing::Standing,
    wispr,
    words::{Language, Notice},
};

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    /// Of a page.
    pub(super) language: Option<Language>,
    pub(super) location: Option<String>,
    pub(super) allow: Option<&'static str>,
    pub(super) body: String,
}

impl Answer {
    const fn new(status: u16, kind: &'static str, body: String) -> Self {
        Self { status, kind, language: None, location: None, allow: None, body }
    }

    pub(super) fn page(status: u16, language: Language, body: String) -> Self {
        Self { language: Some(language), ..Self::new(status, HTML, body) }
    }

    /// To the page of the portal, from wherever somebody wanted to go. `token`: for programs that
    /// sign in without the page.
    pub(super) fn away(origin: &str, token: &str, language: Language) -> Self {
        let url = format!("{origin}/");
        let body = page::elsewhere(language, &url) + &wispr::invitation(origin, token);
        Self { location: Some(url), ..Self::page(302, language, body) }
    }

    /// To the page again, so that "reload" does not send a form again.
    pub(super) fn done(language: Language) -> Self {
        let url = format!("/?lang={}", language.tag());
        let body = page::elsewhere(language, &url);
        Self { location: Some(url), ..Self::page(303, language, body) }
    }

    pub(super) fn success(success: Success) -> Self {
        match success {
            Success::Nothing => Self::new(204, TEXT, String::new()),
            Success::Text(text) => Self::new(200, TEXT, text.to_owned()),
            Success::Html(html) => Self::new(200, HTML, html.to_owned()),
        }
    }

    pub(super) fn state(standing: &Standing, origin: &str) -> Self {
        Self::new(200, capport::MEDIA_TYPE, capport::state(standing, &format!("{origin}/")))
    }

    /// `message`: of WISPr.
    pub(super) const fn message(message: String) -> Self {
        Self::new(200, XML, message)
    }

    pub(super) fn nothing(language: Language) -> Self {
        Self::page(404, language, page::nothing(language))
    }

    pub(super) fn only_by(allow: &'static str, language: Language) -> Self {
        Self { allow: Some(allow), ..Self::page(405, language, page::nothing(language)) }
    }

    pub(super) fn too_large(language: Language) -> Self {
        Self::page(413, language, page::nothing(language))
    }

    pub(super) fn busy(language: Language) -> Self {
        Self::page(503, language, page::busy(language))
    }
}

/// Of a page that says `notice`.
pub(super) const fn status(notice: Option<Notice>) -> u16 {
    match notice {
        None => 200,
        Some(
            Notice::WrongPassword
            | Notice::Blocked
            | Notice::UsedUp
            | Notice::TooManyDevices
            | Notice::Expired
            | Notice::DeviceUnknown,
        ) => 403,
        Some(Notice::TooManyTries) => 429,
        Some(Notice::Busy) => 503,
    }
}

pub(super) const HTML: &str = "text/html; charset=utf-8";
const XML: &str = "text/xml; charset=utf-8";
const TEXT: &str = "text/plain";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_says_where_in_its_head_and_in_its_body() {
        let answer = Answer::away("http://10.0.0.1:2080", "00ff", Language::English);
        assert_eq!(answer.status, 302);
        assert_eq!(answer.location.as_deref(), Some("http://10.0.0.1:2080/"));
        assert!(answer.body.contains("href=\"http://10.0.0.1:2080/\""), "{}", answer.body);
        assert!(answer.body.contains("<LoginURL>http://10.0.0.1:2080/wispr"), "{}", answer.body);
        let answer = Answer::done(Language::Swahili);
        assert_eq!(answer.status, 303);
        assert_eq!(answer.location.as_deref(), Some("/?lang=sw"));
    }

    #[test]
    fn a_success_is_word_for_word_what_a_system_expects() {
        let text = Answer::success(Success::Text("success\n"));
        assert_eq!((text.status, text.kind, &*text.body), (200, "text/plain", "success\n"));
        let nothing = Answer::success(Success::Nothing);
        assert_eq!((nothing.status, &*nothing.body), (204, ""));
    }
}
