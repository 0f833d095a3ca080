//! Cursor pages: `?limit=50&after=ID`. Ids grow with time, so a page never shifts.

use serde::{Deserialize, Serialize};
use shared::id::{Id, Kind};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::problem::{FieldError, Problem};

/// What part of a list is asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// At most this many, 1 to 500.
    #[param(default = 50, minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// `next` of the page before.
    after: Option<String>,
}

/// Checked.
#[derive(Clone, Copy, Debug)]
pub struct PageAsk {
    pub limit: i64,
    /// The nil UUID is before all.
    pub after: Uuid,
}

impl PageQuery {
    pub fn check<K: Kind>(&self) -> Result<PageAsk, Problem> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let error = FieldError::new("limit", format!("expected 1 to {LIMIT_MAX}"));
            return Err(Problem::invalid(vec![error]));
        }
        let after = match &self.after {
            None => Uuid::nil(),
            Some(text) => match text.parse::<Id<K>>() {
                Ok(id) => *id.as_uuid(),
                Err(error) => {
                    let error = FieldError::new("after", error.to_string());
                    return Err(Problem::invalid(vec![error]));
                }
            },
        };
        Ok(PageAsk { limit: i64::from(limit), after })
    }
}

/// A part of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// For `after` of the next page; none: this was the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// `id` is what the list is sorted by.
    pub fn new<D, K: Kind>(
        items: Vec<D>,
        ask: PageAsk,
        id: impl Fn(&D) -> Id<K>,
        view: impl Fn(D) -> T,
    ) -> Self {
        let full = i64::try_from(items.len()) == Ok(ask.limit);
        let next = items.last().filter(|_| full).map(|last| id(last).to_string());
        Self { items: items.into_iter().map(view).collect(), next }
    }
}

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 500;
