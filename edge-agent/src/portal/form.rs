//! What a form has sent (pure).

use std::fmt;

use zeroize::Zeroizing;

#[derive(Default)]
pub(super) struct Form {
    pub(super) token: String,
    pub(super) username: String,
    pub(super) password: Zeroizing<String>,
}

impl Form {
    /// `application/x-www-form-urlencoded`. What is not there is empty; the first of a name counts.
    pub(super) fn read(body: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            let field = match &*name {
                "token" => &mut form.token,
                // In capitals: WISPr's.
                "username" | "UserName" => &mut form.username,
                "password" | "Password" => &mut *form.password,
                _ => continue,
            };
            if field.is_empty() {
                *field = value.into_owned();
            }
        }
        // Phones like to put a space behind a word.
        form.username = form.username.trim().to_owned();
        form
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The first value of a name in the query of an address.
pub(super) fn query_value(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_form_is_read_as_browsers_send_it() {
        let form =
            Form::read(b"token=ab&username=+amina%40home+&password=si+m%26ba&x=y&username=b");
        assert_eq!((&*form.token, &*form.username), ("ab", "amina@home"));
        assert_eq!(&**form.password, "si m&ba");
        assert_eq!(format!("{form:?}"), "Form { username: \"amina@home\", .. }");
    }

    #[test]
    fn programs_send_it_in_capitals() {
        let form = Form::read(b"button=Login&UserName=amina&Password=simba&FNAME=0");
        assert_eq!((&*form.username, &**form.password), ("amina", "simba"));
    }

    #[test]
    fn a_query_has_values_by_name() {
        assert_eq!(query_value("a=b&lang=sw&lang=en", "lang").as_deref(), Some("sw"));
        assert_eq!(query_value("", "lang"), None);
    }

    proptest! {
        #[test]
        fn any_octets_are_a_form(body: Vec<u8>) {
            let form = Form::read(&body);
            prop_assert!(form.username.len() <= body.len() * 3);
        }
    }
}
