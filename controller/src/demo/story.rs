//! What happened at a provider in some months, day by day. Pure: the same seed and the same last
//! day are the same story.

use jiff::{ToSpan as _, civil::Date};
use sha2::{Digest as _, Sha256};

/// How much of it there is.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub seed: u64,
    /// The first day that is not in it.
    pub until: Date,
    pub months: u8,
    pub subscribers: u16,
}

/// Chance that is always the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// 0 to `sides - 1`; of nothing it is 0.
    pub(super) fn roll(self, of: &str, n: u64, sides: u64) -> u64 {
        let hash = Sha256::digest(format!("{}/{of}/{n}", self.0).as_bytes());
        let eight = hash.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        eight.checked_rem(sides).unwrap_or(0)
    }

    /// As M-Pesa writes them, and never twice.
    pub(super) fn receipt(self, n: u64) -> String {
        const ALPHABET: [char; 32] = [
            'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K', 'L', 'M', 'N', 'P', 'Q', 'R', 'S',
            'T', 'U', 'V', 'W', 'X', 'Y', 'Z', '2', '3', '4', '5', '6', '7', '8', '9',
        ];
        let hash = Sha256::digest(format!("{}/receipt/{n}", self.0).as_bytes());
        let mut text = String::from("T");
        let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().unwrap_or('A');
        text.extend(hash.iter().take(9).map(letter));
        text
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Signs up for a plan, and is billed for the installation.
    Join {
        who: u16,
        plan: usize,
    },
    /// Pays for a month, in cash or by phone; billing does the rest.
    Pay {
        who: u16,
        plan: usize,
        cash: bool,
    },
    /// Pays the installation.
    PayInstallation {
        who: u16,
    },
    Leave {
        who: u16,
    },
    Complain {
        who: u16,
        about: usize,
    },
    Resolve {
        complaint: usize,
    },
    PayIn {
        shop: usize,
    },
    Print {
        shop: usize,
    },
    Redeem {
        shop: usize,
        who: u16,
    },
    Settle {
        shop: usize,
        from: Date,
        until: Date,
    },
    PayOut {
        shop: usize,
    },
    /// Money of nobody known, and what is found out about it.
    Stray {
        cents: i64,
    },
    Claim {
        stray: usize,
        who: u16,
    },
}

pub(super) const SHOPS: usize = 3;
pub(super) const COMPLAINTS: usize = 6;

/// In the order in which it happened.
pub(super) fn tell(scale: &Scale, plans: usize) -> Vec<(Date, Deed)> {
    let dice = Dice(scale.seed);
    let first = scale.until.saturating_sub(i32::from(scale.months).months());
    let mut story: Vec<(Date, Deed)> = Vec::new();
    for who in 0..scale.subscribers {
        of_one(scale, dice, first, plans, who, &mut story);
    }
    of_shops(scale, dice, first, &mut story);
    story.retain(|(day, _)| (first..scale.until).contains(day));
    // Stable: what is told first of a day happened first.
    story.sort_by_key(|(day, _)| *day);
    number(&mut story);
    story
}

fn of_one(
    scale: &Scale,
    dice: Dice,
    first: Date,
    plans: usize,
    who: u16,
    story: &mut Vec<(Date, Deed)>,
) {
    let n = u64::from(who);
    let days = u64::from(scale.months) * 30;
    // Most were there from the beginning on.
    let joined = if dice.roll("early", n, 10) < 6 {
        dice.roll("join", n, 14)
    } else {
        dice.roll("join", n, days)
    };
    let plan = to_usize(dice.roll("plan", n, to_u64(plans)));
    let joins = later(first, joined);
    story.push((joins, Deed::Join { who, plan }));
    story.push((joins, Deed::PayInstallation { who }));
    let leaves =
        (dice.roll("leaves", n, 10) == 0).then(|| later(joins, 100 + dice.roll("stay", n, 150)));
    let mut month = 0;
    loop {
        let billed = joins.saturating_add(month.months());
        if billed >= scale.until || leaves.is_some_and(|day| billed >= day) {
            break;
        }
        let turn = n * 100 + to_u64(usize::try_from(month).unwrap_or_default());
        let cash = dice.roll("cash", turn, 4) == 0;
        match dice.roll("pays", turn, 100) {
            0..=81 => {
                let after = dice.roll("after", turn, 9);
                story.push((later(billed, after), Deed::Pay { who, plan, cash }));
            }
            // Late: off the network for a while.
            82..=93 => {
                let pays = later(billed, 17 + dice.roll("after", turn, 8));
                story.push((pays, Deed::Pay { who, plan, cash }));
            }
            // Not at all.
            _ => {}
        }
        if dice.roll("complains", turn, 12) == 0 {
            let about = to_usize(dice.roll("about", turn, to_u64(COMPLAINTS)));
            let day = later(billed, dice.roll("when", turn, 28));
            story.push((day, Deed::Complain { who, about }));
        }
        month += 1;
    }
    if let Some(day) = leaves {
        story.push((day, Deed::Leave { who }));
    }
}

