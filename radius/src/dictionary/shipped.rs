//! The dictionaries that are part of this crate.

use super::{Dictionary, text::Source};

/// Name and text of each. To add one: a file in `dictionaries/` and a line here.
const FILES: &[(&str, &str)] = &[
    ("rfc.dict", include_str!("../../dictionaries/rfc.dict")),
    ("aruba.dict", include_str!("../../dictionaries/aruba.dict")),
    ("ascend.dict", include_str!("../../dictionaries/ascend.dict")),
    ("cambium.dict", include_str!("../../dictionaries/cambium.dict")),
    ("canopy.dict", include_str!("../../dictionaries/canopy.dict")),
    ("chillispot.dict", include_str!("../../dictionaries/chillispot.dict")),
    ("cisco.dict", include_str!("../../dictionaries/cisco.dict")),
    ("dsl-forum.dict", include_str!("../../dictionaries/dsl-forum.dict")),
    ("erx.dict", include_str!("../../dictionaries/erx.dict")),
    ("h3c.dict", include_str!("../../dictionaries/h3c.dict")),
    ("hp.dict", include_str!("../../dictionaries/hp.dict")),
    ("huawei.dict", include_str!("../../dictionaries/huawei.dict")),
    ("microsoft.dict", include_str!("../../dictionaries/microsoft.dict")),
    ("mikrotik.dict", include_str!("../../dictionaries/mikrotik.dict")),
    ("mimosa.dict", include_str!("../../dictionaries/mimosa.dict")),
    ("pfsense.dict", include_str!("../../dictionaries/pfsense.dict")),
    ("roaring-penguin.dict", include_str!("../../dictionaries/roaring-penguin.dict")),
    ("ruckus.dict", include_str!("../../dictionaries/ruckus.dict")),
    ("tp-link.dict", include_str!("../../dictionaries/tp-link.dict")),
    ("ubiquiti.dict", include_str!("../../dictionaries/ubiquiti.dict")),
    ("wispr.dict", include_str!("../../dictionaries/wispr.dict")),
    ("zte.dict", include_str!("../../dictionaries/zte.dict")),
];

pub(super) fn dictionary() -> Dictionary {
    let mut dictionary = Dictionary::default();
    for (name, text) in FILES {
        let source = Source { name: (*name).to_owned(), text: (*text).to_owned() };
        let mut load = |_: &str, _: &str| Err("shipped dictionaries include nothing".into());
        dictionary.add(&source, &mut load).expect("the tests read every shipped dictionary");
    }
    dictionary
}
