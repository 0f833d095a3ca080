//! From what is known to what is wrong. Pure: no clock, no I/O.

use jiff::{SignedDuration, Timestamp};

use super::{Edge, Facts, Failure};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// It keeps the subscriber off-line.
    Bad,
    /// It may be why, or will be.
    Doubtful,
    /// Nothing is known that would tell.
    Unknown,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub verdict: Verdict,
    /// For people.
    pub says: String,
    /// When what it was seen by was so.
    pub at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    pub online: bool,
    /// From the contract to the device.
    pub checks: Vec<Check>,
    /// The first check that is bad.
    pub blame: Option<&'static str>,
    /// What to do about it.
    pub advice: Option<&'static str>,
}

/// The first check that fails is to blame: what comes after it cannot be right.
pub fn explain(facts: &Facts, now: Timestamp) -> Diagnosis {
    let online = is_online(facts);
    let found = [
        account(facts),
        subscription(facts, now),
        entitlement(facts, now),
        balance(facts),
        credentials(facts),
        device(facts),
        edge(facts),
        revision(facts),
        nas(facts),
        logins(facts),
        session(facts),
        effects(facts),
    ];
    let blame = found.iter().find(|found| found.check.verdict == Verdict::Bad);
    let (blame, advice) =
        blame.map_or((None, None), |found| (Some(found.check.name), Some(found.advice)));
    let checks = found.into_iter().map(|found| found.check).collect();
    Diagnosis { online, checks, blame, advice }
}

struct Found {
    check: Check,
    /// If it is bad.
    advice: &'static str,
}

fn found(name: &'static str, verdict: Verdict, says: impl Into<String>) -> Found {
    Found { check: Check { name, verdict, says: says.into(), at: None }, advice: "" }
}

impl Found {
    const fn at(mut self, at: Option<Timestamp>) -> Self {
        self.check.at = at;
        self
    }

    const fn advice(mut self, advice: &'static str) -> Self {
        self.advice = advice;
        self
    }
}

fn account(facts: &Facts) -> Found {
    if facts.status == "active" {
        return found("account", Verdict::Good, "the account is open");
    }
    found("account", Verdict::Bad, format!("the account is {}", facts.status))
        .advice("open the account again, if that is what the subscriber wants")
}

/// Something that is bought gives access too: then no subscription is needed.
fn subscription(facts: &Facts, now: Timestamp) -> Found {
    let name = "subscription";
    let bought = is_entitled(facts, now);
    let Some(subscription) = &facts.subscription else {
        return if bought {
            found(name, Verdict::Good, "there is none, and none is needed: a purchase is live")
        } else {
            found(
                name,
                Verdict::Bad,
                "there is no subscription, and nothing that was bought is live",
            )
            .advice("sell a plan or a voucher")
        };
    };
    let because = match subscription.reason.as_str() {
        "" => String::new(),
        reason => format!(" ({reason})"),
    };
    let says = format!("{} is {}{because}", subscription.plan, subscription.state);
    let verdict = match subscription.state.as_str() {
        "active" => Verdict::Good,
        "grace" => Verdict::Doubtful,
        _ if bought => Verdict::Doubtful,
        _ => Verdict::Bad,
    };
    let advice = match subscription.state.as_str() {
        "suspended" => "take the payment that is due, then resume the subscription",
        "pending" => "take the first payment, then activate the subscription",
        _ => "activate the subscription, or sell another",
    };
    found(name, verdict, says).at(subscription.since).advice(advice)
}

fn entitlement(facts: &Facts, now: Timestamp) -> Found {
    let name = "entitlement";
    let subscribed = is_subscribed(facts);
    let Some(one) = &facts.entitlement else {
        let verdict = if subscribed { Verdict::Good } else { Verdict::Unknown };
        return found(name, verdict, "nothing was bought");
    };
    if one.until <= now {
        let verdict = if subscribed { Verdict::Good } else { Verdict::Bad };
        return found(name, verdict, format!("{} is over", one.plan))
            .at(Some(one.until))
            .advice("sell another");
    }
    let plan = &one.plan;
    let says = match (one.bytes.left(), one.seconds.left()) {
        (Some(..=0), _) => Err(format!("all bytes of {plan} are used")),
        (_, Some(..=0)) => Err(format!("all time of {plan} is used")),
        (Some(bytes), Some(seconds)) => {
            Ok(format!("{plan} has {bytes} bytes and {seconds} seconds left"))
        }
        (Some(bytes), None) => Ok(format!("{plan} has {bytes} bytes left")),
        (None, Some(seconds)) => Ok(format!("{plan} has {seconds} seconds left")),
        (None, None) => Ok(format!("{plan} is live")),
    };
    match says {
        Ok(says) => found(name, Verdict::Good, says).at(Some(one.until)),
        Err(says) => {
            let verdict = if subscribed { Verdict::Doubtful } else { Verdict::Bad };
            found(name, verdict, says).advice("sell another")
        }
    }
}