fn of_shops(scale: &Scale, dice: Dice, first: Date, story: &mut Vec<(Date, Deed)>) {
    let mut day = later(first, 20);
    let mut week = 0_u64;
    while day < scale.until {
        for shop in 0..SHOPS {
            let turn = week * 10 + to_u64(shop);
            if week.is_multiple_of(4) {
                story.push((day, Deed::PayIn { shop }));
            }
            story.push((day, Deed::Print { shop }));
            for sold in 0..3 + dice.roll("sold", turn, 5) {
                let roll = turn * 10 + sold;
                let who = dice.roll("buyer", roll, u64::from(scale.subscribers));
                let who = u16::try_from(who).unwrap_or_default();
                let redeems = later(day, 1 + dice.roll("redeems", roll, 6));
                story.push((redeems, Deed::Redeem { shop, who }));
            }
        }
        if week % 4 == 3 {
            let closes = later(day, 7);
            for shop in 0..SHOPS {
                let (from, until) = (later(day, 0).saturating_sub(21.days()), closes);
                story.push((closes, Deed::Settle { shop, from, until }));
                story.push((closes, Deed::PayOut { shop }));
            }
            let cents = 50_000 + i64::try_from(dice.roll("stray", week, 20)).unwrap_or(0) * 5_000;
            story.push((closes, Deed::Stray { cents }));
            // Some are never claimed.
            if week % 8 == 3 {
                let who = dice.roll("claims", week, u64::from(scale.subscribers));
                let who = u16::try_from(who).unwrap_or_default();
                story.push((later(closes, 3), Deed::Claim { stray: 0, who }));
            }
        }
        day = later(day, 7);
        week += 1;
    }
}

/// A complaint is resolved two days later, and a claim is of the last stray payment: both are known
/// by their number, which is known when everything is in order.
fn number(story: &mut Vec<(Date, Deed)>) {
    let last = story.last().map(|(day, _)| *day);
    let mut resolved = Vec::new();
    let (mut complaints, mut strays) = (0, 0_usize);
    for (day, deed) in story.iter_mut() {
        if let Deed::Complain { .. } = deed {
            resolved.push((later(*day, 2), Deed::Resolve { complaint: complaints }));
            complaints += 1;
        }
        if let Deed::Stray { .. } = deed {
            strays += 1;
        }
        if let Deed::Claim { stray, .. } = deed {
            *stray = strays.saturating_sub(1);
        }
    }
    resolved.retain(|(day, _)| last.is_some_and(|last| *day <= last));
    story.append(&mut resolved);
    story.sort_by_key(|(day, _)| *day);
}

fn later(day: Date, days: u64) -> Date {
    day.saturating_add(i64::try_from(days).unwrap_or(i64::MAX).days())
}

fn to_u64(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

pub(super) fn dice(scale: &Scale) -> Dice {
    Dice(scale.seed)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn scale(seed: u64) -> Scale {
        Scale { seed, until: date(2026, 11, 28), months: 12, subscribers: 40 }
    }

    #[test]
    fn the_same_seed_is_the_same_story() {
        assert_eq!(tell(&scale(1), 3), tell(&scale(1), 3));
        assert_ne!(tell(&scale(1), 3), tell(&scale(2), 3));
    }

    #[test]
    fn nobody_pays_or_complains_before_they_joined() {
        let story = tell(&scale(1), 3);
        assert!(story.len() > 600, "{}", story.len());
        let joined = |one: u16| {
            story.iter().position(|(_, deed)| matches!(deed, Deed::Join { who, .. } if *who == one))
        };
        for (n, (_, deed)) in story.iter().enumerate() {
            if let Deed::Pay { who, .. } | Deed::Complain { who, .. } = deed {
                assert!(joined(*who).unwrap() < n, "{deed:?}");
            }
        }
        assert!(story.is_sorted_by_key(|(day, _)| *day));
    }

    #[test]
    fn receipts_do_not_repeat() {
        let mut receipts: Vec<_> = (0..2000).map(|n| Dice(1).receipt(n)).collect();
        receipts.sort();
        receipts.dedup();
        assert_eq!(receipts.len(), 2000);
    }
}
