//! Standing rules: what is allowed, denied or asked about without looking at grants.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

use super::action::{Action, ActionSet};
use super::agent::AgentName;
use super::scope::Scope;
use super::time::Timestamp;

/// What a rule says of what it matches. Deny beats ask, and ask beats allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    Allow,
    /// Only a grant permits it.
    Ask,
    Deny,
}

impl Effect {
    pub(crate) const ALL: [Self; 3] = [Self::Allow, Self::Ask, Self::Deny];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

impl FromStr for Effect {
    type Err = UnknownEffect;

    fn from_str(text: &str) -> Result<Self, UnknownEffect> {
        let named = |effect: &Self| effect.name() == text;
        Self::ALL
            .into_iter()
            .find(named)
            .ok_or_else(|| UnknownEffect(text.to_owned()))
    }
}

/// Why a text names no effect.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' is no effect; it is allow, ask or deny")]
pub(crate) struct UnknownEffect(String);

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text is no pattern for a word.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum InvalidPattern {
    #[error("'{0}' is not a pattern: {1}")]
    Glob(String, &'static str),
    #[error("'**' stands for the rest of the words, so it can only be the last pattern")]
    RestNotLast,
    #[error("there is no pattern")]
    Empty,
}

/// What one word has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WordPattern {
    Literal(String),
    /// `*` any characters, `?` one, `[..]` one of these.
    Glob(glob::Pattern),
}

impl WordPattern {
    fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if text.contains("**") {
            return Err(InvalidPattern::RestNotLast);
        }
        if !text.contains(['*', '?', '[']) {
            return Ok(Self::Literal(text.to_owned()));
        }
        glob::Pattern::new(text)
            .map(Self::Glob)
            .map_err(|error| InvalidPattern::Glob(text.to_owned(), error.msg))
    }

    /// Returns the pattern as it is written.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Literal(text) => text,
            Self::Glob(pattern) => pattern.as_str(),
        }
    }

    /// Says whether `word` fits. What is not UTF-8 fits a pattern only where that forbids, because
    /// a lossy reading shows a person something else than what would run (V-D35).
    pub(crate) fn matches(&self, word: &[u8], forbids: bool) -> bool {
        match self {
            Self::Literal(literal) => literal.as_bytes() == word,
            Self::Glob(pattern) => match std::str::from_utf8(word) {
                Ok(word) => pattern.matches(word),
                Err(_) if forbids => pattern.matches(&String::from_utf8_lossy(word)),
                Err(_) => false,
            },
        }
    }
}

/// What the words of a command have to be, one pattern a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    patterns: Vec<WordPattern>,
    /// Whether any words may follow, `**`.
    rest: bool,
}

impl Words {
    pub(crate) fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, InvalidPattern> {
        let (rest, texts) = match texts.split_last() {
            None => return Err(InvalidPattern::Empty),
            Some((last, before)) if last.as_ref() == "**" => (true, before),
            Some(_) => (false, texts),
        };
        let patterns = texts
            .iter()
            .map(|text| WordPattern::parse(text.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self { patterns, rest })
    }

    /// Returns the pattern of the program's name; nothing when any will do.
    pub(crate) fn first(&self) -> Option<&WordPattern> {
        self.patterns.first()
    }

    /// Returns the patterns as they are written, `**` for the rest.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let rest = self.rest.then_some("**");
        self.patterns.iter().map(WordPattern::text).chain(rest)
    }

    /// Says whether the words behind the program's name fit; the name itself is judged by what it
    /// stands for.
    pub(crate) fn fit_arguments<W: AsRef<OsStr>>(&self, arguments: &[W], forbids: bool) -> bool {
        let patterns = self.patterns.get(1..).unwrap_or_default();
        let short_enough = self.rest || arguments.len() <= patterns.len();
        short_enough && self.begin(arguments, forbids)
    }

    /// Says whether something that forbids fits the words behind the program's name, where more may
    /// follow that belong to another command.
    pub(crate) fn begin_arguments<W: AsRef<OsStr>>(&self, arguments: &[W]) -> bool {
        self.begin(arguments, true)
    }

