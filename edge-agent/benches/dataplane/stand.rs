//! A system at work in namespaces of its own.

use edge_agent::dataplane::{Dataplane as _, Reading, Slot, bpf::Bpf};

use crate::{
    system::{Subscriber, System},
    world::World,
};

pub(crate) struct Stand {
    pub(crate) system: System,
    /// Before the world: its pins go last.
    pub(crate) bpf: Option<Bpf>,
    pub(crate) world: World,
}

impl Stand {
    pub(crate) fn new(
        name: &str,
        system: System,
        subscribers: &[Subscriber],
        prepare: impl FnOnce(&World),
    ) -> Self {
        let mut world = World::new(&format!("{name}{}", system as u8));
        prepare(&world);
        let bpf = system.start(&mut world, subscribers);
        Self { system, bpf, world }
    }
}

/// Of the first subscriber.
pub(crate) fn reading(bpf: &Bpf) -> Reading {
    *bpf.read(&[Slot(0)]).expect("the slot is there").first().expect("one for one")
}
