//! The file `packed-refs` (git's refs/packed-backend.c).

/// Its content.
#[derive(Debug)]
pub(super) struct Packed {
    records: Vec<u8>,
    is_sorted: bool,
    hex_len: usize,
}

impl Packed {
    pub(super) fn new(bytes: Vec<u8>, hex_len: usize) -> Self {
        let first = bytes
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        let traits = first.strip_prefix(b"# pack-refs with:".as_slice());
        let is_sorted = traits.is_some_and(|traits| {
            traits
                .split(|byte| *byte == b' ')
                .any(|word| word == b"sorted")
        });
        Self {
            records: bytes,
            is_sorted,
            hex_len,
        }
    }

    /// Returns the object id of a full ref.
    pub(super) fn find(&self, name: &[u8]) -> Option<&[u8]> {
        if self.is_sorted {
            return self.search(name);
        }
        let mut lines = self.records.split(|byte| *byte == b'\n');
        lines.find_map(|line| {
            self.record(line)
                .filter(|(_, other)| *other == name)
                .map(|(oid, _)| oid)
        })
    }

    /// Returns the object id and the name in a line. Comments and `^` lines have none.
    fn record<'a>(&self, line: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (oid, rest) = line.split_at_checked(self.hex_len)?;
        let name = rest.strip_prefix(b" ")?;
        oid.iter().all(u8::is_ascii_hexdigit).then_some((oid, name))
    }

    fn search(&self, name: &[u8]) -> Option<&[u8]> {
        let (mut low, mut high) = (0, self.records.len());
        while low < high {
            let (start, end) = self.record_around(low, usize::midpoint(low, high));
            let line = self.records.get(start..end)?;
            let Some((oid, other)) = self.record(line) else {
                // A comment, which stands before all records, or what belongs to no record.
                low = end + 1;
                continue;
            };
            match other.cmp(name) {
                std::cmp::Ordering::Equal => return Some(oid),
                std::cmp::Ordering::Less => low = end + 1,
                std::cmp::Ordering::Greater => high = start,
            }
        }
        None
    }

    /// Returns the bounds of the line around `at`, or of the one before it that it belongs to,
    /// but of none before `low`.
    fn record_around(&self, low: usize, at: usize) -> (usize, usize) {
        let line_start = |at: usize| {
            let before = self.records.get(low..at).unwrap_or_default();
            before
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(low, |newline| low + newline + 1)
        };
        let mut start = line_start(at);
        while self.records.get(start) == Some(&b'^') && start > low {
            start = line_start(start - 1);
        }
        let rest = self.records.get(start..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n');
        (start, start + length.unwrap_or(rest.len()))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn file(header: &str, count: usize) -> Vec<u8> {
        let mut text = header.to_owned();
        for number in 0..count {
            writeln!(text, "{number:040x} refs/heads/b{number:04}").unwrap();
            if number % 3 == 0 {
                writeln!(text, "^{number:040x}").unwrap();
            }
        }
        text.into_bytes()
    }

    #[test]
    fn every_record_is_found_and_no_other() {
        for header in [
            "# pack-refs with: peeled fully-peeled sorted \n",
            "# pack-refs with: peeled \n",
            "",
        ] {
            for count in [0, 1, 2, 3, 100] {
                let packed = Packed::new(file(header, count), 40);
                assert_eq!(packed.is_sorted, header.contains("sorted"));
                for number in 0..count {
                    let oid = format!("{number:040x}");
                    let name = format!("refs/heads/b{number:04}");
                    assert_eq!(
                        packed.find(name.as_bytes()),
                        Some(oid.as_bytes()),
                        "{header}{name}"
                    );
                    assert_eq!(packed.find(&name.as_bytes()[1..]), None);
                }
                for missing in [
                    "refs/heads/a",
                    "refs/heads/b",
                    "refs/heads/b0001x",
                    "refs/z",
                    "",
                ] {
                    assert_eq!(packed.find(missing.as_bytes()), None, "{missing}");
                }
            }
        }
    }

    #[test]
    fn the_last_line_needs_no_end_and_rubbish_is_no_record() {
        let mut bytes = file("# pack-refs with: sorted \n", 3);
        bytes.pop();
        let packed = Packed::new(bytes, 40);
        assert!(packed.find(b"refs/heads/b0002").is_some());
        assert_eq!(Packed::new(b"^\n^\n^".to_vec(), 40).find(b"x"), None);
        let text = b"# pack-refs with: sorted \n^\n^^\nx\n\n".to_vec();
        assert_eq!(Packed::new(text, 40).find(b"x"), None);
    }
}
