//! Rust source text, read as far as the architecture's rules need it.

use std::ops::Range;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Comment,
    Text,
}

/// One source file, taken apart.
#[derive(Debug)]
pub(crate) struct Source {
    /// What the compiler sees: comments, string literals and test modules are blanks.
    pub(crate) code: String,
    /// The same with the test modules in it.
    pub(crate) code_with_tests: String,
    /// The string literals outside of test modules.
    pub(crate) strings: Vec<String>,
    pub(crate) comments: Vec<String>,
}

impl Source {
    pub(crate) fn read(text: &str) -> Self {
        let spans = spans(text.as_bytes());
        let mut code = text.as_bytes().to_vec();
        for (_, span) in &spans {
            blank(&mut code, span.clone());
        }
        let code_with_tests = String::from_utf8_lossy(&code).into_owned();
        let tests = test_items(&code);
        for item in &tests {
            blank(&mut code, item.clone());
        }
        let of = |kind, skip: &[Range<usize>]| {
            spans
                .iter()
                .filter(|(this, _)| *this == kind)
                .filter(|(_, span)| !skip.iter().any(|item| item.contains(&span.start)))
                .map(|(_, span)| text[span.clone()].to_owned())
                .collect()
        };
        Self {
            code: String::from_utf8_lossy(&code).into_owned(),
            code_with_tests,
            strings: of(Kind::Text, &tests),
            comments: of(Kind::Comment, &[]),
        }
    }

    /// Returns every path that begins with `crate` or `super`, groups taken apart.
    pub(crate) fn paths(&self) -> Vec<Vec<String>> {
        let code = self.code.as_bytes();
        let mut paths = Vec::new();
        for start in ["crate", "super"] {
            for at in words(&self.code, start) {
                let follows_path = self.code[..at].trim_end().ends_with("::");
                if !follows_path && code[at + start.len()..].starts_with(b"::") {
                    tree(code, at, &[], &mut paths);
                }
            }
        }
        paths
    }

    /// Says whether the code has a path whose first name is `name`.
    pub(crate) fn uses(&self, name: &str) -> bool {
        words(&self.code, name).any(|at| {
            let leads = self.code[at + name.len()..].starts_with("::");
            leads && !self.code[..at].ends_with("::")
        })
    }

    pub(crate) fn has_word(&self, word: &str) -> bool {
        words(&self.code, word).next().is_some()
    }

    /// Returns the names of the functions that are tests.
    pub(crate) fn test_names(&self) -> Vec<String> {
        self.code_with_tests
            .split("#[test]")
            .skip(1)
            .filter_map(|after| {
                after
                    .split_once("fn ")?
                    .1
                    .split_once('(')
                    .map(|(name, _)| name)
            })
            .map(str::to_owned)
            .collect()
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Returns the places where `word` stands alone.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let before = at.checked_sub(1).and_then(|place| bytes.get(place));
            let after = bytes.get(at + word.len());
            ![before, after]
                .into_iter()
                .flatten()
                .any(|byte| is_name(*byte))
        })
}

fn blank(code: &mut [u8], span: Range<usize>) {
    for byte in &mut code[span] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Finds the comments and the string and character literals.
fn spans(text: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let mut spans = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let found = if rest.starts_with(b"//") {
            let end = rest.iter().position(|byte| *byte == b'\n');
            Some((Kind::Comment, end.unwrap_or(rest.len())))
        } else if rest.starts_with(b"/*") {
            Some((Kind::Comment, block_comment(rest)))
        } else if let Some(length) = raw_string(text, at) {
            Some((Kind::Text, length))
        } else if rest[0] == b'"' {
            Some((Kind::Text, quoted(rest, b'"')))
        } else {
            character(rest).map(|length| (Kind::Text, length))
        };
        let length = found.map_or(1, |(_, length)| length);
        if let Some((kind, _)) = found {
            spans.push((kind, at..at + length));
        }
        at += length;
    }
    spans
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn raw_string(text: &[u8], at: usize) -> Option<usize> {
    let before = text[..at]
        .iter()
        .rev()
        .take_while(|byte| is_name(**byte))
        .count();
    let prefix = &text[at - before..at];
    let rest = text[at..].strip_prefix(b"r")?;
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    if !matches!(prefix, b"" | b"b" | b"c") || rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let end = [b"\"".as_slice(), &rest[..hashes]].concat();
    let body = &rest[hashes + 1..];
    let length = body.windows(end.len()).position(|window| window == end);
    Some(1 + hashes + 1 + length.map_or(body.len(), |length| length + end.len()))
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// A quote begins a character when another one ends it, and a lifetime otherwise.
fn character(rest: &[u8]) -> Option<usize> {
    let body = rest.strip_prefix(b"'")?;
    if body.starts_with(b"\\") {
        return Some(quoted(rest, b'\''));
    }
    let first = body.utf8_chunks().next()?.valid().chars().next()?;
    (body.get(first.len_utf8()) == Some(&b'\'')).then_some(first.len_utf8() + 2)
}

/// Finds the items that are compiled for tests only.
fn test_items(code: &[u8]) -> Vec<Range<usize>> {
    let text = String::from_utf8_lossy(code);
    let item = |start: usize| {
        let body = code[start..]
            .iter()
            .position(|byte| matches!(byte, b'{' | b';'))?
            + start;
        if code[body] == b';' {
            return Some(start..body + 1);
        }
        let mut depth = 0_usize;
        let end = code[body..].iter().position(|byte| {
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        Some(start..body + end + 1)
    };
    text.match_indices("#[cfg(test)]")
        .filter_map(|(start, _)| item(start))
        .collect()
}

/// Reads a path or a tree of paths at `at`, and returns where it ends.
fn tree(code: &[u8], at: usize, prefix: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let skip = |mut at: usize| {
        while code.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        at
    };
    let mut path = prefix.to_vec();
    let mut at = skip(at);
    loop {
        if code.get(at) == Some(&b'{') {
            at = skip(at + 1);
            while at < code.len() && code[at] != b'}' {
                at = skip(tree(code, at, &path, paths));
                while code
                    .get(at)
                    .is_some_and(|byte| !matches!(byte, b',' | b'}'))
                {
                    at += 1;
                }
                at = skip(at + usize::from(code.get(at) == Some(&b',')));
            }
            return at + 1;
        }
        let length = code[at..].iter().take_while(|byte| is_name(**byte)).count();
        if length > 0 {
            path.push(String::from_utf8_lossy(&code[at..at + length]).into_owned());
        }
        at += length;
        if length == 0 || !code[at..].starts_with(b"::") {
            paths.push(path);
            return at;
        }
        at = skip(at + 2);
    }
}
