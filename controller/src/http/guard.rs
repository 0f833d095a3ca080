//! A role for each route, and the list of them. A route cannot be added without saying who may
//! call it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    Extension, Router,
    extract::{FromRequestParts, Request},
    http::request::Parts,
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
};
use utoipa::openapi::{
    OpenApi, OpenApiBuilder, RefOr, Schema, path::Operation, security::SecurityRequirement,
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt as _};

use super::Problem;
use crate::{
    actor::Actor,
    clock,
    logins::{Asked, Credential},
    operators::Role,
};

/// Who may call a route.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// No login: the route does its own checking, or tells nothing.
    Nobody,
    /// An edge, by its own secret; checked by the route.
    Edge,
    /// Any member of staff.
    Staff,
    /// Staff with one of these roles.
    One(&'static [Role]),
}

impl Need {
    fn allows(self, actor: Option<&Actor>) -> Result<(), Problem> {
        let roles = match self {
            Self::Nobody | Self::Edge => return Ok(()),
            Self::Staff => &Role::ALL,
            Self::One(roles) => roles,
        };
        let actor = actor.ok_or_else(Problem::login_needed)?;
        if roles.contains(&actor.role) { Ok(()) } else { Err(Problem::role_needed(actor.role)) }
    }

    fn describe(self) -> String {
        match self {
            Self::Nobody => "-".to_owned(),
            Self::Edge => "(edge)".to_owned(),
            Self::Staff => "(staff)".to_owned(),
            Self::One(roles) => {
                roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

/// A router that keeps a list of what it guards.
pub struct Guarded<S> {
    router: OpenApiRouter<S>,
    list: Vec<String>,
    schemas: Schemas,
}

/// What each name of a schema stands for. The document has one place for a name, where the last
/// type that has it would win in silence.
#[derive(Default)]
struct Schemas {
    known: BTreeMap<String, RefOr<Schema>>,
    clashes: BTreeSet<String>,
}

impl Schemas {
    fn learn(&mut self, name: &str, schema: &RefOr<Schema>) {
        let known = self.known.entry(name.to_owned()).or_insert_with(|| schema.clone());
        if known != schema {
            self.clashes.insert(name.to_owned());
        }
    }

    fn merge(&mut self, other: Self) {
        for (name, schema) in &other.known {
            self.learn(name, schema);
        }
        self.clashes.extend(other.clashes);
    }
}

impl<S> std::fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guarded").field("list", &self.list).finish_non_exhaustive()
    }
}

impl<S: Clone + Send + Sync + 'static> Default for Guarded<S> {
    fn default() -> Self {
        Self { router: OpenApiRouter::new(), list: Vec::new(), schemas: Schemas::default() }
    }
}

impl<S: Clone + Send + Sync + 'static> Guarded<S> {
    /// Adds what `routes!(handler)` made of one handler.
    #[must_use]
    pub fn route(self, need: Need, routes: UtoipaMethodRouter<S>) -> Self {
        self.add(need, false, routes)
    }

    /// The same, for what moves money out or makes somebody mighty: who has a second factor shows
    /// it within the ten minutes before.
    #[must_use]
    pub fn dangerous(self, need: Need, routes: UtoipaMethodRouter<S>) -> Self {
        self.add(need, true, routes)
    }

    fn add(mut self, need: Need, dangerous: bool, mut routes: UtoipaMethodRouter<S>) -> Self {
        for (name, schema) in &routes.0 {
            self.schemas.learn(name, schema);
        }
        let mut noun = Arc::<str>::default();
        for (path, item) in &mut routes.1.paths {
            let operations = [
                ("DELETE", &mut item.delete),
                ("GET", &mut item.get),
                ("PATCH", &mut item.patch),
                ("POST", &mut item.post),
                ("PUT", &mut item.put),
            ];
            for (method, operation) in operations {
                let Some(operation) = operation else { continue };
                operation.operation_id =
                    Some(operation_id(path, operation.operation_id.as_deref().unwrap_or(method)));
                document(need, dangerous, operation);
                let code = if dangerous { " +code" } else { "" };
                self.list.push(format!("{path} {method} {}{code}", need.describe()));
            }
            noun = noun_of(path).into();
        }
        let guarded = move |request, next| {
            let noun = Arc::clone(&noun);
            async move { guard(need, dangerous, &noun, request, next).await }
        };
        let routes = routes.layer(from_fn(guarded));
        self.router = self.router.routes(routes);
        self
    }

    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.list.extend(other.list);
        self.schemas.merge(other.schemas);
        self
    }

    /// Names that types of different forms have: in the document they would be one.
    pub fn clashes(&self) -> impl Iterator<Item = &str> {
        self.schemas.clashes.iter().map(String::as_str)
    }

    /// One line for each route: path, method, roles. Sorted.
    pub fn list(&self) -> String {
        let mut list = self.list.clone();
        list.sort();
        list.join("\n")
    }

    /// The router, and what it says of itself.
    pub fn split(self, about: OpenApi) -> (Router<S>, OpenApi) {
        let (router, mut api) = self.router.split_for_parts();
        api.info = about.info;
        api.tags = about.tags;
        if let (Some(components), Some(more)) = (&mut api.components, about.components) {
            components.security_schemes.extend(more.security_schemes);
        }
        (router, OpenApiBuilder::from(api).build())
    }
}

