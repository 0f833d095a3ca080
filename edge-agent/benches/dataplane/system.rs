//! The systems side by side: ours in its forms, and what an operator would use in its place.

use std::{
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering},
};

use edge_agent::{
    dataplane::{Dataplane as _, Entry, Slot, bpf::Bpf},
    settings::Muscle,
};
use shared::{id::SessionId, net::Mac};
use uuid::Uuid;

use crate::world::{Side, World, shape};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Forwarding alone.
    Nothing,
    /// Ours without a rate: sessions found and counted.
    Metering,
    /// Ours, and what would wait is dropped. With a rate that nobody reaches: the clock alone.
    Police,
    /// Ours, and an HTB class of the session's own.
    Htb,
    /// Ours, and `fq` by departure time.
    Fq,
    /// HTB with a class each, chosen by an nft map, and 50 ms of `bfifo` behind it.
    PlainHtb,
    /// A limit each in an nft set.
    NftLimit,
    /// HTB with a class each and `fq_codel` behind it.
    HtbFqCodel,
    /// HTB with a class each and CAKE behind it.
    HtbCake,
}

impl System {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "no program",
            Self::Metering => "ours, metering",
            Self::Police => "ours, police",
            Self::Htb => "ours, htb",
            Self::Fq => "ours, fq",
            Self::PlainHtb => "HTB + bfifo",
            Self::NftLimit => "nft limit",
            Self::HtbFqCodel => "HTB + fq_codel",
            Self::HtbCake => "HTB + CAKE",
        }
    }

    const fn muscle(self) -> Option<Muscle> {
        match self {
            Self::Metering | Self::Police => Some(Muscle::Police),
            Self::Htb => Some(Muscle::Htb),
            Self::Fq => Some(Muscle::Fq),
            Self::Nothing | Self::PlainHtb | Self::NftLimit | Self::HtbFqCodel | Self::HtbCake => {
                None
            }
        }
    }

    /// Puts the system into the gateway.
    pub(crate) fn start(self, world: &mut World, subscribers: &[Subscriber]) -> Option<Bpf> {
        if let Some(muscle) = self.muscle() {
            world.settings.muscle = Some(muscle);
            world.settings.slots = u32::try_from(subscribers.len()).expect("not that many").max(8);
            let world = &*world;
            return Some(world.inside(Side::Gateway, || {
                let mut bpf = world.open();
                bpf.install_all(&entries(subscribers, self == Self::Metering)).expect("sessions");
                bpf
            }));
        }
        match self {
            Self::PlainHtb => {
                htb(world, subscribers, |kbps| format!("bfifo limit {}", kbps * 50 / 8));
            }
            Self::HtbFqCodel => htb(world, subscribers, |_| "fq_codel".to_owned()),
            Self::HtbCake => htb(world, subscribers, |_| "cake besteffort unlimited".to_owned()),
            Self::NftLimit => limit(world, subscribers),
            Self::Nothing | Self::Metering | Self::Police | Self::Htb | Self::Fq => {}
        }
        None
    }
}

/// Who is on-line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscriber {
    pub(crate) address: Ipv4Addr,
    pub(crate) mac: Mac,
    pub(crate) kbps: u32,
}

/// So fast that nothing ever waits: 100 Gbit/s.
pub(crate) const FAST: u32 = 100_000_000;

/// Devices that nobody has: their packets end at the client's interface.
pub(crate) fn crowd(count: u32, kbps: u32) -> Vec<Subscriber> {
    (0..count)
        .map(|index| {
            let [_, high, middle, low] = index.to_be_bytes();
            Subscriber {
                address: Ipv4Addr::new(10, 80 + high, middle, low),
                mac: Mac([2, 1, 0, high, middle, low]),
                kbps,
            }
        })
        .collect()
}

/// Tells the gateway where the crowd is.
pub(crate) fn route(world: &World, crowd: &[Subscriber]) {
    let mut lines = "route add 10.80.0.0/12 dev lan0\n".to_owned();
    for Subscriber { address, mac, .. } in crowd {
        let _infallible =
            writeln!(lines, "neigh replace {address} lladdr {mac} nud permanent dev lan0");
    }
    batch(world, "ip -batch", &lines);
}

