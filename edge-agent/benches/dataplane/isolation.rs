//! B3: what an idle session sees while a hundred others want more than they have.

use std::{thread, time::Duration};

use crate::{
    Pace,
    flows::CLIENT,
    many::flood,
    pinger::Pinger,
    sheet::Sheet,
    stand::Stand,
    system::{System, crowd, route},
    tcp::client,
};

const ALL: &[System] =
    &[System::Nothing, System::Htb, System::Police, System::PlainHtb, System::NftLimit];

pub(crate) fn measure(sheet: &mut Sheet, pace: Pace) {
    let crowd = crowd(100, 1_000);
    let mut all = vec![client(1_000)];
    all.extend(&crowd);
    let stands: Vec<Stand> = ALL
        .iter()
        .map(|system| Stand::new("iso", *system, &all, |world| route(world, &crowd)))
        .collect();
    let time = Duration::from_secs(2);
    for _ in 0..pace.rounds(5) {
        for stand in &stands {
            let world = &stand.world;
            let pinger = Pinger::start(world, CLIENT);
            thread::sleep(Duration::from_millis(100));
            pinger.reset();
            thread::sleep(time / 2);
            let idle = pinger.took();
            let loaded = thread::scope(|scope| {
                let flood = scope.spawn(|| flood(world, &crowd, 150, time));
                thread::sleep(Duration::from_millis(300));
                pinger.reset();
                thread::sleep(time.mul_f64(0.8));
                let loaded = pinger.took();
                flood.join().expect("it sends");
                loaded
            });
            let (case, name) = ("100 sessions at 150 %", stand.system.name());
            let rows = [
                ("RTT in an idle session, p50", idle.p50),
                ("RTT in an idle session, p95", idle.p95),
                ("RTT beside 100 others over idle, p50", loaded.p50 - idle.p50),
                ("RTT beside 100 others over idle, p95", loaded.p95 - idle.p95),
            ];
            for (figure, value) in rows {
                sheet.add((figure, "ms"), case, name, value);
            }
        }
    }
}
