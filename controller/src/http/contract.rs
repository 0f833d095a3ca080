//! Completes the OpenAPI document: what all routes have in common is said here once, and not at
//! each of them. Pure: JSON in, JSON out.
//!
//! Ids get their patterns, operations the answers that guards and extractors give, problems their
//! types, bodies their examples.

use serde_json::{Map, Value, json};

use super::{example, problems};

/// The methods of a path that are operations.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

pub(crate) fn complete(document: &mut Value) {
    if let Some(schemas) = object(document, "/components/schemas") {
        schemas.values_mut().for_each(example::describe_ids);
        let kinds: Vec<_> = problems::all().collect();
        if let Some(kind) =
            schemas.get_mut("Problem").and_then(|s| s.pointer_mut("/properties/type"))
        {
            *kind = json!({ "type": "string", "enum": kinds,
                "description": "Stable name of the problem, for programs." });
        }
    }
    // Examples look references up, while operations change.
    let whole = document.clone();
    let Some(paths) = object(document, "/paths") else { return };
    for (path, item) in paths {
        for method in METHODS {
            if let Some(operation) = item.get_mut(method) {
                complete_operation(path, method, operation, &whole);
            }
        }
    }
}

fn complete_operation(path: &str, method: &str, operation: &mut Value, whole: &Value) {
    describe_parameters(path, operation);
    let tag = operation.pointer("/tags/0").and_then(Value::as_str).unwrap_or_default().to_owned();
    let has = |pointer: &str| operation.pointer(pointer).is_some();
    let staff = has("/security/0/staff");
    let (bodied, answers_201) = (has("/requestBody"), has("/responses/201"));
    let versioned = has("/responses/412");
    let in_path = path.contains('{');
    let in_query = operation.get("parameters").and_then(Value::as_array).is_some_and(|all| {
        all.iter().any(|one| one.get("in").and_then(Value::as_str) == Some("query"))
    });
    let repeatable = method == "post" && answers_201 && staff && !ONCE.contains(&path);

    let mut answers = Vec::new();
    if staff {
        answers.push((401, vec!["login-needed"]));
        answers.push((403, problems::GUARD.to_vec()));
    }
    if in_path {
        answers.push((404, vec!["not-found"]));
    }
    if in_query {
        answers.push((400, vec!["bad-query"]));
        answers.push((422, vec!["invalid-fields"]));
    }
    if bodied {
        answers.push((400, vec!["bad-json", "body-not-read"]));
        answers.push((413, vec!["body-not-read"]));
        answers.push((415, vec!["not-json"]));
        answers.push((422, vec!["invalid-fields"]));
    }
    if repeatable {
        header(
            operation,
            "Idempotency-Key",
            false,
            &json!({ "type": "string", "minLength": 8,
            "maxLength": 128, "pattern": "^[!-~]{8,128}$", "example": "2f1c9a40-once" }),
            "The same request with the same key makes nothing new.",
        );
        answers.push((400, vec!["bad-idempotency-key"]));
        // What the same request made may have been removed.
        answers.push((404, vec!["not-found"]));
        answers.push((422, vec!["idempotency-key-reused"]));
    }
    if versioned {
        header(
            operation,
            "If-Match",
            true,
            &json!({ "type": "string",
            "pattern": "^\"[0-9]{1,18}\"$", "example": "\"1\"" }),
            "The ETag of what you saw, so that no change is lost.",
        );
        answers.push((400, vec!["bad-if-match"]));
        answers.push((412, vec!["stale"]));
        answers.push((428, vec!["if-match-needed"]));
    }
    if path.starts_with("/api/") && path != "/api/openapi.json" {
        answers.push((503, vec!["unavailable"]));
    }
    if method != "get" {
        answers.extend(problems::of(&tag).map(|(status, kinds)| (status, kinds.to_vec())));
    }
    for (status, kinds) in answers {
        add_problem(operation, status, &kinds);
    }
    say_csv(operation);
    finish_answers(operation, whole);
    if let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") {
        let example = example::of(schema, whole, example::For::Request);
        if let Some(content) = object(operation, "/requestBody/content/application~1json") {
            content.entry("example").or_insert(example);
        }
    }
}

/// Ids in paths are those of what the word before them names.
fn describe_parameters(path: &str, operation: &mut Value) {
    let words: Vec<_> = path.split('/').collect();
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let name = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
        let at = words.iter().position(|word| *word == format!("{{{name}}}"));
        let of = at.and_then(|at| words.get(at.checked_sub(1)?));
        let tag = of.and_then(|word| example::tag_of_collection(word));
        if let (Some(tag), Some(parameter)) = (tag, parameter.as_object_mut()) {
            parameter.insert("schema".to_owned(), example::id_schema(tag));
        }
    }
}

fn header(operation: &mut Value, name: &str, required: bool, schema: &Value, about: &str) {
    let Some(operation) = operation.as_object_mut() else { return };
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    let Some(parameters) = parameters.as_array_mut() else { return };
    parameters.push(json!({ "name": name, "in": "header", "required": required,
        "description": about, "schema": schema }));
}

/// Says that an operation may answer with these problems, beside those it says already.
fn add_problem(operation: &mut Value, status: u16, kinds: &[&str]) {
    let Some(responses) = object(operation, "/responses") else { return };
    let response = responses.entry(status.to_string()).or_insert_with(|| json!({}));
    let Some(response) = response.as_object_mut() else { return };
    response.entry("content").or_insert_with(
        || json!({ PROBLEM: { "schema": { "$ref": "#/components/schemas/Problem" } } }),
    );
    let listed = response.entry(KINDS).or_insert_with(|| json!([]));
    let Some(listed) = listed.as_array_mut() else { return };
    for kind in kinds {
        if !listed.iter().any(|known| known == kind) {
            listed.push(json!(kind));
        }
    }
}

