//! Patterns of paths and URLs (git's wildmatch.c with WM_PATHNAME).

/// More steps than any honest pattern takes: a pattern with many stars can take for ever.
const MOST_STEPS: usize = 1_000_000;
/// Deeper than any honest pattern has stars, and shallow enough for the stack.
const MOST_STARS: usize = 256;

/// Says whether all of `text` matches, or nothing when that would take too long to find out.
pub(super) fn is_match(pattern: &[u8], text: &[u8], fold: bool) -> Option<bool> {
    if pattern.iter().filter(|byte| **byte == b'*').count() > MOST_STARS {
        return None;
    }
    let mut matcher = Matcher {
        pattern,
        text,
        fold,
        steps: 0,
    };
    match matcher.run(0, 0) {
        Outcome::TooLong => None,
        outcome => Some(outcome == Outcome::Match),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Match,
    No,
    /// No longer text would match either.
    AbortAll,
    /// Only a `**` further left could still match.
    AbortToDoubleStar,
    TooLong,
}

/// What `[:` begins.
enum Named {
    /// A class by its name, and whether the byte is in it.
    Class(bool),
    /// Nothing: the bracket stands for itself.
    Bracket,
    /// A class without an end or a name, which nothing matches.
    Malformed,
}

struct Matcher<'a> {
    pattern: &'a [u8],
    text: &'a [u8],
    fold: bool,
    steps: usize,
}