/// Handlers of several domains are called `list`: `network_nas_list` is one of them.
fn operation_id(path: &str, handler: &str) -> String {
    let words = path.split(['/', '-', '.']).filter(|word| !word.is_empty() && *word != "api");
    let mut words: Vec<_> = words.filter(|word| !word.starts_with('{')).collect();
    if words.last() != Some(&handler) {
        words.push(handler);
    }
    words.join("_")
}

/// The word behind `/api/`: what scopes are about.
fn noun_of(path: &str) -> &str {
    path.strip_prefix("/api/").and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

fn document(need: Need, dangerous: bool, operation: &mut Operation) {
    let scheme = match need {
        Need::Nobody => return,
        Need::Edge => "edge",
        Need::Staff | Need::One(_) => "staff",
    };
    operation.security = Some(vec![SecurityRequirement::new(scheme, Vec::<String>::new())]);
    let mut say = |text: String| {
        let before = operation.description.take();
        operation.description =
            Some(before.map_or_else(|| text.clone(), |before| format!("{before}\n\n{text}")));
    };
    if let Need::One(_) = need {
        say(format!("Roles: {}.", need.describe()));
    }
    if dangerous {
        say("Who has a second factor shows it first, at `/api/auth/prove`.".to_owned());
    }
}

async fn guard(need: Need, dangerous: bool, noun: &str, request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    if let Err(problem) = need.allows(extensions.get::<Actor>()) {
        return problem.into_response();
    }
    let asked = Asked { noun, writes: !request.method().is_safe(), dangerous };
    let lack = match (need, extensions.get::<Credential>()) {
        (Need::Staff | Need::One(_), Some(credential)) => credential.lacks(asked, clock::now()),
        (_, _) => None,
    };
    match lack {
        Some(lack) => Problem::from(lack).into_response(),
        None => next.run(request).await,
    }
}

/// The member of staff who calls. Only behind a guard that needs one.
impl<S: Send + Sync> FromRequestParts<S> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let actor = Extension::<Self>::from_request_parts(parts, state).await;
        actor.map(|Extension(actor)| actor).map_err(|_| Problem::login_needed())
    }
}

#[cfg(test)]
mod tests {
    use utoipa_axum::routes;

    use super::*;

    mod one {
        #[derive(utoipa::ToSchema)]
        #[expect(dead_code, reason = "only its form is looked at")]
        pub(super) struct Class {
            name: String,
        }

        #[utoipa::path(get, path = "/one", responses((status = 200, body = Class)))]
        pub(super) async fn show() {}

        #[utoipa::path(get, path = "/same", responses((status = 200, body = Vec<Class>)))]
        pub(super) async fn list() {}
    }

    mod other {
        #[derive(utoipa::ToSchema)]
        #[expect(dead_code, reason = "only its form is looked at")]
        pub(super) struct Class {
            rate: u32,
        }

        /// It is found in what holds it, too.
        #[derive(utoipa::ToSchema)]
        #[expect(dead_code, reason = "only its form is looked at")]
        pub(super) struct Holder {
            class: Class,
        }

        #[utoipa::path(get, path = "/other", responses((status = 200, body = Holder)))]
        pub(super) async fn show() {}
    }

    #[test]
    fn two_types_of_one_name_clash() {
        let one = || Guarded::<()>::default().route(Need::Nobody, routes!(one::show));
        let same = one().route(Need::Nobody, routes!(one::list));
        assert_eq!(same.clashes().collect::<Vec<_>>(), Vec::<&str>::new());
        let beside = one().route(Need::Nobody, routes!(other::show));
        assert_eq!(beside.clashes().collect::<Vec<_>>(), ["Class"]);
        let other = Guarded::default().route(Need::Nobody, routes!(other::show));
        assert_eq!(one().merge(other).clashes().collect::<Vec<_>>(), ["Class"]);
    }
}