    fn begin<W: AsRef<OsStr>>(&self, arguments: &[W], forbids: bool) -> bool {
        let patterns = self.patterns.get(1..).unwrap_or_default();
        arguments.len() >= patterns.len()
            && patterns
                .iter()
                .zip(arguments)
                .all(|(pattern, word)| pattern.matches(word.as_ref().as_bytes(), forbids))
    }
}

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Matter {
    /// Every operation of its actions.
    Anything,
    /// What lies in this scope.
    Scope(Scope),
    /// What lies below this directory, and not the directory itself. For an allow only.
    Below(Scope),
    /// A command with these words, and where a scope is named, run in it and confined to it.
    Command { words: Words, within: Option<Scope> },
}

/// A standing rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) effect: Effect,
    pub(crate) actions: ActionSet,
    pub(crate) matter: Matter,
    /// Nobody named: any agent.
    pub(crate) agent: Option<AgentName>,
    pub(crate) reason: String,
    /// When it was written down, where that is said.
    pub(crate) recorded_at: Option<Timestamp>,
    /// Its number among `permissions.rules`; nothing for one that another key stands for.
    pub(crate) number: Option<usize>,
    /// Where it stands, as people find it: `rule 3 (pvm.toml:12)`.
    pub(crate) origin: String,
}

impl Rule {
    /// Returns the scope that the rule is about, where it has one.
    pub(crate) const fn scope(&self) -> Option<&Scope> {
        match &self.matter {
            Matter::Anything => None,
            Matter::Scope(scope) | Matter::Below(scope) => Some(scope),
            Matter::Command { within, .. } => within.as_ref(),
        }
    }
}

/// The standing rules, and what holds where none matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) rules: Vec<Rule>,
    /// What holds for pushes that add or fast-forward only.
    pub(crate) plain_push: Effect,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            plain_push: Effect::Allow,
        }
    }
}

impl Policy {
    /// Returns what holds where no rule matches.
    pub(crate) const fn otherwise(&self, action: Action) -> Effect {
        match action {
            Action::GitPush => self.plain_push,
            _ => Effect::Ask,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Words {
        Words::parse(texts).unwrap()
    }

    #[test]
    fn v_d12_a_pattern_is_a_whole_word() {
        assert!(words(&["cargo", "fmt"]).fit_arguments(&["fmt"], false));
        assert!(!words(&["cargo", "fmt"]).fit_arguments(&["fmtx"], false));
        assert!(!words(&["cargo", "fmt"]).fit_arguments(&["fmt", "--all"], false));
        assert!(words(&["cargo", "fmt", "**"]).fit_arguments(&["fmt", "--all"], false));
        assert!(words(&["cargo", "**"]).fit_arguments::<&str>(&[], false));
    }

    #[test]
    fn v_d17_a_newline_and_a_slash_do_not_stop_an_asterisk() {
        let rule = words(&["x", "*"]);
        assert!(rule.fit_arguments(&["a\nb"], true));
        assert!(rule.fit_arguments(&["a/b"], true));
    }

    #[test]
    fn v_d35_what_is_not_utf_8_is_forbidden_but_never_allowed_by_a_pattern() {
        let rule = words(&["x", "*"]);
        let odd = [OsStr::from_bytes(b"a\xff")];
        assert!(rule.fit_arguments(&odd, true));
        assert!(!rule.fit_arguments(&odd, false));
    }

    #[test]
    fn v_d14_bad_patterns_are_errors() {
        assert_eq!(Words::parse::<&str>(&[]), Err(InvalidPattern::Empty));
        assert_eq!(Words::parse(&["**", "x"]), Err(InvalidPattern::RestNotLast));
        assert!(matches!(
            Words::parse(&["x", "[a"]),
            Err(InvalidPattern::Glob(..))
        ));
        assert_eq!(
            Words::parse(&["x", "a**"]),
            Err(InvalidPattern::RestNotLast)
        );
    }
}
