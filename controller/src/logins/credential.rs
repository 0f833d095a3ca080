//! By what a request is known, and what that allows. Pure.

use jiff::{SignedDuration, Timestamp};
use shared::id::LoginId;

use crate::api_tokens::Scopes;

/// Stands beside the [`crate::actor::Actor`] of a request.
#[derive(Clone, Debug)]
pub struct Credential {
    pub by: By,
    /// The role needs a second factor and there is none yet.
    pub unfinished: bool,
}

#[derive(Clone, Debug)]
pub enum By {
    Login(KnownLogin),
    Program(Scopes),
}

#[derive(Clone, Copy, Debug)]
pub struct KnownLogin {
    pub id: LoginId,
    pub has_factor: bool,
    /// When the second factor was shown last.
    pub proven_at: Option<Timestamp>,
    /// Came in a cookie, which a browser sends for whatever page asks; and without the word that
    /// only pages of ours know.
    pub forgeable: bool,
}

/// Why a credential is not enough for what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    Scope,
    CsrfToken,
    SecondFactor,
    FreshCode,
}

/// What is asked, as far as it matters to a credential.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The word behind `/api/`.
    pub noun: &'a str,
    /// Changes something.
    pub writes: bool,
    /// Wants the second factor, if there is one, within the last minutes.
    pub dangerous: bool,
}

impl Credential {
    pub fn lacks(&self, asked: Asked<'_>, now: Timestamp) -> Option<Lack> {
        match &self.by {
            By::Program(scopes) if !scopes.allow(asked.noun, asked.writes) => {
                return Some(Lack::Scope);
            }
            By::Login(login) if login.forgeable && asked.writes => return Some(Lack::CsrfToken),
            By::Program(_) | By::Login(_) => {}
        }
        if self.unfinished && asked.noun != OWN {
            return Some(Lack::SecondFactor);
        }
        match &self.by {
            By::Login(login) if asked.dangerous && login.has_factor => {
                let fresh = login.proven_at.is_some_and(|at| now < at + FRESH);
                (!fresh).then_some(Lack::FreshCode)
            }
            By::Login(_) | By::Program(_) => None,
        }
    }
}

/// What is about who asks, and nothing else.
pub const OWN: &str = "auth";
const FRESH: SignedDuration = SignedDuration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn login() -> KnownLogin {
        let id = LoginId::from_uuid(uuid::Uuid::nil());
        KnownLogin { id, has_factor: false, proven_at: None, forgeable: false }
    }

    #[track_caller]
    fn check(by: By, unfinished: bool, asked: Asked<'_>, lack: Option<Lack>) {
        assert_eq!(Credential { by, unfinished }.lacks(asked, NOW), lack, "{asked:?}");
    }

    const READ: Asked<'static> = Asked { noun: "plans", writes: false, dangerous: false };
    const WRITE: Asked<'static> = Asked { writes: true, ..READ };
    const DANGER: Asked<'static> = Asked { dangerous: true, ..WRITE };

    #[test]
    fn a_cookie_alone_reads_and_does_not_write() {
        let forgeable = KnownLogin { forgeable: true, ..login() };
        check(By::Login(forgeable), false, READ, None);
        check(By::Login(forgeable), false, WRITE, Some(Lack::CsrfToken));
        check(By::Login(login()), false, WRITE, None);
    }

    #[test]
    fn a_program_does_what_its_scopes_say() {
        let scopes = || By::Program(Scopes::new(vec!["plans:read".parse().unwrap()]).unwrap());
        check(scopes(), false, READ, None);
        check(scopes(), false, WRITE, Some(Lack::Scope));
        check(scopes(), false, Asked { noun: "sessions", ..READ }, Some(Lack::Scope));
    }

    #[test]
    fn who_needs_a_second_factor_sets_it_up_first() {
        check(By::Login(login()), true, READ, Some(Lack::SecondFactor));
        check(By::Login(login()), true, Asked { noun: OWN, ..WRITE }, None);
    }

    #[test]
    fn danger_wants_a_code_of_the_last_ten_minutes_of_who_has_a_factor() {
        check(By::Login(login()), false, DANGER, None);
        let has = |ago| KnownLogin { has_factor: true, proven_at: ago, ..login() };
        let ago = |minutes| Some(NOW - SignedDuration::from_mins(minutes));
        check(By::Login(has(None)), false, DANGER, Some(Lack::FreshCode));
        check(By::Login(has(ago(9))), false, DANGER, None);
        check(By::Login(has(ago(10))), false, DANGER, Some(Lack::FreshCode));
        check(By::Login(has(None)), false, WRITE, None);
    }
}
