//! The data plane on this machine's kernel, in network namespaces of its own. Needs root.

mod world;

use edge_agent::dataplane::Dataplane as _;
use world::World;

#[test]
fn smoke() {
    let world = World::new("smoke");
    let mut bpf = world.open();
    let entry = world.entry(1, 10_000, 5_000);
    bpf.install(&entry).unwrap();
    println!("{}", world.client("ping -c 2 -i 0.2 10.78.0.2"));
    println!("{:?}", bpf.read(&[entry.slot]).unwrap());
    println!("{:?}", bpf.verdicts());
    let _server = world.iperf_server();
    for (label, flags) in [("up", ""), ("down", "-R")] {
        println!("{label} {}", world.client(&format!("iperf3 -c 10.78.0.2 -t 5 {flags}")));
        println!("{:?}", bpf.read(&[entry.slot]).unwrap());
        println!("{:?}", bpf.verdicts());
    }
    println!("{}", world.gateway("tc -s class show dev lan0"));
    println!("{}", world.gateway("tc -s class show dev wan0"));
}
