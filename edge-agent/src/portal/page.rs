//! The page: who somebody is here, and what can be done about it (pure).
//!
//! One file without script, picture or font of its own: what signs people in is a small window of
//! the system, on a link on which nothing else passes.

use std::fmt::{self, Write as _};

use shared::net::Mac;

use super::{
    route::{LOGIN, LOGOUT},
    standing::{Line, Standing},
    words::{Language, Notice, Words, bytes, duration, rate},
};

pub(super) struct Page<'a> {
    pub(super) language: Language,
    pub(super) mac: Option<Mac>,
    pub(super) standing: &'a Standing,
    pub(super) notice: Option<Notice>,
    /// For the form.
    pub(super) token: &'a str,
    /// As somebody has typed it before.
    pub(super) username: &'a str,
}

impl Page<'_> {
    pub(super) fn html(&self) -> String {
        let words = self.language.words();
        let mut body = String::new();
        let notice = match (self.notice, self.standing) {
            (Some(notice), _) => Some(notice),
            (None, Standing::Blocked) => Some(Notice::Blocked),
            (None, Standing::UsedUp) => Some(Notice::UsedUp),
            (None, Standing::OffLine) if self.mac.is_none() => Some(Notice::DeviceUnknown),
            (None, Standing::OnLine(_) | Standing::OffLine) => None,
        };
        let _ = match self.standing {
            Standing::OnLine(line) => self.write_line(&mut body, words, notice, line),
            Standing::Blocked | Standing::UsedUp | Standing::OffLine => {
                self.write_login(&mut body, words, notice)
            }
        };
        let other = self.language.other();
        let _ = write!(
            body,
            "<p class=\"small\"><a href=\"/?lang={tag}\" lang=\"{tag}\">{name}</a></p>",
            tag = other.tag(),
            name = other.words().name,
        );
        whole(self.language, &body)
    }

    fn write_line(
        &self,
        body: &mut String,
        words: &Words,
        notice: Option<Notice>,
        line: &Line,
    ) -> fmt::Result {
        write!(body, "<p class=\"good\">{}</p>", words.on_line)?;
        write_notice(body, words, notice)?;
        let left = |left: Option<String>| left.unwrap_or_else(|| words.no_limit.to_owned());
        body.push_str("<dl>");
        for (name, value) in [
            (words.account, line.username.clone()),
            (words.download, rate(line.shape.down_kbps.get())),
            (words.upload, rate(line.shape.up_kbps.get())),
            (words.data_used, bytes(line.used.total_bytes())),
            (words.data_left, left(line.bytes_left.map(bytes))),
            (words.time_left, left(line.seconds_left.map(|left| duration(left, self.language)))),
        ] {
            write!(body, "<dt>{name}</dt><dd>{}</dd>", Escaped(&value))?;
        }
        body.push_str("</dl>");
        self.write_form(body, LOGOUT, "")?;
        write!(body, "<button>{}</button></form>", words.log_out)
    }

    fn write_login(&self, body: &mut String, words: &Words, notice: Option<Notice>) -> fmt::Result {
        write!(body, "<p>{}</p>", words.off_line)?;
        write_notice(body, words, notice)?;
        let Some(mac) = self.mac else { return Ok(()) };
        write!(body, "<p>{}</p>", words.please_log_in)?;
        self.write_form(body, LOGIN, " autocomplete=\"on\"")?;
        write!(
            body,
            "<label>{username}<input name=\"username\" value=\"{typed}\" required \
             autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\"></label>\
             <label>{password}<input name=\"password\" type=\"password\" required \
             autocomplete=\"current-password\"></label><button>{log_in}</button></form>\
             <p class=\"small\">{device} {mac}</p>",
            username = words.username,
            typed = Escaped(self.username),
            password = words.password,
            log_in = words.log_in,
            device = words.device,
        )
    }

    /// The language goes along: a device in the window of its system keeps no cookies.
    fn write_form(&self, body: &mut String, action: &str, more: &str) -> fmt::Result {
        write!(
            body,
            "<form method=\"post\" action=\"{action}?lang={lang}\"{more}>\
             <input type=\"hidden\" name=\"token\" value=\"{token}\">",
            lang = self.language.tag(),
            token = Escaped(self.token),
        )
    }
}

fn write_notice(body: &mut String, words: &Words, notice: Option<Notice>) -> fmt::Result {
    let Some(notice) = notice else { return Ok(()) };
    write!(body, "<p class=\"bad\" role=\"alert\">{}</p>", notice.text(words))
}

/// For those who do not follow a redirect by themselves.
pub(super) fn elsewhere(language: Language, url: &str) -> String {
    let go_on = language.words().go_on;
    whole(language, &format!("<p><a href=\"{url}\">{go_on}</a></p>", url = Escaped(url)))
}

pub(super) fn nothing(language: Language) -> String {
    whole(language, &format!("<p>{}</p>", language.words().not_found))
}

