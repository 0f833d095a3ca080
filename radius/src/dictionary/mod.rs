//! Dictionaries: the names, numbers and types of attributes, and the names of values.
//!
//! [`Dictionary::shipped`] knows the RFCs and the vendors whose NASes are met in the field.
//! [`Dictionary::add`] reads more of them, in the text format of FreeRADIUS that operators and
//! vendors write. With a dictionary a packet prints ([`Dictionary::show`]), and a line like
//! `Mikrotik-Rate-Limit = "5M/10M"` becomes an attribute ([`Dictionary::parse_pair`]). A server
//! that only serves needs none of it: it names what it knows by [`crate::AttrType`].
//!
//! Nothing here reads files: who adds a dictionary reads them. [`text`] is the format, [`pair`]
//! reads and writes single attributes, [`walk`] takes a packet apart.

use std::collections::{BTreeMap, HashMap};

pub mod kind;
pub mod pair;
pub mod show;
pub mod text;
pub mod value;
pub mod walk;

mod shipped;

pub use self::{
    kind::{DataType, Encryption, Flags},
    pair::{Pair, PairError},
    show::{Secrets, Show},
    text::{DictionaryError, Source},
};

use crate::attr::{
    path::Path,
    place::{NoSuchPlace, Place},
    vendor::Format,
};

/// Names and what they stand for. Names are compared without case, as in all RADIUS servers.
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    attributes: Vec<Attribute>,
    by_name: HashMap<Box<str>, usize>,
    by_path: HashMap<Path, usize>,
    vendors: BTreeMap<u32, Vendor>,
    vendor_by_name: HashMap<Box<str>, u32>,
}

/// An attribute of a dictionary.
#[derive(Clone, Debug)]
pub struct Attribute {
    name: Box<str>,
    path: Path,
    kind: DataType,
    flags: Flags,
    values: BTreeMap<u64, Box<str>>,
    value_by_name: BTreeMap<Box<str>, u64>,
}

/// A vendor of a dictionary.
#[derive(Clone, Debug)]
pub struct Vendor {
    name: Box<str>,
    number: u32,
    format: Format,
}

impl Vendor {
    /// As the dictionary spells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its IANA private enterprise number.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// How its attributes are written.
    pub const fn format(&self) -> Format {
        self.format
    }
}

impl Attribute {
    /// As the dictionary spells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub const fn path(&self) -> Path {
        self.path
    }

    /// What its value is.
    pub const fn kind(&self) -> DataType {
        self.kind
    }

    /// What is special about it.
    pub const fn flags(&self) -> Flags {
        self.flags
    }

    /// The name of a value.
    pub fn value_name(&self, number: u64) -> Option<&str> {
        self.values.get(&number).map(Box::as_ref)
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<u64> {
        self.value_by_name.get(folded(name).as_ref()).copied()
    }

    /// All values that have names, in the order of the numbers.
    pub fn values(&self) -> impl Iterator<Item = (u64, &str)> {
        self.values.iter().map(|(number, name)| (*number, &**name))
    }

    /// Whether a packet can hold it: its number fits, and it is not `virtual`.
    pub fn is_in_packets(&self) -> bool {
        !self.flags.in_no_packet && self.path.numbers().first().is_some_and(|&first| first <= 255)
    }
}

impl Dictionary {
    /// The RFCs, and the vendors that are shipped.
    pub fn shipped() -> Self {
        shipped::dictionary()
    }

    /// By name, without case.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.get(*self.by_name.get(folded(name).as_ref())?)
    }

    /// What stands at this place.
    pub fn at(&self, path: Path) -> Option<&Attribute> {
        self.attributes.get(*self.by_path.get(&path)?)
    }

    /// By IANA number.
    pub fn vendor(&self, number: u32) -> Option<&Vendor> {
        self.vendors.get(&number)
    }

    /// By name, without case.
    pub fn vendor_named(&self, name: &str) -> Option<&Vendor> {
        self.vendors.get(self.vendor_by_name.get(folded(name).as_ref())?)
    }

    /// All vendors, by number.
    pub fn vendors(&self) -> impl Iterator<Item = &Vendor> {
        self.vendors.values()
    }

    /// All attributes, in the order in which they were added.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter()
    }

    /// How the vendor of this path writes its attributes; one that is not known, as usual.
    pub fn format_at(&self, path: Path) -> Format {
        let vendor = path.vendor_number().and_then(|number| self.vendor(number));
        vendor.map_or(Format::USUAL, Vendor::format)
    }

    /// How to write to this path.
    pub fn place(&self, path: Path) -> Result<Place, NoSuchPlace> {
        let concat = self.at(path).is_some_and(|attribute| attribute.flags.concat);
        Place::new(path, self.format_at(path), concat)
    }

    pub(crate) fn insert_vendor(&mut self, name: &str, number: u32, format: Format) {
        self.vendor_by_name.insert(folded(name), number);
        self.vendors.insert(number, Vendor { name: name.into(), number, format });
    }

    /// The path that the name has already, if that is another one.
    pub(crate) fn insert(
        &mut self,
        name: &str,
        path: Path,
        kind: DataType,
        flags: Flags,
    ) -> Result<(), Path> {
        let folded = folded(name);
        let known = self.by_name.get(&folded).copied();
        if let Some(attribute) = known.and_then(|at| self.attributes.get_mut(at)) {
            if attribute.path != path {
                return Err(attribute.path);
            }
            // Said again, perhaps in more detail; its named values stay.
            (attribute.kind, attribute.flags) = (kind, flags);
            return Ok(());
        }
        let at = self.attributes.len();
        let (values, value_by_name) = (BTreeMap::new(), BTreeMap::new());
        self.attributes.push(Attribute {
            name: name.into(),
            path,
            kind,
            flags,
            values,
            value_by_name,
        });
        self.by_name.insert(folded, at);
        self.by_path.insert(path, at);
        Ok(())
    }

    /// `None` if there is no such attribute.
    pub(crate) fn insert_value(&mut self, attribute: &str, name: &str, number: u64) -> Option<()> {
        let at = *self.by_name.get(&folded(attribute))?;
        let attribute = self.attributes.get_mut(at)?;
        attribute.values.insert(number, name.into());
        attribute.value_by_name.insert(folded(name), number);
        Some(())
    }
}

fn folded(name: &str) -> Box<str> {
    name.to_ascii_lowercase().into_boxed_str()
}
