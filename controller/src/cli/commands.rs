//! The commands: their names, flags and helps.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The operator's command line of KenNet
#[derive(Debug, Parser)]
#[command(version, name = "kennet")]
pub struct Cli {
    /// Print what the controller answered, as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Log in, and keep the token in a file that only you can read
    Login(LoginArgs),
    /// End the session of the token
    Logout,
    /// Say who is logged in
    Whoami,
    /// Who pays and who logs in
    #[command(subcommand)]
    Subscribers(Subscribers),
    /// What is sold
    #[command(subcommand)]
    Plans(Plans),
    /// Who has which plan
    #[command(subcommand)]
    Subscriptions(Subscriptions),
    /// RADIUS clients of edges
    #[command(subcommand)]
    Nas(Nas),
    /// Hosts in the field
    #[command(subcommand)]
    Edges(Edges),
    /// Who is and was on-line
    #[command(subcommand)]
    Sessions(Sessions),
}

#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    /// Where the controller is, like http://127.0.0.1:8080
    pub(super) url: String,
    pub(super) email: String,
    /// File with the password [default: asked for, or read from standard input]
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// Of the second factor, if there is one: good once, so it may be seen
    #[arg(long)]
    pub(super) code: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Subscribers {
    /// List subscribers
    List {
        /// The beginning of a username or account number
        #[arg(long)]
        search: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one subscriber
    Show { id: String },
    /// Add a subscriber
    Create {
        #[arg(long)]
        username: String,
        #[arg(long)]
        full_name: String,
        /// File with the RADIUS password; without one only the MACs can log in
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Mobile number, like 254712345678
        #[arg(long)]
        msisdn: Option<String>,
        #[arg(long)]
        email: Option<String>,
        #[arg(long)]
        static_ip: Option<String>,
        /// A device that logs in by its MAC address; may be given again
        #[arg(long = "mac")]
        macs: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Plans {
    /// List plans
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one plan
    Show { id: String },
    /// Make a plan
    Create {
        /// Short name
        #[arg(long)]
        code: String,
        #[arg(long)]
        name: String,
        #[arg(long)]
        down_kbps: u32,
        #[arg(long)]
        up_kbps: u32,
        #[arg(long)]
        price_cents: u64,
        /// hotspot, pppoe, ipoe or static
        #[arg(long, default_value = "hotspot")]
        access: String,
        /// prepaid or postpaid
        #[arg(long, default_value = "prepaid")]
        billing: String,
        /// How long one purchase lasts
        #[arg(long, required_unless_present = "months", conflicts_with = "months")]
        seconds: Option<u64>,
        #[arg(long)]
        months: Option<u16>,
        /// Bytes that one purchase gives [default: not limited]
        #[arg(long)]
        data_bytes: Option<u64>,
        /// Time on-line that one purchase gives [default: not limited]
        #[arg(long)]
        online_seconds: Option<u64>,
        #[arg(long, default_value_t = 1)]
        max_devices: u8,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Subscriptions {
    /// List subscriptions
    List {
        /// Only of this subscriber
        #[arg(long)]
        subscriber: Option<String>,
        /// pending, active, grace, suspended, expired or cancelled
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one subscription
    Show { id: String },
    /// Give a subscriber the latest version of a plan
    Create {
        /// Id of the subscriber
        #[arg(long)]
        subscriber: String,
        /// Id or code of the plan
        #[arg(long)]
        plan: String,
        /// At once, instead of when it is paid
        #[arg(long)]
        activate: bool,
        #[arg(long)]
        auto_renew: bool,
    },
    /// Let it begin
    Activate(Move),
    /// Take it off the network for a while
    Suspend(Move),
    /// Put it back
    Resume(Move),
    /// End it, until it is activated again
    Expire(Move),
    /// End it for good
    Cancel(Move),
}

#[derive(Debug, Args)]
pub(super) struct Move {
    pub(super) id: String,
    /// Kept with the change
    #[arg(long)]
    pub(super) reason: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Nas {
    /// List NASes
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one NAS
    Show { id: String },
    /// Add a NAS to an edge
    Create {
        /// Id of the edge
        #[arg(long)]
        edge: String,
        #[arg(long)]
        name: String,
        /// Address or prefix that its packets come from
        #[arg(long)]
        address: String,
        /// File with the shared secret
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
        /// Who shapes: edge or nas
        #[arg(long, default_value = "nas")]
        enforce: String,
        /// Whose words replies speak: standard, mikrotik, chillispot, cisco, ubiquiti, cambium, canopy,
        /// aruba, omada or huawei
        #[arg(long, default_value = "standard")]
        vendor: String,
        /// Take requests without Message-Authenticator too (CVE-2024-3596)
        #[arg(long)]
        without_message_authenticator: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Edges {
    /// List edges
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one edge
    Show { id: String },
    /// Add an edge; prints the secret that it logs in with, once
    Create {
        #[arg(long)]
        name: String,
        #[arg(long)]
        site: Option<String>,
    },
    /// Give an edge a new secret, and print it once
    RenewSecret { id: String },
}

#[derive(Debug, Subcommand)]
pub(super) enum Sessions {
    /// List sessions, newest first
    List {
        /// live, past or all
        #[arg(long)]
        state: Option<String>,
        /// Only of this subscriber
        #[arg(long)]
        subscriber: Option<String>,
        /// Only at this edge
        #[arg(long)]
        edge: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one session
    Show { id: String },
    /// Disconnect
    End { id: String },
}

#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// At most this many
    #[arg(long, default_value_t = 50)]
    pub(super) limit: u32,
    /// What the page before ended with
    #[arg(long)]
    pub(super) after: Option<String>,
}
