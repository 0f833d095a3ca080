//! What there is to do, as tables: a noun, its actions, their fields. Everything else of the
//! command line is made from them: flags, helps, bodies, columns, CSV.

mod business;
mod messages;
mod money;
mod network;
mod office;
mod providers;
mod resellers;

use crate::{cli::table::Column, words::NotAWord};

/// In the order of the help.
pub(super) const NOUNS: &[&[Noun]] = &[
    business::NOUNS,
    money::NOUNS,
    resellers::NOUNS,
    providers::NOUNS,
    network::NOUNS,
    messages::NOUNS,
    office::NOUNS,
];

pub(super) struct Noun {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) actions: &'static [Action],
}

pub(super) struct Action {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) does: Does,
    /// `{id}` in it is an argument.
    pub(super) path: &'static str,
    /// Filters of a list, else the body.
    pub(super) fields: &'static [Field],
}

#[derive(Clone, Copy)]
pub(super) enum Does {
    /// Reads pages, and prints these columns.
    List(&'static [Column]),
    /// Reads one object.
    Show,
    /// Reads an object, and prints the list in it.
    ShowList(&'static str, &'static [Column]),
    Post,
    /// Reads it first, and changes what was seen.
    Patch,
    Delete,
}

impl Does {
    pub(super) const fn method(self) -> &'static str {
        match self {
            Self::List(_) | Self::Show | Self::ShowList(..) => "get",
            Self::Post => "post",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

pub(super) struct Field {
    /// `--flag`
    pub(super) flag: &'static str,
    /// Where it is in the body, or which parameter of the query it is. The last word is its column
    /// in CSV.
    pub(super) at: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) need: Need,
    /// No two have the same.
    pub(super) unique: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Whatever the controller says to it.
    Free,
    Text(fn(&str) -> Result<(), NotAWord>),
    Number,
    /// What the flag says, if it is there.
    Truth(bool),
    /// In a file, as nobody should see it in a list of processes; in CSV as it is.
    Secret,
    /// May be given again; in CSV with spaces in between.
    Many,
    /// `DESCRIPTION=CENTS`; may be given again.
    Lines,
    /// Code or id of a plan: its latest version is what is sent.
    Plan,
}

#[derive(Clone, Copy)]
pub(super) enum Need {
    Must,
    May,
    Else(&'static str),
    /// Or this other flag.
    Or(&'static str),
}

fn word<W: std::str::FromStr<Err = NotAWord>>(text: &str) -> Result<(), NotAWord> {
    text.parse::<W>().map(drop)
}

impl Field {
    const fn text(flag: &'static str, at: &'static str, help: &'static str) -> Self {
        Self { flag, at, help, kind: Kind::Free, need: Need::May, unique: false }
    }

    const fn of(flag: &'static str, at: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { flag, at, help, kind, need: Need::May, unique: false }
    }

    const fn must(mut self) -> Self {
        self.need = Need::Must;
        self
    }

    const fn or(mut self, other: &'static str) -> Self {
        self.need = Need::Or(other);
        self
    }

    const fn default(mut self, value: &'static str) -> Self {
        self.need = Need::Else(value);
        self
    }

    const fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// Its column in CSV.
    pub(super) fn column(&self) -> &'static str {
        self.at.rsplit('/').next().unwrap_or(self.at)
    }
}

impl Action {
    const fn list(
        about: &'static str,
        path: &'static str,
        columns: &'static [Column],
        fields: &'static [Field],
    ) -> Self {
        Self { name: "list", about, does: Does::List(columns), path, fields }
    }

    /// A list that is the whole answer.
    const fn whole(
        name: &'static str,
        about: &'static str,
        path: &'static str,
        columns: &'static [Column],
    ) -> Self {
        Self { name, about, does: Does::ShowList("", columns), path, fields: &[] }
    }

    const fn show(about: &'static str, path: &'static str) -> Self {
        Self { name: "show", about, does: Does::Show, path, fields: &[] }
    }

    const fn create(about: &'static str, path: &'static str, fields: &'static [Field]) -> Self {
        Self { name: "create", about, does: Does::Post, path, fields }
    }

    const fn update(about: &'static str, path: &'static str, fields: &'static [Field]) -> Self {
        Self { name: "update", about, does: Does::Patch, path, fields }
    }

    const fn post(
        name: &'static str,
        about: &'static str,
        path: &'static str,
        fields: &'static [Field],
    ) -> Self {
        Self { name, about, does: Does::Post, path, fields }
    }

    const fn delete(about: &'static str, path: &'static str) -> Self {
        Self { name: "delete", about, does: Does::Delete, path, fields: &[] }
    }

    const fn get(name: &'static str, about: &'static str, path: &'static str) -> Self {
        Self { name, about, does: Does::Show, path, fields: &[] }
    }

    pub(super) fn takes_id(&self) -> bool {
        self.path.contains("{id}")
    }
}

impl Noun {
    pub(super) fn action(&self, name: &str) -> Option<&'static Action> {
        self.actions.iter().find(|action| action.name == name)
    }
}
