//! What somebody who watches is told: first everything, then what is different. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The rows of a topic as they are now, by their ids.
pub(super) type Rows = BTreeMap<String, Value>;

/// One thing to tell.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) data: Value,
}

/// All there is: what was told before is forgotten.
pub(super) fn snapshot(topic: &str, rows: &Rows) -> Event {
    let items: Vec<_> = rows.values().collect();
    Event { name: "snapshot", data: json!({ "topic": topic, "items": items }) }
}

/// What makes `after` of `before`.
pub(super) fn changes(topic: &str, before: &Rows, after: &Rows) -> Vec<Event> {
    let changed = after.iter().filter(|(id, row)| before.get(*id) != Some(row));
    let changed = changed
        .map(|(_, row)| Event { name: "change", data: json!({ "topic": topic, "item": row }) });
    let gone = before.keys().filter(|id| !after.contains_key(*id));
    let gone = gone.map(|id| Event { name: "gone", data: json!({ "topic": topic, "id": id }) });
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(pairs: &[(&str, i64)]) -> Rows {
        let row = |(id, n): &(&str, i64)| ((*id).to_owned(), json!({ "id": id, "n": n }));
        pairs.iter().map(row).collect()
    }

    #[test]
    fn only_what_is_different_is_told() {
        let before = rows(&[("a", 1), ("b", 1), ("c", 1)]);
        assert_eq!(changes("x", &before, &before), []);
        let told = changes("x", &before, &rows(&[("a", 1), ("b", 2), ("d", 1)]));
        let names: Vec<_> = told.iter().map(|event| event.name).collect();
        assert_eq!(names, ["change", "change", "gone"]);
        assert_eq!(told[0].data, json!({ "topic": "x", "item": { "id": "b", "n": 2 } }));
        assert_eq!(told[2].data, json!({ "topic": "x", "id": "c" }));
    }

    #[test]
    fn a_snapshot_has_everything() {
        let all = snapshot("x", &rows(&[("a", 1), ("b", 2)]));
        assert_eq!(all.data["items"].as_array().map(Vec::len), Some(2));
    }
}