pub(crate) fn entries(subscribers: &[Subscriber], without_rates: bool) -> Vec<Entry> {
    (0..)
        .zip(subscribers)
        .map(|(slot, subscriber)| {
            let session = SessionId::from_uuid(Uuid::from_u128(u128::from(slot) + 1));
            let kbps = if without_rates { u32::MAX } else { subscriber.kbps };
            Entry::of_device(Slot(slot), session, subscriber.mac, shape(kbps, kbps))
        })
        .collect()
}

/// The same octets of IP in a second as ours: a plan's rate does not count Ethernet's headers, and
/// HTB does.
fn htb(world: &World, subscribers: &[Subscriber], leaf: impl Fn(u64) -> String) {
    let (mut tc, mut nft) = (String::new(), String::new());
    // Uploads only where somebody uploads: adding classes takes the kernel long.
    let sides = if subscribers.len() > 10 { &["lan0"][..] } else { &["lan0", "wan0"][..] };
    for interface in sides {
        let _infallible = writeln!(tc, "qdisc add dev {interface} root handle 1: htb");
        for (index, subscriber) in (2..).zip(subscribers) {
            let kbps = u64::from(subscriber.kbps);
            let rate = kbps * 1_000 * 1_514 / 1_500;
            let _infallible = writeln!(
                tc,
                "class add dev {interface} parent 1: classid 1:{index:x} htb rate {rate}bit \
                 burst {} cburst {} quantum 1514\n\
                 qdisc add dev {interface} parent 1:{index:x} {}",
                (kbps * 10 / 8).max(15_140),
                (kbps * 10 / 8).max(15_140),
                leaf(kbps)
            );
        }
    }
    nft.push_str(
        "table ip peer {\n map classes { type ipv4_addr : classid; }\n chain forward {\n\
         type filter hook forward priority 0;\n",
    );
    for (interface, way) in [("lan0", "daddr"), ("wan0", "saddr")] {
        if sides.contains(&interface) {
            let _infallible =
                writeln!(nft, "oifname {interface} meta priority set ip {way} map @classes");
        }
    }
    nft.push_str("}\n}\nadd element ip peer classes { ");
    for (index, subscriber) in (2..).zip(subscribers) {
        let _infallible = write!(nft, "{} : 1:{index:x}, ", subscriber.address);
    }
    nft.push_str("}\n");
    batch(world, "tc -batch", &tc);
    batch(world, "nft -f", &nft);
}

/// 100 ms saved up, as with our policer. All have the rate of the first.
fn limit(world: &World, subscribers: &[Subscriber]) {
    let kbps = subscribers.first().map_or(FAST, |subscriber| subscriber.kbps);
    let rate = u64::from(kbps) * 1_000 / 8;
    let burst = (rate / 10).clamp(15_140, u32::MAX.into());
    let mut nft = "table ip peer {\n".to_owned();
    for way in ["daddr", "saddr"] {
        let _infallible =
            writeln!(nft, "set {way} {{ type ipv4_addr; size 131072; flags dynamic; }}");
    }
    nft.push_str("chain forward {\ntype filter hook forward priority 0;\n");
    for (interface, way) in [("lan0", "daddr"), ("wan0", "saddr")] {
        let _infallible = writeln!(
            nft,
            "oifname {interface} add @{way} {{ ip {way} limit rate over {rate} bytes/second \
             burst {burst} bytes }} drop"
        );
    }
    nft.push_str("}\n}\n");
    batch(world, "nft -f", &nft);
}

/// Runs a command in the gateway with these lines in a file.
pub(crate) fn batch(world: &World, command: &str, lines: &str) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let file = std::env::temp_dir().join(format!("kennet-bench-{}-{number}", std::process::id()));
    fs::write(&file, lines).expect("a file in the temporary folder");
    let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.at(Side::Gateway, &format!("{command} {}", file.display()))
    }));
    fs::remove_file(&file).expect("it was there");
    if let Err(panic) = said {
        std::panic::resume_unwind(panic);
    }
}
