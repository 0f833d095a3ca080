//! Flags and helps, made from the tables.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::nouns::{Action, Does, Field, Kind, NOUNS, Need, Noun};

/// The whole command line.
pub(super) fn command() -> Command {
    let mut command = Command::new("kennet")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The operator's command line of KenNet")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("json")
                .long("json")
                .global(true)
                .action(ArgAction::SetTrue)
                .help("Print what the controller answered, as JSON"),
        )
        .arg(
            Arg::new("csv")
                .long("csv")
                .global(true)
                .action(ArgAction::SetTrue)
                .conflicts_with("json")
                .help("Print lists as CSV; amounts are in cents"),
        )
        .subcommand(login())
        .subcommand(Command::new("logout").about("End the session of the token"))
        .subcommand(Command::new("whoami").about("Say who is logged in"))
        .subcommand(
            Command::new("verify").about("Read all books again; ends with 2 if something is wrong"),
        );
    for noun in NOUNS.iter().copied().flatten() {
        command = command.subcommand(of_noun(noun));
    }
    command
}

fn login() -> Command {
    Command::new("login")
        .about("Log in, and keep the token in a file that only you can read")
        .arg(Arg::new("url").required(true).help("Where it is, like http://127.0.0.1:8080"))
        .arg(Arg::new("email").required(true).help("Your e-mail address"))
        .arg(
            Arg::new("password-file")
                .long("password-file")
                .value_name("FILE")
                .help("File with the password [default: asked for, or read from standard input]"),
        )
        .arg(
            Arg::new("code")
                .long("code")
                .help("Of the second factor, if there is one: good once, so it may be seen"),
        )
}

fn of_noun(noun: &'static Noun) -> Command {
    let mut command = Command::new(noun.name)
        .about(noun.about)
        .subcommand_required(true)
        .arg_required_else_help(true);
    for action in noun.actions {
        command = command.subcommand(of_action(action));
    }
    if noun.action("create").is_some() {
        command = command.subcommand(import());
    }
    command
}

fn of_action(action: &'static Action) -> Command {
    let mut command = Command::new(action.name).about(action.about);
    if action.takes_id() {
        command = command.arg(Arg::new("id").required(true).value_name("ID"));
    }
    for field in action.fields {
        command = command.arg(of_field(field));
    }
    if matches!(action.does, Does::List(_)) {
        command = command
            .arg(
                Arg::new("limit")
                    .long("limit")
                    .default_value("50")
                    .value_parser(value_parser!(u32).range(1..=500))
                    .help("At most this many"),
            )
            .arg(Arg::new("after").long("after").help("What the page before ended with"))
            .arg(
                Arg::new("all")
                    .long("all")
                    .action(ArgAction::SetTrue)
                    .conflicts_with_all(["limit", "after"])
                    .help("All pages"),
            );
    }
    command
}

fn of_field(field: &'static Field) -> Arg {
    let arg = Arg::new(field.flag).long(field.flag).help(field.help);
    let arg = match field.kind {
        Kind::Truth(_) => arg.action(ArgAction::SetTrue),
        Kind::Many | Kind::Lines => arg.action(ArgAction::Append),
        // What a text has to be like is said by its word, with the name of the field.
        Kind::Free | Kind::Text(_) | Kind::Plan => arg.allow_hyphen_values(true),
        Kind::Number => arg.allow_negative_numbers(true),
        Kind::Secret => arg.value_name("FILE"),
    };
    match field.need {
        Need::May => arg,
        Need::Must => arg.required(true),
        Need::Else(value) => arg.default_value(value),
        Need::Or(other) => arg.required_unless_present(other).conflicts_with(other),
    }
}

fn import() -> Command {
    Command::new("import")
        .about("Add those of a CSV file; its columns are the fields of `create`")
        .arg(
            Arg::new("file")
                .required(true)
                .value_name("FILE")
                .help("CSV with a first line of names"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .action(ArgAction::SetTrue)
                .help("Only say what would be added, and what does not fit"),
        )
}

/// What was chosen: a noun and its action.
pub(super) enum Chosen<'m> {
    Login(&'m ArgMatches),
    Logout,
    Whoami,
    Verify,
    Import(&'static Noun, &'m ArgMatches),
    Action(&'static Action, &'m ArgMatches),
}

/// clap has let in nothing that is not in the tables.
pub(super) fn chosen(matches: &ArgMatches) -> Option<Chosen<'_>> {
    let (name, rest) = matches.subcommand()?;
    match name {
        "login" => return Some(Chosen::Login(rest)),
        "logout" => return Some(Chosen::Logout),
        "whoami" => return Some(Chosen::Whoami),
        "verify" => return Some(Chosen::Verify),
        _ => {}
    }
    let noun = NOUNS.iter().copied().flatten().find(|noun| noun.name == name)?;
    let (name, rest) = rest.subcommand()?;
    if name == "import" {
        return Some(Chosen::Import(noun, rest));
    }
    Some(Chosen::Action(noun.action(name)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_make_a_command_line() {
        command().debug_assert();
        let mut nouns: Vec<_> = NOUNS.iter().copied().flatten().map(|noun| noun.name).collect();
        nouns.sort_unstable();
        for noun in [
            "access-points",
            "audit",
            "edges",
            "invoices",
            "nas",
            "operators",
            "payments",
            "payouts",
            "plans",
            "reports",
            "resellers",
            "sessions",
            "settlements",
            "subscribers",
            "subscriptions",
            "tenants",
            "tickets",
            "vouchers",
            "wallets",
        ] {
            assert!(nouns.contains(&noun), "{noun}");
        }
    }

    #[test]
    fn every_help_fits_a_line() {
        for noun in NOUNS.iter().copied().flatten() {
            for action in noun.actions {
                let long = action.about.len() > 72 || noun.about.len() > 72;
                assert!(!long, "{} {}", noun.name, action.name);
            }
        }
    }
}
