//! Vouchers on A4 to be cut, or one below the other on a thermal roll. Pure.

use jiff::{Timestamp, tz::TimeZone};
use qrcode::{EcLevel, QrCode, types::QrError};

use super::{
    invoice::{amount, day, size_for},
    paper::{Font, Paper, fit},
    words::Language,
};
use crate::{billing::Cents, words::choices};

choices! {
    /// What it is printed on.
    Layout {
        // Three by eight, to be cut.
        A4 = "a4",
        // 80 mm, one after the other.
        Roll = "roll",
    }
}

/// What all of them say.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) tenant: String,
    pub(super) currency: String,
    pub(super) plan: String,
    pub(super) face: Cents,
    pub(super) validity_seconds: i64,
    pub(super) validity_months: i32,
    pub(super) data_bytes: Option<i64>,
    pub(super) redeem_by: Option<Timestamp>,
    /// Where the portal is; none: the QR code is the code alone.
    pub(super) portal: Option<String>,
}

/// As it is typed, and by what it is named.
#[derive(Clone, Debug)]
pub(super) struct Printed {
    pub(super) serial: u32,
    pub(super) code: String,
}

pub(super) fn draw(
    offer: &Offer,
    vouchers: &[Printed],
    layout: Layout,
    language: Language,
    zone: &TimeZone,
) -> Result<Vec<u8>, QrError> {
    let title = format!("{} {}", language.voucher(), offer.plan);
    match layout {
        Layout::A4 => a4(offer, vouchers, language, zone, &title),
        Layout::Roll => roll(offer, vouchers, language, zone, &title),
    }
}

fn a4(
    offer: &Offer,
    vouchers: &[Printed],
    language: Language,
    zone: &TimeZone,
    title: &str,
) -> Result<Vec<u8>, QrError> {
    let mut paper = Paper::new(595, 842);
    let (mut column, mut row) = (0, 0);
    for (n, voucher) in vouchers.iter().enumerate() {
        if n > 0 && n.is_multiple_of(PER_PAGE) {
            paper.turn();
        }
        let (x, y) = (MARGIN + column * WIDTH, MARGIN + row * HEIGHT);
        paper.frame(x, y, WIDTH, HEIGHT);
        // The less it corrects the larger its squares can be; it is not worn before it is used.
        let code = QrCode::with_error_correction_level(link(offer, voucher), EcLevel::L)?;
        let across = i16::try_from(code.width()).unwrap_or(0) * 2;
        paper.qr(x + WIDTH - 8 - across, y + 8, 2, &code);
        // A long address makes a large code: what is read keeps clear of what is scanned.
        let beside = (WIDTH - 24 - across).min(100);
        paper.text(x + 8, y + 16, 9, Font::Bold, &fit(&offer.tenant, 9, beside));
        let price = format!("{} {}", offer.currency, amount(offer.face));
        paper.text(x + 8, y + 30, size_for(&price, beside, 10), Font::Bold, &price);
        paper.text(x + 8, y + 43, 8, Font::Plain, &fit(&offer.plan, 8, beside));
        paper.text(x + 8, y + 54, 7, Font::Plain, &fit(&gives(offer, language), 7, beside));
        if let Some(at) = offer.redeem_by {
            let until = format!("{} {}", language.until(), day(at, zone));
            paper.text(x + 8, y + 64, 7, Font::Plain, &fit(&until, 7, beside));
        }
        let room = if across <= UNDER { WIDTH - 16 } else { beside };
        let size = size_for(&voucher.code, room, 15);
        paper.text(x + 8, y + 83, size, Font::Bold, &voucher.code);
        let serial = format!("{} {}", language.serial(), voucher.serial);
        paper.right(x + WIDTH - 8, y + HEIGHT - 4, 6, Font::Plain, &serial);
        column += 1;
        if column == COLUMNS {
            (column, row) = (0, row + 1);
        }
        if row == ROWS {
            row = 0;
        }
    }
    Ok(paper.pdf(title))
}

