//! Texts with facts in braces: `{name}`; `{{` and `}}` are braces. Pure.

use std::collections::BTreeMap;

use super::{
    segments,
    words::{Kind, MessageChannel},
};

/// What a message says, by name.
pub(super) type Facts = BTreeMap<&'static str, String>;

/// A text of one channel in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// E-mail: the subject. WhatsApp: what the text is called there, where it was approved.
    pub subject: String,
    pub body: String,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("a brace is not closed; for a brace itself write it twice")]
    Open,
    #[error("there is no fact `{{{name}}}`; there are {}", known.join(", "))]
    Unknown { name: String, known: &'static [&'static str] },
    #[error("it must name `{{{0}}}`")]
    Needs(&'static str),
    #[error("expected 1 to {0} characters")]
    Length(usize),
    #[error("it would be sent in {0} parts; {SEGMENTS_MAX} are the most")]
    Segments(u16),
    #[error("expected lower-case letters, digits and `_`, as the text is called at WhatsApp")]
    Name,
    #[error("a subject is one line of 1 to {SUBJECT_MAX} characters")]
    Subject,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Fact(&'t str),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, TextError> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        pieces.push(Piece::Text(before));
        if let Some(after) = from.strip_prefix("{{") {
            pieces.push(Piece::Text("{"));
            rest = after;
        } else if let Some(after) = from.strip_prefix("}}") {
            pieces.push(Piece::Text("}"));
            rest = after;
        } else {
            let inside = from.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            let (name, after) = inside.ok_or(TextError::Open)?;
            pieces.push(Piece::Fact(name));
            rest = after;
        }
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// A fact that is not there is nothing: texts were checked when they were saved.
pub(super) fn fill(text: &str, facts: &Facts) -> String {
    let pieces = pieces(text).unwrap_or_else(|_| vec![Piece::Text(text)]);
    let say = |piece: &Piece<'_>| match piece {
        Piece::Text(text) => (*text).to_owned(),
        Piece::Fact(name) => facts.get(name).cloned().unwrap_or_default(),
    };
    pieces.iter().map(say).collect()
}

/// The facts in the order in which a text names them: what WhatsApp puts into an approved text.
pub(super) fn named(text: &str, facts: &Facts) -> Vec<String> {
    let pieces = pieces(text).unwrap_or_default();
    let fact = |piece: &Piece<'_>| match piece {
        Piece::Text(_) => None,
        Piece::Fact(name) => Some(facts.get(name).cloned().unwrap_or_default()),
    };
    pieces.iter().filter_map(fact).collect()
}

/// What is wrong with it: where, and why.
pub(super) fn check(
    kind: Kind,
    channel: MessageChannel,
    text: &Text,
) -> Result<(), (&'static str, TextError)> {
    let body = |error| ("body", error);
    let length = text.body.chars().count();
    if length == 0 || length > BODY_MAX {
        return Err(body(TextError::Length(BODY_MAX)));
    }
    check_facts(kind, &text.body).map_err(body)?;
    for need in kind.needs() {
        if !pieces(&text.body).is_ok_and(|pieces| pieces.contains(&Piece::Fact(need))) {
            return Err(body(TextError::Needs(need)));
        }
    }
    match channel {
        MessageChannel::Email => {
            check_facts(kind, &text.subject).map_err(|error| ("subject", error))?;
            let length = text.subject.chars().count();
            let fits =
                (1..=SUBJECT_MAX).contains(&length) && !text.subject.chars().any(char::is_control);
            if !fits {
                return Err(("subject", TextError::Subject));
            }
        }
        MessageChannel::Sms => {
            let parts = segments::count(&fill(&text.body, &sample(kind)));
            if parts > SEGMENTS_MAX {
                return Err(body(TextError::Segments(parts)));
            }
        }
        MessageChannel::Whatsapp => {
            let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            let name = &text.subject;
            if name.is_empty() || name.len() > 512 || !name.bytes().all(fits) {
                return Err(("subject", TextError::Name));
            }
        }
    }
    Ok(())
}

fn check_facts(kind: Kind, text: &str) -> Result<(), TextError> {
    for piece in pieces(text)? {
        if let Piece::Fact(name) = piece
            && !kind.facts().contains(&name)
        {
            return Err(TextError::Unknown { name: name.to_owned(), known: kind.facts() });
        }
    }
    Ok(())
}

/// Facts as they may be, for a look at a text.
pub(super) fn sample(kind: Kind) -> Facts {
    let fact = |name: &'static str| {
        let value = match name {
            "name" => "Amina Wanjiru",
            "account" => "1000017",
            "provider" => "Savanna Net",
            "plan" => "Home 10",
            "amount" => "KES 2,500.00",
            "date" => "2026-12-01",
            "days" => "3",
            "receipt" => "TK60708BHZ",
            "number" => "INV-000042",
            "serial" => "17",
            "reference" => "TKT-000007",
            "title" => "Slow since this morning",
            "link" => "https://noc.example.ke/console/accept#…",
            "code" => "123456",
            "count" => "50",
            _ => "text",
        };
        (name, value.to_owned())
    };
    kind.facts().iter().map(|name| fact(name)).collect()
}

const BODY_MAX: usize = 4000;
const SUBJECT_MAX: usize = 150;
/// What a subscriber reads, and a tenant pays, at one time.
const SEGMENTS_MAX: u16 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn sms(kind: Kind, body: &str) -> Result<(), TextError> {
        let text = Text { subject: String::new(), body: body.to_owned() };
        check(kind, MessageChannel::Sms, &text).map_err(|(_, error)| error)
    }

    #[test]
    fn facts_stand_where_they_are_named() {
        let facts = Facts::from([("name", "Amina".to_owned()), ("amount", "KES 5".to_owned())]);
        let text = "{name}: {{{amount}}} {name}";
        assert_eq!(fill(text, &facts), "Amina: {KES 5} Amina");
        assert_eq!(named(text, &facts), ["Amina", "KES 5", "Amina"]);
        // What is filled in is not read again.
        let sly = Facts::from([("name", "{amount}".to_owned())]);
        assert_eq!(fill("{name}", &sly), "{amount}");
    }

    #[test]
    fn a_text_that_does_not_fit_is_refused_with_the_reason() {
        assert_eq!(sms(Kind::Payment, "Hi {name}, {amount}"), Ok(()));
        for open in ["Hi {name", "Hi name}", "{"] {
            assert_eq!(sms(Kind::Payment, open), Err(TextError::Open), "{open}");
        }
        let unknown = sms(Kind::Payment, "{nmae}").unwrap_err();
        assert!(unknown.to_string().starts_with("there is no fact `{nmae}`; there are name, "));
        assert_eq!(sms(Kind::Code, "Hello"), Err(TextError::Needs("code")));
        assert_eq!(sms(Kind::Payment, ""), Err(TextError::Length(BODY_MAX)));
        assert_eq!(sms(Kind::Payment, &"a".repeat(919)), Err(TextError::Segments(7)));
        let text = |subject: &str| Text { subject: subject.to_owned(), body: "x".to_owned() };
        for (channel, subject, wrong) in [
            (MessageChannel::Email, "a\nb", TextError::Subject),
            (MessageChannel::Email, "", TextError::Subject),
            (MessageChannel::Whatsapp, "Paid", TextError::Name),
        ] {
            let refused = check(Kind::Payment, channel, &text(subject)).unwrap_err();
            assert_eq!(refused, ("subject", wrong), "{subject}");
        }
        assert_eq!(check(Kind::Payment, MessageChannel::Whatsapp, &text("paid_2")), Ok(()));
    }
}
