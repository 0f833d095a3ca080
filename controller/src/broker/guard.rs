//! Who gets in, and who may say and hear what.

use std::{net::SocketAddr, pin::Pin};

use mqtt5::{
    broker::{AuthProvider, AuthResult},
    packet::connect::ConnectPacket,
    protocol::v5::reason_codes::ReasonCode,
};
use shared::{
    daemon::Chain,
    id::EdgeId,
    secret::Secret,
    wire::topic::{self, Topic},
};

use crate::edges::secret::{EdgeSecrets, SecretHash};

/// User name and client id of the controller's own connections.
pub(super) const CONTROLLER: &str = "controller";

pub(super) struct Guard<E> {
    own_password: SecretHash,
    edges: E,
}

/// Somebody who is in. The broker remembers it as text: the user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Controller,
    Edge(EdgeId),
}

/// Why somebody is not let in, for the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// Not a name that this broker knows the form of, or a client id that is not the name.
    Name,
    Secret,
    /// The edges cannot be looked up now.
    Lookup,
}

impl<E: EdgeSecrets> Guard<E> {
    pub(super) fn new(own_password: &Secret, edges: E) -> Self {
        Self { own_password: SecretHash::of(own_password.expose().as_bytes()), edges }
    }

    async fn admit(&self, connect: &ConnectPacket) -> Result<Who, Refused> {
        let name = connect.username.as_deref().unwrap_or_default();
        let password = connect.password.as_deref().unwrap_or_default();
        let who = Who::named(name).ok_or(Refused::Name)?;
        match who {
            // More than one link may be on (a restart overlaps), each with a client id of its own.
            Who::Controller => {
                self.own_password.matches(password).then_some(who).ok_or(Refused::Secret)
            }
            // One name, one client id, one connection: a second one takes over from the first.
            Who::Edge(_) if connect.client_id != name => Err(Refused::Name),
            Who::Edge(edge) => {
                let hash = self.edges.secret_hash(edge).await.map_err(|error| {
                    tracing::error!(
                        edge.id = %edge,
                        error = %Chain(&error),
                        "{edge} cannot log in: its secret cannot be looked up"
                    );
                    Refused::Lookup
                })?;
                // An edge that is not there costs the same time as a wrong secret.
                let known = hash.is_some();
                let right = hash.unwrap_or_default().matches(password);
                (known && right).then_some(who).ok_or(Refused::Secret)
            }
        }
    }
}

impl Who {
    fn named(name: &str) -> Option<Self> {
        if name == CONTROLLER { Some(Self::Controller) } else { name.parse().ok().map(Self::Edge) }
    }

    fn may_publish(self, topic: &str) -> bool {
        match self {
            Self::Controller => topic.starts_with(OURS),
            Self::Edge(edge) => topic
                .parse()
                .is_ok_and(|topic: Topic| topic.edge == edge && topic.leaf.is_from_edge()),
        }
    }

    fn may_subscribe(self, filter: &str) -> bool {
        match self {
            Self::Controller => {
                let shared = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
                shared.map_or(filter, |(_group, filter)| filter).starts_with(OURS)
            }
            Self::Edge(edge) => {
                let all = topic::down_of(edge);
                filter == all || filter.strip_prefix(all.trim_end_matches('#')).is_some_and(is_leaf)
            }
        }
    }
}

fn is_leaf(rest: &str) -> bool {
    !rest.is_empty() && !rest.contains(['+', '#', '/'])
}

impl<E: EdgeSecrets> AuthProvider for Guard<E> {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        client_addr: SocketAddr,
    ) -> Answer<'a, mqtt5::Result<AuthResult>> {
        Box::pin(async move {
            Ok(match self.admit(connect).await {
                Ok(Who::Controller) => AuthResult::success_with_user(CONTROLLER),
                Ok(Who::Edge(edge)) => AuthResult::success_with_user(edge.to_string()),
                Err(refused) => {
                    let (reason, code) = match refused {
                        Refused::Name => ("name", ReasonCode::BadUsernameOrPassword),
                        Refused::Secret => ("secret", ReasonCode::BadUsernameOrPassword),
                        Refused::Lookup => ("lookup", ReasonCode::ServerUnavailable),
                    };
                    metrics::counter!("kennet_mqtt_refused_total", "reason" => reason).increment(1);
                    tracing::info!(
                        peer = %client_addr,
                        reason,
                        "MQTT connection from {client_addr} refused: {reason}"
                    );
                    AuthResult::fail(code)
                }
            })
        })
    }

    fn authorize_publish<'a>(
        &'a self,
        _client_id: &str,
        user_id: Option<&'a str>,
        topic: &'a str,
    ) -> Answer<'a, bool> {
        let may = user_id.and_then(Who::named).is_some_and(|who| who.may_publish(topic));
        Box::pin(std::future::ready(may))
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _client_id: &str,
        user_id: Option<&'a str>,
        topic_filter: &'a str,
    ) -> Answer<'a, bool> {
        let may = user_id.and_then(Who::named).is_some_and(|who| who.may_subscribe(topic_filter));
        Box::pin(std::future::ready(may))
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

const OURS: &str = "kennet/v1/";

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const SELF: &str = "kennet/v1/e/edge_00000000000000000000000000000007";
    const OTHER: &str = "kennet/v1/e/edge_00000000000000000000000000000008";

    fn edge() -> Who {
        Who::Edge(EdgeId::from_uuid(Uuid::from_u128(7)))
    }

    #[test]
    fn an_edge_speaks_for_itself_only() {
        for leaf in ["state", "up/journal", "up/live", "up/reply"] {
            assert!(edge().may_publish(&format!("{SELF}/{leaf}")), "{leaf}");
            assert!(!edge().may_publish(&format!("{OTHER}/{leaf}")), "{leaf}");
        }
        for leaf in ["down/ack", "down/command", "down/desired", "up", "up/", "up/more", ""] {
            assert!(!edge().may_publish(&format!("{SELF}/{leaf}")), "{leaf}");
        }
        assert!(!edge().may_publish("kennet/v1/other"));
    }

    #[test]
    fn an_edge_hears_what_is_for_itself_only() {
        for leaf in ["#", "ack", "desired", "command"] {
            assert!(edge().may_subscribe(&format!("{SELF}/down/{leaf}")), "{leaf}");
            assert!(!edge().may_subscribe(&format!("{OTHER}/down/{leaf}")), "{leaf}");
        }
        for filter in ["#", "+/#", "kennet/#", "kennet/v1/e/+/down/#", "$share/g/kennet/v1/#"] {
            assert!(!edge().may_subscribe(filter), "{filter}");
        }
        assert!(!edge().may_subscribe(&format!("{SELF}/#")));
        assert!(!edge().may_subscribe(&format!("{SELF}/down/+/../#")));
    }

    #[test]
    fn the_controller_stays_below_our_prefix() {
        for filter in topic::FROM_ALL_EDGES {
            assert!(Who::Controller.may_subscribe(filter));
            assert!(Who::Controller.may_subscribe(&format!("$share/office/{filter}")));
        }
        assert!(!Who::Controller.may_subscribe("#"));
        assert!(!Who::Controller.may_subscribe("$share/office/#"));
        assert!(Who::Controller.may_publish(&format!("{SELF}/down/ack")));
        assert!(!Who::Controller.may_publish("elsewhere"));
    }
}
