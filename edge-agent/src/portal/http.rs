//! HTTP around the answers.

use std::net::IpAddr;

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, Request, Response, StatusCode,
        header, request::Parts,
    },
};

use super::{
    Portal, Visitor,
    answer::{self, Answer},
    form::{Form, query_value},
    page::Page,
    route::{self, Method, Own, Route},
    standing::Standing,
    wispr::{self, Wispr},
    words::{Language, Notice},
};
use crate::sessions::desk::now_ms;

/// Answers one request that `peer` has sent to `own`.
pub(super) async fn serve(
    portal: &Portal,
    own: Own<'_>,
    peer: IpAddr,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let chosen = parts.uri.query().and_then(|query| query_value(query, "lang"));
    let accepted = text(&parts.headers, header::ACCEPT_LANGUAGE);
    let asking = Asking {
        portal,
        origin: portal.origin(own.address),
        peer,
        language: Language::of(chosen.as_deref(), accepted),
        token: parts.uri.query().and_then(|query| query_value(query, "token")),
    };
    let route = route::route(own, method(&parts.method), host(&parts), parts.uri.path());
    metrics::counter!("kennet_portal_requests_total", "route" => route.as_str()).increment(1);
    response(asking.answer(route, body).await)
}

/// A body as it comes from a connection.
pub(super) fn body(incoming: hyper::body::Incoming) -> Body {
    Body::new(incoming)
}

struct Asking<'a> {
    portal: &'a Portal,
    origin: String,
    peer: IpAddr,
    language: Language,
    /// In the address: programs send it there.
    token: Option<String>,
}

impl Asking<'_> {
    async fn answer(&self, route: Route, body: Body) -> Answer {
        let Self { portal, origin, peer, language, .. } = self;
        match route {
            Route::Away => self.away(),
            Route::Nothing => Answer::nothing(*language),
            Route::OnlyBy(allow) => Answer::only_by(allow, *language),
            Route::Probe(success) => match portal.visitor(*peer).await {
                Ok(Visitor { standing: Standing::OnLine(_), .. }) => Answer::success(success),
                Ok(_) | Err(_) => self.away(),
            },
            Route::Api => match portal.visitor(*peer).await {
                Ok(visitor) => Answer::state(&visitor.standing, origin),
                Err(_) => Answer::busy(*language),
            },
            Route::Page => match portal.visitor(*peer).await {
                Ok(visitor) => self.page(&visitor, None, ""),
                Err(_) => Answer::busy(*language),
            },
            Route::Login | Route::Logout => self.sent(route, body).await,
            Route::Wispr(asked) => self.asked(asked, body).await,
        }
    }

    fn away(&self) -> Answer {
        Answer::away(&self.origin, &self.fresh_token(self.peer), self.language)
    }

    fn fresh_token(&self, address: IpAddr) -> String {
        self.portal.tokens.of(address, now_ms())
    }

    async fn asked(&self, asked: Wispr, body: Body) -> Answer {
        let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
            return Answer::too_large(self.language);
        };
        let form = Form { token: self.token.clone().unwrap_or_default(), ..Form::read(&body) };
        let done = match (asked, self.portal.visitor(self.peer).await) {
            (Wispr::Abort, _) => Ok(()),
            (_, Err(_)) => Err(Notice::Busy),
            (Wispr::Login, Ok(visitor)) => self.portal.login(&visitor, &form).await,
            (Wispr::Logoff, Ok(visitor)) => self.portal.logout(&visitor, &form).await,
        };
        let token = self.fresh_token(self.peer);
        Answer::message(wispr::reply(asked, done, &self.origin, &token))
    }

    async fn sent(&self, route: Route, body: Body) -> Answer {
        let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
            return Answer::too_large(self.language);
        };
        let form = Form::read(&body);
        let Ok(visitor) = self.portal.visitor(self.peer).await else {
            return Answer::busy(self.language);
        };
        let done = if route == Route::Login {
            self.portal.login(&visitor, &form).await
        } else {
            self.portal.logout(&visitor, &form).await
        };
        match done {
            Ok(()) => Answer::done(self.language),
            Err(notice) => self.page(&visitor, Some(notice), &form.username),
        }
    }

    fn page(&self, visitor: &Visitor, notice: Option<Notice>, username: &str) -> Answer {
        let Visitor { address, mac, standing } = visitor;
        let token = self.fresh_token(*address);
        let language = self.language;
        let page = Page { language, mac: *mac, standing, notice, token: &token, username };
        Answer::page(answer::status(notice), language, page.html())
    }
}

fn method(method: &HttpMethod) -> Method {
    match *method {
        HttpMethod::GET => Method::Get,
        HttpMethod::HEAD => Method::Head,
        HttpMethod::POST => Method::Post,
        _ => Method::Other,
    }
}

/// The request's target says it before the field does, RFC 9112 §3.2.2.
fn host(parts: &Parts) -> &str {
    match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => text(&parts.headers, header::HOST),
    }
}

/// What is not text says nothing.
fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn response(answer: Answer) -> Response<Body> {
    let Answer { status, kind, language, location, allow, body } = answer;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let headers = response.headers_mut();
    let fixed = HeaderValue::from_static;
    headers.insert(header::CONTENT_TYPE, fixed(kind));
    headers.insert(header::CACHE_CONTROL, fixed("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    if let Some(language) = language {
        headers.insert(header::CONTENT_LANGUAGE, fixed(language.tag()));
        headers.insert(header::CONTENT_SECURITY_POLICY, fixed(POLICY));
        headers.insert(header::REFERRER_POLICY, fixed("no-referrer"));
    }
    if let Some(location) = location.and_then(|url| HeaderValue::try_from(url).ok()) {
        headers.insert(header::LOCATION, location);
    }
    if let Some(allow) = allow {
        headers.insert(header::ALLOW, fixed(allow));
    }
    response
}

/// Nothing but what stands in the page itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

/// Three short fields, each letter of them escaped.
const BODY_MAX: usize = 4 * 1024;
