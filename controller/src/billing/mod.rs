//! What things cost: amounts, taxes, periods. Pure: no clock, no database, no rounding twice.
//!
//! Money is whole cents. A ratio is kept exact and rounded once, half away from zero, for each
//! line and each tax.

mod money;
mod period;
mod tax;

pub use self::{
    money::{Cents, TooMuch},
    period::{
        Proration, Term, day_of, end_of, first_term, month_day, next_day, next_term, prorate,
        start_of, whole_of,
    },
    tax::{BasisPoints, Rates, Split, share_of},
};
