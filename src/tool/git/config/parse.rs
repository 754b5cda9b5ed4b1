//! The grammar of one configuration file, byte for byte as git's config.c reads it
//! (git_parse_source, get_base_var, get_value, parse_value).

/// A place in the text that the values were copied into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: usize,
    end: usize,
}

impl Span {
    pub(super) fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// Returns the same place after the text was appended to `before` bytes of another.
    pub(super) fn after(self, before: usize) -> Self {
        Self {
            start: self.start + before,
            end: self.end + before,
        }
    }

    /// Appends `bytes` to the text and returns where they lie.
    pub(super) fn write(text: &mut Vec<u8>, bytes: &[u8]) -> Self {
        let start = text.len();
        text.extend_from_slice(bytes);
        Self {
            start,
            end: text.len(),
        }
    }
}

/// What stands between the brackets, the section and the key in lower case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) section: Span,
    pub(super) subsection: Option<Span>,
}

impl Header {
    /// Takes `section` or `section.subsection` apart: the first dot is the border, and the
    /// subsection may hold more of them.
    pub(super) fn of_span(base: Span, text: &[u8]) -> Self {
        let Some(dot) = base.of(text).iter().position(|byte| *byte == b'.') else {
            return Self {
                section: base,
                subsection: None,
            };
        };
        let border = base.start + dot;
        Self {
            section: Span {
                start: base.start,
                end: border,
            },
            subsection: Some(Span {
                start: border + 1,
                end: base.end,
            }),
        }
    }
}

impl Header {
    /// See [`Span::after`].
    pub(super) fn after(self, before: usize) -> Self {
        Self {
            section: self.section.after(before),
            subsection: self.subsection.map(|span| span.after(before)),
        }
    }
}

/// One variable. No value at all is not the same as an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) header: Header,
    pub(super) key: Span,
    pub(super) value: Option<Span>,
}

/// The number of the line that git would complain about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadLine(pub(super) usize);

/// Reads one file, one variable at a time.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    has_ended: bool,
    header: Header,
}

/// What git's ctype takes for white space.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Says whether a byte may stand in the name of a section or of a variable.
pub(super) fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

