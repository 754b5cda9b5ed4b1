//! Names of refs (git's refs.c, check_refname_format).

/// What a name may be besides a full and literal one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allow {
    /// One component only, such as `HEAD`.
    pub(crate) one_level: bool,
    /// One `*`.
    pub(crate) pattern: bool,
}

/// Says whether git takes `name` for the name of a ref.
pub(crate) fn is_well_formed(name: &[u8], allow: Allow) -> bool {
    let stars = name.iter().filter(|byte| **byte == b'*').count();
    name != b"@"
        && !name.ends_with(b".")
        && stars <= usize::from(allow.pattern)
        && (allow.one_level || name.contains(&b'/'))
        && name.split(|byte| *byte == b'/').all(is_component)
}

fn is_component(component: &[u8]) -> bool {
    let forbidden = |byte: &u8| *byte <= b' ' || *byte == 0x7f || b":?[\\^~".contains(byte);
    let has = |pair: &[u8]| component.windows(2).any(|window| window == pair);
    !component.is_empty()
        && !component.starts_with(b".")
        && !component.ends_with(b".lock")
        && !component.iter().any(forbidden)
        && !has(b"..")
        && !has(b"@{")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::git::testing::{self, Dice};
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn git_46_names_are_judged_as_check_ref_format_judges_them() {
        let home = tempfile::tempdir().unwrap();
        let mut dice = Dice(7);
        let parts: Vec<&[u8]> = vec![
            b"a", b"refs", b"/", b".", b"..", b"@", b"{", b"*", b".lock", b"-f", b" ", b"~",
            b"\xff", b"\x7f", b"\\", b":", b"heads", b"/", b"\x01", b"$(id)",
        ];
        let mut names: Vec<Vec<u8>> = vec![b"@".to_vec(), b"refs/heads/x".to_vec()];
        for _ in 0..120 {
            let length = 1 + dice.below(6);
            names.push(
                (0..length)
                    .flat_map(|_| dice.pick(&parts).to_vec())
                    .collect(),
            );
        }
        // `--refspec-pattern` and friends are not stopped by `--`, so no name begins with a dash.
        names.retain(|name| !name.starts_with(b"-"));
        let Some(git) = testing::gits().pop() else {
            return;
        };
        for name in names {
            for (flag, allow) in [
                ("--no-allow-onelevel", Allow::default()),
                (
                    "--allow-onelevel",
                    Allow {
                        one_level: true,
                        pattern: false,
                    },
                ),
                (
                    "--refspec-pattern",
                    Allow {
                        one_level: false,
                        pattern: true,
                    },
                ),
            ] {
                let words = [
                    "check-ref-format".into(),
                    flag.into(),
                    std::ffi::OsString::from_vec(name.clone()),
                ];
                let git_says = testing::run(&git, home.path(), home.path(), &words)
                    .status
                    .success();
                assert_eq!(
                    is_well_formed(&name, allow),
                    git_says,
                    "{flag} {}",
                    name.escape_ascii()
                );
            }
        }
    }
}
