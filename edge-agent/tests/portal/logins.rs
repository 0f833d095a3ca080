//! Who comes in, who does not, and what a device hears of its session (RFC 8908).

use std::time::{Duration, Instant};

use serde_json::Value;
use shared::octets::Counters;

use crate::{
    PROBES, World, get,
    world::{DEVICE, Side, ask},
};

#[test]
fn who_logs_in_has_a_session_and_is_on_line_until_they_log_out() {
    let world = World::new("login");
    let reply = world.login("amina", "simba+%26+chui");
    assert_eq!(reply.status, 303, "{}", reply.body);
    assert_eq!(reply.header("location"), Some("/?lang=en"));
    world.told(|told| {
        let [open] = &told.opens[..] else { panic!("{:?}", told.opens) };
        assert_eq!(open.mac.map(|mac| mac.to_string()).as_deref(), Some(DEVICE));
        assert_eq!(open.ip, Some("10.77.0.2".parse().unwrap()));
        assert_eq!((&*open.subscriber.username, &*open.nas.name), ("amina", "portal"));
    });

    let page = world.own("/");
    for text in ["You are on-line.", "amina", "10 Mbit/s", "5 Mbit/s", "1 GB", " min"] {
        assert!(page.body.contains(text), "{text} in {}", page.body);
    }
    for &(host, path, status, body) in PROBES {
        let reply = world.get(host, path);
        assert_eq!((reply.status, &*reply.body), (status, body), "{host}{path}");
    }
    assert_eq!(world.get("example.com", "/").status, 302);
    // The same device over IPv6.
    let six =
        world.cable.inside(Side::Device, || ask(world.portal_v6, &get("[fd77::1]:2080", "/")));
    assert!(six.body.contains("You are on-line."), "{}", six.body);
    // The form was sent twice.
    let token = page.token().to_owned();
    let again = format!("token={token}&username=amina&password=simba+%26+chui");
    assert_eq!(world.post("/login", &again).status, 303);
    assert_eq!(world.told(|told| told.opens.len()), 1);

    assert_eq!(world.post("/logout", "token=").status, 403, "a form of somebody else's");
    assert_eq!(world.told(|told| told.live.len()), 1);
    assert_eq!(world.post("/logout", &format!("token={token}")).status, 303);
    assert_eq!(world.told(|told| told.live.len()), 0);
    assert!(world.own("/").body.contains("You are not on-line yet."));
    assert_eq!(world.get(PROBES[0].0, PROBES[0].1).status, 302);
}

#[test]
fn a_wrong_password_opens_nothing_and_guessing_is_slow() {
    let world = World::new("wrong");
    let reply = world.login("amina", "<b>\"guess");
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains("Wrong username or password."), "{}", reply.body);
    assert!(reply.body.contains("value=\"amina\""), "{}", reply.body);
    let reply = world.login("<script>", "x");
    assert!(reply.body.contains("value=\"&lt;script&gt;\""), "{}", reply.body);
    assert!(!reply.body.contains("<script"), "{}", reply.body);
    assert!(world.login("late", "simba").body.contains("Your access is blocked."));
    // Without a form of ours, even the right password does nothing, and is no try.
    for _ in 0..10 {
        let reply = world.post("/login", "username=amina&password=simba+%26+chui");
        assert_eq!(reply.status, 403);
        assert!(reply.body.contains("This page was too old."), "{}", reply.body);
    }
    assert_eq!(world.login("amina", "").status, 403);
    assert_eq!(world.login("amina", &"x".repeat(200)).status, 403);
    // Five tries; even the right one now waits.
    let reply = world.login("amina", "simba+%26+chui");
    assert_eq!(reply.status, 429);
    assert!(reply.body.contains("Too many attempts."), "{}", reply.body);
    world.told(|told| {
        assert_eq!(told.opens.len(), 0);
        let reasons: Vec<&str> = told.failures.iter().map(|failure| failure.reason).collect();
        let wrong = "wrong password";
        assert_eq!(reasons, [wrong, "unknown subscriber", "blocked", wrong, wrong]);
        assert!(told.failures.iter().all(|failure| &*failure.nas == "portal"));
    });
    let large = format!("token={}", "x".repeat(10_000));
    assert_eq!(world.post("/login", &large).status, 413);
}

#[test]
fn a_hash_is_enough_and_simultaneous_use_counts_here_too() {
    let world = World::new("hash");
    let other = shared::net::Mac([2, 0, 0, 0, 0, 9]);
    let taken = |mac| {
        let device = Some(edge_agent::sessions::Device::Mac(mac));
        world.leases.take("windows", device, 1, Instant::now()).is_ok()
    };
    assert!(taken(other));
    let reply = world.login("windows", "clientPass");
    assert!(reply.body.contains("Too many of your devices"), "{}", reply.body);
    let world = World::new("hash2");
    assert_eq!(world.login("windows", "clientPass").status, 303);
    let device = Some(edge_agent::sessions::Device::Mac(other));
    assert!(world.leases.take("windows", device, 1, Instant::now()).is_err());
}

#[test]
fn a_device_that_asks_hears_the_very_numbers_of_its_session() {
    let world = World::new("capport");
    let state = || -> Value {
        let reply = world.own("/api/captive-portal");
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("application/captive+json"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        serde_json::from_str(&reply.body).unwrap()
    };
    let url = format!("http://{}/", world.portal);
    let captive = serde_json::json!({
        "captive": true, "user-portal-url": url, "can-extend-session": false
    });
    assert_eq!(state(), captive);
    assert_eq!(world.login("amina", "simba+%26+chui").status, 303);
    let moved = |down_bytes, up_bytes| Counters { down_bytes, up_bytes, ..Counters::default() };
    world.counted(moved(123_456_789, 1_000_001), Duration::from_secs(100));
    let said = state();
    assert_eq!(said["captive"], false);
    assert_eq!(said["bytes-remaining"], 1_000_000_000 - 123_456_789 - 1_000_001);
    let seconds = said["seconds-remaining"].as_u64().unwrap();
    assert!((3_490..=3_500).contains(&seconds), "{seconds}");
    world.counted(moved(999_999_999, 0), Duration::ZERO);
    assert_eq!(state()["bytes-remaining"], 1);
    world.counted(moved(999_999_999, 1), Duration::ZERO);
    assert_eq!(state(), captive, "what is used up is over");
}
