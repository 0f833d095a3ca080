//! The operations of the document that the controller serves, and how each is asked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::world::{Reply, Staff, World, join_all};

/// One operation of the document.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) document: Value,
}

/// Ids of one tenant, by their tags.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(BTreeMap<String, BTreeSet<String>>);

/// Ids for paths, by what stands before them: `/api/plans/`.
pub(crate) type Places = BTreeMap<String, String>;

/// Sorted by path and method.
pub(crate) async fn operations(world: &World) -> Vec<Operation> {
    let api = world.ask("GET", "/api/openapi.json", &[], None).await.is(200).body;
    let mut all = Vec::new();
    for (path, item) in at(&api, "/paths").as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let (method, path) = (method.to_uppercase(), path.clone());
            all.push(Operation { method, path, document: operation.clone() });
        }
    }
    all
}

impl Operation {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(crate) fn is_for(&self, scheme: &str) -> bool {
        at(&self.document, "/security/0").get(scheme).is_some()
    }

    /// The documented body, with ids that `known` has in the places of others.
    pub(crate) fn body(&self, known: &Known) -> Option<Value> {
        let body = at(&self.document, "/requestBody/content/application~1json/example");
        (!body.is_null()).then(|| known.put_into(body))
    }

    /// The path with an id for what stands before `{id}`, and each documented word elsewhere.
    pub(crate) fn paths(&self, id: &dyn Fn(&str) -> String) -> Vec<String> {
        let mut paths = vec![String::new()];
        for word in self.path.split('/').skip(1) {
            let choices = match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
                None => vec![word.to_owned()],
                Some(name) => self.words(name),
            };
            let longer = |path: &String, word: &String| match word.as_str() {
                "" => format!("{path}/{}", id(&format!("{path}/"))),
                word => format!("{path}/{word}"),
            };
            paths = paths.iter().flat_map(|path| choices.iter().map(|w| longer(path, w))).collect();
        }
        paths
    }

    /// The words that a parameter may be; an empty one stands for an id.
    fn words(&self, name: &str) -> Vec<String> {
        let parameters = at(&self.document, "/parameters").as_array().into_iter().flatten();
        let mut mine = parameters.filter(|parameter| at(parameter, "/name") == name);
        let words = mine.next().and_then(|parameter| at(parameter, "/schema/enum").as_array());
        match words {
            Some(words) => words.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => vec![String::new()],
        }
    }

    /// Of the id in the path.
    fn tag(&self) -> Option<&str> {
        let pattern = at(&self.document, "/parameters/0/schema/pattern").as_str()?;
        pattern.strip_prefix('^')?.split('_').next()
    }

    /// Does the document say that it may answer so?
    pub(crate) fn documents(&self, status: u16) -> bool {
        at(&self.document, "/responses").get(status.to_string()).is_some()
    }
}

