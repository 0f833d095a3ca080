//! Whom a certificate names, and until when.

use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

/// The names in a certificate (DER), the most exact first: User Principal Name, mail address,
/// DNS name, Common Name. Nothing where it is not a certificate.
pub fn names(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let alternative = alternative.map_or(&[][..], |names| &names.value.general_names);
    let (mut principal, mut mail, mut dns) = (Vec::new(), Vec::new(), Vec::new());
    for name in alternative {
        if let GeneralName::OtherName(oid, value) = name {
            if oid.as_bytes() == USER_PRINCIPAL_NAME {
                principal.extend(utf8_in(value));
            }
        } else if let GeneralName::RFC822Name(name) = name {
            mail.push((*name).to_owned());
        } else if let GeneralName::DNSName(name) = name {
            dns.push((*name).to_owned());
        }
    }
    let common = certificate.subject().iter_common_name();
    let common = common.filter_map(|name| name.as_str().ok().map(ToOwned::to_owned));
    principal.into_iter().chain(mail).chain(dns).chain(common).collect()
}

/// Until when a certificate (DER) is good, in seconds since 1970.
pub fn end(certificate: &[u8]) -> Option<u64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    u64::try_from(certificate.validity().not_after.timestamp()).ok()
}

/// 1.3.6.1.4.1.311.20.2.3
const USER_PRINCIPAL_NAME: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 20, 2, 3];

/// `[0] { UTF8String }`, with lengths of one octet: no name is longer.
fn utf8_in(value: &[u8]) -> Option<String> {
    let &[0xa0, outer, 0x0c, inner, ref text @ ..] = value else { return None };
    let fits = usize::from(inner) == text.len() && outer == inner.checked_add(2)?;
    (fits && outer < 0x80).then(|| String::from_utf8(text.to_vec()).ok())?
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn names_come_in_the_order_of_their_exactness() {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Amina A.");
        params.subject_alt_names = vec![
            SanType::DnsName("laptop.example".try_into().unwrap()),
            SanType::Rfc822Name("amina@example".try_into().unwrap()),
            SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], "amina@upn.example".into())),
        ];
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let expected = ["amina@upn.example", "amina@example", "laptop.example", "Amina A."];
        assert_eq!(names(certificate.der()), expected);
        assert_eq!(names(b"no certificate"), Vec::<String>::new());
        assert_eq!(end(certificate.der()), Some(4_102_444_800));
        assert_eq!(end(b"no certificate"), None);
    }
}
