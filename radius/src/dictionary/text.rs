//! The text format of dictionaries: that of FreeRADIUS, which vendors publish theirs in.
//!
//! ```text
//! VENDOR        Example  32473            # IANA's number; format=TYPE,LENGTH[,c] if unusual
//! BEGIN-VENDOR  Example                   # or: format=Extended-Vendor-Specific-5
//! ATTRIBUTE     Example-Rate   1  integer
//! ATTRIBUTE     Example-Key    2  octets  encrypt=2
//! ATTRIBUTE     Example-Limits 3  tlv
//! ATTRIBUTE     Example-Up     3.1  integer    # or between BEGIN-TLV and END-TLV Example-Limits
//! VALUE         Example-Rate   Unlimited  0
//! END-VENDOR    Example
//! $INCLUDE      another.file              # $INCLUDE- if it may be missing
//! ```

use std::error::Error;

use super::{DataType, Dictionary, Flags, folded};
use crate::attr::{
    path::{Path, parse_number},
    vendor::Format,
};

/// A file, or what stands for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// How messages name it.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// What gives the text of an `$INCLUDE`: it is told who includes it, and what.
pub type Loader<'l> = dyn FnMut(&str, &str) -> Result<Source, Box<dyn Error + Send + Sync>> + 'l;

/// What is wrong in a dictionary, and where.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{line}: {fault}")]
pub struct DictionaryError {
    /// As [`Source::name`] has it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// What was expected there.
    pub fault: Box<Fault>,
    /// Why an `$INCLUDE` cannot be read.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What is wrong in a line of a dictionary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The first word is not known.
    #[error(
        "expected ATTRIBUTE, VALUE, VENDOR, BEGIN-VENDOR, END-VENDOR, BEGIN-TLV, END-TLV or \
         $INCLUDE, not `{0}`"
    )]
    Keyword(String),
    /// Words are missing.
    #[error("expected `{0}`")]
    Form(&'static str),
    /// Not a number where one should be.
    #[error("expected a number like 26 or 0x1a, not `{0}`")]
    Number(String),
    /// Not a number of an attribute.
    #[error("expected an attribute's number like 8, 241.1 or 0x1a, not `{0}`")]
    AttributeNumber(String),
    /// Not a type.
    #[error(
        "expected a type (string, octets, octets[N], integer, integer64, byte, short, signed, \
         ipaddr, ipv6addr, ipv4prefix, ipv6prefix, combo-ip, ifid, ether, date, tlv, extended, \
         long-extended, evs, vsa, abinary), not `{0}`"
    )]
    Type(String),
    /// Not a flag.
    #[error(
        "expected flags (has_tag, encrypt=1, encrypt=2, encrypt=3, concat, array, virtual, \
         secret) or a comment, not `{0}`"
    )]
    Flag(String),
    /// Not a format of a vendor.
    #[error("expected a format: format=1,1 or 2,1 or 2,2 or 4,0 or 1,1,c, not `{0}`")]
    Format(String),
    /// Nobody has said VENDOR with this name.
    #[error("the vendor `{0}` is not known here: a VENDOR line comes first")]
    Vendor(String),
    /// Nobody has said ATTRIBUTE with this name.
    #[error("the attribute `{0}` is not known")]
    Attribute(String),
    /// A TLV goes only into a TLV.
    #[error("`{0}` is not of the type tlv")]
    NotTlv(String),
    /// An END- without its BEGIN-, or the other way round.
    #[error("expected `{0}`")]
    Unbalanced(String),
    /// A name is taken.
    #[error("`{name}` is the attribute {known} already and cannot be {path} too")]
    Taken {
        /// The name.
        name: String,
        /// Where it is.
        known: Path,
        /// Where it was to be.
        path: Path,
    },
    /// Numbers deeper than any attribute can be.
    #[error("there are too many numbers on the way to `{0}`")]
    Depth(String),
    /// An `$INCLUDE` that cannot be read.
    #[error("cannot read `{0}`")]
    Include(String),
    /// Files include files in a circle, or it looks like one.
    #[error("files include each other {0} deep")]
    IncludeDepth(usize),
}

/// Real dictionaries have two levels.
const INCLUDE_DEPTH_MAX: usize = 10;

impl Dictionary {
    /// Adds what a file says. Names that are known already may be said again with the same
    /// number; a number that has a name gets this one when it is printed. On an error some of it
    /// may have been added.
    pub fn add(&mut self, source: &Source, load: &mut Loader<'_>) -> Result<(), DictionaryError> {
        let mut late = Vec::new();
        self.add_file(source, load, 0, &mut late)?;
        for Late { file, line, attribute, value, number } in late {
            if self.insert_value(&attribute, &value, number).is_none() {
                let fault = Box::new(Fault::Attribute(attribute));
                return Err(DictionaryError { file, line, fault, source: None });
            }
        }
        Ok(())
    }

