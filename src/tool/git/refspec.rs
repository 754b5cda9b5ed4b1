//! Refspecs of a push (git's refspec.c).

use super::refname::{self, Allow};

/// One refspec, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refspec {
    /// It begins with `+`.
    pub(crate) force: bool,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `:`, every branch that both sides have.
    Matching,
    /// `^src`, which takes refs away from what patterns match.
    Negative(Vec<u8>),
    /// `:dst`.
    Delete(Vec<u8>),
    /// `src` or `src:dst`.
    Single { src: Vec<u8>, dst: Option<Vec<u8>> },
    /// `src` or `src:dst`, each with one `*`.
    Pattern { src: Vec<u8>, dst: Option<Vec<u8>> },
}

impl Refspec {
    /// Reads a refspec as `git push` reads it, or returns nothing where git dies of it. `@` as a
    /// source is `HEAD`.
    pub(crate) fn parse(word: &[u8]) -> Option<Self> {
        let (force, word) = match word.strip_prefix(b"+") {
            Some(rest) => (true, rest),
            None => (false, word),
        };
        let kind = match word.strip_prefix(b"^") {
            Some(source) if !force => negative(source)?,
            _ => positive(word)?,
        };
        Some(Self { force, kind })
    }
}

fn negative(source: &[u8]) -> Option<Kind> {
    let source = head_for_at(source);
    let is_name = refname::is_well_formed(&source, allow(source.contains(&b'*')));
    let is_oid = matches!(source.len(), 40 | 64) && source.iter().all(u8::is_ascii_hexdigit);
    (is_name && !is_oid).then_some(Kind::Negative(source))
}

fn positive(word: &[u8]) -> Option<Kind> {
    if word == b":" {
        return Some(Kind::Matching);
    }
    let colon = word.iter().rposition(|byte| *byte == b':');
    let (src, dst) = match colon {
        Some(at) => (word.get(..at)?, word.get(at + 1..)),
        None => (word, None),
    };
    let is_pattern = src.contains(&b'*');
    if dst.is_some_and(|dst| dst.contains(&b'*') != is_pattern) {
        return None;
    }
    let src = head_for_at(src);
    let is_name = |name: &[u8]| refname::is_well_formed(name, allow(is_pattern));
    let source_must_be_a_name = (is_pattern || dst.is_none()) && !src.is_empty();
    if source_must_be_a_name && !is_name(&src) || dst.is_some_and(|dst| !is_name(dst)) {
        return None;
    }
    let dst = dst.map(<[u8]>::to_vec);
    match dst {
        dst if is_pattern => Some(Kind::Pattern { src, dst }),
        Some(dst) if src.is_empty() => Some(Kind::Delete(dst)),
        None if src.is_empty() => None,
        dst => Some(Kind::Single { src, dst }),
    }
}

fn allow(pattern: bool) -> Allow {
    Allow {
        one_level: true,
        pattern,
    }
}

fn head_for_at(source: &[u8]) -> Vec<u8> {
    let name: &[u8] = if source == b"@" { b"HEAD" } else { source };
    name.to_vec()
}

/// Returns what `name` becomes where `pattern` matches it and `replacement` takes its place.
/// Without a `*` in either there is no match.
pub(crate) fn substitute(pattern: &[u8], name: &[u8], replacement: &[u8]) -> Option<Vec<u8>> {
    let star = |text: &[u8]| text.iter().position(|byte| *byte == b'*');
    let at = star(pattern)?;
    let middle = name
        .strip_prefix(pattern.get(..at)?)?
        .strip_suffix(pattern.get(at + 1..)?)?;
    let put = star(replacement)?;
    Some([replacement.get(..put)?, middle, replacement.get(put + 1..)?].concat())
}

/// What a list of refspecs makes of a full ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapped {
    /// As it stands in the list: a full ref or a short one.
    pub(crate) dst: Vec<u8>,
    pub(crate) force: bool,
}

/// Returns the destination that the first fitting refspec with a destination gives to `name`, as
/// refspec_find_match of git's refspec.c (query_refspecs in older ones) finds it.
pub(crate) fn map(refspecs: &[Refspec], name: &[u8]) -> Option<Mapped> {
    if is_excluded(refspecs, name) {
        return None;
    }
    refspecs.iter().find_map(|refspec| {
        let dst = match &refspec.kind {
            Kind::Pattern {
                src,
                dst: Some(dst),
            } => substitute(src, name, dst)?,
            Kind::Single {
                src,
                dst: Some(dst),
            } if src == name => dst.clone(),
            _ => return None,
        };
        Some(Mapped {
            dst,
            force: refspec.force,
        })
    })
}

