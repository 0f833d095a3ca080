//! Attributes inside EAP-TTLS, in the form of Diameter. RFC 5281 §10.1.

/// An attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avp<'a> {
    /// Its number, in the space of RADIUS where it is below 256.
    pub code: u32,
    /// 0 where it is not a vendor's.
    pub vendor: u32,
    /// What it says.
    pub value: &'a [u8],
}

/// Octets that are not attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the attributes of EAP-TTLS")]
pub struct Malformed;

const VENDOR: u8 = 0x80;
const MANDATORY: u8 = 0x40;

/// Takes the first attribute off `octets`; `None` at the end. The padding of the last one may be
/// missing.
pub fn next<'a>(octets: &mut &'a [u8]) -> Result<Option<Avp<'a>>, Malformed> {
    if octets.is_empty() {
        return Ok(None);
    }
    let (&[a, b, c, d, flags, high, mid, low], rest) =
        octets.split_first_chunk().ok_or(Malformed)?;
    let len = usize::try_from(u32::from_be_bytes([0, high, mid, low])).map_err(|_| Malformed)?;
    let (vendor, header, rest) = if flags & VENDOR == 0 {
        (0, 8, rest)
    } else {
        let (vendor, rest) = rest.split_first_chunk().ok_or(Malformed)?;
        (u32::from_be_bytes(*vendor), 12, rest)
    };
    let value_len = len.checked_sub(header).ok_or(Malformed)?;
    let value = rest.get(..value_len).ok_or(Malformed)?;
    *octets = rest.get(value_len.next_multiple_of(4)..).unwrap_or_default();
    Ok(Some(Avp { code: u32::from_be_bytes([a, b, c, d]), vendor, value }))
}

/// Adds an attribute that the peer has to understand.
pub fn write(out: &mut Vec<u8>, Avp { code, vendor, value }: Avp<'_>) {
    let header = if vendor == 0 { 8 } else { 12 };
    let len = u32::try_from(header + value.len()).unwrap_or(u32::MAX);
    let [_, high, mid, low] = len.to_be_bytes();
    let flags = if vendor == 0 { MANDATORY } else { VENDOR | MANDATORY };
    out.extend(code.to_be_bytes());
    out.extend([flags, high, mid, low]);
    if vendor != 0 {
        out.extend(vendor.to_be_bytes());
    }
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_end_may_miss_and_nothing_else() {
        let mut whole = Vec::new();
        write(&mut whole, Avp { code: 1, vendor: 0, value: b"amina" });
        assert_eq!(whole, b"\0\0\0\x01\x40\0\0\x0damina\0\0\0");
        write(&mut whole, Avp { code: 26, vendor: 311, value: b"x" });
        let mut rest = &whole[..whole.len() - 3];
        assert_eq!(next(&mut rest), Ok(Some(Avp { code: 1, vendor: 0, value: b"amina" })));
        assert_eq!(next(&mut rest), Ok(Some(Avp { code: 26, vendor: 311, value: b"x" })));
        assert_eq!(next(&mut rest), Ok(None));
        for len in 1..13 {
            assert_eq!(next(&mut &whole[..len]), Err(Malformed), "{len}");
        }
        assert_eq!(next(&mut &b"\0\0\0\x01\x40\0\0\x07"[..]), Err(Malformed));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            list in prop::collection::vec((any::<u32>(), 0_u32..3, any::<Vec<u8>>()), 0..5)
        ) {
            let mut octets = Vec::new();
            for (code, vendor, value) in &list {
                write(&mut octets, Avp { code: *code, vendor: *vendor, value });
            }
            let mut rest = &octets[..];
            for (code, vendor, value) in &list {
                let avp = Avp { code: *code, vendor: *vendor, value };
                prop_assert_eq!(next(&mut rest), Ok(Some(avp)));
            }
            prop_assert_eq!(next(&mut rest), Ok(None));
        }

        #[test]
        fn any_octets_come_to_an_end(octets: Vec<u8>) {
            let mut rest = &octets[..];
            let mut before = rest.len() + 1;
            while let Ok(Some(_)) = next(&mut rest) {
                prop_assert!(rest.len() < before);
                before = rest.len();
            }
        }
    }
}
