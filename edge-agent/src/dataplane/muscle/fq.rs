//! The `fq` queue on every interface: it holds a packet back until the time that is in it.
//!
//! Sessions need nothing of their own here. The parameters are a router's: `fq` by itself takes
//! what it forwards for a thousand flows of a hundred packets each.

use super::{Leg, handle};
use crate::dataplane::{
    netlink::{self, Request, attribute},
    tc::{ROOT, RTM_NEWQDISC, TCA_KIND, TCA_OPTIONS, tcmsg},
};

pub(super) fn put(leg: &Leg) -> Request {
    let mut options = Vec::new();
    for (kind, value) in PARAMETERS {
        options.extend(attribute(*kind, &value.to_ne_bytes()));
    }
    // What would leave later is a super-packet of a slow session: it leaves then, and is not lost.
    options.extend(attribute(TCA_FQ_HORIZON_DROP, &[0]));
    let tcmsg = tcmsg(leg.index, handle(leg.direction), ROOT, 0);
    Request::new(RTM_NEWQDISC, netlink::CREATE | netlink::REPLACE, &tcmsg)
        .with(TCA_KIND, b"fq\0")
        .with(TCA_OPTIONS, &options)
}

/// Times are bounded by the programs; these bounds in packets only must not come first.
const PARAMETERS: &[(u16, u32)] = &[
    (TCA_FQ_PLIMIT, 400_000),
    (TCA_FQ_FLOW_PLIMIT, 20_000),
    (TCA_FQ_QUANTUM, 2 * 1_514),
    (TCA_FQ_INITIAL_QUANTUM, 10 * 1_514),
    (TCA_FQ_BUCKETS_LOG, 14),
    // What has no socket is spread over so many flows.
    (TCA_FQ_ORPHAN_MASK, 0xffff),
    (TCA_FQ_HORIZON, 10_000_000),
];

const TCA_FQ_PLIMIT: u16 = 1;
const TCA_FQ_FLOW_PLIMIT: u16 = 2;
const TCA_FQ_QUANTUM: u16 = 3;
const TCA_FQ_INITIAL_QUANTUM: u16 = 4;
const TCA_FQ_BUCKETS_LOG: u16 = 8;
const TCA_FQ_ORPHAN_MASK: u16 = 10;
const TCA_FQ_HORIZON: u16 = 14;
const TCA_FQ_HORIZON_DROP: u16 = 15;
