//! The walkthrough of the documentation, request by request as it is written there.

use std::collections::BTreeMap;

use controller::clock;
use jiff::{ToSpan as _, civil::Date, tz::TimeZone};
use reqwest::{Client, Method, header::CONTENT_TYPE};
use serde_json::Value;
use shared::{
    id::{EpochId, SessionId, SubscriberId, SubscriptionId},
    secret::Secret,
    wire::{
        latest::{
            ack::Verdict,
            command::{Command, Effect, Reply},
        },
        topic::Leaf,
    },
};

use crate::{
    edge::{Edge, Journal, session},
    world::{Kind, World},
};

const WALKTHROUGH: &str = include_str!("../../docs/walkthrough.md");

/// A request, and what is answered.
struct Step<'d> {
    line: usize,
    request: Http<'d>,
    answer: Http<'d>,
}

struct Http<'d> {
    first: &'d str,
    headers: Vec<(&'d str, &'d str)>,
    body: Option<&'d str>,
}

/// What answers had in the places of names.
#[derive(Default)]
struct Names(BTreeMap<String, Value>);

impl Names {
    /// The text with what its names stand for.
    fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, value) in &self.0 {
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            filled = filled.replace(&format!("{{{{{name}}}}}"), &value);
        }
        assert!(!filled.contains("{{"), "nothing is known of a name in: {filled}");
        filled
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Everything that is wanted is there; what a name stands for is learnt the first time.
    fn meet(&mut self, want: &Value, got: &Value, place: &str) {
        match want {
            Value::String(text) if !text.starts_with("{{") => assert_eq!(want, got, "{place}"),
            Value::String(text) => {
                let name = text.trim_matches(['{', '}']).to_owned();
                let known = self.0.entry(name).or_insert_with(|| got.clone());
                assert_eq!(known, got, "{place}: {text}");
                assert!(!got.is_null(), "{place}: {text} is not there");
            }
            Value::Object(fields) => {
                for (name, want) in fields {
                    let got = got.get(name).unwrap_or(&Value::Null);
                    self.meet(want, got, &format!("{place}/{name}"));
                }
            }
            Value::Array(items) => {
                for (n, want) in items.iter().enumerate() {
                    let got = got.get(n).unwrap_or(&Value::Null);
                    self.meet(want, got, &format!("{place}/{n}"));
                }
            }
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => {
                assert_eq!(plain, got, "{place}");
            }
        }
    }
}

/// The blocks marked `http`: a request, its answer, and so on.
fn steps(document: &str) -> Vec<Step<'_>> {
    let mut blocks = Vec::new();
    let mut rest = document;
    while let Some((before, block)) = rest.split_once("```http\n") {
        let (block, after) = block.split_once("```").expect("a block ends");
        let line = document.len() - rest.len() + before.len();
        blocks.push((document.split_at(line).0.lines().count() + 2, parse(block)));
        rest = after;
    }
    let mut steps = Vec::new();
    let mut blocks = blocks.into_iter();
    while let (Some((line, request)), Some((at, answer))) = (blocks.next(), blocks.next()) {
        assert!(answer.first.starts_with("HTTP/1.1 "), "line {at} should be an answer");
        steps.push(Step { line, request, answer });
    }
    steps
}

fn parse(block: &str) -> Http<'_> {
    let (head, body) = block.split_once("\n\n").map_or((block, None), |(h, b)| (h, Some(b)));
    let mut lines = head.lines();
    let first = lines.next().expect("a first line");
    let headers = lines.map(|line| line.split_once(": ").expect("a header")).collect();
    Http { first, headers, body: body.map(str::trim).filter(|body| !body.is_empty()) }
}

/// What happens in the field while the document is read.
struct Field {
    edge: Option<Edge>,
    live: SessionId,
}

impl Field {
    /// The edge is switched on, and the subscriber logs in there.
    async fn comes_on_line(&mut self, world: &mut World, names: &Names) {
        world.edge = names.text("edge").expect("an edge was added").parse().expect("an id");
        world.secret = Secret::new(names.text("edge_secret").expect("its secret").to_owned());
        let mut edge = Edge::connect(world, 1).await;
        edge.be_born(1, EpochId::from_uuid(uuid::Uuid::now_v7()), 0).await;
        // Where the books are, for an edge that asks by being born.
        assert_eq!(edge.acked().await, (1, Verdict::Committed));
        let mut journal = Journal::new();
        let id = |name: &str| names.text(name).expect("it was made").to_owned();
        let amina: SubscriberId = id("amina").parse().expect("an id");
        let subscription: SubscriptionId = id("subscription").parse().expect("an id");
        journal.start(self.live, |started| {
            started.subscriber = amina.to_vec();
            started.subscription = subscription.to_vec();
        });
        journal.usage(self.live, 1_000_000, 50_000);
        assert_eq!(edge.report(&journal.all()).await, (journal.head(), Verdict::Committed));
        // What it has of the desired state is what it is to have.
        world
            .until(
                &format!("SELECT online FROM edge WHERE id = '{}'", world.edge.as_uuid()),
                "true",
            )
            .await;
        self.edge = Some(edge);
    }

    async fn ends_the_session(&mut self) {
        let edge = self.edge.as_mut().expect("it is on-line");
        let command: Command = edge.told(Leaf::DownCommand).await;
        edge.say(Leaf::UpReply, &Reply { id: command.id, effect: Effect::Done }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_walkthrough_is_true_to_the_letter() {
    let mut world =
        World::with(Kind::Embedded, |flags| flags.registration = Some("open".to_owned())).await;
    let url = world.serve().await;
    let mut names = Names::default();
    let today: Date = clock::now().to_zoned(TimeZone::get("Africa/Nairobi").unwrap()).date();
    names.0.insert("today".to_owned(), today.to_string().into());
    names.0.insert("yesterday".to_owned(), (today - 1.day()).to_string().into());
    let steps = steps(WALKTHROUGH);
    assert!(steps.len() > 30, "only {} requests were found", steps.len());
    let mut field = Field { edge: None, live: session() };
    for step in steps {
        if step.request.first.starts_with("GET /api/sessions") && field.edge.is_none() {
            field.comes_on_line(&mut world, &names).await;
        }
        let ends = step.request.first.ends_with("/end");
        let asked = take(&url, &step, &mut names);
        if ends {
            tokio::join!(asked, field.ends_the_session());
        } else {
            asked.await;
        }
    }
    assert_eq!(names.text("session"), Some(&*field.live.to_string()));
}

async fn take(url: &str, step: &Step<'_>, names: &mut Names) {
    let place = format!("docs/walkthrough.md:{}", step.line);
    let first = names.fill(step.request.first);
    let (method, path) = first.split_once(' ').expect("a method and a path");
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let mut request = Client::new().request(method, format!("{url}{path}"));
    for (name, value) in &step.request.headers {
        request = request.header(*name, names.fill(value));
    }
    if let Some(body) = step.request.body {
        request = request.header(CONTENT_TYPE, "application/json").body(names.fill(body));
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let got: Value = answer.json().await.unwrap_or_default();
    let want = step.answer.first.split(' ').nth(1).expect("a status");
    assert_eq!(status.to_string(), want, "{place}: {first}: {got}");
    if let Some(body) = step.answer.body {
        let want = serde_json::from_str(body).expect("what is answered is JSON");
        names.meet(&want, &got, &place);
    }
}