impl<'a> Parser<'a> {
    /// Takes the whole file, which must be free of NUL bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes: bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes),
            at: 0,
            line: 1,
            has_ended: false,
            header: Header::default(),
        }
    }

    /// Returns the next byte. CR LF is LF, and so is the end of the file.
    fn next(&mut self) -> u8 {
        let mut byte = self.bytes.get(self.at).copied();
        if byte == Some(b'\r') && self.bytes.get(self.at + 1) == Some(&b'\n') {
            self.at += 1;
            byte = Some(b'\n');
        }
        self.at += 1;
        match byte {
            Some(b'\n') => self.line += 1,
            None => {
                self.line += 1;
                self.has_ended = true;
            }
            Some(_) => {}
        }
        byte.unwrap_or(b'\n')
    }

    /// Copies bytes up to the first that `ends` is true of, which must be so of the end of a line.
    fn copy_until(&mut self, ends: impl Fn(u8) -> bool, text: &mut Vec<u8>) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| ends(*byte));
        let run = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
        text.extend_from_slice(run);
        self.at += run.len();
    }

    fn bad<T>(&self) -> Result<T, BadLine> {
        Err(BadLine(self.line))
    }

    /// The end of a line was read that belongs to the line before.
    fn bad_line_before<T>(&self) -> Result<T, BadLine> {
        Err(BadLine(self.line.saturating_sub(1)))
    }

    fn skip_comment(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(rest.len());
    }

    /// Returns the next variable, its names and its value written to `text`, or nothing at the
    /// end of the file.
    pub(super) fn item(&mut self, text: &mut Vec<u8>) -> Result<Option<Item>, BadLine> {
        loop {
            match self.next() {
                b'\n' if self.has_ended => return Ok(None),
                byte if is_space(byte) => {}
                b'#' | b';' => self.skip_comment(),
                b'[' => self.header = self.section(text)?,
                first if first.is_ascii_alphabetic() => {
                    return self.variable(first, text).map(Some);
                }
                _ => return self.bad(),
            }
        }
    }

    fn section(&mut self, text: &mut Vec<u8>) -> Result<Header, BadLine> {
        let start = text.len();
        loop {
            let byte = self.next();
            if self.has_ended {
                return self.bad();
            }
            match byte {
                b']' => break,
                byte if is_space(byte) => {
                    self.subsection(byte, text)?;
                    break;
                }
                byte if is_key(byte) || byte == b'.' => text.push(byte.to_ascii_lowercase()),
                _ => return self.bad(),
            }
        }
        let base = Span {
            start,
            end: text.len(),
        };
        if base.start == base.end {
            return self.bad();
        }
        Ok(Header::of_span(base, text))
    }

    fn subsection(&mut self, mut byte: u8, text: &mut Vec<u8>) -> Result<(), BadLine> {
        while is_space(byte) {
            if byte == b'\n' {
                return self.bad_line_before();
            }
            byte = self.next();
        }
        if byte != b'"' {
            return self.bad();
        }
        text.push(b'.');
        loop {
            byte = self.next();
            match byte {
                b'"' => break,
                // Any byte may be escaped, and stands for itself.
                b'\\' => byte = self.next(),
                _ => {}
            }
            if byte == b'\n' {
                return self.bad_line_before();
            }
            text.push(byte);
            self.copy_until(|byte| b"\r\n\"\\".contains(&byte), text);
        }
        if self.next() == b']' {
            Ok(())
        } else {
            self.bad()
        }
    }

    fn variable(&mut self, first: u8, text: &mut Vec<u8>) -> Result<Item, BadLine> {
        let start = text.len();
        text.push(first);
        self.copy_until(|byte| !is_key(byte), text);
        if let Some(name) = text.get_mut(start..) {
            name.make_ascii_lowercase();
        }
        let mut byte = self.next();
        let key = Span {
            start,
            end: text.len(),
        };
        while matches!(byte, b' ' | b'\t') {
            byte = self.next();
        }
        let value = match byte {
            b'\n' => None,
            b'=' => Some(self.value(text)?),
            _ => return self.bad(),
        };
        Ok(Item {
            header: self.header,
            key,
            value,
        })
    }

    /// White space inside stays as it is (git before 2.45 made spaces of it), at both ends it
    /// goes, and in quotes nothing does: not even a CR before the closing quote (GIT-44).
    fn value(&mut self, text: &mut Vec<u8>) -> Result<Span, BadLine> {
        let start = text.len();
        let mut is_quoted = false;
        // Where the value ends if nothing but white space follows.
        let mut trimmed = None;
        loop {
            let byte = self.next();
            match byte {
                b'\n' if is_quoted => return self.bad_line_before(),
                b'\n' => break,
                byte if is_space(byte) && !is_quoted => {
                    if text.len() > start {
                        trimmed.get_or_insert(text.len());
                        text.push(byte);
                    }
                }
                b'#' | b';' if !is_quoted => self.skip_comment(),
                b'\\' => {
                    trimmed = None;
                    self.escape(text)?;
                }
                b'"' => {
                    trimmed = None;
                    is_quoted = !is_quoted;
                }
                byte => {
                    trimmed = None;
                    text.push(byte);
                    self.copy_until(|byte| b" \t\r\n\"\\#;".contains(&byte), text);
                }
            }
        }
        text.truncate(trimmed.unwrap_or(text.len()));
        Ok(Span {
            start,
            end: text.len(),
        })
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), BadLine> {
        let byte = match self.next() {
            b'\n' => return Ok(()),
            b't' => b'\t',
            b'b' => 0x08,
            b'n' => b'\n',
            byte @ (b'\\' | b'"') => byte,
            _ => return self.bad(),
        };
        text.push(byte);
        Ok(())
    }
}
