//! What all routes share: guards, problems, bodies, pages, limits. No domain lives here.
//!
//! A domain's `http.rs` hands a [`Guarded`] router to `app.rs`, which merges them.

mod body;
mod guard;
mod layers;
mod page;
mod problem;
mod reply;
mod request;

pub use body::{Bodiless, Body, Create, IfMatch, Path, Query};
pub use guard::{Guarded, Need};
pub(crate) use layers::around;
pub use page::{Page, PageAsk, PageQuery};
pub use problem::{FieldError, Problem};
pub(crate) use problem::{no_method, no_route};
pub use reply::{Created, Versioned};
pub use request::RequestId;
