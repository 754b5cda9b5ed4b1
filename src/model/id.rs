use std::fmt;

use data_encoding::{BASE32_NOPAD, Encoding, Specification};

/// Length of an id in its text form: 128 bits in base 32 without padding.
const TEXT_LENGTH: usize = 26;

fn lowercase_base32() -> Option<Encoding> {
    let mut specification: Specification = BASE32_NOPAD.specification();
    specification.symbols = specification.symbols.to_lowercase();
    specification.encoding().ok()
}

/// Why a text is not an id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an id is {TEXT_LENGTH} characters of a-z and 2-7")]
pub(crate) struct InvalidId;

/// The 128 random bits that name a grant or a request (BRK-08), in lower-case base 32.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(String);

impl Id {
    /// Returns the id that these random bits spell.
    pub(crate) fn from_random(bits: [u8; 16]) -> Result<Self, InvalidId> {
        let encoding = lowercase_base32().ok_or(InvalidId)?;
        Ok(Self(encoding.encode(&bits)))
    }

    /// Reads an id back from its whole text form.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidId> {
        let known = |byte: u8| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte);
        if text.len() == TEXT_LENGTH && text.bytes().all(known) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId)
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first eight characters, which is what tables show.
    pub(crate) fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brk_08_an_id_keeps_all_128_bits() {
        let low = Id::from_random([0; 16]).unwrap();
        let high = Id::from_random([0xff; 16]).unwrap();
        assert_eq!(low.as_str(), "aaaaaaaaaaaaaaaaaaaaaaaaaa");
        assert_eq!(high.as_str(), "77777777777777777777777774");
        assert_eq!(Id::parse(high.as_str()), Ok(high));
    }

    #[test]
    fn only_a_whole_lower_case_id_parses() {
        for text in [
            "",
            "aaaa",
            "AAAAAAAAAAAAAAAAAAAAAAAAAA",
            "aaaaaaaaaaaaaaaaaaaaaaaaa1",
        ] {
            assert_eq!(Id::parse(text), Err(InvalidId), "{text:?}");
        }
    }
}
