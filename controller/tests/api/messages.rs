//! Messages: by e-mail through a mail server that is not ours, by SMS and WhatsApp to programs that
//! speak those providers' protocols.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    mail::MailServer,
    office::{Office, at, home},
    world::{PASSWORD, Staff, World},
};

/// A provider that is on this machine: what it was told, and what it answers next.
#[derive(Clone, Default)]
struct Provider {
    told: Arc<Mutex<Vec<(String, HeaderMap, String)>>>,
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
}

impl Provider {
    async fn listen(&self, world: &World) -> String {
        world.serve(Router::new().fallback(hear).with_state(self.clone())).await
    }

    fn answers(&self, status: u16, body: &Value) {
        let body = body.to_string();
        self.answers.lock().expect("nobody failed with it").push_back((status, body));
    }

    fn told(&self) -> Vec<(String, HeaderMap, String)> {
        self.told.lock().expect("nobody failed with it").clone()
    }
}

async fn hear(
    State(provider): State<Provider>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let path = uri.path().to_owned();
    provider.told.lock().expect("nobody failed with it").push((path, headers, body));
    let next = provider.answers.lock().expect("nobody failed with it").pop_front();
    let (status, body) = next.unwrap_or((500, "{}".to_owned()));
    (StatusCode::from_u16(status).expect("a status"), body)
}

async fn round(world: &World, now: Timestamp) -> u64 {
    world.app.messages().round(now).await.expect("a round")
}

/// What there is, as `kind channel state`.
async fn states(owner: &Staff<'_>) -> Vec<String> {
    let all = owner.get("/api/messages").await.is(200);
    let text = |message: &Value, key: &str| message[key].as_str().unwrap_or("-").to_owned();
    let line = |m| format!("{} {} {}", text(m, "kind"), text(m, "channel"), text(m, "state"));
    all.items("/items").iter().map(line).collect()
}

async fn has(owner: &Staff<'_>, subscriber: &str, change: Value) {
    let path = format!("/api/subscribers/{subscriber}");
    let etag = owner.get(&path).await.is(200).etag();
    owner.patch(&path, &etag, change).await.is(200);
}

async fn consents(owner: &Staff<'_>, subscriber: &str, said: Value) {
    let path = format!("/api/subscribers/{subscriber}/consent");
    let etag = owner.get(&path).await.is(200).etag();
    owner.ask("PUT", &path, &[("if-match", &etag)], Some(said)).await.is(200);
}

