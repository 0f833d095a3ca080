//! Edges: the hosts in the field that authenticate, meter and shape.

pub mod commands;
pub mod desired;
pub mod inventory;
pub mod leases;
pub mod link;
pub mod live;
pub mod office;
pub mod presence;
pub mod secret;

use std::sync::Arc;

use tokio::sync::Notify;

/// Says that what edges should have may have changed. It carries nothing: who hears it computes
/// from the rows. Ring it after the commit, never before.
#[derive(Clone, Debug, Default)]
pub struct LookAgain {
    bell: Arc<Notify>,
}

impl LookAgain {
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Ends when it was rung since the last call. For one listener.
    pub async fn heard(&self) {
        self.bell.notified().await;
    }
}
