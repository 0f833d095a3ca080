//! What all routes share: guards, problems, pages, limits. No domain lives here.
//!
//! A domain's `http.rs` hands a [`Guarded`] router to `app.rs`, which merges them.

mod guard;
mod page;
mod problem;

pub use guard::{Guarded, Need};
pub use page::{Page, PageAsk, PageQuery};
pub use problem::{Body, FieldError, Problem};