#[tokio::test]
async fn a_reminder_reaches_a_mailbox_once_in_the_reader_s_language() {
    let world = World::new().await;
    let mut office = Office::new(&world, "2027-03-01T06:00:00Z").await;
    let mut server = MailServer::start();
    let made = office.owner.post("/api/message-providers", server.provider()).await.is(201);
    assert_eq!((made.text("/channel"), &made.body["active"]), ("email".to_owned(), &json!(true)));
    assert!(!made.body.to_string().contains("sesame"), "{}", made.body);
    let second = office.owner.post("/api/message-providers", server.provider()).await;
    second.problem(409, "channel-taken");

    let version = office.plan("home", home(150_000)).await;
    let (amina, _) = office.subscription("amina", &version, false).await;
    let (brian, _) = office.subscription("brian", &version, false).await;
    has(&office.owner, &amina, json!({ "email": "amina@x.example" })).await;
    has(&office.owner, &brian, json!({ "email": "brian@x.example" })).await;
    let swahili = json!({ "language": "sw", "transactional": ["email"], "marketing": [] });
    consents(&office.owner, &brian, swahili).await;
    office.pay(&amina, 150_000).await;
    office.pay(&brian, 150_000).await;
    // Payments are told by SMS, which nobody carries here; invoices by e-mail, at night's end.
    office.go("2027-03-01T06:10:00Z").await;
    assert_eq!(round(&world, office.now).await, 2);
    let mails = server.inbox(2);
    for mail in &mails {
        assert!(mail.contains("application/pdf") && mail.contains("JVBERi0"), "{mail}");
        assert!(mail.contains("Auto-Submitted: auto-generated"), "{mail}");
    }
    assert_eq!(mails.iter().filter(|mail| mail.contains("Subject: Ankara INV-")).count(), 1);

    // Seven days before, in the night: when they are awake.
    office.go("2027-03-25T20:00:00Z").await;
    assert_eq!(round(&world, office.now).await, 0);
    let waiting = office.owner.get("/api/messages?state=waiting").await.is(200);
    assert_eq!(waiting.items("/items").len(), 2);
    assert_eq!(waiting.text("/items/0/due_at"), "2027-03-26T04:00:00Z");
    // The server is away in the morning.
    server.stop();
    let morning = at("2027-03-26T04:00:00Z");
    assert_eq!(round(&world, morning).await, 0);
    let waiting = office.owner.get("/api/messages?state=waiting").await.is(200);
    assert_eq!((waiting.number("/items/0/attempts"), waiting.items("/items").len()), (1, 2));
    assert!(waiting.text("/items/0/said").contains("refused"), "{}", waiting.body);
    server.go();
    assert_eq!(round(&world, morning).await, 0, "not before ten seconds");
    let later = morning + SignedDuration::from_secs(11);
    assert_eq!(round(&world, later).await, 2);
    // However often it is looked at.
    assert_eq!(round(&world, later).await + round(&world, later).await, 0);
    let mails = server.inbox(4).join("\n");
    assert!(mails.contains("Subject: Your Plan home ends on 2027-04-01"), "{mails}");
    assert!(mails.contains("Subject: Plan home yako inaisha 2027-04-01"), "{mails}");
    assert!(mails.contains("From: Billing <billing@first.example>"), "{mails}");
    assert!(mails.contains("To: amina@x.example"), "{mails}");
    let sent = office.owner.get("/api/messages?state=sent").await.is(200);
    assert!(sent.text("/items/3/reference").ends_with("@first.example>"), "{}", sent.body);

    // One that is refused for good is seen, with what the server said; one that is put off waits.
    has(&office.owner, &amina, json!({ "email": "nobody@x.example" })).await;
    has(&office.owner, &brian, json!({ "email": "later@x.example" })).await;
    office.go("2027-03-29T09:00:00Z").await;
    assert_eq!(round(&world, office.now).await, 0);
    let dead = office.owner.get("/api/messages?state=dead").await.is(200);
    assert_eq!(dead.text("/items/0/recipient"), "nobody@x.example");
    assert!(dead.text("/items/0/said").contains("no such mailbox"), "{}", dead.body);
    let waiting = office.owner.get("/api/messages?state=waiting").await.is(200);
    assert!(waiting.text("/items/0/said").contains("come again"), "{}", waiting.body);
    // Given up after a day; staff may try again.
    let mut now = office.now;
    for _ in 0..8 {
        now += SignedDuration::from_hours(15);
        round(&world, now).await;
    }
    let dead = office.owner.get("/api/messages?state=dead").await.is(200);
    assert_eq!((dead.items("/items").len(), dead.number("/items/1/attempts")), (2, 8));
    let path = format!("/api/messages/{}/resend", dead.text("/items/1/id"));
    office.owner.post(&path, json!(null)).await.is(200);
    let refused = office.owner.post(&path, json!(null)).await;
    refused.problem(409, "not-again");
    assert_eq!(round(&world, now).await, 0);
    assert_eq!(server.inbox(4).len(), 4);

    // A wrong password is the server's word, and no message is lost for it.
    let path = format!("/api/message-providers/{}", made.text("/id"));
    let wrong = office.owner.patch(&path, &made.etag(), json!({ "secret": "wrong" })).await;
    wrong.is(200);
    let test = json!({ "recipient": "amina@x.example" });
    let tested = office.owner.post(&format!("{path}/test"), test).await.is(201);
    assert_eq!(round(&world, now).await, 0);
    let shown = office.owner.get(&format!("/api/messages/{}", tested.text("/id"))).await.is(200);
    assert_eq!(shown.text("/state"), "waiting");
    assert!(shown.text("/said").contains("535"), "{}", shown.body);
}