/// It suspends nobody by itself; the subscription says if it did.
fn balance(facts: &Facts) -> Found {
    let Facts { wallet_cents, overdue_cents, .. } = *facts;
    let says = format!("{wallet_cents} cents in the wallet, {overdue_cents} cents are overdue");
    let verdict = if overdue_cents > wallet_cents { Verdict::Doubtful } else { Verdict::Good };
    found("balance", verdict, says)
}

fn credentials(facts: &Facts) -> Found {
    match (facts.has_password, facts.devices.len()) {
        (false, 0) => {
            found("credentials", Verdict::Bad, "neither a password nor a device is known")
                .advice("set a password, or add the MAC address of the device")
        }
        (true, 0) => found("credentials", Verdict::Good, "logs in with a password"),
        (true, n) => found("credentials", Verdict::Good, format!("a password, and {n} devices")),
        (false, n) => found("credentials", Verdict::Good, format!("{n} devices, no password")),
    }
}

fn device(facts: &Facts) -> Found {
    let seen = facts.last.as_ref().and_then(|session| session.mac.as_deref());
    let known = |mac: &str| facts.devices.iter().any(|device| device == mac);
    match seen {
        None => found("device", Verdict::Unknown, "no device was seen yet"),
        Some(mac) if facts.has_password || known(mac) => {
            found("device", Verdict::Good, format!("last seen: {mac}"))
        }
        Some(mac) => found(
            "device",
            Verdict::Doubtful,
            format!("last seen: {mac}, which is not the subscriber's any more"),
        ),
    }
}

fn edge(facts: &Facts) -> Found {
    let name = "edge";
    let Some(edge) = &facts.edge else {
        return found(name, Verdict::Bad, "there is no edge").advice("add an edge, and enrol it");
    };
    let Edge { name: who, last_seen, .. } = edge;
    if edge.revoked {
        return found(name, Verdict::Bad, format!("the access of {who} was taken away"))
            .at(*last_seen)
            .advice("give the edge a new secret");
    }
    match (edge.online, last_seen) {
        (true, _) => found(name, Verdict::Good, format!("{who} is there")).at(*last_seen),
        // It goes on without us: who is on-line there stays so.
        (false, Some(_)) => {
            found(name, Verdict::Doubtful, format!("{who} is not heard; it goes on by itself"))
                .at(*last_seen)
        }
        (false, None) => found(name, Verdict::Bad, format!("{who} was never heard"))
            .advice("start kennet-edge there, with the secret of this edge"),
    }
}

fn revision(facts: &Facts) -> Found {
    let name = "applied";
    let Some(edge) = &facts.edge else {
        return found(name, Verdict::Unknown, "there is no edge");
    };
    if edge.forked {
        return found(name, Verdict::Doubtful, format!("the journal of {} is forked", edge.name));
    }
    let behind = edge.desired_revision - edge.applied_revision;
    let waits = facts.subscription.as_ref().filter(|one| one.applied_rev < one.desired_rev);
    let says = format!(
        "{} has revision {} of {}",
        edge.name, edge.applied_revision, edge.desired_revision
    );
    let verdict = match (waits, behind > 0, edge.online) {
        // An edge that is there and does not take a change: who is on-line there stays so.
        (Some(_), true, true) if !is_online(facts) => Verdict::Bad,
        (Some(_), ..) | (None, true, _) => Verdict::Doubtful,
        (None, false, _) => Verdict::Good,
    };
    found(name, verdict, says).advice("read the log of the edge: it does not apply what it is told")
}

fn nas(facts: &Facts) -> Found {
    let Some(nas) = &facts.nas else {
        return found("nas", Verdict::Unknown, "no NAS has spoken of the subscriber");
    };
    if nas.disabled {
        return found("nas", Verdict::Bad, format!("{} is disabled", nas.name))
            .advice("enable the NAS");
    }
    let verdict = if nas.live > 0 { Verdict::Good } else { Verdict::Doubtful };
    found("nas", verdict, format!("{} has {} live sessions", nas.name, nas.live))
}

