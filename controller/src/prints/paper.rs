//! Pages to draw on: text, lines, QR codes; then a PDF. Pure.
//!
//! Places are whole points (1/72 inch) from the top left. Text is in Helvetica, which every reader
//! brings along; what its encoding does not have is printed as `?`.

use pdf_writer::{Content, Name, Pdf, Rect, Ref, Str, TextStr};
use qrcode::{Color, QrCode};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Font {
    Plain,
    Bold,
}

impl Font {
    const fn name(self) -> Name<'static> {
        match self {
            Self::Plain => Name(b"F1"),
            Self::Bold => Name(b"F2"),
        }
    }
}

/// Pages of one size.
pub(super) struct Paper {
    width: i16,
    height: i16,
    pages: Vec<Content>,
}

impl Paper {
    pub(super) fn new(width: i16, height: i16) -> Self {
        Self { width, height, pages: vec![Content::new()] }
    }

    pub(super) fn turn(&mut self) {
        self.pages.push(Content::new());
    }

    pub(super) fn text(&mut self, x: i16, y: i16, size: i16, font: Font, text: &str) {
        let up = self.height - y;
        let Some(page) = self.pages.last_mut() else { return };
        page.begin_text();
        page.set_font(font.name(), f32::from(size));
        page.next_line(f32::from(x), f32::from(up));
        page.show(Str(&encode(text)));
        page.end_text();
    }

    /// Ends at `x`.
    pub(super) fn right(&mut self, x: i16, y: i16, size: i16, font: Font, text: &str) {
        self.text(x - width(text, size), y, size, font, text);
    }

    pub(super) fn middle(&mut self, x: i16, y: i16, size: i16, font: Font, text: &str) {
        self.text(x - width(text, size) / 2, y, size, font, text);
    }

    pub(super) fn line(&mut self, x: i16, y: i16, to_x: i16, to_y: i16) {
        let height = self.height;
        let Some(page) = self.pages.last_mut() else { return };
        page.move_to(f32::from(x), f32::from(height - y));
        page.line_to(f32::from(to_x), f32::from(height - to_y));
        page.stroke();
    }

    /// A frame that is cut along.
    pub(super) fn frame(&mut self, x: i16, y: i16, width: i16, height: i16) {
        let up = self.height - y - height;
        let Some(page) = self.pages.last_mut() else { return };
        page.save_state();
        page.set_dash_pattern([2.0, 2.0], 0.0);
        page.rect(f32::from(x), f32::from(up), f32::from(width), f32::from(height));
        page.stroke();
        page.restore_state();
    }

    /// In squares of `module` points, with the quiet zone left to who places it; says its size.
    pub(super) fn qr(&mut self, x: i16, y: i16, module: i16, qr: &QrCode) -> i16 {
        let across = i16::try_from(qr.width()).unwrap_or(i16::MAX);
        let height = self.height;
        let Some(page) = self.pages.last_mut() else { return 0 };
        let (mut column, mut row) = (0, 0);
        for color in qr.to_colors() {
            if color == Color::Dark {
                let (left, top) = (x + column * module, y + row * module);
                let size = f32::from(module);
                page.rect(f32::from(left), f32::from(height - top - module), size, size);
            }
            column += 1;
            if column == across {
                (column, row) = (0, row + 1);
            }
        }
        page.fill_nonzero();
        across * module
    }