/// A negative refspec is compared with what the others make of the name backwards, as git does.
fn is_excluded(refspecs: &[Refspec], name: &[u8]) -> bool {
    let mut reversed: Vec<Vec<u8>> = Vec::new();
    for refspec in refspecs {
        match &refspec.kind {
            Kind::Pattern { src, dst } => {
                reversed.extend(substitute(dst.as_ref().unwrap_or(src), name, src));
            }
            Kind::Matching => reversed.push(name.to_vec()),
            Kind::Single { src, .. } if src == name => reversed.push(name.to_vec()),
            _ => {}
        }
    }
    let negatives = refspecs.iter().filter_map(|refspec| match &refspec.kind {
        Kind::Negative(pattern) => Some(pattern),
        _ => None,
    });
    negatives.into_iter().any(|pattern| {
        reversed
            .iter()
            .any(|name| pattern == name || substitute(pattern, name, b"*").is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single(src: &str, dst: Option<&str>) -> Kind {
        Kind::Single {
            src: src.into(),
            dst: dst.map(Into::into),
        }
    }

    fn parse(word: &str) -> Option<Refspec> {
        Refspec::parse(word.as_bytes())
    }

    fn kind(word: &str) -> Option<Kind> {
        parse(word).map(|refspec| refspec.kind)
    }

    #[test]
    fn git_11_12_and_16_refspecs_are_taken_apart() {
        assert!(parse("+main").unwrap().force);
        assert!(parse("+:").unwrap().force);
        assert!(!parse("main").unwrap().force);
        assert_eq!(kind("+main"), Some(single("main", None)));
        assert_eq!(kind("a:b"), Some(single("a", Some("b"))));
        assert_eq!(kind("@"), Some(single("HEAD", None)));
        assert_eq!(kind("+@:x"), Some(single("HEAD", Some("x"))));
        assert_eq!(
            kind("HEAD:file:refs/heads/x"),
            Some(single("HEAD:file", Some("refs/heads/x")))
        );
        assert_eq!(kind("++a:b"), Some(single("+a", Some("b"))));
        assert_eq!(kind(":"), Some(Kind::Matching));
        assert_eq!(kind(":gone"), Some(Kind::Delete("gone".into())));
        assert_eq!(
            kind("^refs/heads/x"),
            Some(Kind::Negative("refs/heads/x".into()))
        );
        let pattern = Kind::Pattern {
            src: "refs/heads/*".into(),
            dst: Some("refs/x/*".into()),
        };
        assert_eq!(kind("refs/heads/*:refs/x/*"), Some(pattern));
        for bad in [
            "",
            "+",
            "a:",
            "a*:b",
            "a:b*",
            "^a:b",
            "a b",
            "HEAD~1",
            "a:b~1",
            "^",
            "a**:b**",
            "refs/*/*",
            "^0123456789012345678901234567890123456789",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn git_21_the_first_fitting_refspec_maps_with_its_plus() {
        let list = |words: &[&str]| -> Vec<Refspec> {
            words.iter().map(|word| parse(word).unwrap()).collect()
        };
        let mapped = |words: &[&str], name: &str| {
            map(&list(words), name.as_bytes())
                .map(|mapped| (String::from_utf8(mapped.dst).unwrap(), mapped.force))
        };
        let main = "refs/heads/main";
        let to = |dst: &str, force| Some((dst.to_owned(), force));
        assert_eq!(
            mapped(&["+refs/heads/main:refs/heads/prod"], main),
            to("refs/heads/prod", true)
        );
        assert_eq!(
            mapped(&["refs/heads/*:x/*", "+refs/heads/main:y"], main),
            to("x/main", false)
        );
        assert_eq!(mapped(&["main:y", "refs/heads/main", ":"], main), None);
        assert_eq!(
            mapped(&["refs/heads/*:refs/heads/*", "^refs/heads/main"], main),
            None
        );
        assert_eq!(
            mapped(&["refs/heads/*:refs/heads/*", "^refs/heads/m*"], main),
            None
        );
        assert_eq!(
            mapped(&["refs/heads/*:refs/x/*", "^refs/heads/main"], main),
            to("refs/x/main", false)
        );
        assert_eq!(mapped(&["refs/heads/ma*in:q*"], main), to("q", false));
        assert_eq!(mapped(&["refs/heads/mai*in:q*"], main), None);
    }
}