impl Matcher<'_> {
    /// The ends of both read as NUL, which neither contains.
    fn pattern_at(&self, at: usize) -> u8 {
        self.pattern.get(at).copied().unwrap_or(0)
    }

    fn text_at(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn folded(&self, byte: u8) -> u8 {
        if self.fold {
            byte.to_ascii_lowercase()
        } else {
            byte
        }
    }

    fn has_slash_from(&self, at: usize) -> Option<usize> {
        let rest = self.text.get(at..)?;
        rest.iter()
            .position(|byte| *byte == b'/')
            .map(|more| at + more)
    }

    fn run(&mut self, mut p: usize, mut t: usize) -> Outcome {
        let start = p;
        while self.pattern_at(p) != 0 {
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return Outcome::TooLong;
            }
            let byte = self.folded(self.text_at(t));
            if byte == 0 && self.pattern_at(p) != b'*' {
                return Outcome::AbortAll;
            }
            match self.pattern_at(p) {
                b'?' if byte == b'/' => return Outcome::No,
                b'?' => {}
                b'*' => match self.star(start, &mut p, &mut t) {
                    Some(outcome) => return outcome,
                    None => continue,
                },
                b'[' => match self.class(&mut p, byte) {
                    Some(true) if byte != b'/' => {}
                    Some(_) => return Outcome::No,
                    None => return Outcome::AbortAll,
                },
                other => {
                    // An escaped byte keeps its case, as in git.
                    let wanted = if other == b'\\' {
                        p += 1;
                        self.pattern_at(p)
                    } else {
                        self.folded(other)
                    };
                    if byte != wanted {
                        return Outcome::No;
                    }
                }
            }
            p += 1;
            t += 1;
        }
        if t < self.text.len() {
            Outcome::No
        } else {
            Outcome::Match
        }
    }

    /// Goes on behind one directory for `*/`, and settles the match for every other star.
    fn star(&mut self, start: usize, p: &mut usize, t: &mut usize) -> Option<Outcome> {
        let first = *p;
        while self.pattern_at(*p) == b'*' {
            *p += 1;
        }
        let mut crosses_slashes = false;
        if *p - first > 1 {
            let begins = first == start
                || first
                    .checked_sub(1)
                    .is_some_and(|at| self.pattern_at(at) == b'/');
            let next = (self.pattern_at(*p), self.pattern_at(*p + 1));
            if begins && (matches!(next.0, 0 | b'/') || next == (b'\\', b'/')) {
                if next.0 == b'/' {
                    let outcome = self.run(*p + 1, *t);
                    if matches!(outcome, Outcome::Match | Outcome::TooLong) {
                        return Some(outcome);
                    }
                }
                crosses_slashes = true;
            }
        }
        match self.pattern_at(*p) {
            0 if !crosses_slashes && self.has_slash_from(*t).is_some() => {
                Some(Outcome::AbortToDoubleStar)
            }
            0 => Some(Outcome::Match),
            b'/' if !crosses_slashes => {
                let Some(slash) = self.has_slash_from(*t) else {
                    return Some(Outcome::AbortAll);
                };
                *t = slash + 1;
                *p += 1;
                None
            }
            _ => Some(self.rest_anywhere(*p, *t, crosses_slashes)),
        }
    }

    /// Tries what follows a star at every place that the star can reach.
    fn rest_anywhere(&mut self, p: usize, mut t: usize, crosses_slashes: bool) -> Outcome {
        while t < self.text.len() {
            match self.run(p, t) {
                Outcome::No => {
                    if !crosses_slashes && self.text_at(t) == b'/' {
                        return Outcome::AbortToDoubleStar;
                    }
                }
                Outcome::AbortToDoubleStar if crosses_slashes => {}
                outcome => return outcome,
            }
            t += 1;
        }
        Outcome::AbortAll
    }

    /// Reads `[...]` and leaves `p` at its last byte. Nothing where it has no end.
    fn class(&mut self, p: &mut usize, byte: u8) -> Option<bool> {
        let mut at = *p + 1;
        let is_negated = matches!(self.pattern_at(at), b'!' | b'^');
        at += usize::from(is_negated);
        let mut is_in = false;
        let mut previous = 0;
        loop {
            let mut current = self.pattern_at(at);
            let next = self.pattern_at(at + 1);
            match current {
                0 => return None,
                b'\\' => {
                    at += 1;
                    current = self.pattern_at(at);
                    if current == 0 {
                        return None;
                    }
                    is_in |= byte == current;
                }
                b'-' if previous != 0 && next != 0 && next != b']' => {
                    at += 1;
                    if self.pattern_at(at) == b'\\' {
                        at += 1;
                    }
                    let last = self.pattern_at(at);
                    if last == 0 {
                        return None;
                    }
                    let range = previous..=last;
                    is_in |= range.contains(&byte)
                        || self.fold
                            && byte.is_ascii_lowercase()
                            && range.contains(&byte.to_ascii_uppercase());
                    current = 0;
                }
                b'[' if next == b':' => match self.named_class(&mut at, byte) {
                    Named::Class(fits) => {
                        is_in |= fits;
                        current = 0;
                    }
                    Named::Bracket => is_in |= byte == b'[',
                    Named::Malformed => return None,
                },
                _ => is_in |= byte == current,
            }
            previous = current;
            at += 1;
            if self.pattern_at(at) == b']' {
                *p = at;
                return Some(is_in != is_negated);
            }
        }
    }

    /// Reads `[:name:]` and leaves `at` at its last byte.
    fn named_class(&self, at: &mut usize, byte: u8) -> Named {
        let name_start = *at + 2;
        let rest = self.pattern.get(name_start..).unwrap_or_default();
        let Some(length) = rest.iter().position(|byte| *byte == b']') else {
            return Named::Malformed;
        };
        let Some(name) = rest.get(..length).and_then(|name| name.strip_suffix(b":")) else {
            return Named::Bracket;
        };
        let fits = match name {
            b"alnum" => byte.is_ascii_alphanumeric(),
            b"alpha" => byte.is_ascii_alphabetic(),
            b"blank" => matches!(byte, b' ' | b'\t'),
            b"cntrl" => byte.is_ascii_control(),
            b"digit" => byte.is_ascii_digit(),
            b"graph" => byte.is_ascii_graphic(),
            b"lower" => byte.is_ascii_lowercase(),
            b"print" => byte.is_ascii_graphic() || byte == b' ',
            b"punct" => byte.is_ascii_punctuation(),
            b"space" => super::parse::is_space(byte),
            b"upper" => byte.is_ascii_uppercase() || self.fold && byte.is_ascii_lowercase(),
            b"xdigit" => byte.is_ascii_hexdigit(),
            _ => return Named::Malformed,
        };
        *at = name_start + length;
        Named::Class(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::git::testing::{self, Dice};

    #[test]
    fn stars_and_classes_match_as_wildmatch_matches_them() {
        for (pattern, text, expected) in [
            ("foo", "foo", true),
            ("foo", "foobar", false),
            ("*", "a/b", false),
            ("**", "a/b", true),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("**/b", "b", true),
            ("**/b", "x/y/b", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a**b", "a/b", false),
            ("a**b", "axxb", true),
            ("*/b", "a/b", true),
            ("*/b", "a/x/b", false),
            ("a?b", "a/b", false),
            ("a[/]b", "a/b", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[[:digit:]]", "7", true),
            ("[[:nope:]]", "7", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("[a", "a", false),
            ("", "", true),
        ] {
            assert_eq!(
                is_match(pattern.as_bytes(), text.as_bytes(), false),
                Some(expected),
                "{pattern} {text}"
            );
        }
        assert_eq!(is_match(b"/HOME/*", b"/home/u", true), Some(true));
        assert_eq!(is_match(b"[A-C]", b"b", true), Some(true));
        assert_eq!(is_match(b"[A-C]", b"b", false), Some(false));
    }

    #[test]
    fn a_pattern_that_takes_for_ever_is_given_up() {
        let pattern = "**/a/".repeat(40) + "b";
        let text = "a/".repeat(80);
        assert_eq!(is_match(pattern.as_bytes(), text.as_bytes(), false), None);
        assert_eq!(is_match(&[b'*'; 1000], b"a", false), None);
    }

    /// `git for-each-ref --exclude` and ignore files use wildmatch as well; an ignore file with
    /// one pattern that holds a slash is matched with the same flags.
    #[test]
    fn random_patterns_match_as_git_check_ignore_says() {
        let home = tempfile::tempdir().unwrap();
        let Some(git) = testing::gits().pop() else {
            return;
        };
        let path = home.path();
        testing::done(&git, path, path, &["init", "-q"]);
        let mut dice = Dice(99);
        let parts = [
            "a",
            "b",
            "/",
            "*",
            "**",
            "?",
            "[ab]",
            "[!a]",
            "**/",
            "/**",
            "[[:alpha:]]",
            "a-b",
            "[a-]",
        ];
        let names = ["a", "b", "/", "c", "ab", "-", "B"];
        for _ in 0..40 {
            let inside: String = (0..=dice.below(5)).map(|_| dice.pick(&parts)).collect();
            // git compares a literal beginning by itself, so there is none.
            let pattern = format!("[x]{inside}y");
            std::fs::write(path.join(".gitignore"), format!("/{pattern}\n")).unwrap();
            let texts: Vec<String> = (0..20)
                .map(|_| {
                    format!(
                        "x{}y",
                        (0..dice.below(5))
                            .map(|_| dice.pick(&names))
                            .collect::<String>()
                    )
                })
                .filter(|text| !text.contains("//"))
                .collect();
            let words: Vec<&str> = ["check-ignore", "--no-index", "--"]
                .into_iter()
                .chain(texts.iter().map(String::as_str))
                .collect();
            let output = testing::run(&git, path, path, &words);
            let printed = String::from_utf8(output.stdout).unwrap();
            let ignored: Vec<&str> = printed.lines().collect();
            for text in &texts {
                // A directory above that is ignored hides what lies below it.
                let levels = text.match_indices('/').map(|(at, _)| text.split_at(at).0);
                let ours = levels
                    .chain([text.as_str()])
                    .any(|level| is_match(pattern.as_bytes(), level.as_bytes(), false).unwrap());
                assert_eq!(ours, ignored.contains(&text.as_str()), "{pattern} {text}");
            }
        }
    }
}
