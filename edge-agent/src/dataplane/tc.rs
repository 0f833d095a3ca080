//! What traffic control's messages have in common: queues, classes, filters.

use super::netlink::{Netlink, Request, attributes, u32_at};

/// `struct tcmsg`.
pub(super) fn tcmsg(index: u32, handle: u32, parent: u32, info: u32) -> [u8; TCMSG] {
    let mut bytes = [0; TCMSG];
    for (field, value) in bytes.chunks_exact_mut(4).skip(1).zip([index, handle, parent, info]) {
        field.copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}

/// What is at the root of an interface's queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// What the kernel puts there by itself.
    Default,
    /// A queue with one of our numbers.
    Ours { kind: String, handle: u32 },
    /// Somebody's work, which we do not throw away.
    Foreign(String),
}

/// `ours`: the numbers of our own queues.
pub(super) fn root(netlink: &mut Netlink, index: u32, ours: &[u32]) -> std::io::Result<Root> {
    let answers = netlink.dump(Request::new(RTM_GETQDISC, 0, &tcmsg(index, 0, 0, 0)))?;
    let root = answers.iter().find(|(_, payload)| {
        u32_at(payload, 4) == Some(index) && u32_at(payload, 12) == Some(ROOT)
    });
    let Some((_, payload)) = root else { return Ok(Root::Default) };
    let handle = u32_at(payload, 8).unwrap_or_default();
    let kind = attributes(payload, TCMSG)
        .find(|&(kind, _)| kind == TCA_KIND)
        .map(|(_, value)| String::from_utf8_lossy(value).trim_end_matches('\0').to_owned())
        .unwrap_or_default();
    Ok(if handle == 0 {
        Root::Default
    } else if ours.contains(&handle) {
        Root::Ours { kind, handle }
    } else {
        Root::Foreign(kind)
    })
}

/// Takes the root queue away; the kernel puts its default in its place.
pub(super) fn remove_root(index: u32, handle: u32) -> Request {
    Request::new(RTM_DELQDISC, 0, &tcmsg(index, handle, ROOT, 0))
}

pub(super) const TCMSG: usize = 20;
pub(super) const RTM_NEWQDISC: u16 = 36;
pub(super) const RTM_DELQDISC: u16 = 37;
pub(super) const RTM_GETQDISC: u16 = 38;
pub(super) const RTM_NEWTCLASS: u16 = 40;
pub(super) const RTM_GETTCLASS: u16 = 42;
pub(super) const RTM_NEWTFILTER: u16 = 44;
pub(super) const RTM_DELTFILTER: u16 = 45;
pub(super) const RTM_GETTFILTER: u16 = 46;
pub(super) const TCA_KIND: u16 = 1;
pub(super) const TCA_OPTIONS: u16 = 2;
/// `TC_H_ROOT`.
pub(super) const ROOT: u32 = u32::MAX;
