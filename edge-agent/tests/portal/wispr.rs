//! A program that signs in by itself, as WISPr 1.0 has it.

use crate::World;

/// What stands in an element of some XML.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

#[test]
fn a_program_signs_in_and_out_without_the_page() {
    let world = World::new("wispr");
    let origin = format!("http://{}", world.portal);
    let away = world.get("example.com", "/");
    assert_eq!(away.status, 302);
    assert_eq!(element(&away.body, "MessageType"), Some("100"), "{}", away.body);
    let login = element(&away.body, "LoginURL").unwrap().strip_prefix(&origin).unwrap();
    let sign_in = |path: &str, form: &str| {
        let reply = world.post(path, form);
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.header("content-type"), Some("text/xml; charset=utf-8"));
        assert_eq!(element(&reply.body, "MessageType"), Some("120"), "{}", reply.body);
        reply.body
    };
    let form = |password| format!("button=Login&UserName=amina&Password={password}&FNAME=0");

    let refused = sign_in(login, &form("paka"));
    assert_eq!(element(&refused, "ResponseCode"), Some("100"));
    assert_eq!(element(&refused, "ReplyMessage"), Some("Wrong username or password."));
    // Without what was in the address: nobody else's page signs a device in.
    let forged = sign_in("/wispr", &form("simba+%26+chui"));
    assert_eq!(element(&forged, "ResponseCode"), Some("100"));
    assert!(world.told(|told| told.opens.is_empty()));

    let accepted = sign_in(login, &form("simba+%26+chui"));
    assert_eq!(element(&accepted, "ResponseCode"), Some("50"), "{accepted}");
    let opened: Vec<String> =
        world.told(|told| told.opens.iter().map(|open| open.subscriber.username.clone()).collect());
    assert_eq!(opened, ["amina"]);

    let logoff = element(&accepted, "LogoffURL").unwrap().strip_prefix(&origin).unwrap();
    let gone = world.own(logoff);
    assert_eq!(element(&gone.body, "ResponseCode"), Some("150"), "{}", gone.body);
    assert!(world.told(|told| told.live.is_empty()));
    let abort = element(&away.body, "AbortLoginURL").unwrap().strip_prefix(&origin).unwrap();
    let aborted = world.own(abort);
    assert_eq!(element(&aborted.body, "ResponseCode"), Some("151"), "{}", aborted.body);
}
