//! Where an attribute is: its number, or the numbers on the way to it.

use std::fmt;

/// The numbers from the packet down to an attribute, as a dotted number names it: `8` is
/// Framed-IP-Address, `26.14988.8` a vendor's, `241.1` an extended one, `241.26.14988.1` a
/// vendor's extended one; numbers after those are of TLVs inside (RFC 6929 §2.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    numbers: [u32; DEPTH_MAX],
    len: u8,
}

/// A vendor's extended attribute with four levels of TLVs, which is what WiMAX needs.
pub const DEPTH_MAX: usize = 8;

impl Path {
    /// An attribute of the packet itself.
    pub const fn standard(number: u32) -> Self {
        let mut numbers = [0; DEPTH_MAX];
        numbers[0] = number;
        Self { numbers, len: 1 }
    }

    /// An attribute of a vendor, inside of a Vendor-Specific.
    pub const fn vendor(vendor: u32, number: u32) -> Self {
        let mut numbers = [0; DEPTH_MAX];
        [numbers[0], numbers[1], numbers[2]] = [26, vendor, number];
        Self { numbers, len: 3 }
    }

    /// One step further down. `None` if that is deeper than [`DEPTH_MAX`].
    #[must_use]
    pub fn child(mut self, number: u32) -> Option<Self> {
        *self.numbers.get_mut(usize::from(self.len))? = number;
        self.len += 1;
        Some(self)
    }

    /// One step up. `None` from an attribute of the packet itself.
    #[must_use]
    pub fn parent(mut self) -> Option<Self> {
        let len = self.len.checked_sub(1).filter(|&len| len > 0)?;
        *self.numbers.get_mut(usize::from(len))? = 0;
        self.len = len;
        Some(self)
    }

    /// One to [`DEPTH_MAX`] numbers.
    pub fn numbers(&self) -> &[u32] {
        self.numbers.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The vendor whose attribute it is.
    pub fn vendor_number(&self) -> Option<u32> {
        match *self.numbers() {
            [26, vendor, ..] | [241..=246, 26, vendor, ..] => Some(vendor),
            _ => None,
        }
    }

    /// Reads a dotted number.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(parse_number);
        let mut path = Self::standard(numbers.next()??);
        for number in numbers {
            path = path.child(number?)?;
        }
        Some(path)
    }
}

/// Decimal, or hexadecimal after `0x`.
pub(crate) fn parse_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, number) in self.numbers().iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            write!(f, "{dot}{number}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
