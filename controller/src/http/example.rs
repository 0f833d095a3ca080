//! Examples made of schemas, and the schemas of ids. Pure.

use serde_json::{Value, json};
use shared::id::KINDS;

/// Who an example is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Says what must be said, and no more.
    Request,
    /// Shows everything.
    Answer,
}

/// An example of a schema of `whole`.
pub(super) fn of(schema: &Value, whole: &Value, who: For) -> Value {
    build(schema, whole, who, DEPTH_MAX)
}

fn build(schema: &Value, whole: &Value, who: For, depth: u8) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(to) = schema.get("$ref").and_then(Value::as_str) {
        let there = whole.pointer(to.trim_start_matches('#')).unwrap_or(&Value::Null);
        return build(there, whole, who, depth - 1);
    }
    for ready in ["/example", "/examples/0", "/const", "/default", "/enum/0"] {
        if let Some(value) = schema.pointer(ready) {
            return value.clone();
        }
    }
    for choice in ["oneOf", "anyOf"] {
        let choices = schema.get(choice).and_then(Value::as_array).into_iter().flatten();
        let mut real = choices.filter(|choice| type_of(choice) != "null");
        if let Some(first) = real.next() {
            return build(first, whole, who, depth - 1);
        }
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        let mut all = serde_json::Map::new();
        for part in parts {
            if let Value::Object(fields) = build(part, whole, who, depth - 1) {
                all.extend(fields);
            }
        }
        return Value::Object(all);
    }
    match type_of(schema) {
        "object" => fields(schema, whole, who, depth),
        "array" => {
            let item = schema.get("items").map(|items| build(items, whole, who, depth - 1));
            Value::Array(item.into_iter().filter(|item| !item.is_null()).collect())
        }
        "string" => json!(text(schema)),
        "integer" | "number" => {
            let least = schema.get("minimum").and_then(Value::as_i64);
            json!(least.unwrap_or_default().max(1))
        }
        "boolean" => json!(false),
        _ => Value::Null,
    }
}

fn fields(schema: &Value, whole: &Value, who: For, depth: u8) -> Value {
    let required = schema.get("required").and_then(Value::as_array);
    let must = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let told = properties.filter(|(name, _)| who == For::Answer || must(name));
    let fields =
        told.map(|(name, property)| (name.clone(), build(property, whole, who, depth - 1)));
    Value::Object(fields.collect())
}

fn text(schema: &Value) -> &'static str {
    match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-11-28T09:00:00Z",
        Some("date") => "2026-11-28",
        Some("password") => "correct horse battery",
        Some("uuid") => "0198b2f4-c0de-7000-a000-000000000001",
        Some("ipv4") => "100.64.0.7",
        Some(_) | None => "text",
    }
}

/// The first that is not `null`.
fn type_of(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(one)) => one,
        Some(Value::Array(several)) => {
            let mut real = several.iter().filter_map(Value::as_str).filter(|one| *one != "null");
            real.next().unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ => "",
    }
}

/// A field that is called like a kind of id holds one.
pub(super) fn describe_ids(schema: &mut Value) {
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        let plain = type_of(property) == "string"
            && ["example", "pattern", "format", "enum"].iter().all(|k| property.get(k).is_none());
        let Some(property) = property.as_object_mut().filter(|_| plain) else { continue };
        if let Some(tag) = tag_of(name) {
            if let Some(known) = id_schema(tag).as_object() {
                for (key, value) in known.iter().filter(|(key, _)| *key != "type") {
                    property.insert(key.clone(), value.clone());
                }
            }
        } else if let Some((_, example)) = PLAIN.iter().find(|(field, _)| field == name) {
            property.insert("example".to_owned(), json!(example));
        }
    }
}

pub(super) fn id_schema(tag: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^{tag}_[0-9a-f]{{32}}$"),
        "example": format!("{tag}_0198b2f4c0de7000a000000000000001") })
}

/// `plan_version` is a `PlanVersionId`.
fn tag_of(field: &str) -> Option<&'static str> {
    let field = match field {
        "assigned_to" => "operator",
        field => field,
    };
    let is_it = |alias: &str| snake(alias) == field;
    KINDS.iter().find(|(alias, _)| is_it(alias)).map(|(_, tag)| *tag)
}

/// `access-points` are of `AccessPointId`, and `tokens` of `ApiTokenId`.
pub(super) fn tag_of_collection(word: &str) -> Option<&'static str> {
    let word = word.replace('-', "_");
    let fits = |alias: &str| {
        let one = snake(alias);
        let last = one.rsplit('_').next().unwrap_or_default();
        [one.clone(), last.to_owned()]
            .iter()
            .any(|one| word == *one || word == format!("{one}s") || word == format!("{one}es"))
    };
    let whole = KINDS.iter().find(|(alias, _)| {
        let one = snake(alias);
        word == one || word == format!("{one}s") || word == format!("{one}es")
    });
    whole.or_else(|| KINDS.iter().find(|(alias, _)| fits(alias))).map(|(_, tag)| *tag)
}

/// `PlanVersionId` is `plan_version`.
fn snake(alias: &str) -> String {
    let mut text = String::new();
    for c in alias.trim_end_matches("Id").chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

/// Fields whose text has a form that no word of ours says.
const PLAIN: [(&str, &str); 7] = [
    ("address", "192.0.2.1"),
    ("delegated_prefix", "2001:db8:1::/56"),
    ("ip", "100.64.0.7"),
    ("mac", "02:00:5e:00:53:01"),
    ("reason", "asked for by phone"),
    ("secret", "a secret of the RADIUS protocol"),
    ("static_ip", "100.64.0.7"),
];
/// Schemas that hold themselves end somewhere.
const DEPTH_MAX: u8 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_collections_name_their_ids() {
        assert_eq!(tag_of("plan_version"), Some("planv"));
        assert_eq!(tag_of("assigned_to"), Some("op"));
        assert_eq!(tag_of("name"), None);
        for (word, tag) in [
            ("access-points", Some("ap")),
            ("batches", Some("vb")),
            ("nas", Some("nas")),
            ("tokens", Some("tok")),
            ("subscriptions", Some("subn")),
            ("proof", None),
        ] {
            assert_eq!(tag_of_collection(word), tag, "{word}");
        }
    }

    #[test]
    fn an_example_says_what_must_be_said() {
        let whole = json!({ "components": { "schemas": {
            "Plan": { "type": "object", "required": ["code", "price"], "properties": {
                "code": { "$ref": "#/components/schemas/Code" },
                "price": { "type": "integer", "minimum": 5 },
                "note": { "type": ["string", "null"] },
                "kind": { "oneOf": [{ "type": "null" }, { "enum": ["a", "b"] }] },
            } },
            "Code": { "type": "string", "example": "home-10" },
        } } });
        let plan = json!({ "$ref": "#/components/schemas/Plan" });
        assert_eq!(of(&plan, &whole, For::Request), json!({ "code": "home-10", "price": 5 }));
        let all = json!({ "code": "home-10", "price": 5, "note": "text", "kind": "a" });
        assert_eq!(of(&plan, &whole, For::Answer), all);
    }
}