    fn add_file(
        &mut self,
        source: &Source,
        load: &mut Loader<'_>,
        depth: usize,
        late: &mut Vec<Late>,
    ) -> Result<(), DictionaryError> {
        let mut context = Context::default();
        let mut line_number = 0;
        for (at, line) in source.text.lines().enumerate() {
            line_number = at + 1;
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let located = |fault, cause| DictionaryError {
                file: source.name.clone(),
                line: line_number,
                fault: Box::new(fault),
                source: cause,
            };
            match self.line(&mut context, &words) {
                Ok(Next::Line) => {}
                Ok(Next::Include { name, optional }) => {
                    if depth >= INCLUDE_DEPTH_MAX {
                        return Err(located(Fault::IncludeDepth(INCLUDE_DEPTH_MAX), None));
                    }
                    match load(&source.name, name) {
                        Ok(included) => self.add_file(&included, load, depth + 1, late)?,
                        Err(_) if optional => {}
                        Err(cause) => {
                            return Err(located(Fault::Include(name.to_owned()), Some(cause)));
                        }
                    }
                }
                Ok(Next::Late { attribute, value, number }) => late.push(Late {
                    file: source.name.clone(),
                    line: line_number,
                    attribute: attribute.to_owned(),
                    value: value.to_owned(),
                    number,
                }),
                Err(fault) => return Err(located(fault, None)),
            }
        }
        context.end().map_err(|fault| DictionaryError {
            file: source.name.clone(),
            line: line_number,
            fault: Box::new(fault),
            source: None,
        })
    }

    fn line<'t>(&mut self, context: &mut Context, words: &[&'t str]) -> Result<Next<'t>, Fault> {
        let Some((&keyword, rest)) = words.split_first() else { return Ok(Next::Line) };
        match (keyword.to_ascii_uppercase().as_str(), rest) {
            ("ATTRIBUTE", &[name, number, kind, ref flags @ ..]) => {
                self.attribute_line(context, name, number, kind, flags)?;
            }
            ("ATTRIBUTE", _) => return Err(Fault::Form("ATTRIBUTE NAME NUMBER TYPE [FLAGS]")),
            ("VALUE", &[attribute, value, number, ..]) => {
                return self.value_line(attribute, value, number);
            }
            ("VALUE", _) => return Err(Fault::Form("VALUE ATTRIBUTE NAME NUMBER")),
            ("VENDOR", &[name, number, ref options @ ..]) => {
                let number =
                    parse_number(number).ok_or_else(|| Fault::Number(number.to_owned()))?;
                let format = match options {
                    [] => Format::USUAL,
                    [option, ..] => {
                        parse_format(option).ok_or_else(|| Fault::Format((*option).to_owned()))?
                    }
                };
                self.insert_vendor(name, number, format);
            }
            ("VENDOR", _) => return Err(Fault::Form("VENDOR NAME NUMBER [format=…]")),
            ("BEGIN-VENDOR", &[name, ref options @ ..]) => {
                context.begin_vendor(self, name, options.first().copied())?;
            }
            ("BEGIN-VENDOR", _) => return Err(Fault::Form("BEGIN-VENDOR NAME")),
            ("END-VENDOR", &[name, ..]) => context.end_vendor(name)?,
            ("END-VENDOR", _) => return Err(Fault::Form("END-VENDOR NAME")),
            ("BEGIN-TLV", &[name, ..]) => context.begin_tlv(self, name)?,
            ("BEGIN-TLV", _) => return Err(Fault::Form("BEGIN-TLV NAME")),
            ("END-TLV", &[name, ..]) => context.end_tlv(name)?,
            ("END-TLV", _) => return Err(Fault::Form("END-TLV NAME")),
            (keyword @ ("$INCLUDE" | "$INCLUDE-"), &[name, ..]) => {
                return Ok(Next::Include { name, optional: keyword.ends_with('-') });
            }
            ("$INCLUDE" | "$INCLUDE-", _) => return Err(Fault::Form("$INCLUDE FILE")),
            _ => return Err(Fault::Keyword(keyword.to_owned())),
        }
        Ok(Next::Line)
    }

    fn attribute_line(
        &mut self,
        context: &Context,
        name: &str,
        number: &str,
        kind: &str,
        options: &[&str],
    ) -> Result<(), Fault> {
        let data = DataType::parse(kind).ok_or_else(|| Fault::Type(kind.to_owned()))?;
        let mut flags = Flags::default();
        let mut base = context.base();
        for flag in options.iter().flat_map(|option| option.split(',')) {
            // An old form of BEGIN-VENDOR names the vendor here.
            if let Some(vendor) = self.vendor_named(flag).filter(|_| base.is_none()) {
                base = Path::standard(26).child(vendor.number());
            } else if !flag.is_empty() {
                flags.add(flag).ok_or_else(|| Fault::Flag(flag.to_owned()))?;
            }
        }
        let relative =
            Path::parse(number).ok_or_else(|| Fault::AttributeNumber(number.to_owned()))?;
        let path = match base {
            None => relative,
            Some(base) => relative
                .numbers()
                .iter()
                .try_fold(base, |path, &number| path.child(number))
                .ok_or_else(|| Fault::Depth(name.to_owned()))?,
        };
        self.insert(name, path, data, flags).map_err(|known| Fault::Taken {
            name: name.to_owned(),
            known,
            path,
        })
    }

    fn value_line<'t>(
        &mut self,
        attribute: &'t str,
        value: &'t str,
        number: &str,
    ) -> Result<Next<'t>, Fault> {
        let digits = number.strip_prefix("0x").or_else(|| number.strip_prefix("0X"));
        let parsed = match digits {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => number.parse().ok(),
        };
        let parsed = parsed.ok_or_else(|| Fault::Number(number.to_owned()))?;
        match self.attribute(attribute) {
            // It may be defined further down.
            None => return Ok(Next::Late { attribute, value, number: parsed }),
            Some(_) => self.insert_value(attribute, value, parsed),
        };
        Ok(Next::Line)
    }
}