/// Without anything that only the sessions know.
pub(super) fn busy(language: Language) -> String {
    let mut body = String::new();
    let _ = write_notice(&mut body, language.words(), Some(Notice::Busy));
    let _ = write!(body, "<p><a href=\"/\">{}</a></p>", language.words().go_on);
    whole(language, &body)
}

fn whole(language: Language, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"{tag}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1>{body}</main></body></html>\n",
        tag = language.tag(),
        title = language.words().title,
    )
}

const STYLE: &str = "\
    :root{color-scheme:light dark}\
    body{margin:0;font:1.125rem/1.5 system-ui,sans-serif}\
    main{max-width:26rem;margin:0 auto;padding:1rem}\
    h1{font-size:1.5rem}\
    label{display:block;margin:.75rem 0}\
    input,button{font:inherit;box-sizing:border-box;width:100%;padding:.6rem;border-radius:.4rem;\
    border:1px solid #888}\
    button{margin-top:.75rem;background:#0b5d3b;color:#fff;border:0;font-weight:600}\
    dl{display:grid;grid-template-columns:auto 1fr;gap:.35rem 1rem;margin:1rem 0}\
    dt{opacity:.75}dd{margin:0;text-align:right;overflow-wrap:anywhere}\
    .good,.bad{padding:.6rem;border-radius:.4rem;color:#111}\
    .good{background:#c9f0d8}.bad{background:#ffd9d2}\
    .small{font-size:.9rem;opacity:.8}a{color:inherit}";

/// Text inside of an element or of a quoted attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::standing::tests::line, *};

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn page(standing: &Standing, mac: Option<Mac>, notice: Option<Notice>, name: &str) -> String {
        let language = Language::English;
        Page { language, mac, standing, notice, token: "00ff", username: name }.html()
    }

    #[test]
    fn who_is_on_line_reads_what_is_left_and_can_log_out() {
        let html = page(&Standing::OnLine(line()), Some(MAC), None, "");
        for text in [
            "You are on-line.",
            "<dd>user1</dd>",
            "<dd>10 Mbit/s</dd>",
            "<dd>512 kbit/s</dd>",
            "<dt>Data used</dt><dd>734 B</dd>",
            "<dt>Data left</dt><dd>266 B</dd>",
            "<dt>Time left</dt><dd>50 s</dd>",
            "action=\"/logout?lang=en\"",
            "name=\"token\" value=\"00ff\"",
        ] {
            assert!(html.contains(text), "{text} in {html}");
        }
        assert!(!html.contains("type=\"password\""), "{html}");
        let free = Line { bytes_left: None, seconds_left: None, ..line() };
        let html = page(&Standing::OnLine(free), Some(MAC), None, "");
        assert_eq!(html.matches("no limit").count(), 2, "{html}");
    }

    #[test]
    fn who_is_not_on_line_can_log_in_from_a_device_that_is_known() {
        let html = page(&Standing::OffLine, Some(MAC), Some(Notice::WrongPassword), "amina");
        for text in [
            "You are not on-line yet.",
            "Wrong username or password.",
            "action=\"/login?lang=en\"",
            "value=\"amina\"",
            "Device 02:00:00:00:00:01",
        ] {
            assert!(html.contains(text), "{text} in {html}");
        }
        let html = page(&Standing::OffLine, None, None, "");
        assert!(html.contains("This device is not known here."), "{html}");
        assert!(!html.contains("<form"), "{html}");
        let html = page(&Standing::Blocked, Some(MAC), None, "");
        assert!(html.contains("Your access is blocked."), "{html}");
    }

    #[test]
    fn every_page_is_small_and_whole_in_both_languages_and_leads_to_the_other() {
        let standings =
            [Standing::OnLine(line()), Standing::Blocked, Standing::UsedUp, Standing::OffLine];
        for (language, link) in [(Language::English, "/?lang=sw"), (Language::Swahili, "/?lang=en")]
        {
            for standing in &standings {
                let notice = Some(Notice::TooManyDevices);
                let page =
                    Page { language, mac: Some(MAC), standing, notice, token: "", username: "" };
                let html = page.html();
                assert!(html.len() < 4_000, "{} bytes", html.len());
                assert!(html.contains(link), "{html}");
                for outside in ["<script", "src=", "http:", "https:", "url(", "@import", "<link"] {
                    assert!(!html.contains(outside), "{outside} in {html}");
                }
            }
        }
    }

    proptest! {
        /// Whatever a name is: there are as many tags as without it.
        #[test]
        fn nothing_that_was_typed_becomes_a_tag(name in "[<>&\"' a-z/=]{0,40}") {
            let tags = |html: &str| (html.matches('<').count(), html.matches('"').count());
            let plain = page(&Standing::OffLine, Some(MAC), None, "");
            prop_assert_eq!(tags(&page(&Standing::OffLine, Some(MAC), None, &name)), tags(&plain));
            let named = Standing::OnLine(Line { username: name, ..line() });
            let plain = page(&Standing::OnLine(line()), Some(MAC), None, "");
            prop_assert_eq!(tags(&page(&named, Some(MAC), None, "")), tags(&plain));
        }
    }
}
