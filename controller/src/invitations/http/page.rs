//! The two pages that links in e-mails lead to: joining the staff, choosing a new password. Forms
//! that work without a script; with one, nobody has to copy the token out of the address.

use axum::{
    extract::{Form, FromRef, State, rejection::FormRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use shared::secret::Secret;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{super::Newcomer, Invitations};
use crate::{
    http::{Guarded, Need, Problem},
    logins::{Origin, Place},
};

pub(super) fn routes<S>() -> Guarded<S>
where
    S: Clone + Send + Sync + 'static,
    Invitations: FromRef<S>,
{
    Guarded::default()
        .route(Need::Nobody, routes!(accept_page))
        .route(Need::Nobody, routes!(accept_form))
        .route(Need::Nobody, routes!(reset_page))
        .route(Need::Nobody, routes!(reset_form))
}

/// The page that an invitation leads to.
#[utoipa::path(get, path = "/console/accept", tag = "auth",
    responses((status = 200, content_type = "text/html", body = String)))]
async fn accept_page() -> Response {
    JOIN.show(&LinkForm::default(), "", StatusCode::OK)
}

/// Joins the staff by what was filled in, as `POST /api/auth/accept` does, but without a login.
#[utoipa::path(post, path = "/console/accept", tag = "auth",
    request_body(content = LinkForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 403, content_type = "text/html", body = String),
        (status = 409, content_type = "text/html", body = String),
        (status = 422, content_type = "text/html", body = String),
        (status = 429, content_type = "text/html", body = String)))]
async fn accept_form(
    State(invitations): State<Invitations>,
    origin: Origin,
    form: Result<Form<LinkForm>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else { return JOIN.unreadable() };
    let (name, password) = match (form.name.parse(), form.password.parse()) {
        (Ok(name), Ok(password)) => (name, password),
        (Err(wrong), _) => return JOIN.wrong(&format!("Your name: expected {wrong}"), &form),
        (_, Err(wrong)) => return JOIN.wrong(&format!("The password: expected {wrong}"), &form),
    };
    let token = Secret::new(form.token.trim().to_owned());
    let new = Newcomer { token, name, password, place: Place::default() };
    match invitations.join(new, origin).await {
        Ok(()) => JOIN.done(),
        Err(error) => JOIN.refused(&error.into(), &form),
    }
}

/// The page that a link to a new password leads to.
#[utoipa::path(get, path = "/console/reset", tag = "auth",
    responses((status = 200, content_type = "text/html", body = String)))]
async fn reset_page() -> Response {
    CHOOSE.show(&LinkForm::default(), "", StatusCode::OK)
}

/// Chooses a new password by what was filled in, as `POST /api/auth/reset` does.
#[utoipa::path(post, path = "/console/reset", tag = "auth",
    request_body(content = LinkForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, content_type = "text/html", body = String),
        (status = 403, content_type = "text/html", body = String),
        (status = 422, content_type = "text/html", body = String),
        (status = 429, content_type = "text/html", body = String)))]
async fn reset_form(
    State(invitations): State<Invitations>,
    origin: Origin,
    form: Result<Form<LinkForm>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else { return CHOOSE.unreadable() };
    let password = match form.password.parse() {
        Ok(password) => password,
        Err(wrong) => return CHOOSE.wrong(&format!("The password: expected {wrong}"), &form),
    };
    let token = Secret::new(form.token.trim().to_owned());
    match invitations.choose(&token, &password, origin).await {
        Ok(()) => CHOOSE.done(),
        Err(error) => CHOOSE.refused(&error.into(), &form),
    }
}

/// As a browser sends it: what is wrong with it is said on the page.
#[derive(Default, Deserialize, ToSchema)]
struct LinkForm {
    #[serde(default)]
    token: String,
    /// Only of who joins.
    #[serde(default)]
    name: String,
    #[serde(default)]
    #[schema(format = Password)]
    password: String,
}

struct Page {
    title: &'static str,
    button: &'static str,
    done: &'static str,
    has_name: bool,
}

impl Page {
    fn show(&self, form: &LinkForm, said: &str, status: StatusCode) -> Response {
        let said = escaped(said);
        let (token, name) = (escaped(&form.token), escaped(&form.name));
        let name = if self.has_name {
            format!(
                "<label>Your name <input name=\"name\" value=\"{name}\" autocomplete=\"name\" \
                 maxlength=\"200\" required></label>"
            )
        } else {
            String::new()
        };
        let button = self.button;
        let inner = format!(
            "<p role=\"alert\">{said}</p><form method=\"post\">\
             <label id=\"by-hand\">What stands behind the # in the link \
             <input name=\"token\" value=\"{token}\" autocomplete=\"off\" required></label>{name}\
             <label>A password that you use nowhere else <input name=\"password\" type=\"password\" \
             autocomplete=\"new-password\" minlength=\"10\" maxlength=\"200\" required></label>\
             <button>{button}</button></form><script>{SCRIPT}</script>"
        );
        self.answer(status, &inner)
    }

    fn done(&self) -> Response {
        self.answer(StatusCode::OK, &format!("<p role=\"status\">{}</p>", self.done))
    }

    fn wrong(&self, said: &str, form: &LinkForm) -> Response {
        self.show(form, said, StatusCode::UNPROCESSABLE_ENTITY)
    }

    fn unreadable(&self) -> Response {
        self.wrong("This form could not be read: fill it in again.", &LinkForm::default())
    }

    fn refused(&self, problem: &Problem, form: &LinkForm) -> Response {
        self.show(form, problem.title(), problem.status())
    }

    fn answer(&self, status: StatusCode, inner: &str) -> Response {
        let title = self.title;
        let page = format!(
            "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
             <style>{STYLE}</style><main><h1>{title}</h1>{inner}</main></html>"
        );
        let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            hash(SCRIPT),
            hash(STYLE)
        );
        let mut response = (status, page).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, kind);
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        response
    }
}

/// What somebody has filled in is text, whatever it looks like.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

const JOIN: Page = Page {
    title: "Join the staff",
    button: "Join",
    done: "You have joined. Log in with your e-mail address and the password.",
    has_name: true,
};
const CHOOSE: Page = Page {
    title: "Choose a new password",
    button: "Choose it",
    done: "You have a new password, and are logged out everywhere. Log in with it.",
    has_name: false,
};

/// A token never goes to a server in an address; so the page takes it out of there itself.
const SCRIPT: &str = "const t=document.forms[0].token,h=location.hash.slice(1);\
if(h){t.value=h;history.replaceState(null,'',location.pathname)}\
if(t.value)document.getElementById('by-hand').hidden=true";
const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;margin:0;background:#f4f4f2;\
color:#1a1a1a}main{max-width:26rem;margin:3rem auto;padding:0 1rem}\
label,input,button{display:block;width:100%;box-sizing:border-box;font:inherit}\
label{margin:1rem 0}label[hidden]{display:none}input{padding:.5rem;margin-top:.25rem}\
button{padding:.6rem;margin-top:1.5rem;cursor:pointer}[role=alert]{color:#a40000}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_filled_in_is_no_markup() {
        assert_eq!(escaped("<b title=\"a\">&'"), "&lt;b title=&quot;a&quot;&gt;&amp;&#39;");
    }
}