#[tokio::test]
async fn who_is_invited_is_sent_a_link_that_nobody_else_sees() {
    let world = World::new().await;
    let owner = world.owner().await;
    let server = MailServer::start();
    owner.post("/api/message-providers", server.provider()).await.is(201);
    let body = json!({ "email": "nina@x.example", "role": "noc" });
    let key = [("idempotency-key", "invite-nina-1")];
    let made = owner.ask("POST", "/api/invitations", &key, Some(body.clone())).await.is(201);
    let again = owner.ask("POST", "/api/invitations", &key, Some(body)).await.is(201);
    assert_eq!((&made.body["token"], &again.body["token"]), (&Value::Null, &Value::Null));
    let kept = owner.get("/api/messages").await.is(200);
    assert_eq!(kept.items("/items").len(), 1);
    assert!(kept.text("/items/0/body").contains("•••••"), "{}", kept.body);
    assert_eq!(round(&world, controller::clock::now()).await, 1);
    // What is put at the ends of lines by the way is taken away again.
    let mail =
        server.inbox(1).remove(0).replace("=\r\n", "").replace("=\n", "").replace("=3D", "=");
    let (_, token) = mail.split_once("/console/accept#").expect("a link");
    let token = token.split_whitespace().next().expect("a token");
    assert_eq!(
        world.count("SELECT count(*) FROM message WHERE secret_sealed IS NOT NULL").await,
        0
    );
    let accept = json!({ "token": token, "name": "Nina", "password": PASSWORD });
    let nina = world.ask("POST", "/api/auth/accept", &[], Some(accept)).await.is(201);
    world.staff(&nina.text("/token")).get("/api/auth/me").await.is(200);

    // The same with who is to choose a new password.
    let operator = nina.text("/user/id");
    let reset = owner.post(&format!("/api/operators/{operator}/reset"), json!(null)).await.is(201);
    assert_eq!(reset.body["token"], Value::Null);
    assert_eq!(round(&world, controller::clock::now()).await, 1);
    let link = link_in(&server.inbox(2).remove(1));
    let (page, token) = link.split_once('#').expect("a token that no server is told");
    assert_eq!(page, format!("{}/console/reset", world.url));
    let form = [("token", token), ("password", "a new passphrase")];
    let (status, said) = send_form(page, &form).await;
    assert!(status == 200 && said.contains("You have a new password"), "{said}");
    let (status, said) = send_form(page, &form).await;
    assert!(status == 403 && said.contains("the link is not good"), "{said}");
    world.login("nina@x.example", PASSWORD).await.problem(401, "login-refused");
    world.login("nina@x.example", "a new passphrase").await.is(200);
}

/// The platform has a mail server of its own: nobody but a tenant's first owner sees the link, and the
/// page behind it lets them in.
#[tokio::test]
async fn the_first_owner_of_a_tenant_is_sent_a_link_to_a_page_that_lets_them_in() {
    let world = World::new().await;
    world.owner().await;
    let platform = crate::isolation::platform(&world.app, &world).await;
    let server = MailServer::start();
    platform.post("/api/message-providers", server.provider()).await.is(201);
    let tenant = json!({ "slug": "hills", "name": "Hills" });
    let tenant = platform.post("/api/tenants", tenant).await.is(201).text("/id");
    let path = format!("/api/tenants/{tenant}/owner");
    let key = [("idempotency-key", "invite-hills-1")];
    let body = json!({ "email": "hilda@x.example" });
    for _ in 0..2 {
        let made = platform.ask("POST", &path, &key, Some(body.clone())).await.is(201);
        assert_eq!(made.body["token"], Value::Null, "{}", made.body);
    }
    assert_eq!(round(&world, controller::clock::now()).await, 1);
    let link = link_in(&server.inbox(1).remove(0));
    let (page, token) = link.split_once('#').expect("a token that no server is told");
    assert_eq!(page, format!("{}/console/accept", world.url));

    let shown = reqwest::get(page).await.expect("an answer");
    assert_eq!(shown.status(), 200);
    let policy = shown.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    let shown = shown.text().await.expect("text");
    assert!(shown.contains("<form method=\"post\">") && !shown.contains(token), "{shown}");

    let form = |token, name, password| [("token", token), ("name", name), ("password", password)];
    let (status, said) = send_form(page, &form(token, "<b>", "short")).await;
    assert!(status == 422 && said.contains("The password: expected"), "{said}");
    assert!(said.contains("value=\"&lt;b&gt;\"") && said.contains(token), "{said}");
    let (status, said) = send_form(page, &form("another", "Hilda", PASSWORD)).await;
    assert!(status == 403 && said.contains("the link is not good"), "{said}");
    let (status, said) = send_form(page, &form(token, "Hilda", PASSWORD)).await;
    assert!(status == 200 && said.contains("You have joined"), "{said}");
    let (status, _) = send_form(page, &form(token, "Hilda", PASSWORD)).await;
    assert_eq!(status, 403);
    let hilda = world.login("hilda@x.example", PASSWORD).await.is(200);
    assert_eq!(
        (hilda.text("/user/role"), hilda.text("/user/tenant")),
        ("owner".to_owned(), tenant)
    );
    let hilda = world.staff(&hilda.text("/token"));
    // What the platform mails is nothing of a tenant's.
    assert_eq!(hilda.get("/api/messages").await.is(200).items("/items").len(), 0);
    assert_eq!(hilda.get("/api/message-providers").await.is(200).items("/items").len(), 0);
}

