//! What the program says of itself: is it well, what does it count, which routes has it.

pub mod http;
mod metrics;

use std::sync::Arc;

use utoipa::openapi::{
    Info, OpenApi, OpenApiBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

pub use self::metrics::Metrics;
use crate::{
    db::Db,
    edges::link::Link,
    http::{Guarded, complete},
};

/// What these routes need from the rest of the program.
#[derive(Clone, Debug)]
pub struct About {
    db: Db,
    link: Link,
    metrics: Metrics,
    openapi: Arc<str>,
}

impl About {
    /// `routes` is everything that is served.
    pub fn new<S>(db: Db, link: Link, routes: Guarded<S>) -> Self
    where
        S: Clone + Send + Sync + 'static,
    {
        let (_router, api) = routes.split(head());
        // It is made of what the program itself has put together.
        let mut document = serde_json::to_value(api).expect("an OpenAPI document is JSON");
        complete(&mut document);
        let openapi = document.to_string().into();
        Self { db, link, metrics: Metrics::install(), openapi }
    }
}

/// The parts of the document that no route has.
pub(crate) fn head() -> OpenApi {
    let mut info = Info::new("KenNet controller", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "Errors are RFC 9457 problems. Lists are pages: `limit`, `after`, and `next` in the \
         answer. A POST that makes something takes an `Idempotency-Key`; sent again with it, it \
         makes nothing new. A PATCH needs `If-Match` with the `ETag` of what you saw."
            .to_owned(),
    );
    let mut api = OpenApiBuilder::new().info(info).build();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let bearer = bearer.description(Some("`token` of `POST /api/auth/login`")).build();
    let basic = HttpBuilder::new().scheme(HttpAuthScheme::Basic);
    let basic = basic.description(Some("id and secret of an edge")).build();
    let components = api.components.get_or_insert_default();
    components.add_security_scheme("staff", SecurityScheme::Http(bearer));
    components.add_security_scheme("edge", SecurityScheme::Http(basic));
    api
}
