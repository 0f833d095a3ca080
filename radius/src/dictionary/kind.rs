//! What a value is, and what is special about an attribute.

use std::fmt;

/// The data types of RFC 8044, by the names that dictionary files have for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    /// `string`: UTF-8. §3.4.
    Text,
    /// `octets`, with their number if it is fixed: `octets[16]`. §3.5.
    Octets(Option<u16>),
    /// `integer`: 32 bits. §3.1.
    Integer,
    /// `integer64`. §3.12.
    Integer64,
    /// `byte`: 8 bits.
    Byte,
    /// `short`: 16 bits.
    Short,
    /// `signed`: 32 bits with a sign.
    Signed,
    /// `ipaddr`. §3.8.
    Ipv4,
    /// `ipv6addr`. §3.9.
    Ipv6,
    /// `ipv4prefix`: a zero octet, a length, four octets. §3.11.
    Ipv4Prefix,
    /// `ipv6prefix`: a zero octet, a length, as many octets as it needs. §3.10.
    Ipv6Prefix,
    /// `combo-ip`: four octets or sixteen.
    ComboIp,
    /// `ifid`: 8 octets. §3.7.
    InterfaceId,
    /// `ether`: 6 octets.
    Ether,
    /// `date`: seconds since 1970, 32 bits. §3.3.
    Date,
    /// `tlv`: attributes inside. §3.13.
    Tlv,
    /// `vsa`: Vendor-Specific. §3.14.
    Vsa,
    /// `extended`. §3.15.
    Extended,
    /// `long-extended`. §3.16.
    LongExtended,
    /// `evs`: a vendor's extended attribute. §3.17.
    Evs,
}

impl DataType {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(len) = text.strip_prefix("octets[").and_then(|rest| rest.strip_suffix(']')) {
            return Some(Self::Octets(Some(len.parse().ok()?)));
        }
        Some(match text.to_ascii_lowercase().as_str() {
            "string" | "text" => Self::Text,
            // Ascend's binary filters have a text form of their own, which is not read here.
            "octets" | "abinary" => Self::Octets(None),
            "integer" | "uint32" => Self::Integer,
            "integer64" | "uint64" => Self::Integer64,
            "byte" | "uint8" => Self::Byte,
            "short" | "uint16" => Self::Short,
            "signed" | "int32" => Self::Signed,
            "ipaddr" | "ipv4addr" => Self::Ipv4,
            "ipv6addr" => Self::Ipv6,
            "ipv4prefix" => Self::Ipv4Prefix,
            "ipv6prefix" => Self::Ipv6Prefix,
            "combo-ip" => Self::ComboIp,
            "ifid" => Self::InterfaceId,
            "ether" => Self::Ether,
            "date" | "time" => Self::Date,
            "tlv" => Self::Tlv,
            "vsa" => Self::Vsa,
            "extended" => Self::Extended,
            "long-extended" => Self::LongExtended,
            "evs" => Self::Evs,
            _ => return None,
        })
    }

    /// Whether values of it may have names.
    pub(crate) const fn is_number(self) -> bool {
        matches!(
            self,
            Self::Integer | Self::Integer64 | Self::Byte | Self::Short | Self::Signed | Self::Date
        )
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "string",
            Self::Octets(None) => "octets",
            Self::Octets(Some(len)) => return write!(f, "octets[{len}]"),
            Self::Integer => "integer",
            Self::Integer64 => "integer64",
            Self::Byte => "byte",
            Self::Short => "short",
            Self::Signed => "signed",
            Self::Ipv4 => "ipaddr",
            Self::Ipv6 => "ipv6addr",
            Self::Ipv4Prefix => "ipv4prefix",
            Self::Ipv6Prefix => "ipv6prefix",
            Self::ComboIp => "combo-ip",
            Self::InterfaceId => "ifid",
            Self::Ether => "ether",
            Self::Date => "date",
            Self::Tlv => "tlv",
            Self::Vsa => "vsa",
            Self::Extended => "extended",
            Self::LongExtended => "long-extended",
            Self::Evs => "evs",
        })
    }
}

/// How a value is hidden on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// `encrypt=1`: as a User-Password, RFC 2865 §5.2.
    UserPassword,
    /// `encrypt=2`: with a salt, [`crate::salted`].
    Salted,
    /// `encrypt=3`: Ascend's, 16 octets.
    Ascend,
}

/// What is special about an attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the format, on its own")]
pub struct Flags {
    /// `has_tag`: its value begins with a tag, [`crate::attr::tagged`].
    pub tagged: bool,
    /// `encrypt=1`, `2` or `3`.
    pub encryption: Option<Encryption>,
    /// `concat`: a long value stands in several attributes.
    pub concat: bool,
    /// `array`: one attribute holds several values, one after the other.
    pub array: bool,
    /// `virtual`: it has a name, and is in no packet.
    pub in_no_packet: bool,
    /// `secret`: it is printed only if one asks for secrets.
    pub secret: bool,
}

impl Flags {
    /// One of those that stand in a file, several separated by commas. The rest of the line is
    /// not read here. `None` if it is not known.
    pub(crate) fn add(&mut self, text: &str) -> Option<()> {
        match text.to_ascii_lowercase().as_str() {
            "has_tag" => self.tagged = true,
            "encrypt=1" => self.encryption = Some(Encryption::UserPassword),
            "encrypt=2" => self.encryption = Some(Encryption::Salted),
            "encrypt=3" => self.encryption = Some(Encryption::Ascend),
            "concat" => self.concat = true,
            "array" => self.array = true,
            "virtual" => self.in_no_packet = true,
            "secret" => self.secret = true,
            _ => return None,
        }
        Some(())
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encryption = match self.encryption {
            None => "",
            Some(Encryption::UserPassword) => "encrypt=1",
            Some(Encryption::Salted) => "encrypt=2",
            Some(Encryption::Ascend) => "encrypt=3",
        };
        let flags = [
            (self.tagged, "has_tag"),
            (self.encryption.is_some(), encryption),
            (self.concat, "concat"),
            (self.array, "array"),
            (self.in_no_packet, "virtual"),
            (self.secret, "secret"),
        ];
        let mut comma = "";
        for (_, flag) in flags.into_iter().filter(|(is_set, _)| *is_set) {
            write!(f, "{comma}{flag}")?;
            comma = ",";
        }
        Ok(())
    }
}
