//! What is taken away, and how.

/// The check that must notice, and what is taken away.
pub(super) type Mutant = (&'static str, &'static [Cut]);

#[derive(Clone, Copy)]
pub(super) enum Cut {
    /// Statements.
    Sql(&'static str),
    /// In the body of a function, one text for another.
    Code(&'static str, &'static str, &'static str),
}
pub(super) use Cut::{Code, Sql};

impl Cut {
    pub(super) fn statements(self) -> String {
        match self {
            Self::Sql(sql) => format!("{sql};"),
            Self::Code(function, from, to) => {
                let (from, to) = (from.replace('\'', "''"), to.replace('\'', "''"));
                format!(
                    "DO $do$ DECLARE body text := pg_get_functiondef('{function}'::regproc);
                     BEGIN
                       IF position('{from}' in body) = 0 THEN
                         RAISE EXCEPTION '{function} has other words';
                       END IF;
                       EXECUTE replace(body, '{from}', '{to}');
                     END $do$;"
                )
            }
        }
    }
}

pub(super) const BOOKED_TWICE: &[Cut] = &[
    Sql("ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_once"),
    Code("post_entry", "ON CONFLICT ON CONSTRAINT ledger_entry_once DO NOTHING", ""),
];