    pub(super) fn pdf(self, title: &str) -> Vec<u8> {
        let mut ids = (1..).map(Ref::new);
        let mut next = || ids.next().expect("there is always another number");
        let (catalog, tree, plain, bold, info) = (next(), next(), next(), next(), next());
        let sheets: Vec<_> = self.pages.into_iter().map(|page| (next(), next(), page)).collect();
        let mut pdf = Pdf::new();
        pdf.catalog(catalog).pages(tree);
        pdf.document_info(info).title(TextStr(title)).producer(TextStr("KenNet"));
        let count = i32::try_from(sheets.len()).unwrap_or(i32::MAX);
        pdf.pages(tree).kids(sheets.iter().map(|(sheet, ..)| *sheet)).count(count);
        for (sheet, drawing, page) in sheets {
            let mut written = pdf.page(sheet);
            written.media_box(Rect::new(0.0, 0.0, f32::from(self.width), f32::from(self.height)));
            written.parent(tree).contents(drawing);
            let mut resources = written.resources();
            resources.fonts().pair(Font::Plain.name(), plain).pair(Font::Bold.name(), bold);
            drop(resources);
            drop(written);
            pdf.stream(drawing, &page.finish());
        }
        for (id, name) in [(plain, b"Helvetica".as_slice()), (bold, b"Helvetica-Bold")] {
            let mut font = pdf.type1_font(id);
            font.base_font(Name(name)).encoding_predefined(Name(b"WinAnsiEncoding"));
        }
        pdf.finish()
    }
}

/// In points, rounded up. Bold is a little wider, which nobody sees in a column of figures.
pub(super) fn width(text: &str, size: i16) -> i16 {
    let thousandths: i32 = encode(text).iter().map(|byte| i32::from(advance(*byte))).sum();
    let points = (thousandths * i32::from(size) + 999) / 1000;
    i16::try_from(points).unwrap_or(i16::MAX)
}

/// As much of it as fits.
pub(super) fn fit(text: &str, size: i16, room: i16) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut short = text.to_owned();
    while short.pop().is_some() {
        let with_dots = format!("{}...", short.trim_end());
        if width(&with_dots, size) <= room {
            return with_dots;
        }
    }
    String::new()
}

/// In lines that fit, broken between words; a word that is too long for one is cut.
pub(super) fn wrapped(text: &str, size: i16, room: i16) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if width(&longer, size) > room && !line.is_empty() {
                lines.push(std::mem::replace(&mut line, fit(word, size, room)));
            } else {
                line = fit(&longer, size, room);
            }
        }
        lines.push(line);
    }
    lines
}

/// WinAnsi is Latin-1 where both have letters.
fn encode(text: &str) -> Vec<u8> {
    let byte = |c: char| match u8::try_from(u32::from(c)) {
        Ok(byte @ (0x20..=0x7e | 0xa0..=0xff)) => byte,
        Ok(_) => b' ',
        Err(_) => match c {
            '\u{2018}' | '\u{2019}' => b'\'',
            '\u{2013}' | '\u{2014}' => b'-',
            _ => b'?',
        },
    };
    text.chars().map(byte).collect()
}

/// Of Helvetica, in thousandths of its size.
fn advance(byte: u8) -> u16 {
    let at = usize::from(byte).checked_sub(0x20);
    at.and_then(|at| WIDTHS.get(at).copied()).unwrap_or(556)
}

/// From the space to the tilde: the font's own metrics (Adobe Core 14).
const WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556,
    556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667,
    611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667,
    667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500,
    222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_font() {
        assert_eq!(width("0000", 10), 23);
        assert_eq!(width("W", 1000), 944);
        assert_eq!(width("~", 1000), 584);
        assert_eq!(fit("Installation of a very long line", 10, 60), "Installation...");
        assert_eq!(fit("Short", 10, 60), "Short");
    }

    #[test]
    fn text_is_broken_between_words() {
        let lines = wrapped("Pay by till.\n\nThank you very much", 10, 60);
        assert_eq!(lines, ["Pay by till.", "", "Thank you", "very much"]);
        assert_eq!(wrapped("Installations", 10, 40), [fit("Installations", 10, 40)]);
        assert_eq!(wrapped("", 10, 60), Vec::<String>::new());
    }

    #[test]
    fn what_the_encoding_does_not_have_is_said() {
        assert_eq!(encode("Né \u{4e2d}\u{2019}"), b"N\xe9 ?'");
    }
}
