//! Where programs meet interfaces: as a link (tcx, Linux 6.6) or as a filter (clsact, before).
//!
//! Either way a program takes the place of the one that a process before has left there, and no
//! packet passes between the two.

use std::{
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{
    programs::{LinkOrder, SchedClassifier, TcAttachType, links::FdLink, tc::TcAttachOptions},
    util::KernelVersion,
};
use ebpf::layout::Direction;
use nix::net::if_::if_nameindex;

use super::{
    DataplaneError, Within,
    netlink::{self, Netlink, Request, attribute, attributes},
    pins::{Pins, open_link},
    tc::{
        RTM_DELQDISC, RTM_DELTFILTER, RTM_GETTFILTER, RTM_NEWQDISC, RTM_NEWTFILTER, TCA_KIND,
        TCA_OPTIONS, TCMSG, tcmsg,
    },
};

/// How this kernel takes programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    Tcx,
    Clsact,
}

impl Hook {
    pub(super) fn here() -> Self {
        let has_links =
            KernelVersion::current().is_ok_and(|here| here >= KernelVersion::new(6, 6, 0));
        if has_links { Self::Tcx } else { Self::Clsact }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }

    pub(super) fn attach(
        self,
        pins: &Pins,
        program: &mut SchedClassifier,
        (interface, index): (&str, u32),
        direction: Direction,
    ) -> Result<(), DataplaneError> {
        match self {
            Self::Tcx => attach_link(pins, program, interface, direction),
            Self::Clsact => attach_filter(program, (interface, index), direction),
        }
    }
}

fn attach_link(
    pins: &Pins,
    program: &mut SchedClassifier,
    interface: &str,
    direction: Direction,
) -> Result<(), DataplaneError> {
    let path = pins.link(interface, direction);
    let attempt = || format!("attach the program of {}", path.display());
    if let Some(pinned) = open_link(&path).within(attempt)? {
        let link = FdLink::from(pinned).try_into().within(attempt)?;
        match program.attach_to_link(link) {
            // Dropping the link leaves the pin, and the pin keeps it attached.
            Ok(link) => return program.take_link(link).map(drop).within(attempt),
            // The interface it was attached to is gone; this one has only the same name.
            Err(error) => {
                tracing::info!("{} is stale: {error}", path.display());
                fs::remove_file(&path).within(attempt)?;
            }
        }
    }
    let side = match direction {
        Direction::Down => TcAttachType::Egress,
        Direction::Up => TcAttachType::Ingress,
    };
    let order = TcAttachOptions::TcxOrder(LinkOrder::default());
    let link = program.attach_with_options(interface, side, order).within(attempt)?;
    let link = program.take_link(link).within(attempt)?;
    let link: FdLink = link.try_into().within(attempt)?;
    link.pin(&path).map(drop).within(attempt)
}

fn attach_filter(
    program: &SchedClassifier,
    (interface, index): (&str, u32),
    direction: Direction,
) -> Result<(), DataplaneError> {
    let attempt = || format!("attach the program of {interface} as a filter");
    let mut netlink = Netlink::open().within(attempt)?;
    let clsact = Request::new(
        RTM_NEWQDISC,
        netlink::CREATE | netlink::EXCLUSIVE,
        &tcmsg(index, CLSACT_HANDLE, CLSACT, 0),
    )
    .with(TCA_KIND, b"clsact\0");
    match netlink.run(vec![clsact]) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        made => made.within(attempt)?,
    }
    let descriptor = program.fd().within(attempt)?.as_fd().as_raw_fd();
    let mut options = attribute(TCA_BPF_FD, &descriptor.to_ne_bytes());
    options.extend(attribute(TCA_BPF_NAME, b"kennet\0"));
    options.extend(attribute(TCA_BPF_FLAGS, &DIRECT_ACTION.to_ne_bytes()));
    let filter = Request::new(
        RTM_NEWTFILTER,
        netlink::CREATE,
        &tcmsg(index, FILTER, side(direction), WHICH),
    )
    .with(TCA_KIND, b"bpf\0")
    .with(TCA_OPTIONS, &options);
    netlink.run(vec![filter]).within(attempt)
}

/// Takes our filters off interfaces that are not in `kept`, and the place for filters where there
/// are no others.
pub(super) fn sweep_filters(kept: &[String]) -> Result<(), DataplaneError> {
    let attempt = || "look for filters of ours".to_owned();
    let mut netlink = Netlink::open().within(attempt)?;
    for interface in &if_nameindex().within(attempt)? {
        let name = interface.name().to_string_lossy().into_owned();
        if kept.contains(&name) {
            continue;
        }
        let index = interface.index();
        let mut had_ours = false;
        for direction in [Direction::Down, Direction::Up] {
            let parent = side(direction);
            let found = filters(&mut netlink, index, parent).within(attempt)?;
            if found.contains(&FILTER) {
                had_ours = true;
                let filter = Request::new(RTM_DELTFILTER, 0, &tcmsg(index, FILTER, parent, WHICH))
                    .with(TCA_KIND, b"bpf\0");
                netlink.run(vec![filter]).within(|| format!("take our filter off {name}"))?;
            }
        }
        if !had_ours {
            continue;
        }
        let mut others = 0;
        for direction in [Direction::Down, Direction::Up] {
            others += filters(&mut netlink, index, side(direction)).within(attempt)?.len();
        }
        if others == 0 {
            let clsact = Request::new(RTM_DELQDISC, 0, &tcmsg(index, CLSACT_HANDLE, CLSACT, 0));
            netlink.run(vec![clsact]).within(|| format!("take clsact off {name}"))?;
        }
    }
    Ok(())
}

/// Handles of the filters there; none where there is no place for filters.
fn filters(netlink: &mut Netlink, index: u32, parent: u32) -> std::io::Result<Vec<u32>> {
    let answers = match netlink.dump(Request::new(RTM_GETTFILTER, 0, &tcmsg(index, 0, parent, 0))) {
        Ok(answers) => answers,
        Err(error) if error.raw_os_error() == Some(EINVAL) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let handles = answers.iter().filter_map(|(_, payload)| {
        // A message without options tells of the chain of filters, not of one.
        attributes(payload, TCMSG).find(|&(kind, _)| kind == TCA_OPTIONS)?;
        netlink::u32_at(payload, 8)
    });
    Ok(handles.filter(|handle| *handle != 0).collect())
}

const fn side(direction: Direction) -> u32 {
    match direction {
        Direction::Up => 0xffff_fff2,
        Direction::Down => 0xffff_fff3,
    }
}

/// "KN", among filters of our priority.
const FILTER: u32 = 0x4b4e;

/// Priority 19278 for all protocols: `tcm_info`. Operators' own filters come before by default.
const WHICH: u32 = 0x4b4e_0000 | (0x0003_u16.to_be() as u32);

const CLSACT: u32 = 0xffff_fff1;
const CLSACT_HANDLE: u32 = 0xffff_0000;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const DIRECT_ACTION: u32 = 1;
const EINVAL: i32 = 22;
