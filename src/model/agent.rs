use std::fmt;

const LONGEST_NAME: usize = 64;

/// What the trail calls somebody who does not say to be an agent. No agent may call itself so.
const PERSON: &str = "person";

/// Why a text is not an agent's name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "an agent's name is 1 to {LONGEST_NAME} characters of A-Z, a-z, 0-9, '.', '_', '-', '@', '/' \
     and ':', and not '{PERSON}'"
)]
pub(crate) struct InvalidAgentName;

/// What an agent calls itself. In advisory mode this is a label and proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AgentName(String);

impl AgentName {
    /// Checks length and alphabet, so that a name can be shown without escaping.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidAgentName> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@/:".contains(&byte);
        let fits = (1..=LONGEST_NAME).contains(&text.len()) && text != PERSON;
        if fits && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAgentName)
        }
    }

    /// Returns the name under which the trail keeps what a person does with `pvm`.
    pub(crate) fn person() -> Self {
        Self(PERSON.to_owned())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for AgentName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who asks: the label and the user the kernel says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) name: AgentName,
    pub(crate) uid: u32,
    pub(crate) pid: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_carry_control_characters_or_be_a_persons() {
        for text in ["", "person", "a b", "a\n", "a\u{202e}b", &"x".repeat(65)] {
            assert_eq!(AgentName::parse(text), Err(InvalidAgentName), "{text:?}");
        }
        assert!(AgentName::parse("claude-code:42").is_ok());
    }
}
