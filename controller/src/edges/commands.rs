//! Commands to edges that wait for their reply.
//!
//! A command is sent once and expires; what is waited for is the effect that the edge observed.
//! Who asked gets the answer or, after a bounded time, the knowledge that none has come yet.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use shared::{
    id::{CommandId, EdgeId},
    wire::latest::command::{Effect, Reply},
};
use tokio::sync::oneshot;

/// Who waits for which command. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Commands {
    waiting: Arc<Mutex<HashMap<CommandId, Asked>>>,
}

#[derive(Debug)]
struct Asked {
    edge: EdgeId,
    asker: oneshot::Sender<Effect>,
}

impl Commands {
    /// Call before the command is sent. Who drops the [`Waiting`] waits no longer.
    pub fn expect(&self, edge: EdgeId, command: CommandId) -> Waiting {
        let (asker, effect) = oneshot::channel();
        self.lock().insert(command, Asked { edge, asker });
        Waiting { commands: self.clone(), command, effect }
    }

    /// A reply counts only when it comes from the edge that was asked.
    pub fn resolve(&self, edge: EdgeId, reply: Reply) {
        let mut waiting = self.lock();
        if waiting.get(&reply.id).is_some_and(|asked| asked.edge == edge)
            && let Some(asked) = waiting.remove(&reply.id)
        {
            // Nobody waits any longer: then nobody needs it.
            let _ = asked.asker.send(reply.effect);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CommandId, Asked>> {
        // Nothing panics while it is held.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub struct Waiting {
    commands: Commands,
    command: CommandId,
    effect: oneshot::Receiver<Effect>,
}

impl Waiting {
    /// `None` when no reply came in `time`.
    pub async fn within(mut self, time: std::time::Duration) -> Option<Effect> {
        tokio::time::timeout(time, &mut self.effect).await.ok()?.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.commands.lock().remove(&self.command);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn only_the_edge_that_was_asked_answers() {
        let commands = Commands::default();
        let edge = |number| EdgeId::from_uuid(Uuid::from_u128(number));
        let id = CommandId::from_uuid(Uuid::from_u128(5));
        let waiting = commands.expect(edge(1), id);
        commands.resolve(edge(2), Reply { id, effect: Effect::Nothing });
        commands.resolve(edge(1), Reply { id, effect: Effect::Done });
        assert_eq!(waiting.within(Duration::from_secs(9)).await, Some(Effect::Done));
        assert!(commands.lock().is_empty());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let commands = Commands::default();
        let (edge, id) = (EdgeId::from_uuid(Uuid::nil()), CommandId::from_uuid(Uuid::nil()));
        assert_eq!(commands.expect(edge, id).within(Duration::from_millis(1)).await, None);
        assert!(commands.lock().is_empty());
    }
}
