//! MQTT topics as a type, printed and parsed in one place.
//!
//! `kennet/v1/e/{edge}/…`: the edge id is one level and equals the MQTT user name, so that the
//! ACL patterns of every broker work. The tenant is looked up, never claimed.

use std::{fmt, str::FromStr};

use crate::id::EdgeId;

/// What is sent below an edge's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaf {
    /// Edge: birth and death, retained, last will.
    State,
    /// Edge: a batch of journal records.
    UpJournal,
    /// Edge: rates of live sessions, for screens only.
    UpLive,
    /// Edge: the observed effect of a command.
    UpReply,
    /// Controller: what is committed.
    DownAck,
    /// Controller: a pointer to the desired state, retained.
    DownDesired,
    /// Controller: do this once.
    DownCommand,
}

impl Leaf {
    const ALL: [Self; 7] = [
        Self::State,
        Self::UpJournal,
        Self::UpLive,
        Self::UpReply,
        Self::DownAck,
        Self::DownDesired,
        Self::DownCommand,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::UpJournal => "up/journal",
            Self::UpLive => "up/live",
            Self::UpReply => "up/reply",
            Self::DownAck => "down/ack",
            Self::DownDesired => "down/desired",
            Self::DownCommand => "down/command",
        }
    }

    /// May the edge itself publish here? What it may not publish it may subscribe to.
    pub const fn is_from_edge(self) -> bool {
        match self {
            Self::State | Self::UpJournal | Self::UpLive | Self::UpReply => true,
            Self::DownAck | Self::DownDesired | Self::DownCommand => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    pub edge: EdgeId,
    pub leaf: Leaf,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}/{}", self.edge, self.leaf.as_str())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a topic of this version")]
pub struct ParseTopicError;

impl FromStr for Topic {
    type Err = ParseTopicError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix(PREFIX).ok_or(ParseTopicError)?;
        let (edge, leaf) = rest.split_once('/').ok_or(ParseTopicError)?;
        let edge = edge.parse().map_err(|_| ParseTopicError)?;
        let leaf = Leaf::ALL.into_iter().find(|known| known.as_str() == leaf);
        Ok(Self { edge, leaf: leaf.ok_or(ParseTopicError)? })
    }
}

/// What an edge subscribes to.
pub fn down_of(edge: EdgeId) -> String {
    format!("{PREFIX}{edge}/down/#")
}

/// What the controller subscribes to.
pub const FROM_ALL_EDGES: [&str; 2] = ["kennet/v1/e/+/up/#", "kennet/v1/e/+/state"];

const PREFIX: &str = "kennet/v1/e/";

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_topic_prints_and_parses_back() {
        let edge = EdgeId::from_uuid(Uuid::from_u128(7));
        for leaf in Leaf::ALL {
            let topic = Topic { edge, leaf };
            assert_eq!(topic.to_string().parse(), Ok(topic));
        }
        let topic = Topic { edge, leaf: Leaf::DownAck }.to_string();
        assert_eq!(topic, "kennet/v1/e/edge_00000000000000000000000000000007/down/ack");
        for wrong in [
            topic.replace("v1", "v2"),
            topic.replace("edge_", "ses_"),
            format!("{topic}/more"),
            format!("/{topic}"),
            topic.replace("down/ack", "#"),
        ] {
            assert_eq!(wrong.parse::<Topic>(), Err(ParseTopicError), "{wrong}");
        }
    }
}
