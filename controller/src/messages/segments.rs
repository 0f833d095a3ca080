//! How many parts an SMS is sent in: what it costs. Pure. 3GPP TS 23.038 §6.2.1, TS 23.040 §9.2.3.24.

/// At least 1.
pub(super) fn count(text: &str) -> u16 {
    let gsm: Option<Vec<usize>> = text.chars().map(septets).collect();
    let (units, one, several) = match gsm {
        Some(units) => (units, 160, 153),
        // UCS-2, in which everything beyond the basic plane is two units.
        None => (text.chars().map(char::len_utf16).collect(), 70, 67),
    };
    if units.iter().sum::<usize>() <= one {
        return 1;
    }
    // What takes two units is not cut between parts.
    let (mut parts, mut used) = (1_u16, 0);
    for unit in units {
        if used + unit > several {
            parts = parts.saturating_add(1);
            used = 0;
        }
        used += unit;
    }
    parts
}

/// None: it is not in GSM's alphabet.
fn septets(c: char) -> Option<usize> {
    if BASIC.contains(c) {
        Some(1)
    } else if EXTENDED.contains(c) {
        Some(2)
    } else {
        None
    }
}

const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                     ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENDED: &str = "\u{c}^{}\\[~]|€";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_as_networks_do() {
        for (text, parts) in [
            (String::new(), 1),
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(306), 2),
            ("a".repeat(307), 3),
            // The euro takes two septets: 80 of them are 160.
            ("€".repeat(80), 1),
            ("€".repeat(81), 2),
            // 153 is odd: the last septet of each part stays empty.
            ("€".repeat(153), 3),
            // One letter that GSM does not have makes all of them wider.
            ("a".repeat(70) + "ŵ", 2),
            ("ŵ".repeat(70), 1),
            ("ŵ".repeat(134), 2),
            ("ŵ".repeat(135), 3),
            ("🙂".repeat(35), 1),
            ("🙂".repeat(36), 2),
            ("🙂".repeat(67), 3),
        ] {
            assert_eq!(count(&text), parts, "{text}");
        }
        assert_eq!(BASIC.chars().count(), 127, "128 without the escape");
    }
}
