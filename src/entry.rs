use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use crate::failure::{ExitStatus, Failure};
use crate::sys::process;
use crate::text::escape::shown;
use crate::{cli, wrapper};

/// What a name selects: a parser, and nothing more. The caller chooses the name, so it carries no
/// authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Applet {
    Rm,
    Trash,
    GitPush,
    Git,
    Pvm,
}

/// The names that this program answers to, exactly (ARG-03 to ARG-06).
const NAMES: [(&str, Applet); 8] = [
    ("safe-rm", Applet::Rm),
    ("rm", Applet::Rm),
    ("safe-git-push", Applet::GitPush),
    ("git", Applet::Git),
    ("safe-trash", Applet::Trash),
    ("trash", Applet::Trash),
    ("trash-put", Applet::Trash),
    ("pvm", Applet::Pvm),
];

fn select(argv: &[OsString]) -> Option<(&'static str, Applet)> {
    let path = argv.first()?.as_bytes();
    let name = path.rsplit(|byte| *byte == b'/').next()?;
    NAMES
        .into_iter()
        .find(|(known, _)| known.as_bytes() == name)
}

/// Runs what the name in `argv` selects, and returns the exit status.
pub fn start(argv: &[OsString]) -> u8 {
    let status = if process::runs_with_raised_privileges() {
        let failure = Failure::internal("pvm must not be setuid or have file capabilities");
        report(&failure, "pvm")
    } else {
        match select(argv) {
            Some((name, Applet::Rm)) => wrapper::rm::run(name, argv),
            Some((name, Applet::Trash)) => wrapper::trash::run(name, argv),
            Some((name, Applet::GitPush)) => wrapper::git_push::run(name, argv),
            Some((_, Applet::Git)) => wrapper::git::run(argv),
            Some((_, Applet::Pvm)) => cli::run(argv),
            None => report(&unknown(argv), "pvm"),
        }
    };
    u8::try_from(i32::from(status)).unwrap_or(125)
}

fn unknown(argv: &[OsString]) -> Failure {
    let name = argv
        .first()
        .map(|name| shown(name.as_bytes()))
        .unwrap_or_default();
    Failure::new(ExitStatus::NotFound, format!("'{name:.80}' is not a name of pvm")).hint(
        "the names are safe-rm, safe-git-push, safe-trash and pvm, and rm, git, trash and trash-put",
    )
}

fn report(failure: &Failure, program: &str) -> ExitStatus {
    // Nobody may be listening, and that changes nothing.
    let _unchanged = process::ignore_broken_pipes();
    let _unheard = std::io::stderr().write_all(failure.lines(program).as_bytes());
    failure.status
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn name(argv0: &[u8]) -> Option<&'static str> {
        select(&[OsStr::from_bytes(argv0).to_owned()]).map(|(name, _)| name)
    }

    #[test]
    fn arg_01_to_06_only_an_exact_last_component_is_a_name() {
        assert_eq!(select(&[]), None);
        let none: [&[u8]; 8] = [
            b"",
            b"-safe-rm",
            b"../../safe-rm/",
            b"Safe-RM",
            b"safe-rm\xff",
            b"pvm-approve",
            b"xpvm",
            b"/",
        ];
        for argv0 in none {
            assert_eq!(name(argv0), None, "{}", argv0.escape_ascii());
        }
        assert_eq!(name(vec![b'a'; 128 * 1024].as_slice()), None);
        assert_eq!(name(b"./x/safe-rm"), Some("safe-rm"));
        assert_eq!(name(b"pvm"), Some("pvm"));
    }
}
