//! What a device is shown that is not on-line: redirects, probes, the page itself.

use crate::{
    PROBES, World,
    browser::Browser,
    get, post,
    world::{Cable, DEVICE, Side, ask},
};

#[test]
fn a_device_that_is_not_on_line_is_sent_to_the_page_whatever_it_asks() {
    let world = World::new("away");
    let page = format!("http://{}/", world.portal);
    let probes = PROBES.iter().map(|&(host, path, ..)| (host, path));
    for (host, path) in probes.chain([("example.com", "/a?b=c"), ("10.77.0.1", "/")]) {
        let reply = world.get(host, path);
        assert_eq!(reply.status, 302, "{host}{path}");
        assert_eq!(reply.header("location"), Some(&*page), "{host}{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.body.contains(&page), "{}", reply.body);
    }
    for request in [
        "GET http://example.com/x HTTP/1.1\r\nHost: ignored\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        "POST /login HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3\r\n\r\na=b".to_owned(),
        "OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n".to_owned(),
    ] {
        assert_eq!(world.ask(&request).status, 302, "{request}");
    }
    let six = world.cable.inside(Side::Device, || {
        (
            ask(world.portal_v6, &get("example.com", "/")),
            ask(world.portal_v6, &get("[fd77::1]:2080", "/")),
        )
    });
    assert_eq!(six.0.header("location"), Some("http://[fd77::1]:2080/"));
    assert!(six.1.body.contains(&format!("Device {DEVICE}")), "{}", six.1.body);
    assert_eq!(world.told(|told| told.opens.len()), 0);
}

/// As the data plane does for those who are not on-line.
fn rewrite(cable: &Cable) {
    cable.at(Side::Device, "ip route add default via 10.77.0.1");
    for rule in [
        "nft add table ip portal",
        "nft add chain ip portal before { type nat hook prerouting priority dstnat ; }",
        "nft add rule ip portal before iifname lan0 tcp dport 80 redirect to :2080",
        // Who asks for TLS hears at once that there is nobody.
        "nft add rule ip portal before iifname lan0 tcp dport 443 redirect to :1",
    ] {
        cable.at(Side::Edge, rule);
    }
}

#[test]
fn a_person_with_a_browser_comes_in_and_goes_again() {
    let world = World::new("browser");
    rewrite(&world.cable);
    let browser = Browser::start(&world.cable, "203.0.113.9", "10.77.0.1");
    browser.open("http://captive.apple.com/hotspot-detect.html");
    assert_eq!(browser.url(), format!("http://{}/", world.portal));
    // The page is drawn as it is meant: its policy lets its own style through.
    assert_eq!(browser.style(".small", "opacity"), "0.8");
    browser.click("a[lang=sw]");
    browser.reads("button", "Ingia");
    browser.type_into("input[name=username]", "amina");
    browser.type_into("input[name=password]", "simbA & chui");
    browser.click("button");
    browser.reads(".bad", "Jina la mtumiaji au nenosiri si sahihi.");
    browser.type_into("input[name=password]", "simba & chui");
    browser.click("button");
    browser.reads(".good", "Umeunganishwa.");
    assert_eq!(browser.url(), format!("http://{}/?lang=sw", world.portal));
    assert_eq!(world.told(|told| told.opens.len()), 1);
    browser.open("http://captive.apple.com/hotspot-detect.html");
    browser.reads("body", "Success");
    browser.open(&format!("http://{}/?lang=en", world.portal));
    browser.reads("dd", "amina");
    browser.click("button");
    browser.reads("h1 + p", "You are not on-line yet.");
    assert_eq!(world.told(|told| told.live.len()), 0);
}

#[test]
fn what_the_kernel_rewrites_is_answered_in_the_name_of_who_was_asked() {
    let world = World::new("nat");
    rewrite(&world.cable);
    let elsewhere = "203.0.113.9:80".parse().unwrap();
    let asked = || {
        let request = get("captive.apple.com", "/hotspot-detect.html");
        world.cable.inside(Side::Device, || ask(elsewhere, &request))
    };
    assert_eq!(asked().header("location"), Some(&*format!("http://{}/", world.portal)));
    assert_eq!(world.login("amina", "simba+%26+chui").status, 303);
    assert!(asked().body.contains("<TITLE>Success</TITLE>"));
}

#[test]
fn a_page_is_small_whole_and_in_the_language_that_is_liked() {
    let world = World::new("page");
    let reply = world.own("/");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-language"), Some("en"));
    assert!(reply.body.contains("You are not on-line yet."), "{}", reply.body);
    assert!(reply.body.contains(&format!("Device {DEVICE}")), "{}", reply.body);
    assert!(reply.body.len() < 60_000);
    let portal = world.portal;
    let swahili = "Accept-Language: sw-KE, en;q=0.5";
    let reply = world.ask(&format!("GET / HTTP/1.1\r\nHost: {portal}\r\n{swahili}\r\n\r\n"));
    assert!(reply.body.contains("Nenosiri"), "{}", reply.body);
    let reply =
        world.ask(&format!("GET /?lang=en HTTP/1.1\r\nHost: {portal}\r\n{swahili}\r\n\r\n"));
    assert!(reply.body.contains("Password"), "{}", reply.body);
    let head = world.ask(&format!("HEAD / HTTP/1.1\r\nHost: {portal}\r\n\r\n"));
    assert_eq!((head.status, &*head.body), (200, ""));
    assert_eq!(world.own("/favicon.ico").status, 404);
    let reply = world.post("/", "");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn who_is_at_no_link_of_ours_is_unknown_and_cannot_log_in() {
    let world = World::new("unknown");
    let (portal, stranger) = (world.portal, "token=x&username=amina&password=simba+%26+chui");
    // From the edge's own host: it has no neighbour at its own address.
    let (page, login) = world.cable.inside(Side::Edge, || {
        let page = ask(portal, &get(&portal.to_string(), "/"));
        (page, ask(portal, &post(portal, "/login", stranger)))
    });
    assert!(page.body.contains("This device is not known here."), "{}", page.body);
    assert!(!page.body.contains("<form"), "{}", page.body);
    assert_eq!(login.status, 403);
    assert_eq!(world.told(|told| told.opens.len()), 0);
}
