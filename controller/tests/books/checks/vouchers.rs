//! A voucher grants once.

use super::steps::{NAIVE, balance, redeem, subscriber};
use crate::world::{A, BATCH, Books, Found, SUBSCRIBER, VOUCHERS, is, race, refused, run};

checks! { OF_THE_DESIGN:
    one_voucher_one_grant: "200 at once redeem one voucher: one grant", |books| {
        race(&books.a, 200, |n| redeem("code1", n)).await;
        is(&books.a, "SELECT count(*) FROM entitlement", "1").await?;
        is(&books.a, "SELECT count(*) FROM ledger_entry WHERE kind = 'voucher.redeem'", "1").await
    }
    a_naive_voucher_grants_often: "control: read, work, write grants one voucher often", |books| {
        run(&books.admin, NAIVE).await;
        race(&books.a, 50, |_| "SELECT naive_redeem()".to_owned()).await;
        is(&books.a, "SELECT count(*) > 1 FROM naive_grant", "true").await
    }
    grants_vouchers_and_entries_agree: "as many grants as used vouchers and entries", |books| {
        race(&books.a, 600, |n| redeem(&format!("code{}", 1 + n * 7 % 200), n)).await;
        let all = format!("{VOUCHERS} {VOUCHERS} {VOUCHERS}");
        is(&books.a, "SELECT concat_ws(' ', (SELECT count(*) FROM entitlement),
            (SELECT count(*) FROM voucher WHERE state = 'active'),
            (SELECT count(*) FROM ledger_entry WHERE kind = 'voucher.redeem'))", &all).await?;
        is(&books.a, &balance("deferred:voucher"), "0").await
    }
    a_voucher_does_not_go_back: "a used voucher is not sold again", |books| {
        run(&books.a, &redeem("code1", 1)).await;
        let sql = "UPDATE voucher SET state = 'sold' WHERE state = 'active'";
        refused(&books.a, sql, "active -> sold not allowed").await
    }
    no_second_grant: "a voucher does not grant a second time", |books| {
        run(&books.a, &redeem("code1", 1)).await;
        let sql = "INSERT INTO entitlement (tenant_id, id, subscriber_id, source_kind, source_id,
              plan_version_id, valid)
            SELECT tenant_id, gen_random_uuid(), subscriber_id, source_kind, source_id,
                   plan_version_id, valid FROM entitlement";
        refused(&books.a, sql, "entitlement_once").await
    }
}

checks! { ADDED:
    one_call_one_grant: "two of one call redeem one voucher: the first does", |books| {
        let sql = redeem("code1", 1).replace("ARRAY[sha256('code1')]", "array_fill(sha256('code1'), ARRAY[2])");
        let twice = ["gen_random_uuid()", "now() + interval '1 day'", "now()"];
        let sql = twice.iter().fold(sql, |sql, one| {
            sql.replace(&format!("ARRAY[{one}]"), &format!("ARRAY[{one}, {one}]"))
        });
        let sql = sql.replace("'::uuid]", &format!("'::uuid, '{}']", subscriber(3)));
        let outcomes = sql.replace("SELECT outcome", "SELECT string_agg(outcome, ' ' ORDER BY n)");
        is(&books.a, &outcomes, "redeemed active").await?;
        is(&books.a, "SELECT count(*) FROM entitlement", "1").await?;
        is(&books.a, "SELECT count(*) FROM ledger_entry WHERE kind = 'voucher.redeem'", "1").await
    }
    a_voucher_is_in_the_books: "a voucher is sold and used through the books", |books| {
        let sql = format!("INSERT INTO voucher_sale (tenant_id, id, batch_id, qty, face_cents, at)
            VALUES ('{A}', gen_random_uuid(), '{BATCH}', 1, 5000, now())");
        refused(&books.a, &sql, "is not in the books").await?;
        let sql = format!("UPDATE voucher SET state = 'active', redeemed_at = now(),
              subscriber_id = '{SUBSCRIBER}' WHERE serial = 1");
        refused(&books.a, &sql, "is not in the books").await?;
        let sql = "UPDATE voucher SET state = 'expired' WHERE serial = 1";
        refused(&books.a, sql, "is not in the books").await
    }
    a_code_is_one_voucher: "a code opens one voucher", |books| {
        let sql = format!("INSERT INTO voucher (tenant_id, id, batch_id, serial, code_hash, net_cents)
            VALUES ('{A}', gen_random_uuid(), '{BATCH}', 1000, sha256('code1'), 3748)");
        refused(&books.a, &sql, "voucher_code").await
    }
}
