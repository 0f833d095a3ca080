//! An invoice on A4. Pure.

use jiff::{Timestamp, tz::TimeZone};
use qrcode::{EcLevel, QrCode, types::QrError};

use super::{
    paper::{Font, Paper, fit, width, wrapped},
    words::Language,
};
use crate::{
    billing::{Cents, TooMuch},
    invoices::{Invoice, InvoiceState},
    subscribers::Subscriber,
    tenants::Tenant,
    words::Text,
};

#[derive(Debug, thiserror::Error)]
pub(super) enum DrawError {
    #[error("the QR code cannot hold so much")]
    Qr(#[from] QrError),
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
}

pub(super) fn draw(
    tenant: &Tenant,
    subscriber: &Subscriber,
    invoice: &Invoice,
    language: Language,
    zone: &TimeZone,
) -> Result<Vec<u8>, DrawError> {
    let mut paper = Paper::new(A4.0, A4.1);
    let currency = tenant.currency.as_str();
    let number = invoice.number.as_deref();
    let state = match invoice.state {
        InvoiceState::Draft => language.draft(),
        InvoiceState::Void => language.void(),
        InvoiceState::Finalised => "",
    };
    paper.text(LEFT, 70, 20, Font::Bold, &fit(tenant.name.as_str(), 20, 330));
    paper.right(RIGHT, 70, 20, Font::Bold, language.invoice());
    paper.right(RIGHT, 88, 11, Font::Bold, state);
    paper.line(LEFT, 96, RIGHT, 96);

    let dash = || "-".to_owned();
    let facts = [
        (language.number(), number.map_or_else(dash, ToOwned::to_owned)),
        (language.issued(), invoice.issued_at.map_or_else(dash, |at| day(at, zone))),
        (language.due(), invoice.due_on.map_or_else(dash, |day| day.to_string())),
        (language.account(), subscriber.account_no.to_string()),
    ];
    let mut y = 124;
    paper.text(LEFT, y, 9, Font::Plain, language.to());
    paper.text(LEFT, y + 16, 12, Font::Bold, &fit(subscriber.full_name.as_str(), 12, 240));
    if let Some(email) = &subscriber.email {
        paper.text(LEFT, y + 31, 10, Font::Plain, &fit(email.as_str(), 10, 240));
    }
    if let Some(msisdn) = &subscriber.msisdn {
        paper.text(LEFT, y + 45, 10, Font::Plain, msisdn.as_str());
    }
    for (name, value) in &facts {
        paper.text(330, y, 10, Font::Plain, name);
        paper.right(RIGHT, y, 10, Font::Bold, value);
        y += 16;
    }

    y = 220;
    head(&mut paper, y, language);
    y += 22;
    for line in &invoice.lines {
        if y > 690 {
            paper.turn();
            y = 70;
            head(&mut paper, y, language);
            y += 22;
        }
        let parts = [line.split.net, line.split.excise, line.split.vat, line.split.total()?];
        paper.text(LEFT, y, 10, Font::Plain, &fit(line.descr.as_str(), 10, 230));
        for (x, part) in COLUMNS.iter().zip(parts) {
            paper.right(*x, y, 10, Font::Plain, &amount(part));
        }
        y += 17;
    }
    paper.line(LEFT, y - 8, RIGHT, y - 8);
    y += 8;
    let parts =
        [invoice.split.net, invoice.split.excise, invoice.split.vat, invoice.split.total()?];
    paper.text(LEFT, y, 10, Font::Bold, &format!("{} ({currency})", language.total()));
    for (x, part) in COLUMNS.iter().zip(parts) {
        paper.right(*x, y, 10, Font::Bold, &amount(part));
    }
    y += 26;
    let open = invoice.open()?;
    let rest = [
        (language.paid(), invoice.paid, Font::Plain),
        (language.credited(), invoice.credited, Font::Plain),
        (language.open(), open, Font::Bold),
    ];
    for (name, cents, font) in rest {
        paper.text(330, y, 11, font, name);
        paper.right(RIGHT, y, 11, font, &format!("{currency} {}", amount(cents)));
        y += 18;
    }

    if let Some(number) = number {
        // For the clerk's scanner, and for who pays at a counter.
        let (account, owed) = (&subscriber.account_no, amount(open));
        let code = format!("{} {number} {account} {currency} {owed}", tenant.slug);
        let code = QrCode::with_error_correction_level(code, EcLevel::M)?;
        let size = paper.qr(LEFT, y - 50, 2, &code);
        let beside = LEFT + size + 14;
        paper.text(beside, y - 34, 10, Font::Plain, language.pay_with());
        paper.text(beside, y - 14, 16, Font::Bold, &account.to_string());
    }
    y += 44;
    for line in wrapped(invoice.notes.as_ref().map_or("", Text::as_str), 10, RIGHT - LEFT) {
        if y > 800 {
            paper.turn();
            y = 70;
        }
        paper.text(LEFT, y, 10, Font::Plain, &line);
        y += 14;
    }
    Ok(paper.pdf(number.unwrap_or(language.invoice())))
}

fn head(paper: &mut Paper, y: i16, language: Language) {
    paper.text(LEFT, y, 9, Font::Bold, language.description());
    let names = [language.net(), language.excise(), language.vat(), language.total()];
    for (x, name) in COLUMNS.iter().zip(names) {
        paper.right(*x, y, 9, Font::Bold, name);
    }
    paper.line(LEFT, y + 6, RIGHT, y + 6);
}

/// Whole units with groups of three: `1,234.50`.
pub(super) fn amount(cents: Cents) -> String {
    let (sign, cents) = (if cents < Cents::ZERO { "-" } else { "" }, cents.get().unsigned_abs());
    let whole = (cents / 100).to_string();
    let mut grouped = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}.{:02}", cents % 100)
}

pub(super) fn day(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).date().to_string()
}

/// A name as large as it fits.
pub(super) fn size_for(text: &str, room: i16, largest: i16) -> i16 {
    (7..=largest).rev().find(|size| width(text, *size) <= room).unwrap_or(7)
}

const A4: (i16, i16) = (595, 842);
const LEFT: i16 = 50;
const RIGHT: i16 = 545;
/// Where the columns of amounts end.
const COLUMNS: [i16; 4] = [360, 425, 480, RIGHT];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_grouped() {
        for (cents, want) in [
            (0, "0.00"),
            (5, "0.05"),
            (-12_345, "-123.45"),
            (100_000, "1,000.00"),
            (123_456_789, "1,234,567.89"),
        ] {
            assert_eq!(amount(Cents::new(cents)), want);
        }
    }

    #[test]
    fn a_long_name_is_set_smaller() {
        assert_eq!(size_for("Day", 100, 14), 14);
        assert!(size_for("A very long name of a plan indeed", 100, 14) < 9);
    }
}
