//! What a token of a program may be used for: `NOUN:read` or `NOUN:write`, where the noun is the
//! word behind `/api/`, or `*` for all of them. Pure.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::ToSchema;

use crate::{logins::OWN, words::NotAWord};

/// One thing that is allowed. Writing does not include reading.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, example = "subscribers:read",
    pattern = r"^([a-z][a-z-]{0,39}|\*):(read|write)$")]
pub struct Scope(Said);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    noun: String,
    writes: bool,
}

/// At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// None if there are none, or more than anybody needs.
    pub fn new(mut scopes: Vec<Scope>) -> Option<Self> {
        scopes.sort();
        scopes.dedup();
        (1..=SCOPES_MAX).contains(&scopes.len()).then_some(Self(scopes))
    }

    pub fn allow(&self, noun: &str, writes: bool) -> bool {
        // A program changes no password and makes no tokens, whatever it was given.
        let own = noun == OWN && writes;
        let fits = |scope: &Scope| {
            scope.0.writes == writes && (scope.0.noun == noun || scope.0.noun == EVERY)
        };
        !own && self.0.iter().any(fits)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

impl FromStr for Scope {
    type Err = NotAWord;

    fn from_str(text: &str) -> Result<Self, NotAWord> {
        let word = |noun: &str| {
            (1..=40).contains(&noun.len())
                && noun.starts_with(|c: char| c.is_ascii_lowercase())
                && noun.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        };
        let (noun, verb) = text.split_once(':').unwrap_or_default();
        let writes = match verb {
            "read" => Some(false),
            "write" => Some(true),
            _ => None,
        };
        match writes {
            Some(writes) if word(noun) || noun == EVERY => {
                Ok(Self(Said { noun: noun.to_owned(), writes }))
            }
            Some(_) | None => {
                Err(NotAWord("NOUN:read or NOUN:write like `subscribers:read`, or `*:read`"))
            }
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.noun, if self.0.writes { "write" } else { "read" })
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

const EVERY: &str = "*";
const SCOPES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(texts: &[&str]) -> Scopes {
        Scopes::new(texts.iter().map(|text| text.parse().unwrap()).collect()).unwrap()
    }

    #[test]
    fn a_scope_prints_and_parses_back() {
        for text in ["subscribers:read", "access-points:write", "*:read"] {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for wrong in ["", "subscribers", "subscribers:", ":read", "A:read", "a:all", "*a:read"] {
            assert!(wrong.parse::<Scope>().is_err(), "{wrong}");
        }
        assert!(format!("{}:read", "a".repeat(41)).parse::<Scope>().is_err());
    }

    #[test]
    fn what_is_not_said_is_not_allowed() {
        let some = scopes(&["subscribers:read", "payments:write"]);
        assert!(some.allow("subscribers", false) && some.allow("payments", true));
        assert!(!some.allow("subscribers", true) && !some.allow("payments", false));
        let all = scopes(&["*:read", "*:write"]);
        assert!(all.allow("plans", true) && all.allow("auth", false) && all.allow("", false));
        assert!(!all.allow("auth", true) && !scopes(&["auth:write"]).allow("auth", true));
    }

    #[test]
    fn there_is_at_least_one_and_never_very_many() {
        assert_eq!(Scopes::new(Vec::new()), None);
        let many = |n: usize| (0..n).map(|_| "a:read".parse().unwrap()).collect();
        assert_eq!(Scopes::new(many(500)).map(|scopes| scopes.iter().count()), Some(1));
    }
}