fn roll(
    offer: &Offer,
    vouchers: &[Printed],
    language: Language,
    zone: &TimeZone,
    title: &str,
) -> Result<Vec<u8>, QrError> {
    // 80 mm; a printer cuts after each page.
    let mut paper = Paper::new(ROLL.0, ROLL.1);
    let middle = ROLL.0 / 2;
    for (n, voucher) in vouchers.iter().enumerate() {
        if n > 0 {
            paper.turn();
        }
        let name = fit(&offer.tenant, 14, ROLL.0 - 20);
        paper.middle(middle, 28, 14, Font::Bold, &name);
        let price = format!("{} {}", offer.currency, amount(offer.face));
        paper.middle(middle, 50, 14, Font::Bold, &price);
        paper.middle(middle, 67, 10, Font::Plain, &fit(&offer.plan, 10, ROLL.0 - 20));
        paper.middle(middle, 81, 9, Font::Plain, &fit(&gives(offer, language), 9, ROLL.0 - 20));
        let code = QrCode::with_error_correction_level(link(offer, voucher), EcLevel::M)?;
        let size = i16::try_from(code.width()).unwrap_or(0) * 4;
        paper.qr(middle - size / 2, 94, 4, &code);
        let y = 94 + size + 28;
        let big = size_for(&voucher.code, ROLL.0 - 20, 20);
        paper.middle(middle, y, big, Font::Bold, &voucher.code);
        paper.middle(middle, y + 16, 8, Font::Plain, &fit(language.redeem(), 8, ROLL.0 - 12));
        let mut last = format!("{} {}", language.serial(), voucher.serial);
        if let Some(at) = offer.redeem_by {
            last = format!("{last}   {} {}", language.until(), day(at, zone));
        }
        paper.middle(middle, y + 30, 8, Font::Plain, &last);
    }
    Ok(paper.pdf(title))
}

/// The code is behind the `#`, so that it does not come into a log.
fn link(offer: &Offer, voucher: &Printed) -> String {
    match &offer.portal {
        Some(portal) => format!("{}/r#{}", portal.trim_end_matches('/'), voucher.code),
        None => voucher.code.clone(),
    }
}

fn gives(offer: &Offer, language: Language) -> String {
    let (count, one, many) = match (offer.validity_months, offer.validity_seconds) {
        (months @ 1.., _) => (i64::from(months), language.month(), language.months()),
        (_, s) if s % 86_400 == 0 => (s / 86_400, language.day(), language.days()),
        (_, s) if s % 3_600 == 0 => (s / 3_600, language.hour(), language.hours()),
        (_, s) => (s / 60, language.minute(), language.minutes()),
    };
    let valid = format!("{count} {}", if count == 1 { one } else { many });
    let data = offer.data_bytes.map_or_else(
        || language.unlimited().to_owned(),
        |bytes| match bytes {
            bytes if bytes >= 1_000_000_000 => format!("{} GB", bytes / 1_000_000_000),
            bytes => format!("{} MB", bytes / 1_000_000),
        },
    );
    format!("{} {valid}, {data}", language.valid())
}

const COLUMNS: i16 = 3;
const ROWS: i16 = 8;
const PER_PAGE: usize = 24;
const MARGIN: i16 = 20;
const WIDTH: i16 = 185;
const HEIGHT: i16 = 100;
/// So wide, and so high, is the largest QR code that leaves room for the letters below it.
const UNDER: i16 = 58;
/// 80 mm by 110.
const ROLL: (i16, i16) = (226, 312);

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        Offer {
            tenant: "Savanna Net".to_owned(),
            currency: "KES".to_owned(),
            plan: "One day".to_owned(),
            face: Cents::new(5000),
            validity_seconds: 86_400,
            validity_months: 0,
            data_bytes: Some(1_500_000_000),
            redeem_by: None,
            portal: Some("https://portal.savanna.example/".to_owned()),
        }
    }

    #[test]
    fn a_voucher_says_what_it_gives() {
        assert_eq!(gives(&offer(), Language::English), "Valid for 1 day, 1 GB");
        let offer = Offer { validity_seconds: 7200, data_bytes: None, ..offer() };
        assert_eq!(gives(&offer, Language::Swahili), "Inatumika kwa 2 saa, data bila kikomo");
    }

    #[test]
    fn the_code_is_in_the_fragment() {
        let voucher = Printed { serial: 1, code: "KEN3T-7QW".to_owned() };
        assert_eq!(link(&offer(), &voucher), "https://portal.savanna.example/r#KEN3T-7QW");
    }

    #[test]
    fn twenty_four_are_on_a_page() {
        let vouchers: Vec<_> = (1..=25)
            .map(|serial| Printed { serial, code: format!("KEN3T-7Q{serial:02}") })
            .collect();
        let pages = |layout| {
            let pdf = draw(&offer(), &vouchers, layout, Language::English, &TimeZone::UTC).unwrap();
            let text = String::from_utf8_lossy(&pdf).into_owned();
            assert!(text.starts_with("%PDF-"), "{layout:?}");
            text.matches("/Type /Page\n").count()
        };
        assert_eq!((pages(Layout::A4), pages(Layout::Roll)), (2, 25));
    }
}
