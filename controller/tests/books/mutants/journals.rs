//! Mutants of the topic `journals`: the cursor that a batch is compared with is another.

use super::cut::{Cut, Mutant, Sql};

pub(super) const MUTANTS: &[Mutant] = &[
    ("a_batch_is_acknowledged", &[Sql("REVOKE INSERT ON journal_cursor FROM kennet_ingest")]),
    ("a_replay_changes_nothing", STAYS),
    ("a_gap_is_answered", STAYS),
    ("another_history_is_refused", &[Sql("CREATE FUNCTION another() RETURNS trigger
        LANGUAGE plpgsql AS $$ BEGIN NEW.hash := decode(repeat('09', 32), 'hex'); RETURN NEW; END $$;
        CREATE TRIGGER another BEFORE INSERT OR UPDATE ON journal_cursor FOR EACH ROW
        EXECUTE FUNCTION another()")]),
];

const STAYS: &[Cut] = &[Sql("CREATE FUNCTION stay() RETURNS trigger
        LANGUAGE plpgsql AS $$ BEGIN NEW.next_seq := 1; RETURN NEW; END $$;
        CREATE TRIGGER stay BEFORE INSERT OR UPDATE ON journal_cursor FOR EACH ROW
        EXECUTE FUNCTION stay()")];