fn logins(facts: &Facts) -> Found {
    let name = "logins";
    let Some(last) = facts.failures.first() else {
        return found(name, Verdict::Good, "none failed in the last days");
    };
    let Failure { reason, nas_name, count, last_at } = last;
    let says = format!("{count} failed at {nas_name}: {reason}");
    let since = facts.last.as_ref().map(|session| session.started_at);
    let is_newer = since.is_none_or(|since| *last_at >= since);
    let verdict = match (is_newer, is_online(facts)) {
        (true, false) => Verdict::Bad,
        (true, true) => Verdict::Doubtful,
        (false, _) => Verdict::Good,
    };
    found(name, verdict, says)
        .at(Some(*last_at))
        .advice("compare what is set in the subscriber's router with the account")
}

fn session(facts: &Facts) -> Found {
    let name = "session";
    let Some(last) = &facts.last else {
        return found(name, Verdict::Bad, "there was never one: nothing asks to log in")
            .advice("look at power, cable and signal: nothing of the subscriber reaches a NAS");
    };
    match last.stopped_at {
        None => {
            let says = format!("live, {} bytes down and {} up", last.down_bytes, last.up_bytes);
            found(name, Verdict::Good, says).at(Some(last.updated_at))
        }
        Some(at) => {
            let cause = last.cause.and_then(cause).unwrap_or("for a reason that was not told");
            found(name, Verdict::Bad, format!("the last one ended {cause}"))
                .at(Some(at))
                .advice("ask the subscriber to restart the router: nothing has logged in since")
        }
    }
}

fn effects(facts: &Facts) -> Found {
    let name = "effects";
    let Some(last) = facts.effects.first() else {
        return found(name, Verdict::Good, "no NAS was asked for anything");
    };
    let says = format!(
        "{} was asked to {} and said {}; seen after {} ms: {}",
        last.nas_name, last.asked, last.answered, last.after_ms, last.observed
    );
    let verdict = match last.observed.as_str() {
        "ended" | "changed" => Verdict::Good,
        "still_there" => Verdict::Doubtful,
        _ => Verdict::Unknown,
    };
    found(name, verdict, says).at(Some(last.asked_at))
}

fn is_online(facts: &Facts) -> bool {
    facts.last.as_ref().is_some_and(|session| session.stopped_at.is_none())
}

fn is_subscribed(facts: &Facts) -> bool {
    facts.subscription.as_ref().is_some_and(|one| matches!(one.state.as_str(), "active" | "grace"))
}

fn is_entitled(facts: &Facts, now: Timestamp) -> bool {
    facts.entitlement.as_ref().is_some_and(|one| {
        let is_left = |left: Option<i64>| left.is_none_or(|left| left > 0);
        one.until > now && is_left(one.bytes.left()) && is_left(one.seconds.left())
    })
}

/// Acct-Terminate-Cause, RFC 2866 §5.10, in words.
fn cause(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "because the subscriber logged out",
        2 => "because the line was lost",
        3 => "because its service was lost",
        4 => "because nothing was sent for too long",
        5 => "because its time was over",
        6 => "because staff ended it",
        7 => "because the NAS was restarted by staff",
        8 => "because of a fault of a port",
        9 => "because of a fault of the NAS",
        10 => "because the NAS asked for it",
        11 => "because the NAS was restarted",
        15 => "because its service is not there",
        18 => "because the host asked for it",
        _ => return None,
    })
}

/// How far back failed logins are looked for.
pub(super) const LOOK_BACK: SignedDuration = SignedDuration::from_hours(72);

#[cfg(test)]
mod tests {
    use shared::id::{EdgeId, SessionId, SubscriberId};
    use uuid::Uuid;

