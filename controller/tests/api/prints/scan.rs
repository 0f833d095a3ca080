//! Looks at a PDF as a scanner looks at the paper: squares, lines, and where letters are.
//!
//! Only what our pages are made of is understood, and everything on them is at a whole point;
//! anything else is a panic.

/// By point.
const DOTS: usize = 3;

/// How much larger it looks.
const DISTANCES: &[(usize, usize)] = &[(1, 1), (2, 1), (3, 2)];

/// A page, in dots; a dot is dark or not.
pub(crate) struct Page {
    width: usize,
    height: usize,
    rows: Vec<Vec<bool>>,
    /// What is cut out of it.
    frames: Vec<Area>,
}

/// In points, from the bottom left, as PDF counts.
#[derive(Clone, Copy)]
struct Area {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// The pages of a PDF whose drawings are not compressed.
pub(crate) fn pages(pdf: &[u8]) -> Vec<Page> {
    let sizes = all_between(pdf, b"/MediaBox [", b"]").map(|size| {
        let size: Vec<_> = tokens(size).iter().map(|size| number(size)).collect();
        <[usize; 4]>::try_from(size).expect("two corners")
    });
    let drawings = all_between(pdf, b"\nstream\n", b"\nendstream");
    let draw = |([_, _, width, height], drawing): ([usize; 4], &[u8])| {
        let mut page = Page {
            width,
            height,
            rows: vec![vec![false; width * DOTS]; height * DOTS],
            frames: vec![],
        };
        page.draw(drawing);
        page
    };
    let pages: Vec<_> = sizes.zip(drawings).map(draw).collect();
    assert!(!pages.is_empty(), "there is a page");
    pages
}

fn all_between<'p>(
    mut pdf: &'p [u8],
    from: &'p [u8],
    until: &'p [u8],
) -> impl Iterator<Item = &'p [u8]> {
    let cut = |text: &'p [u8], what: &[u8]| {
        let at = text.windows(what.len()).position(|part| part == what)?;
        let (before, rest) = text.split_at(at);
        Some((before, rest.split_at(what.len()).1))
    };
    std::iter::from_fn(move || {
        let (_, found) = cut(pdf, from)?;
        let (found, rest) = cut(found, until).expect("it has an end");
        pdf = rest;
        Some(found)
    })
}

fn number(token: &str) -> usize {
    token.parse().unwrap_or_else(|_| panic!("{token} is no whole point"))
}

impl Page {
    fn draw(&mut self, drawing: &[u8]) {
        let (mut operands, mut path) = (Vec::<String>::new(), Vec::new());
        let (mut size, mut at) = (0, (0, 0));
        for token in tokens(drawing) {
            let back = |n: usize| {
                let operand = operands.iter().rev().nth(n - 1);
                number(operand.expect("an operand"))
            };
            match token.as_str() {
                "re" => path.push(Area { x: back(4), y: back(3), width: back(2), height: back(1) }),
                "f" => path.drain(..).for_each(|square| self.darken(square)),
                "m" => path.push(Area { x: back(2), y: back(1), width: 0, height: 0 }),
                "l" => {
                    let from = path.pop().expect("a line begins somewhere");
                    let (width, height) = (back(2) - from.x, back(1) - from.y);
                    path.push(Area { width, height, ..from });
                }
                "S" => path.drain(..).for_each(|frame| self.outline(frame)),
                "Tf" => size = back(1),
                "Td" => at = (back(2), back(1)),
                // Of letters about a third is ink: here, upright strokes.
                "Tj" => {
                    let letters = operands.last().expect("letters").chars();
                    let width = (letters.map(across).sum::<usize>() * size).div_ceil(100);
                    let (x, y) = (at.0, at.1 - size / 4);
                    for stroke in (x..x + width).step_by(3) {
                        self.darken(Area { x: stroke, y, width: 1, height: size });
                    }
                }
                "BT" | "ET" | "q" | "Q" | "d" => (),
                _ => {
                    operands.push(token);
                    continue;
                }
            }
            operands.clear();
        }
    }

    /// Once around, a point wide.
    fn outline(&mut self, frame: Area) {
        let Area { x, y, width, height } = frame;
        if width > 0 && height > 0 {
            self.frames.push(frame);
        }
        for y in [y, y + height] {
            self.darken(Area { x, y, width: width + 1, height: 1 });
        }
        for x in [x, x + width] {
            self.darken(Area { x, y, width: 1, height });
        }
    }

    fn darken(&mut self, Area { x, y, width, height }: Area) {
        let top = self.height.checked_sub(y + height).expect("it is on the page");
        for row in self.rows.iter_mut().skip(top * DOTS).take(height * DOTS) {
            row.iter_mut().skip(x * DOTS).take(width * DOTS).for_each(|dot| *dot = true);
        }
    }

    /// What the QR codes say: of each piece that is cut out, or of the page, if it is one piece.
    pub(crate) fn codes(&self) -> Vec<String> {
        let whole = [Area { x: 0, y: 0, width: self.width, height: self.height }];
        let pieces = if self.frames.is_empty() { &whole[..] } else { &self.frames };
        pieces.iter().flat_map(|piece| self.codes_in(*piece)).collect()
    }

    /// A scanner is held nearer and farther until it reads something; what is in the way of a code is
    /// in its way at each distance.
    fn codes_in(&self, piece: Area) -> Vec<String> {
        let mut codes = DISTANCES.iter().map(|distance| self.codes_at(piece, *distance));
        codes.find(|codes| !codes.is_empty()).unwrap_or_default()
    }

    fn codes_at(
        &self,
        Area { x: left, y, width, height }: Area,
        (times, of): (usize, usize),
    ) -> Vec<String> {
        let top = self.height - y - height;
        let grey = |x: usize, y: usize| {
            let row = self.rows.get(top * DOTS + y * of / times).expect("a row");
            if *row.get(left * DOTS + x * of / times).expect("a dot") { 0 } else { 255 }
        };
        let (width, height) = (width * DOTS * times / of, height * DOTS * times / of);
        let mut piece = rqrr::PreparedImage::prepare_from_greyscale(width, height, grey);
        let codes = piece.detect_grids().into_iter();
        codes.filter_map(|code| code.decode().ok()).map(|(_, text)| text).collect()
    }
}

/// Of Helvetica or a little more, in hundredths of its size.
const fn across(letter: char) -> usize {
    match letter {
        ' ' | '!' | '\'' | ',' | '.' | '/' | ':' | 'i' | 'j' | 'l' | 'f' | 't' => 28,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 95,
        'A'..='Z' => 75,
        _ => 56,
    }
}

/// Words, numbers, and strings without what is around them.
fn tokens(drawing: &[u8]) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = drawing.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        let mut token = String::new();
        match byte {
            b'(' => {
                let mut depth = 1;
                while depth > 0 {
                    let byte = rest.next().expect("a string has an end");
                    match byte {
                        b'\\' => drop(rest.next()),
                        b'(' => depth += 1,
                        b')' => depth -= 1,
                        _ => (),
                    }
                    token.push(char::from(byte));
                }
                token.pop();
            }
            // Two digits for each letter.
            b'<' => {
                let digits = rest.by_ref().take_while(|byte| *byte != b'>').count();
                token = "x".repeat(digits / 2);
            }
            byte if byte.is_ascii_whitespace() => continue,
            byte => {
                token.push(char::from(byte));
                let more = |byte: &u8| !byte.is_ascii_whitespace() && !b"(<".contains(byte);
                while let Some(byte) = rest.next_if(more) {
                    token.push(char::from(byte));
                }
            }
        }
        tokens.push(token);
    }
    tokens
}
