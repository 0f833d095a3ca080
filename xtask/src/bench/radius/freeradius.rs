//! FreeRADIUS, configured for what the cases need and nothing else: one listener for each port,
//! the modules as Debian configures them, nothing logged. Its pool of threads is Debian's.

use std::{fmt::Write as _, fs};

use anyhow::Result;

use super::{
    SECRET, SUBSCRIBERS,
    certificates::Certificates,
    peers::{Peer, free_ports, pinned},
    postgres::Postgres,
    request::{password_of, username},
};

/// Where it has the subscribers, and where it writes accounting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// In memory; accounting is answered and forgotten.
    Files,
    /// The same, and accounting in text files, as by default.
    Detail,
    /// In Postgres.
    Sql,
}

/// One process without threads is its faster way on one core; with threads is how its service
/// starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threads {
    One,
    Pool,
}

/// What every subscriber gets.
pub(super) const REPLY: &[(&str, &str)] = &[
    ("Session-Timeout", "3600"),
    ("Acct-Interim-Interval", "60"),
    ("Mikrotik-Rate-Limit", "5000k/10000k"),
];

/// TLS sessions are kept only where they are to be resumed, as by default: it keeps them in files.
pub(super) fn start(
    store: Store,
    threads: Threads,
    resumes: bool,
    certificates: &Certificates,
) -> Result<Peer> {
    let database = match store {
        Store::Files | Store::Detail => None,
        Store::Sql => Some(Postgres::start()?),
    };
    let folder = tempfile::tempdir()?;
    let (auth, acct) = free_ports()?;
    let here = folder.path();
    let mut users = String::new();
    for at in 0..SUBSCRIBERS {
        writeln!(users, "{} Cleartext-Password := \"{}\"", username(at), password_of(at))?;
        let reply: Vec<String> =
            REPLY.iter().map(|(name, value)| format!("\t{name} = \"{value}\"")).collect();
        writeln!(users, "{}\n", reply.join(",\n"))?;
    }
    fs::write(here.join("users"), users)?;
    fs::write(here.join("dictionary"), "")?;
    fs::create_dir(here.join("tls"))?;
    let sql = database.as_ref().map(|it| SQL.replace("@ADDRESS@", &it.address()));
    let (subscribers, accounting) = match store {
        Store::Files => ("files", "ok"),
        Store::Detail => ("files", "detail"),
        Store::Sql => ("sql", "sql"),
    };
    let settings = SETTINGS
        .replace("@SQL@", &sql.unwrap_or_default())
        .replace("@SUBSCRIBERS@", subscribers)
        .replace("@ACCOUNTING@", accounting)
        .replace("@RESUMES@", if resumes { "yes" } else { "no" })
        .replace("@HERE@", &here.display().to_string())
        .replace("@SECRET@", SECRET)
        .replace("@CA@", &certificates.ca.display().to_string())
        .replace("@CERTIFICATE@", &certificates.server.certificate.display().to_string())
        .replace("@KEY@", &certificates.server.key.display().to_string())
        .replace("@AUTH@", &auth.port().to_string())
        .replace("@ACCT@", &acct.port().to_string());
    fs::write(here.join("radiusd.conf"), settings)?;
    let mut command = pinned("freeradius");
    command.args(["-f", "-l", "stdout"]);
    if threads == Threads::One {
        command.arg("-s");
    }
    command.arg("-d").arg(here);
    Peer::process(command, folder, (auth, acct), database)
}

const SQL: &str = r#"
    sql {
        dialect = "postgresql"
        driver = "rlm_sql_postgresql"
        radius_db = "@ADDRESS@"
        acct_table1 = "radacct"
        acct_table2 = "radacct"
        postauth_table = "radpostauth"
        authcheck_table = "radcheck"
        groupcheck_table = "radgroupcheck"
        authreply_table = "radreply"
        groupreply_table = "radgroupreply"
        usergroup_table = "radusergroup"
        delete_stale_sessions = yes
        client_table = "nas"
        group_attribute = "SQL-Group"
        pool {
            start = 5
            min = 3
            max = 32
            spare = 10
            uses = 0
            retry_delay = 30
            lifetime = 0
            idle_timeout = 60
        }
        $INCLUDE /etc/freeradius/3.0/mods-config/sql/main/postgresql/queries.conf
    }
"#;

const SETTINGS: &str = r#"
name = bench
libdir = /usr/lib/freeradius
logdir = @HERE@
raddbdir = @HERE@
run_dir = @HERE@
max_request_time = 30
cleanup_delay = 5
max_requests = 65536
hostname_lookups = no
proxy_requests = no
log {
    destination = stdout
    auth = no
}
security {
    max_attributes = 200
    reject_delay = 1
    status_server = yes
    allow_core_dumps = no
}
thread pool {
    start_servers = 5
    max_servers = 32
    min_spare_servers = 3
    max_spare_servers = 10
    max_requests_per_server = 0
    auto_limit_acct = no
}
client bench {
    ipaddr = 127.0.0.1
    secret = "@SECRET@"
    require_message_authenticator = yes
}
instantiate {
    expr
}
modules {
    expr {
    }
    pap {
    }
    chap {
    }
    mschap {
    }
    files {
        usersfile = @HERE@/users
    }
    detail {
        filename = @HERE@/detail-%Y%m%d
        header = "%t"
        permissions = 0600
        locking = no
        escape_filenames = no
        log_packet_header = no
    }
    always ok {
        rcode = ok
    }
    eap {
        default_eap_type = md5
        timer_expire = 60
        ignore_unknown_eap_types = no
        max_sessions = 65536
        tls-config bench {
            private_key_file = @KEY@
            certificate_file = @CERTIFICATE@
            ca_file = @CA@
            cipher_list = "DEFAULT"
            tls_min_version = "1.2"
            tls_max_version = "1.3"
            ecdh_curve = "X25519:prime256v1"
            cache {
                enable = @RESUMES@
                lifetime = 24
                name = "bench"
                persist_dir = "@HERE@/tls"
                store {
                    Tunnel-Private-Group-Id
                }
            }
        }
        md5 {
        }
        mschapv2 {
        }
        tls {
            tls = bench
        }
        ttls {
            tls = bench
            default_eap_type = md5
            copy_request_to_tunnel = no
            use_tunneled_reply = no
            virtual_server = inner
        }
        peap {
            tls = bench
            default_eap_type = mschapv2
            copy_request_to_tunnel = no
            use_tunneled_reply = no
            virtual_server = inner
        }
    }
@SQL@
}
server bench {
    listen {
        type = auth
        ipaddr = 127.0.0.1
        port = @AUTH@
    }
    listen {
        type = acct
        ipaddr = 127.0.0.1
        port = @ACCT@
    }
    authorize {
        chap
        mschap
        eap {
            ok = return
        }
        @SUBSCRIBERS@
        pap
    }
    authenticate {
        Auth-Type PAP {
            pap
        }
        Auth-Type CHAP {
            chap
        }
        Auth-Type MS-CHAP {
            mschap
        }
        eap
    }
    accounting {
        @ACCOUNTING@
    }
}
server inner {
    authorize {
        chap
        mschap
        eap {
            ok = return
        }
        @SUBSCRIBERS@
        pap
    }
    authenticate {
        Auth-Type PAP {
            pap
        }
        Auth-Type CHAP {
            chap
        }
        Auth-Type MS-CHAP {
            mschap
        }
        eap
    }
    post-auth {
        update outer.session-state {
            &User-Name := &User-Name
        }
    }
}
"#;
