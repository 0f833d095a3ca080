//! How systems find out whether they are on-line, and what they expect if they are (pure).
//!
//! Each fetches a page that it knows by heart. Anything else in its place, and a redirect above all,
//! makes it show the window to sign in.

/// What a system hears when its device is on-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Success {
    /// 204, and nothing in it.
    Nothing,
    Text(&'static str),
    Html(&'static str),
}

/// What `host` would have answered at `path`, if that is where a system looks.
pub(super) fn success(host: &str, path: &str) -> Option<Success> {
    if NOTHING_AT.contains(&path) {
        return Some(Success::Nothing);
    }
    PROBES
        .iter()
        .find(|(known, at, _)| host.eq_ignore_ascii_case(known) && at.is_none_or(|at| at == path))
        .map(|&(.., success)| success)
}

/// Android, ChromeOS, and what is built on them, each at a host of its maker.
const NOTHING_AT: &[&str] = &["/generate_204", "/gen_204"];

/// The host, the path (`None`: any), and what is there.
const PROBES: &[(&str, Option<&str>, Success)] = &[
    ("captive.apple.com", None, Success::Html(APPLE)),
    ("www.apple.com", Some("/library/test/success.html"), Success::Html(APPLE)),
    ("www.msftconnecttest.com", Some("/connecttest.txt"), Success::Text("Microsoft Connect Test")),
    ("ipv6.msftconnecttest.com", Some("/connecttest.txt"), Success::Text("Microsoft Connect Test")),
    ("www.msftncsi.com", Some("/ncsi.txt"), Success::Text("Microsoft NCSI")),
    ("ipv6.msftncsi.com", Some("/ncsi.txt"), Success::Text("Microsoft NCSI")),
    ("detectportal.firefox.com", Some("/success.txt"), Success::Text("success\n")),
    ("detectportal.firefox.com", Some("/canonical.html"), Success::Html(FIREFOX)),
    (
        "nmcheck.gnome.org",
        Some("/check_network_status.txt"),
        Success::Text("NetworkManager is online\n"),
    ),
    ("network-test.debian.org", Some("/nm"), Success::Text("NetworkManager is online\n")),
    ("connectivity-check.ubuntu.com", None, Success::Nothing),
    ("fedoraproject.org", Some("/static/hotspot.txt"), Success::Text("OK\n")),
    ("spectrum.s3.amazonaws.com", Some("/kindle-wifi/wifistub.html"), Success::Html(KINDLE)),
];

const APPLE: &str = "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>";

const FIREFOX: &str = "<meta http-equiv=\"refresh\" \
    content=\"0;url=https://support.mozilla.org/kb/captive-portal\"/>";

const KINDLE: &str = "<html><head><title>Kindle Reachability Probe Page</title>\
    <!--81ce4465-7167-4dcb-835b-dcc9e44c112a created with python 2.5 uuid.uuid4()--></head>\
    <body bgcolor=\"#ffffff\" text=\"#000000\">81ce4465-7167-4dcb-835b-dcc9e44c112a</body></html>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_finds_what_it_knows_by_heart() {
        for (host, path, expected) in [
            ("captive.apple.com", "/hotspot-detect.html", Success::Html(APPLE)),
            ("Captive.Apple.com", "/", Success::Html(APPLE)),
            ("connectivitycheck.gstatic.com", "/generate_204", Success::Nothing),
            ("clients3.google.com", "/generate_204", Success::Nothing),
            ("www.google.com", "/gen_204", Success::Nothing),
            ("connect.rom.miui.com", "/generate_204", Success::Nothing),
            (
                "www.msftconnecttest.com",
                "/connecttest.txt",
                Success::Text("Microsoft Connect Test"),
            ),
            ("www.msftncsi.com", "/ncsi.txt", Success::Text("Microsoft NCSI")),
            ("detectportal.firefox.com", "/success.txt", Success::Text("success\n")),
            ("detectportal.firefox.com", "/canonical.html", Success::Html(FIREFOX)),
            ("connectivity-check.ubuntu.com", "/", Success::Nothing),
        ] {
            assert_eq!(success(host, path), Some(expected), "{host}{path}");
        }
    }

    #[test]
    fn another_page_is_no_probe() {
        for (host, path) in [
            ("www.apple.com", "/"),
            ("www.msftconnecttest.com", "/redirect"),
            ("example.com", "/hotspot-detect.html"),
            ("detectportal.firefox.com", "/"),
            ("", ""),
        ] {
            assert_eq!(success(host, path), None, "{host}{path}");
        }
    }
}
