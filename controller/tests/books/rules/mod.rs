//! What a row alone breaks: rules within it, keys that it shares with another, rows that stay.
//!
//! Each is looked at from both sides. What breaks it is refused in its name; and once it is taken
//! away, the same is not: so nothing else stood in the way, and without it this test fails.

mod keys;
mod references;
mod rows;
mod within;

use crate::world::{A, Books, Template, ask, attempt, refused};
use keys::KEYS;
use rows::ROWS;
use within::{NOT_EMPTIED, RULES, STAY};

const X: &str = "'fffffff0-0000-7000-8000-000000000001'";
const Y: &str = "'fffffff0-0000-7000-8000-000000000002'";

/// Triggers and keys to others are asleep.
const ALONE: &str = "SET LOCAL session_replication_role = replica;";

fn filled_in(sql: &str) -> String {
    sql.replace(":a", &format!("'{A}'")).replace(":x", X).replace(":y", Y)
}

/// Whether it is a rule, a key or a trigger that is looked at here.
pub(crate) fn looks_at(name: &str) -> bool {
    let stays = |(trigger, tables): (&str, &[&str])| {
        tables.iter().any(|table| name == format!("{trigger} ON {table}"))
    };
    KEYS.iter().any(|(key, ..)| *key == name)
        || RULES.iter().any(|(rule, _)| *rule == name)
        || [("append_only", STAY), ("append_only_t", NOT_EMPTIED)].into_iter().any(stays)
}

/// How it is taken away.
async fn cut(books: &Books, name: &str) -> String {
    let constraint = format!(
        "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
           FROM pg_constraint
          WHERE conname = '{name}' AND connamespace = 'kennet'::regnamespace AND coninhcount = 0"
    );
    match ask(&books.admin, &constraint).await.as_str() {
        "NULL" => format!("DROP INDEX {name}"),
        statement => statement.to_owned(),
    }
}

/// Whether `sql` is refused for `why`; and not any more, once it is `cut`: then it is taken, or, where
/// others may say no, they do.
async fn stands(
    books: &Books,
    before: &str,
    sql: &str,
    why: &str,
    (cut, others): (&str, bool),
) -> Vec<String> {
    let whole = refused(&books.admin, &format!("BEGIN; {before} {sql}; ROLLBACK"), why).await;
    let mutant = format!("BEGIN; {before} {cut}; {sql}; ROLLBACK");
    let mutant = match attempt(&books.admin, &mutant).await {
        Err(said) if said.contains(why) || !others => Err(format!("{mutant} was refused: {said}")),
        Ok(()) | Err(_) => Ok(()),
    };
    [whole, mutant].into_iter().filter_map(Result::err).collect()
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_by_that_rule_and_by_nothing_else() {
    let books = Template::make().await.copy(&filled_in(ROWS)).await;
    let mut wrong = Vec::new();
    let keys = KEYS.iter().map(|(name, table, but)| {
        let (table, row) = table.split_once(' ').unwrap_or((table, ""));
        let copy = format!(
            "INSERT INTO {table} SELECT (jsonb_populate_record(x, jsonb_build_object({but}))).*
               FROM {table} x {row} LIMIT 1"
        );
        (*name, copy)
    });
    let rules = RULES.iter().map(|(name, change)| (*name, format!("UPDATE {change}")));
    for (name, sql) in keys.chain(rules) {
        let (sql, cut) = (filled_in(&sql), cut(&books, name).await);
        let why = format!("\"{name}\"");
        wrong.extend(stands(&books, ALONE, &sql, &why, (&cut, false)).await);
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    println!("{} keys and {} rules stand by themselves", KEYS.len(), RULES.len());
    books.close().await;
}

#[tokio::test]
async fn what_is_written_once_stays_whoever_asks() {
    let books = Template::make().await.copy(&filled_in(ROWS)).await;
    let mut wrong = Vec::new();
    for table in STAY {
        let why = format!("{table} is append only");
        let cut = format!("DROP TRIGGER append_only ON {table}");
        let delete = refused(&books.admin, &format!("DELETE FROM {table}"), &why).await;
        wrong.extend(delete.err());
        let same = format!("UPDATE {table} SET tenant_id = tenant_id");
        wrong.extend(stands(&books, "", &same, &why, (&cut, false)).await);
    }
    for table in NOT_EMPTIED {
        let cut = format!("DROP TRIGGER append_only_t ON {table}");
        // What refers to it goes along, unless that says no itself.
        let empty = format!("TRUNCATE {table} CASCADE");
        let why = format!("{table} is append only");
        wrong.extend(stands(&books, "", &empty, &why, (&cut, true)).await);
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    println!("{} tables stay, {} are not emptied", STAY.len(), NOT_EMPTIED.len());
    books.close().await;
}
