//! Nothing that the schema refuses by is left out: what has neither a mutant nor a rule that is
//! looked at from both sides is found in the catalog of Postgres.

use crate::{
    mutants, rules,
    world::{Books, Template},
};

/// What is not taken away by any test, and why it need not be.
const UNCUT: &[(&str, &str)] = &[];

/// Triggers and policies by name and table; keys, exclusions, and rules about several columns or with
/// a name of their own. What a column alone may hold (`table_column_check`) is not an invariant but a
/// type, and a restrictive policy is one where it takes rows away; without another nobody sees any.
const REFUSING: &str = "
    SELECT format('%s ON %s', tgname, tgrelid::regclass) FROM pg_trigger t
      JOIN pg_class c ON c.oid = t.tgrelid
     WHERE c.relnamespace = 'kennet'::regnamespace AND NOT t.tgisinternal
    UNION ALL
    SELECT format('%s ON %s', policyname, tablename) FROM pg_policies
     WHERE schemaname = 'kennet' AND permissive = 'RESTRICTIVE'
    UNION ALL
    SELECT conname FROM pg_constraint k
     WHERE connamespace = 'kennet'::regnamespace AND coninhcount = 0
       AND (contype IN ('u', 'x')
            OR contype = 'c' AND NOT (cardinality(conkey) = 1 AND conname = ANY (
                 SELECT format('%s_%s_check%s', c.relname, a.attname, n)
                   FROM pg_class c, pg_attribute a, unnest('{\"\",1,2,3}'::text[]) n
                  WHERE c.oid = k.conrelid AND a.attrelid = c.oid AND a.attnum = k.conkey[1])))
    UNION ALL
    SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE c.relnamespace = 'kennet'::regnamespace AND i.indisunique AND NOT i.indisprimary
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype <> 'f')";

/// What is wrong with a schema, and how much it has that refuses.
async fn look(books: &Books) -> (Vec<String>, usize) {
    let names = sqlx::query_scalar(REFUSING).fetch_all(&books.admin).await;
    let names: Vec<String> = names.expect("the catalog");
    let mut wrong = Vec::new();
    for name in &names {
        let cut = rules::looks_at(name)
            || ["TRIGGER", "POLICY", "CONSTRAINT", "INDEX"]
                .iter()
                .any(|kind| mutants::say(&format!("DROP {kind} {name}")));
        let excused = UNCUT.iter().any(|(uncut, _)| uncut == name);
        match (cut, excused) {
            (false, false) => wrong.push(format!("nothing takes {name} away")),
            (true, true) => wrong.push(format!("{name} is excused and taken away")),
            (true, false) | (false, true) => (),
        }
    }
    let gone = UNCUT.iter().filter(|(uncut, _)| names.iter().all(|name| name != uncut));
    wrong.extend(gone.map(|(uncut, _)| format!("there is no {uncut} any more")));
    (wrong, names.len())
}

#[tokio::test]
async fn everything_that_refuses_is_taken_away_by_a_test() {
    let template = Template::make().await;
    let books = template.copy("").await;
    let (wrong, there) = look(&books).await;
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    println!("{} triggers, policies, keys and rules are taken away", there - UNCUT.len());
    books.close().await;

    let forgotten = template.copy(FORGOTTEN).await;
    let (mut wrong, _) = look(&forgotten).await;
    wrong.sort();
    let names =
        ["append_only ON job", "forgotten", "job_alone", "job_check2", "reseller_scope ON job"];
    assert_eq!(wrong, names.map(|name| format!("nothing takes {name} away")));
    forgotten.close().await;
}

/// One of each kind that no test knows.
const FORGOTTEN: &str = "
    CREATE TRIGGER append_only BEFORE DELETE ON job EXECUTE FUNCTION append_only();
    CREATE POLICY reseller_scope ON job AS RESTRICTIVE USING (true);
    CREATE UNIQUE INDEX forgotten ON job (due_at) WHERE done_at IS NULL;
    ALTER TABLE job ADD CHECK (done_at > due_at),
      ADD CONSTRAINT job_alone CHECK (attempts < 1000)";