/// Who may say `format` may have rows of text, too.
fn say_csv(operation: &mut Value) {
    let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    let mut names = parameters.filter_map(|one| one.get("name").and_then(Value::as_str));
    if !names.any(|name| name == "format") {
        return;
    }
    if let Some(content) = object(operation, "/responses/200/content") {
        content.entry("text/csv").or_insert_with(|| json!({ "schema": { "type": "string" } }));
    }
}

/// Gives every answer its media type, a description and an example.
fn finish_answers(operation: &mut Value, whole: &Value) {
    let Some(responses) = object(operation, "/responses") else { return };
    for (status, response) in responses {
        let number = status.parse::<u16>().unwrap_or_default();
        let Some(response) = response.as_object_mut() else { continue };
        rename_problem(response);
        let kinds = response.get(KINDS).and_then(Value::as_array).cloned().unwrap_or_default();
        let said = response.get("description").and_then(Value::as_str).unwrap_or_default();
        if said.is_empty() {
            let kinds: Vec<_> = kinds.iter().filter_map(Value::as_str).collect();
            let about = if kinds.is_empty() {
                reason(number).to_owned()
            } else {
                format!("{}: `{}`", reason(number), kinds.join("`, `"))
            };
            response.insert("description".to_owned(), json!(about));
        }
        let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) else {
            continue;
        };
        for (media, content) in content {
            let Some(content) = content.as_object_mut() else { continue };
            let example = if media == PROBLEM {
                let kind = kinds.first().and_then(Value::as_str).unwrap_or("internal");
                json!({ "type": kind, "status": number, "title": reason(number) })
            } else if media == "application/json" {
                let schema = content.get("schema").cloned().unwrap_or_default();
                example::of(&schema, whole, example::For::Answer)
            } else {
                continue;
            };
            content.entry("example").or_insert(example);
        }
    }
}

fn rename_problem(response: &mut Map<String, Value>) {
    let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) else { return };
    let is_problem = content
        .get("application/json")
        .and_then(|media| media.pointer("/schema/$ref"))
        .is_some_and(|to| to == "#/components/schemas/Problem");
    if let Some(media) = is_problem.then(|| content.remove("application/json")).flatten() {
        content.insert(PROBLEM.to_owned(), media);
    }
}

fn reason(status: u16) -> &'static str {
    let status = axum::http::StatusCode::from_u16(status).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or("Answer")
}

fn object<'v>(value: &'v mut Value, pointer: &str) -> Option<&'v mut Map<String, Value>> {
    value.pointer_mut(pointer)?.as_object_mut()
}

/// A second time is refused, with a key or without.
const ONCE: [&str; 1] = ["/api/finance/closings"];
const PROBLEM: &str = "application/problem+json";
/// Beside the description, for programs.
const KINDS: &str = "x-problem-types";

#[cfg(test)]
mod tests {
    use super::*;

    fn completed() -> Value {
        let mut document = json!({
            "paths": { "/api/plans/{id}": { "patch": {
                "tags": ["plans"],
                "security": [{ "staff": [] }],
                "parameters": [{ "name": "id", "in": "path", "schema": { "type": "string" } }],
                "requestBody": { "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/Body" } } } },
                "responses": {
                    "200": { "description": "", "content": { "application/json": {
                        "schema": { "$ref": "#/components/schemas/Body" } } } },
                    "412": { "description": "", "content": { "application/json": {
                        "schema": { "$ref": "#/components/schemas/Problem" } } } },
                },
            } } },
            "components": { "schemas": {
                "Body": { "type": "object", "required": ["subscriber"], "properties": {
                    "subscriber": { "type": "string" } } },
                "Problem": { "type": "object", "properties": { "type": { "type": "string" } } },
            } },
        });
        complete(&mut document);
        document
    }

    #[test]
    fn an_operation_says_what_guards_and_extractors_answer() {
        let document = completed();
        let operation = &document["paths"]["/api/plans/{id}"]["patch"];
        let statuses: Vec<_> = operation["responses"].as_object().unwrap().keys().collect();
        for status in ["200", "400", "401", "403", "404", "409", "412", "413", "415", "422", "428"]
        {
            assert!(statuses.iter().any(|known| *known == status), "{status} {statuses:?}");
        }
        let stale = &operation["responses"]["412"];
        assert_eq!(stale["description"], "Precondition Failed: `stale`");
        assert_eq!(stale["content"][PROBLEM]["example"]["type"], "stale");
        assert!(stale["content"].get("application/json").is_none());
    }

    #[test]
    fn ids_have_a_pattern_and_bodies_an_example() {
        let document = completed();
        let operation = &document["paths"]["/api/plans/{id}"]["patch"];
        assert_eq!(operation["parameters"][0]["schema"]["pattern"], "^plan_[0-9a-f]{32}$");
        let example = &operation["requestBody"]["content"]["application/json"]["example"];
        assert!(example["subscriber"].as_str().unwrap().starts_with("sub_"), "{example}");
        let named: Vec<_> = operation["parameters"].as_array().unwrap().iter().collect();
        assert!(named.iter().any(|one| one["name"] == "If-Match" && one["required"] == true));
    }
}