impl Known {
    /// Remembers every id in an answer.
    pub(crate) fn learn(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                if let Some(tag) = tag_of(text) {
                    self.0.entry(tag.to_owned()).or_default().insert(text.clone());
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            Value::Object(fields) => fields.values().for_each(|field| self.learn(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &String> {
        self.0.values().flatten()
    }

    pub(super) fn put_into(&self, value: &Value) -> Value {
        match value {
            // A day in an example is one that was there; providers list no old ones.
            Value::String(text) if text == EXAMPLE_DAY => Value::String(yesterday()),
            Value::String(text) => {
                let mine = tag_of(text).and_then(|tag| self.0.get(tag)?.first());
                Value::String(mine.unwrap_or(text).clone())
            }
            Value::Array(items) => items.iter().map(|item| self.put_into(item)).collect(),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(k, v)| (k.clone(), self.put_into(v)));
                Value::Object(fields.collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

const EXAMPLE_DAY: &str = "2026-11-28";

/// In Nairobi.
fn yesterday() -> String {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(3));
    let today = controller::clock::now().to_zoned(zone).date();
    today.yesterday().expect("there was one").to_string()
}

/// Makes one of everything that the documented bodies make, and finds what there is. Each request
/// is sent so many times at once, with one key.
pub(crate) async fn fill(
    world: &World,
    owner: &Staff<'_>,
    all: &[Operation],
    copies: usize,
) -> (Known, Places) {
    let mut known = Known::default();
    known.learn(&owner.get("/api/auth/me").await.is(200).body);
    let makes = |operation: &&Operation| {
        operation.method == "POST"
            && operation.documents(201)
            && operation.is_for("staff")
            && !operation.path.starts_with("/api/tenants")
    };
    let mut left: Vec<_> = all.iter().filter(makes).collect();
    let mut refused = BTreeMap::new();
    // What one makes, another needs.
    for round in 0..4 {
        let mut still = Vec::new();
        for operation in left {
            let places = places(owner, all, &known).await;
            let id = |prefix: &str| places.get(prefix).cloned().unwrap_or_default();
            let path = operation.paths(&id).remove(0);
            let key = format!("fill-{round}-{}", operation.name());
            let headers = [("idempotency-key", key.as_str())];
            let body = operation.body(&known);
            let before = audited(world).await;
            let asks = (0..copies).map(|_| patient(owner, &path, &headers, body.clone()));
            let mut replies = join_all(asks).await;
            let reply = replies.pop().expect("at least one");
            for other in replies {
                assert_eq!(other.status, reply.status, "{path}: {} {}", other.body, reply.body);
                assert_eq!(at(&other.body, "/id"), at(&reply.body, "/id"), "{path}");
            }
            for (action, count) in audited(world).await {
                let more = count - before.get(&action).copied().unwrap_or_default();
                assert!(more <= 1, "{path} has done {action} {more} times");
            }
            if reply.status.is_success() {
                known.learn(&reply.body);
                refused.remove(&operation.name());
            } else {
                refused.insert(operation.name(), reply.body.to_string());
                still.push(operation);
            }
        }
        left = still;
    }
    let invalid: Vec<_> = refused.iter().filter(|(_, why)| why.contains("invalid-")).collect();
    assert!(invalid.is_empty(), "documented examples do not fit: {invalid:#?}");
    let places = places(owner, all, &known).await;
    (known, places)
}

/// Sends again when the controller says that it is busy, as its clients are told to.
async fn patient(
    owner: &Staff<'_>,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<Value>,
) -> Reply {
    let mut left = 20;
    loop {
        let reply = owner.ask("POST", path, headers, body.clone()).await;
        if reply.status != 503 || left == 0 {
            return reply;
        }
        assert_eq!(reply.header("retry-after"), "1");
        left -= 1;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// How often what was done, by all.
async fn audited(world: &World) -> BTreeMap<String, i64> {
    let counts = sqlx::query_as("SELECT action, count(*) FROM audit_log GROUP BY action");
    let counts: Vec<(String, i64)> = counts.fetch_all(&world.admin).await.expect("counts");
    counts.into_iter().collect()
}

/// For each path with an id, one of that kind: of its list, or of all that are known the one that
/// is found there.
pub(crate) async fn places(owner: &Staff<'_>, all: &[Operation], known: &Known) -> Places {
    let mut places = Places::new();
    for operation in all.iter().filter(|operation| operation.is_for("staff")) {
        let Some((before, _)) = operation.path.split_once('{') else { continue };
        if places.contains_key(before) {
            continue;
        }
        let mine = operation.tag().and_then(|tag| known.0.get(tag)?.first().cloned());
        if let Some(id) = mine {
            places.insert(before.to_owned(), id);
            continue;
        }
        let list = before.trim_end_matches('/');
        if all.iter().any(|one| one.method == "GET" && one.path == list) {
            let reply = owner.get(list).await;
            if let Some(id) = at(&reply.body, "/items/0/id").as_str() {
                places.insert(before.to_owned(), id.to_owned());
            }
        }
    }
    places
}

fn tag_of(text: &str) -> Option<&str> {
    let (tag, hex) = text.rsplit_once('_')?;
    let is_hex = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hex && !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_lowercase())).then_some(tag)
}

/// As a client does who has seen version 1.
pub(crate) async fn ask(
    staff: &Staff<'_>,
    operation: &Operation,
    path: &str,
    body: Option<Value>,
) -> Reply {
    let headers = [("if-match", "\"1\"")];
    staff.ask(&operation.method, path, &headers, body).await
}

/// An id that parses and names nothing.
pub(crate) fn nobody(operation: &Operation) -> String {
    format!("{}_{}", operation.tag().unwrap_or("none"), "0".repeat(32))
}

/// A body that fits nowhere.
pub(crate) fn nonsense() -> Value {
    json!({ "nonsense": true })
}

/// Null if there is nothing.
pub(super) fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}
