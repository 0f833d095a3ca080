//! `kennet-edge radius`: a RADIUS client for people, and what the dictionaries say.
//!
//! [`test`] is the client: [`credentials`] makes what proves a password, [`link`] is the way
//! there and back. [`names`] looks names up. None of it needs a running edge.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

mod credentials;
mod link;
mod names;
mod test;

#[derive(Subcommand)]
pub(crate) enum Radius {
    /// Send one request to a RADIUS server or a NAS, and print request and reply.
    ///
    /// Ends with 0 when it is accepted (Access-Accept, Accounting-Response, ACK), 1 when it is
    /// not (Access-Reject, Access-Challenge, NAK), 2 when there is no answer that is genuine.
    #[command(after_help = test::EXAMPLES)]
    Test(Box<test::Test>),
    /// List vendors, or look up attributes by vendor, name, part of a name, or number.
    ///
    /// Reads your own dictionaries too, and says what is wrong in them.
    Dictionary {
        #[command(flatten)]
        dictionaries: Dictionaries,
        /// E.g. `Mikrotik`, `Service-Type`, `rate`, or `26.14988`.
        name: Option<String>,
    },
}

#[derive(Args)]
pub(crate) struct Dictionaries {
    /// A dictionary of your own, beside those that are shipped; may be given again.
    #[arg(long = "dictionary", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Settings, whose `radius.dictionaries` are read.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Dictionaries {
    fn load(&self) -> anyhow::Result<radius::Dictionary> {
        let mut files = Vec::new();
        if let Some(config) = &self.config {
            files.extend(edge_agent::settings::Settings::dictionaries(config)?);
        }
        files.extend_from_slice(&self.files);
        Ok(edge_agent::dictionaries::load(&files)?)
    }
}

/// An error is one of the command line or of a file that it names.
pub(crate) fn run(command: &Radius) -> anyhow::Result<ExitCode> {
    match command {
        Radius::Test(test) => test.run(),
        Radius::Dictionary { dictionaries, name } => {
            Ok(names::run(&dictionaries.load()?, name.as_deref()))
        }
    }
}