/// The link in a mail, as its reader sees it.
fn link_in(mail: &str) -> String {
    let mail = mail.replace("=\r\n", "").replace("=\n", "").replace("=3D", "=");
    let at = mail.find("http://").expect("a link");
    mail[at..].split_whitespace().next().expect("a link").to_owned()
}

/// As a browser sends a form.
async fn send_form(page: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let body = reqwest::Url::parse_with_params(page, fields).expect("a URL");
    let body = body.query().expect("fields").to_owned();
    let answer = reqwest::Client::new()
        .post(page)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

#[tokio::test]
async fn an_sms_is_counted_priced_and_reported() {
    let world = World::new().await;
    let owner = world.owner().await;
    let provider = Provider::default();
    let url = format!("{}/version1/messaging", provider.listen(&world).await);
    let setup = json!({ "kind": "africastalking", "username": "savanna", "sender": "SAVANNA",
        "url": url });
    let lacking = json!({ "name": "AT", "setup": setup });
    owner.post("/api/message-providers", lacking).await.problem(422, "invalid-fields");
    let body = json!({ "name": "AT", "setup": setup, "secret": "atsk_1" });
    let made = owner.post("/api/message-providers", body).await.is(201);
    let path = format!("/api/message-providers/{}", made.text("/id"));
    let reports = owner.get(&format!("{path}/address")).await.is(200).text("/reports");
    let reports = reports.strip_prefix(&world.url).expect("it is here").to_owned();

    let amina = owner.subscriber("amina").await;
    let note = |class: &str, body: &str| json!({ "subscriber": amina, "channel": "sms", "class": class, "body": body });
    owner.post("/api/messages", note("transactional", "x")).await.problem(409, "no-address");
    has(&owner, &amina, json!({ "msisdn": "254712345678" })).await;
    let always = json!({ "language": "en", "quiet_from": "00:00", "quiet_until": "00:00" });
    owner.ask("PUT", "/api/message-policy", &[("if-match", "\"0\"")], Some(always)).await.is(200);

    // Nobody agreed to be told what is for sale.
    let offer = owner.post("/api/messages", note("marketing", "Half price!")).await.is(201);
    assert_eq!((offer.text("/state"), offer.text("/said").is_empty()), ("withheld".into(), false));
    let both = json!({ "language": null, "transactional": ["sms"], "marketing": ["sms"] });
    consents(&owner, &amina, both).await;
    let offer = owner.post("/api/messages", note("marketing", "Half price!")).await.is(201);
    assert_eq!(offer.text("/state"), "waiting");
    let long = owner.post("/api/messages", note("transactional", &"ŵ".repeat(71))).await.is(201);
    assert_eq!(long.number("/segments"), 2);

    let answer = |code: i64, id: &str| {
        json!({ "SMSMessageData": { "Message": "Sent to 1/1 Total Cost: KES 0.8000",
            "Recipients": [{ "statusCode": code, "number": "+254712345678", "status": "Success",
                "cost": "KES 0.8000", "messageId": id }] } })
    };
    provider.answers(201, &answer(101, "ATXid_1"));
    provider.answers(201, &answer(101, "ATXid_2"));
    let mut now = controller::clock::now() + SignedDuration::from_secs(1);
    assert_eq!(round(&world, now).await, 2);
    let (path, headers, form) = provider.told().remove(0);
    assert_eq!(
        (path.as_str(), headers["apikey"].as_bytes()),
        ("/version1/messaging", b"atsk_1".as_slice())
    );
    let form: BTreeMap<_, _> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    assert_eq!((form["to"].as_str(), form["from"].as_str()), ("+254712345678", "SAVANNA"));
    let sent = owner.get("/api/messages?state=sent").await.is(200);
    assert_eq!(sent.items("/items").len(), 2);
    assert_eq!(
        (sent.number("/items/0/cost_micros"), sent.text("/items/0/cost_currency")),
        (800_000, "KES".into())
    );

    // What became of it: from whoever knows the address, and from nobody else.
    let report = |reference: &str, status: &str| {
        format!(
            "id={reference}&status={status}&phoneNumber=%2B254712345678&networkCode=63902&failureReason=UserInBlackList"
        )
    };
    let post = async |path: &str, body: String| {
        let client = reqwest::Client::new().post(format!("{}{path}", world.url)).body(body);
        client.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(post("/cb/messages/0000", report("ATXid_1", "Success")).await, 404);
    assert_eq!(post(&reports, report("ATXid_1", "Success")).await, 200);
    assert_eq!(post(&reports, report("ATXid_2", "Failed")).await, 200);
    assert_eq!(post(&reports, "nonsense".to_owned()).await, 200);
    round(&world, now).await;
    let mut fates = states(&owner).await;
    fates.sort();
    assert_eq!(fates, ["note sms dead", "note sms delivered", "note sms withheld"]);
    let aside = "SELECT count(*) FROM message_report WHERE state = 'set_aside'";
    assert_eq!(world.count(aside).await, 1);

    // No money: later. A number that there is not: never. No answer: nobody knows, so never again.
    owner.post("/api/messages", note("transactional", "one")).await.is(201);
    provider.answers(201, &answer(405, ""));
    now = controller::clock::now() + SignedDuration::from_secs(1);
    assert_eq!(round(&world, now).await, 0);
    assert!(states(&owner).await.contains(&"note sms waiting".to_owned()));
    provider.answers(201, &answer(403, ""));
    now += SignedDuration::from_secs(11);
    assert_eq!(round(&world, now).await, 0);
    let dead = owner.get("/api/messages?state=dead").await.is(200);
    assert!(dead.body.to_string().contains("403"), "{}", dead.body);
    let told = provider.told().len();
    owner.post("/api/messages", note("transactional", "two")).await.is(201);
    sqlx::raw_sql("UPDATE message SET state = 'sending', lease = gen_random_uuid(), leased_until = now() WHERE state = 'waiting'")
        .execute(&world.admin).await.expect("as if it was killed while it sent");
    now += SignedDuration::from_hours(1);
    assert_eq!(round(&world, now).await, 0);
    assert_eq!(provider.told().len(), told);
    let dead = owner.get("/api/messages?state=dead").await.is(200);
    assert!(dead.body.to_string().contains("nobody knows whether it was taken"), "{}", dead.body);
}

#[tokio::test]
async fn programs_of_one_s_own_and_whatsapp_sign_what_they_report() {
    let world = World::new().await;
    let mut office = Office::new(&world, "2027-03-01T06:00:00Z").await;
    let provider = Provider::default();
    let url = provider.listen(&world).await;
    let own = json!({ "name": "Own", "secret": "s3cret", "setup": { "kind": "http", "url": url } });
    let own = office.owner.post("/api/message-providers", own).await.is(201);
    let cloud = json!({ "name": "Meta", "secret": "EAAG", "report_secret": "app", "setup":
        { "kind": "cloud", "phone_number_id": "106540352242922", "url": format!("{url}/v23.0") } });
    let cloud = office.owner.post("/api/message-providers", cloud).await.is(201);
    let address = async |made: &str| {
        let path = format!("/api/message-providers/{made}/address");
        let told = office.owner.get(&path).await.is(200).text("/reports");
        told.strip_prefix(&world.url).expect("it is here").to_owned()
    };
    let own = address(&own.text("/id")).await;
    let cloud = address(&cloud.text("/id")).await;

    // A text that WhatsApp has approved, with what is put into it.
    let texts = |body: &str| {
        json!({ "kind": "payment", "channels": ["sms", "whatsapp"], "texts": [{
            "channel": "whatsapp", "language": "en", "subject": "payment_received", "body": body }] })
    };
    let put = async |etag: &str, body: Value| {
        let etag = [("if-match", etag)];
        office.owner.ask("PUT", "/api/message-templates", &etag, Some(body)).await
    };
    let wrong = put("\"0\"", texts("{amuont}")).await.problem(422, "invalid-fields");
    assert!(wrong.body.to_string().contains("there is no fact `{amuont}`"), "{}", wrong.body);
    put("\"0\"", texts("{name} paid {amount}")).await.is(200);
    put("\"0\"", texts("{name}")).await.problem(412, "stale");
    let amina = office.owner.subscriber("amina").await;
    has(&office.owner, &amina, json!({ "msisdn": "254712345678" })).await;
    let wants = json!({ "language": null, "transactional": ["sms", "whatsapp"], "marketing": [] });
    consents(&office.owner, &amina, wants).await;

    office.pay(&amina, 250_000).await;
    provider.answers(200, &json!({ "messages": [{ "id": "wamid.1" }], "id": "own-1" }));
    provider.answers(200, &json!({ "messages": [{ "id": "wamid.1" }], "id": "own-1" }));
    office.now += SignedDuration::from_secs(1);
    assert_eq!(round(&world, office.now).await, 2);
    let told = provider.told();
    let (_, headers, body) = told.iter().find(|told| told.0 == "/").expect("an SMS");
    assert_eq!(headers["authorization"], "Bearer s3cret");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert!(body["text"].as_str().expect("text").contains("KES 2,500.00"), "{body}");
    let path = "/v23.0/106540352242922/messages";
    let (_, headers, body) = told.iter().find(|told| told.0 == path).expect("a message");
    assert_eq!(headers["authorization"], "Bearer EAAG");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["template"]["name"], "payment_received");
    let parameters = &body["template"]["components"][0]["parameters"];
    assert_eq!(
        (&parameters[0]["text"], &parameters[1]["text"]),
        (&json!("A Name"), &json!("KES 2,500.00"))
    );

    let report = async |path: &str, name: &str, signature: String, body: String| {
        let request = reqwest::Client::new().post(format!("{}{path}", world.url));
        let answer = request.header(name, signature).body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    };
    let hook = json!({ "object": "whatsapp_business_account", "entry": [{ "changes": [{
        "field": "messages", "value": { "statuses": [{ "id": "wamid.1", "status": "delivered" }] },
    }] }] })
    .to_string();
    let said = json!({ "id": "own-1", "state": "failed", "reason": "phone is off" }).to_string();
    let seconds = controller::clock::now().as_second();
    // Forged ones are set aside.
    report(&cloud, "x-hub-signature-256", format!("sha256={}", sign("wrong", &hook)), hook.clone())
        .await;
    report(&own, "kennet-signature", format!("t={seconds},v1=00"), said.clone()).await;
    round(&world, office.now).await;
    assert_eq!(states(&office.owner).await.iter().filter(|s| s.ends_with(" sent")).count(), 2);
    report(&cloud, "x-hub-signature-256", format!("sha256={}", sign("app", &hook)), hook).await;
    let signature = format!("t={seconds},v1={}", sign("s3cret", &format!("{seconds}.{said}")));
    report(&own, "kennet-signature", signature, said).await;
    round(&world, office.now).await;
    let mut fates = states(&office.owner).await;
    fates.sort();
    assert_eq!(fates, ["payment sms dead", "payment whatsapp delivered"]);

    // Meta asks whether the address is ours.
    let token = cloud.rsplit('/').next().expect("a token");
    let query =
        format!("{cloud}?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
    let proven = world.ask("GET", &query, &[], None).await.is(200);
    assert_eq!(proven.body, json!(1_158_201_444));
    let other = query.replace("verify_token=", "verify_token=0");
    world.ask("GET", &other, &[], None).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_provider_on_a_private_network_is_not_called() {
    let world = World::with(|flags| flags.private_targets = None).await;
    let owner = world.owner().await;
    let provider = Provider::default();
    let url = provider.listen(&world).await;
    let own = json!({ "name": "Own", "secret": "x", "setup": { "kind": "http", "url": url } });
    let own = owner.post("/api/message-providers", own).await.is(201);
    let test = json!({ "recipient": "254712345678" });
    let path = format!("/api/message-providers/{}/test", own.text("/id"));
    let tested = owner.post(&path, test).await.is(201);
    assert_eq!(round(&world, controller::clock::now()).await, 0);
    let shown = owner.get(&format!("/api/messages/{}", tested.text("/id"))).await.is(200);
    assert!(shown.text("/said").contains("is not on the public internet"), "{}", shown.body);
    assert!(provider.told().is_empty());
}

fn sign(key: &str, message: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any length");
    mac.update(message.as_bytes());
    let digits: Vec<_> =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}