/// What a line asks for.
enum Next<'t> {
    Line,
    Include { name: &'t str, optional: bool },
    Late { attribute: &'t str, value: &'t str, number: u64 },
}

/// A VALUE that stands before its ATTRIBUTE.
struct Late {
    file: String,
    line: usize,
    attribute: String,
    value: String,
    number: u64,
}

/// Where numbers of attributes count from.
#[derive(Default)]
struct Context {
    /// Name and path.
    vendor: Option<(Box<str>, Path)>,
    tlvs: Vec<(Box<str>, Path)>,
}

impl Context {
    fn base(&self) -> Option<Path> {
        self.tlvs.last().or(self.vendor.as_ref()).map(|&(_, path)| path)
    }

    fn begin_vendor(
        &mut self,
        dictionary: &Dictionary,
        name: &str,
        option: Option<&str>,
    ) -> Result<(), Fault> {
        if let Some((open, _)) = &self.vendor {
            return Err(Fault::Unbalanced(format!("END-VENDOR {open}")));
        }
        let unknown = || Fault::Vendor(name.to_owned());
        let number = dictionary.vendor_named(name).ok_or_else(unknown)?.number();
        let root = match option {
            None => Path::standard(26),
            Some(option) => extended_root(option).ok_or(Fault::Form(EVS_FORM))?,
        };
        let path = root.child(number).ok_or_else(|| Fault::Depth(name.to_owned()))?;
        self.vendor = Some((folded(name), path));
        Ok(())
    }

    fn end_vendor(&mut self, name: &str) -> Result<(), Fault> {
        if let Some((tlv, _)) = self.tlvs.last() {
            return Err(Fault::Unbalanced(format!("END-TLV {tlv}")));
        }
        match self.vendor.take() {
            Some((open, _)) if open == folded(name) => Ok(()),
            Some((open, _)) => Err(Fault::Unbalanced(format!("END-VENDOR {open}"))),
            None => Err(Fault::Unbalanced(format!("BEGIN-VENDOR {name}"))),
        }
    }

    fn begin_tlv(&mut self, dictionary: &Dictionary, name: &str) -> Result<(), Fault> {
        let attribute =
            dictionary.attribute(name).ok_or_else(|| Fault::Attribute(name.to_owned()))?;
        if attribute.kind() != DataType::Tlv {
            return Err(Fault::NotTlv(name.to_owned()));
        }
        if self.tlvs.len() >= crate::attr::path::DEPTH_MAX {
            return Err(Fault::Depth(name.to_owned()));
        }
        self.tlvs.push((folded(name), attribute.path()));
        Ok(())
    }

    fn end_tlv(&mut self, name: &str) -> Result<(), Fault> {
        match self.tlvs.pop() {
            Some((open, _)) if open == folded(name) => Ok(()),
            Some((open, _)) => Err(Fault::Unbalanced(format!("END-TLV {open}"))),
            None => Err(Fault::Unbalanced(format!("BEGIN-TLV {name}"))),
        }
    }

    fn end(&self) -> Result<(), Fault> {
        match (self.tlvs.last(), &self.vendor) {
            (Some((open, _)), _) => Err(Fault::Unbalanced(format!("END-TLV {open}"))),
            (None, Some((open, _))) => Err(Fault::Unbalanced(format!("END-VENDOR {open}"))),
            (None, None) => Ok(()),
        }
    }
}

const EVS_FORM: &str = "BEGIN-VENDOR NAME format=Extended-Vendor-Specific-1 (to -6)";

fn extended_root(option: &str) -> Option<Path> {
    const PREFIX: &str = "format=Extended-Vendor-Specific-";
    let (prefix, number) = option.split_at_checked(PREFIX.len())?;
    let number: u32 = number.parse().ok()?;
    let known = prefix.eq_ignore_ascii_case(PREFIX) && (1..=6).contains(&number);
    if known { Path::standard(240 + number).child(26) } else { None }
}

fn parse_format(option: &str) -> Option<Format> {
    let (name, format) = option.split_once('=')?;
    let mut parts = format.split(',');
    let type_len = parts.next()?.parse().ok()?;
    let length_len = parts.next()?.parse().ok()?;
    let continues = match parts.next() {
        None => false,
        Some("c") => true,
        Some(_) => return None,
    };
    let is_all = parts.next().is_none() && name.eq_ignore_ascii_case("format");
    Format::new(type_len, length_len, continues).filter(|_| is_all)
}
