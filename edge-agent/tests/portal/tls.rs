//! The portal over TLS, by the name in its certificate.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use edge_agent::settings;
use serde_json::Value;

use crate::{
    World, get, post,
    world::{Reply, Side, send},
};

/// A certificate that vouches for itself, written where `settings` say.
fn certify(settings: &settings::PortalTls) -> rustls::pki_types::CertificateDer<'static> {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new([settings.name.clone()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(&settings.key, key.serialize_pem()).unwrap();
    std::fs::write(&settings.cert, certificate.pem()).unwrap();
    certificate.der().clone()
}

/// As [`ask`], by a client that trusts only `certificate`.
fn ask_tls(
    settings: &settings::PortalTls,
    certificate: &rustls::pki_types::CertificateDer<'static>,
    request: &str,
) -> Result<Reply, std::io::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = settings.name.clone().try_into().unwrap();
    let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(settings.listen)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut stream = rustls::StreamOwned::new(connection, stream);
    stream.write_all(request.as_bytes())?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(Reply::read(&said))
}

#[test]
fn over_tls_the_portal_has_a_name_and_systems_ask_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let tls = settings::PortalTls {
        name: "portal.wisp.example".to_owned(),
        listen: "10.77.0.1:2443".parse().unwrap(),
        cert: folder.path().join("portal.pem"),
        key: folder.path().join("portal.key"),
    };
    let certificate = certify(&tls);
    let world = World::with_tls("tls", Some(tls.clone()));
    let secure = |certificate: &_, path: &str| {
        let request = get("portal.wisp.example:2443", path);
        world.cable.inside(Side::Device, || ask_tls(&tls, certificate, &request))
    };
    let away = world.get("example.com", "/");
    assert_eq!(away.header("location"), Some("https://portal.wisp.example:2443/"));
    let page = secure(&certificate, "/").unwrap();
    assert!(page.body.contains("Password"), "{}", page.body);
    let form = format!("token={}&username=amina&password=simba+%26+chui", page.token());
    let request = post(tls.listen, "/login", &form).replace("10.77.0.1", "portal.wisp.example");
    let reply = world.cable.inside(Side::Device, || ask_tls(&tls, &certificate, &request)).unwrap();
    assert_eq!((reply.status, reply.header("location")), (303, Some("/?lang=en")));
    let state = secure(&certificate, "/api/captive-portal").unwrap();
    let state: Value = serde_json::from_str(&state.body).unwrap();
    assert_eq!(state["captive"], false);
    assert_eq!(state["user-portal-url"], "https://portal.wisp.example:2443/");
    assert_eq!(state["bytes-remaining"], 1_000_000_000);

    // Who says nothing, or something else than TLS, is dropped as everywhere.
    let said = world.cable.inside(Side::Device, || send(tls.listen, get("a", "/").as_bytes()));
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    let begun = Instant::now();
    assert!(world.cable.inside(Side::Device, || send(tls.listen, b"")).is_empty());
    assert!(begun.elapsed() < Duration::from_secs(10));

    // Another certificate, and a broken one after it.
    let renewed = certify(&tls);
    let deadline = Instant::now() + Duration::from_secs(30);
    while secure(&renewed, "/").is_err() {
        assert!(Instant::now() < deadline, "the new certificate is not shown");
        thread::sleep(Duration::from_millis(200));
    }
    assert!(secure(&certificate, "/").is_err(), "the old one is still shown");
    std::fs::write(&tls.cert, "nothing").unwrap();
    thread::sleep(Duration::from_secs(11));
    assert!(secure(&renewed, "/").is_ok(), "what is broken takes the place of what works");
}
