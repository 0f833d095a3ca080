//! `down/command` and `up/reply`: do this once, and what came of it. JSON.

use serde::{Deserialize, Serialize};

use crate::id::{CommandId, SessionId};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub id: CommandId,
    /// Milliseconds since 1970. A command that arrives later is not executed.
    pub expires_at_ms: u64,
    #[serde(flatten)]
    pub action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// End a session: its device is off-line until it authenticates again.
    Disconnect { session: SessionId },
    /// Read the desired state again, now.
    Reload,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    pub id: CommandId,
    pub effect: Effect,
}

/// What was observed after the command, not what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    Done,
    /// It was so already (the session is not there).
    Nothing,
    Expired,
    Failed {
        reason: String,
    },
}
