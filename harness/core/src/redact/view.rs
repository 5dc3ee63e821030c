//! A text read as a decoder would read it, and where in the text each part of that stands.
//!
//! Encoders differ in what they encode and how; a text that is decoded shows a secret whichever of them wrote it.

use super::spans::Span;

/// A text read differently.
pub struct View {
    pub bytes: Vec<u8>,
    jumps: Vec<Jump>,
}

/// From `at` on the view goes on with what stands at `after` in the text; what comes before it ends at `before` there.
struct Jump {
    at: usize,
    before: usize,
    after: usize,
}

/// What is read at one place: these bytes, in place of so many of the text.
type Step = (Vec<u8>, usize);

impl View {
    /// `None` where nothing reads differently.
    fn of(text: &[u8], step: impl Fn(&[u8], usize) -> Option<Step>) -> Option<Self> {
        let mut view = Self { bytes: Vec::new(), jumps: Vec::new() };
        let (mut copied, mut at) = (0, 0);
        while at < text.len() {
            let Some((read, taken)) = step(text, at) else {
                at += 1;
                continue;
            };
            view.bytes.extend_from_slice(&text[copied..at]);
            view.jumps.push(Jump { at: view.bytes.len(), before: at, after: at });
            view.bytes.extend(read);
            at += taken;
            let before =
                if view.jumps.last().is_some_and(|jump| jump.at == view.bytes.len()) { at - taken } else { at };
            view.jumps.push(Jump { at: view.bytes.len(), before, after: at });
            copied = at;
        }
        view.bytes.extend_from_slice(&text[copied..]);
        (!view.jumps.is_empty()).then_some(view)
    }

    /// Where a part of the view stands in the text.
    pub fn in_text(&self, part: &Span) -> Span {
        let begun = self.jumps.partition_point(|jump| jump.at <= part.start);
        let start =
            begun.checked_sub(1).map_or(part.start, |last| self.jumps[last].after + part.start - self.jumps[last].at);
        let passed = self.jumps.partition_point(|jump| jump.at < part.end);
        let end = match self.jumps.get(passed) {
            Some(jump) if jump.at == part.end => jump.before,
            _ => passed.checked_sub(1).map_or(part.end, |last| self.jumps[last].after + part.end - self.jumps[last].at),
        };
        start..end
    }
}

/// As one line: without ends of lines, indentation, and the times that logs put before lines.
pub fn joined(text: &[u8]) -> Option<View> {
    View::of(text, |text, at| {
        let is_end = text[at] == b'\n' || (text[at] == b'\r' && text.get(at + 1) == Some(&b'\n'));
        if !is_end {
            return None;
        }
        let blank = |from: usize| text[from..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let mut end = at + blank(at);
        if let Some(time) = time(&text[end..]) {
            end += time;
            end += blank(end);
        }
        Some((vec![], end - at))
    })
}

/// Length of a time as container logs carry it.
fn time(text: &[u8]) -> Option<usize> {
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    if text.len() < FORM.len() || !text.iter().zip(FORM).all(fits) {
        return None;
    }
    let zone = |byte: &&u8| byte.is_ascii_digit() || b".:+-Z".contains(byte);
    Some(FORM.len() + text[FORM.len()..].iter().take_while(zone).count())
}

/// Percent-encoding decoded.
pub fn percent_decoded(text: &[u8]) -> Option<View> {
    View::of(text, |text, at| {
        let encoded = (text[at] == b'%').then(|| number(text.get(at + 1..at + 3)?, 16))??;
        Some((vec![u8::try_from(encoded).ok()?], 3))
    })
}

/// Escapes of JSON decoded.
pub fn unescaped(text: &[u8]) -> Option<View> {
    View::of(text, |text, at| {
        if text[at] != b'\\' {
            return None;
        }
        let plain = match text.get(at + 1)? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            byte @ (b'"' | b'\\' | b'/') => *byte,
            b'u' => return unicode(text, at),
            _ => return None,
        };
        Some((vec![plain], 2))
    })
}

/// `\u00e4`, or two of them for a letter beyond the first plane.
fn unicode(text: &[u8], at: usize) -> Option<Step> {
    let unit = |at: usize| {
        let is_one = text.get(at..at + 2)? == br"\u";
        is_one.then(|| number(text.get(at + 2..at + 6)?, 16)).flatten().and_then(|unit| u16::try_from(unit).ok())
    };
    let units: Vec<u16> = [unit(at), unit(at + 6)].into_iter().map_while(|unit| unit).collect();
    let letter = char::decode_utf16(units).next()?.ok()?;
    Some((letter.to_string().into_bytes(), 6 * letter.len_utf16()))
}

/// Entities of HTML and XML decoded.
pub fn without_entities(text: &[u8]) -> Option<View> {
    const NAMED: [(&[u8], u8); 5] = [(b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"quot", b'"'), (b"apos", b'\'')];
    View::of(text, |text, at| {
        if text[at] != b'&' {
            return None;
        }
        let length = text[at + 1..].iter().take(9).position(|byte| *byte == b';')?;
        let name = &text[at + 1..=at + length];
        if let Some((_, plain)) = NAMED.iter().find(|(known, _)| *known == name) {
            return Some((vec![*plain], length + 2));
        }
        let digits = name.strip_prefix(b"#")?;
        let hex = digits.strip_prefix(b"x").or_else(|| digits.strip_prefix(b"X"));
        let code = hex.map_or_else(|| number(digits, 10), |hex| number(hex, 16))?;
        Some((char::from_u32(code)?.to_string().into_bytes(), length + 2))
    })
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}