    use super::{
        super::{Amount, Entitlement, Nas, Session, Subscription},
        *,
    };
    use crate::sessions::effects::Kept;

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
    }

    /// Everything is as it should be at hour 100, and the subscriber is on-line.
    fn well() -> Facts {
        Facts {
            subscriber: SubscriberId::from_uuid(Uuid::nil()),
            username: "amina".to_owned(),
            status: "active".to_owned(),
            has_password: true,
            devices: Vec::new(),
            wallet_cents: 0,
            overdue_cents: 0,
            subscription: Some(Subscription {
                state: "active".to_owned(),
                plan: "home-20".to_owned(),
                desired_rev: 2,
                applied_rev: 2,
                since: None,
                reason: String::new(),
            }),
            entitlement: None,
            last: Some(Session {
                id: SessionId::from_uuid(Uuid::nil()),
                mac: Some("02:00:00:00:00:01".to_owned()),
                started_at: at(90),
                stopped_at: None,
                cause: None,
                updated_at: at(100),
                down_bytes: 7,
                up_bytes: 8,
            }),
            edge: Some(Edge {
                id: EdgeId::from_uuid(Uuid::nil()),
                name: "north".to_owned(),
                online: true,
                revoked: false,
                forked: false,
                last_seen: Some(at(100)),
                desired_revision: 5,
                applied_revision: 5,
            }),
            nas: Some(Nas { name: "tower".to_owned(), disabled: false, live: 3 }),
            failures: Vec::new(),
            effects: Vec::new(),
        }
    }

    fn stopped(facts: &mut Facts) {
        let last = facts.last.as_mut().unwrap();
        (last.stopped_at, last.cause) = (Some(at(95)), Some(2));
    }

    #[track_caller]
    fn check(blame: Option<&str>, says: &str, change: impl FnOnce(&mut Facts)) {
        let mut facts = well();
        change(&mut facts);
        let diagnosis = explain(&facts, at(100));
        assert_eq!(diagnosis.blame, blame, "{diagnosis:#?}");
        assert_eq!(diagnosis.advice.is_some(), blame.is_some());
        let told = diagnosis.checks.iter().any(|check| check.says.contains(says));
        assert!(told, "nothing says {says:?}: {diagnosis:#?}");
    }

    #[test]
    fn who_is_on_line_has_nothing_to_blame() {
        check(None, "live, 7 bytes down and 8 up", |_| {});
        // Off the office's map, and going on.
        check(None, "it goes on by itself", |facts| facts.edge.as_mut().unwrap().online = false);
    }

    #[test]
    fn the_first_that_fails_is_to_blame() {
        check(Some("account"), "the account is closed", |facts| {
            facts.status = "closed".to_owned();
            facts.subscription = None;
        });
        check(Some("subscription"), "home-20 is suspended (not paid)", |facts| {
            let subscription = facts.subscription.as_mut().unwrap();
            "suspended".clone_into(&mut subscription.state);
            "not paid".clone_into(&mut subscription.reason);
            stopped(facts);
        });
        check(Some("credentials"), "neither a password", |facts| facts.has_password = false);
        check(Some("edge"), "north was never heard", |facts| {
            let edge = facts.edge.as_mut().unwrap();
            (edge.online, edge.last_seen, facts.last) = (false, None, None);
        });
        check(Some("applied"), "north has revision 4 of 5", |facts| {
            facts.edge.as_mut().unwrap().applied_revision = 4;
            facts.subscription.as_mut().unwrap().applied_rev = 1;
            stopped(facts);
        });
        check(Some("nas"), "tower is disabled", |facts| {
            facts.nas.as_mut().unwrap().disabled = true;
            stopped(facts);
        });
        check(Some("logins"), "4 failed at tower: wrong password", |facts| {
            stopped(facts);
            facts.failures.push(Failure {
                reason: "wrong password".to_owned(),
                nas_name: "tower".to_owned(),
                count: 4,
                last_at: at(99),
            });
        });
        check(Some("session"), "because the line was lost", stopped);
        check(Some("session"), "nothing asks to log in", |facts| facts.last = None);
    }

    #[test]
    fn what_was_bought_gives_access_until_it_is_over_or_used_up() {
        let bought = |until, consumed, lasted| {
            move |facts: &mut Facts| {
                facts.subscription = None;
                facts.entitlement = Some(Entitlement {
                    plan: "day".to_owned(),
                    until: at(until),
                    bytes: Amount { granted: Some(1000), consumed },
                    seconds: Amount { granted: Some(3600), consumed: lasted },
                });
            }
        };
        check(None, "day has 400 bytes and 60 seconds left", bought(120, 600, 3540));
        check(Some("subscription"), "all bytes of day are used", bought(120, 1000, 0));
        check(Some("subscription"), "all time of day is used", bought(120, 0, 3600));
        check(Some("subscription"), "day is over", bought(99, 0, 0));
    }

    #[test]
    fn a_nas_that_says_yes_and_does_nothing_is_told() {
        check(
            None,
            "tower was asked to disconnect and said ack; seen after 900 ms: still_there",
            |facts| {
                facts.effects.push(Kept {
                    nas_name: "tower".to_owned(),
                    asked: "disconnect".to_owned(),
                    asked_at: at(99),
                    answered: "ack".to_owned(),
                    error_cause: None,
                    observed: "still_there".to_owned(),
                    after_ms: 900,
                });
            },
        );
    }
}
