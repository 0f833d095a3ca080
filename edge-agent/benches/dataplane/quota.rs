//! B9: how far a quota is overshot by flows without a limit.

use std::{
    thread,
    time::{Duration, Instant},
};

use edge_agent::dataplane::{
    Account, AccountNumber, Dataplane as _, Entry, Garden, Slot, bpf::Bpf,
};
use shared::{id::SessionId, wire::latest::desired::Class};
use uuid::Uuid;

use crate::{
    Pace,
    flows::{Flows, Kind, Way},
    sheet::Sheet,
    stand::Stand,
    system::{FAST, System},
    tcp::{client, set_segmentation},
    world::{CLIENT, Side, shape},
};

const QUOTA: u64 = 25 << 20;
const NUMBER: AccountNumber = AccountNumber(1);

pub(crate) fn measure(sheet: &mut Sheet, pace: Pace) {
    let mut stand = Stand::new("quota", System::Metering, &[client(FAST)], |_| {});
    let mut bpf = stand.bpf.take().expect("ours");
    // Answers to what is refused go to the client and are nobody's traffic.
    bpf.set_garden(&Garden { answers: false, ..Garden::default() }).expect("a garden");
    let mut id = 1;
    for (packets, is_super) in [("super-packets", true), ("1,500 bytes", false)] {
        set_segmentation(&stand.world, is_super);
        for count in [1, 8] {
            for _ in 0..pace.rounds(5) {
                id += 1;
                let case = format!("{count} flows, {packets}");
                let [charged, arrived] = run(&stand, &mut bpf, id, count);
                let over = |octets: u64| signed(octets) - signed(QUOTA);
                let name = stand.system.name();
                sheet.add(("charged beyond 25 MiB", "octets"), &case, name, over(charged));
                if !is_super {
                    // Interfaces do not see the headers within super-packets.
                    sheet.add(("arrived beyond 25 MiB", "octets"), &case, name, over(arrived));
                }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "some millions")]
const fn signed(octets: u64) -> f64 {
    octets as f64
}

/// What was charged, and what both ends have received.
fn run(stand: &Stand, bpf: &mut Bpf, id: u128, count: usize) -> [u64; 2] {
    let account = |quota| Account {
        number: NUMBER,
        id,
        shape: None,
        slow: None,
        step: None,
        quota,
        beyond: Class::Blocked,
    };
    let unlimited = shape(u32::MAX, u32::MAX);
    let mac = CLIENT.parse().expect("a MAC address");
    let session = SessionId::from_uuid(Uuid::from_u128(id));
    let entry =
        Entry { account: Some(NUMBER), ..Entry::of_device(Slot(0), session, mac, unlimited) };
    bpf.set_accounts(&[account(Some(QUOTA))]).expect("an account");
    bpf.install(&entry).expect("a session");
    let received = || {
        [Side::Client, Side::Server]
            .map(|side| stand.world.counted(side, "eth0").received.of_ip().bytes)
    };
    let before = received();
    let charged = |bpf: &Bpf| {
        let charges = bpf.charges(&[(NUMBER, id)]).expect("charges");
        charges.first().copied().expect("one for one")
    };
    let flows =
        Flows::start(&stand.world, Kind { way: Way::Down, count, congestion: "cubic", pace: None });
    let deadline = Instant::now() + Duration::from_secs(20);
    while !charged(bpf).happened.is_used_up() {
        assert!(Instant::now() < deadline, "25 MiB take a second: {:?}", charged(bpf));
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(500));
    let (charged, after) = (charged(bpf).charged, received());
    drop(flows);
    thread::sleep(Duration::from_millis(100));
    [charged, after.iter().sum::<u64>() - before.iter().sum::<u64>()]
}
