//! Prints packets, a line for every attribute.

use std::{cell::Cell, fmt};

use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use super::{Dictionary, Encryption, value::Value, walk::Item};
use crate::{
    packet::{Authenticator, Packet},
    password::Password,
    salted,
    secret::Secret,
};

/// Whether passwords and keys are printed.
#[derive(Clone, Copy, Debug)]
pub enum Secrets<'s> {
    /// As `(hidden)`.
    Hidden,
    /// Decrypted.
    Shown {
        /// What client and server share.
        secret: &'s Secret,
        /// The Authenticator field of the request, for its reply too.
        request: &'s Authenticator,
    },
}

/// The attributes of a packet, printed as lines like `\tUser-Name = "amina"\n`.
#[derive(Clone, Copy, Debug)]
pub struct Show<'a> {
    dictionary: &'a Dictionary,
    packet: Packet<'a>,
    secrets: Secrets<'a>,
}

impl Dictionary {
    /// What the packet says, as text that [`Dictionary::parse_pair`] reads line by line. Octets
    /// that are not of the type that the dictionary says are printed as octets of their number.
    pub const fn show<'a>(&'a self, packet: Packet<'a>, secrets: Secrets<'a>) -> Show<'a> {
        Show { dictionary: self, packet, secrets }
    }
}

impl fmt::Display for Show<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let done = Cell::new(Ok(()));
        self.dictionary.walk(&self.packet, &mut |item| {
            if done.get().is_ok() {
                done.set(line(&item, self.secrets, f));
            }
        });
        done.get()
    }
}

fn line(item: &Item<'_>, secrets: Secrets<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(attribute) = item.attribute else {
        return writeln!(f, "\tAttr-{} = {}", item.path, Value::Octets(item.value));
    };
    write!(f, "\t{}", attribute.name())?;
    if let Some(tag) = item.tag {
        write!(f, ":{tag}")?;
    }
    let is_secret = attribute.flags().secret || attribute.flags().encryption.is_some();
    let (secret, request) = match secrets {
        Secrets::Hidden if is_secret => return f.write_str(" = (hidden)\n"),
        Secrets::Hidden => (None, None),
        Secrets::Shown { secret, request } => (Some(secret), Some(request)),
    };
    let decrypted = match (attribute.flags().encryption, secret, request) {
        (Some(encryption), Some(secret), Some(request)) => {
            match decrypt(encryption, item.value, request, secret) {
                Some(plain) => Some(plain),
                None => {
                    return writeln!(f, " = {} (cannot be decrypted)", Value::Octets(item.value));
                }
            }
        }
        _ => None,
    };
    let octets = decrypted.as_ref().map_or(item.value, |plain| plain);
    let Some(value) = Value::read(attribute.kind(), octets) else {
        return writeln!(f, " = {}", Value::Octets(octets));
    };
    let number = match value {
        Value::Number(number) => Some(number),
        Value::Signed(number) => u64::try_from(number).ok(),
        Value::Text(_)
        | Value::Octets(_)
        | Value::Ipv4(_)
        | Value::Ipv6(_)
        | Value::Ipv4Prefix(..)
        | Value::Ipv6Prefix(..)
        | Value::InterfaceId(_)
        | Value::Ether(_)
        | Value::Date(_) => None,
    };
    match number.and_then(|number| attribute.value_name(number)) {
        Some(name) => writeln!(f, " = {name}"),
        None => writeln!(f, " = {value}"),
    }
}

fn decrypt(
    encryption: Encryption,
    value: &[u8],
    request: &Authenticator,
    secret: &Secret,
) -> Option<Zeroizing<Vec<u8>>> {
    let plain = match encryption {
        Encryption::UserPassword => {
            Password::reveal(value, request, secret).ok()?.as_bytes().to_vec()
        }
        Encryption::Salted => salted::decrypt(value, request, secret).ok()?.as_bytes().to_vec(),
        Encryption::Ascend => {
            let mask: [u8; 16] =
                Md5::new_with_prefix(request).chain_update(secret.text()).finalize().into();
            let mut plain: Vec<u8> =
                value.iter().zip(mask).map(|(octet, mask)| octet ^ mask).collect();
            plain.truncate(plain.iter().rposition(|&octet| octet != 0).map_or(0, |last| last + 1));
            plain
        }
    };
    Some(Zeroizing::new(plain))
}
