//! `trash-put` of trash-cli (trash-put(1), version 0.24), as far as a wrapper that does the work itself
//! may follow it. Its parser is Python's argparse; where that is laxer, here is a refusal.

use std::ffi::OsString;
use std::path::PathBuf;

use super::argv::{self, Grammar, Occurrence, TakesValue, UsageError};
use super::operands::{self, MOST_OPERANDS, Operand};
use crate::model::action::Action;
use crate::model::operation::{Objects, Operation};
use crate::sys::path::{PathError, Pinned, Resolver};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opt {
    Force,
    Interactive,
    /// `-d` and `-r`, which change nothing: a directory goes with all that is in it.
    Ignored,
    Verbose,
    TrashDirectory,
    ForceVolume,
    HomeFallback,
    Help,
    Version,
}

/// The hidden options stand here because an abbreviation may fit them too.
const GRAMMAR: Grammar<Opt> = Grammar {
    short: &[
        (b'd', Opt::Ignored),
        (b'f', Opt::Force),
        (b'h', Opt::Help),
        (b'i', Opt::Interactive),
        (b'r', Opt::Ignored),
        (b'R', Opt::Ignored),
        (b'v', Opt::Verbose),
    ],
    long: &[
        ("directory", TakesValue::No, Opt::Ignored),
        ("force", TakesValue::No, Opt::Force),
        ("force-volume", TakesValue::Optional, Opt::ForceVolume),
        ("help", TakesValue::No, Opt::Help),
        ("home-fallback", TakesValue::No, Opt::HomeFallback),
        ("interactive", TakesValue::No, Opt::Interactive),
        ("recursive", TakesValue::No, Opt::Ignored),
        ("trash-dir", TakesValue::Optional, Opt::TrashDirectory),
        ("verbose", TakesValue::No, Opt::Verbose),
        ("version", TakesValue::No, Opt::Version),
    ],
};

/// What the options ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Operands that are missing are passed over.
    pub(crate) force: bool,
    pub(crate) verbose: bool,
    /// `--help` or `--version`: nothing else is looked at.
    pub(crate) informational: bool,
}

/// A command line of `trash-put`, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) options: Options,
    pub(crate) operands: Vec<Operand>,
}

/// Why a command line of `trash-put` is refused before any grant is looked at.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refused {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error("'--{0}' is never allowed: it would choose another trash")]
    ChoosesTrash(&'static str),
    /// To trash without the question that was asked for would be more than was asked for.
    #[error("'-i' asks before each file, and this asks a grant instead")]
    Interactive,
    #[error("{count} operands are more than {MOST_OPERANDS}")]
    TooMany { count: usize },
    #[error("{reason}")]
    Operand {
        operand: OsString,
        reason: PathError,
    },
}

/// What was read of the options so far.
#[derive(Debug, Default)]
struct Reading {
    options: Options,
    interactive: bool,
    chooses_trash: Option<&'static str>,
}

/// Reads the words after the program's name.
pub(crate) fn parse(words: &[OsString]) -> Result<Command, Refused> {
    let mut reading = Reading::default();
    let operands = argv::scan(words, &GRAMMAR, |occurrence| Ok(reading.apply(occurrence)))?;
    let options = reading.options;
    if let Some(option) = reading.chooses_trash {
        return Err(Refused::ChoosesTrash(option));
    }
    if options.informational {
        let operands = Vec::new();
        return Ok(Command { options, operands });
    }
    if reading.interactive {
        return Err(Refused::Interactive);
    }
    match operands.len() {
        0 => Err(UsageError::NoOperand.into()),
        count if count > MOST_OPERANDS => Err(Refused::TooMany { count }),
        _ => Ok(Command {
            options,
            operands: operands.into_iter().map(Operand::from).collect(),
        }),
    }
}

impl Reading {
    /// Takes in one option and answers whether more may follow. The last of `-f` and `-i` counts.
    fn apply(&mut self, occurrence: Occurrence<'_, Opt>) -> bool {
        match occurrence.option {
            Opt::Force => (self.options.force, self.interactive) = (true, false),
            Opt::Interactive => (self.options.force, self.interactive) = (false, true),
            Opt::Verbose => self.options.verbose = true,
            Opt::Ignored => {}
            Opt::TrashDirectory => return self.choose("trash-dir"),
            Opt::ForceVolume => return self.choose("force-volume"),
            Opt::HomeFallback => return self.choose("home-fallback"),
            Opt::Help | Opt::Version => {
                self.options.informational = true;
                return false;
            }
        }
        true
    }

    /// Ends the reading: whether the next word is a value is not worth knowing.
    fn choose(&mut self, option: &'static str) -> bool {
        self.chooses_trash = Some(option);
        false
    }
}

/// A command with every operand resolved.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) options: Options,
    pub(crate) operation: Operation,
    /// One for each target of the operation, in order.
    pub(crate) pins: Vec<Pinned>,
}

/// Resolves every operand: one that cannot be resolved refuses all of them. One that is missing is
/// a target like the others; `trash-put` goes on after it, and fails in the end without `-f`.
///
/// `argv` is what was typed, the program's name first.
pub(crate) fn resolve(
    command: &Command,
    argv: &[OsString],
    cwd: PathBuf,
) -> Result<Resolved, Refused> {
    resolve_with(Resolver::default(), command, argv, cwd)
}

/// Does what [`resolve`] does, with operands that `resolver` looks up.
pub(crate) fn resolve_with(
    resolver: Resolver,
    command: &Command,
    argv: &[OsString],
    cwd: PathBuf,
) -> Result<Resolved, Refused> {
    let (targets, pins) = operands::resolve(resolver, &command.operands, true)
        .map_err(|(operand, reason)| Refused::Operand { operand, reason })?;
    let operation = Operation {
        action: Action::Trash,
        objects: Objects::Paths(targets),
        argv: argv.to_vec(),
        cwd,
    };
    Ok(Resolved {
        options: command.options,
        operation,
        pins,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::operation::TargetKind;

    fn read(words: &[&str]) -> Result<Command, Refused> {
        parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn operands(words: &[&str]) -> Vec<String> {
        let command = read(words).unwrap();
        let word = |operand: Operand| operand.word.into_string().unwrap();
        command.operands.into_iter().map(word).collect()
    }

    #[test]
    fn arg_10_to_14_words_are_read_as_trash_put_reads_them() {
        for words in [
            ["-rfv", "d"],
            ["-vRdf", "d"],
            ["--force", "d"],
            ["--rec", "d"],
            ["--dir", "d"],
            ["--verb", "d"],
        ] {
            assert_eq!(operands(&words), ["d"], "{words:?}");
        }
        assert!(read(&["-fv", "d"]).unwrap().options.force);
        assert!(read(&["--verbose", "d"]).unwrap().options.verbose);
        assert_eq!(operands(&["a", "-f", "b"]), ["a", "b"]);
        assert_eq!(operands(&["-f", "--", "-r", "--"]), ["-r", "--"]);
        assert_eq!(operands(&["-"]), ["-"]);
        assert_eq!(read(&["x", "--", "y"]).unwrap().operands[1].position, 2);
    }

    #[test]
    fn arg_14_an_abbreviation_that_fits_a_hidden_option_is_ambiguous() {
        for word in ["--f", "--for", "--h", "--ver", "--ve"] {
            let refused = Err(UsageError::Ambiguous(word.into()).into());
            assert_eq!(read(&[word, "d"]), refused, "{word}");
        }
        assert!(read(&["--he"]).unwrap().options.informational);
    }

    #[test]
    fn arg_19_what_is_not_known_is_refused() {
        for word in [
            "-x",
            "-rx",
            "--frobnicate",
            "-1",
            "--force=1",
            "--print-completion=zsh",
        ] {
            let refused = read(&[word, "d"]);
            assert!(matches!(refused, Err(Refused::Usage(_))), "{word}");
        }
    }

    #[test]
    fn path_39_no_option_chooses_the_trash() {
        for (words, option) in [
            (&["--trash-dir", "/tmp/t", "f"][..], "trash-dir"),
            (&["--trash-dir=/tmp/t", "f"], "trash-dir"),
            (&["f", "--tr", "/tmp/t"], "trash-dir"),
            (&["f", "--force-volume=/"], "force-volume"),
            (&["--home", "f"], "home-fallback"),
            (&["--trash-dir", "--help"], "trash-dir"),
        ] {
            assert_eq!(read(words), Err(Refused::ChoosesTrash(option)), "{words:?}");
        }
        assert_eq!(operands(&["--", "--trash-dir=/t"]), ["--trash-dir=/t"]);
    }

    #[test]
    fn arg_17_a_question_that_was_asked_for_is_not_left_out() {
        for words in [["-i", "f"], ["-fi", "f"], ["--int", "f"]] {
            assert_eq!(read(&words), Err(Refused::Interactive), "{words:?}");
        }
        assert!(read(&["-if", "f"]).unwrap().options.force);
    }

    #[test]
    fn arg_20_and_21_help_needs_no_operand_and_the_rest_does() {
        for words in [["-h", "f"], ["f", "--version"], ["--help", "--trash-dir"]] {
            let command = read(&words).unwrap();
            assert!(command.options.informational && command.operands.is_empty());
        }
        for words in [&[][..], &["-f"], &["-rf", "--"]] {
            assert_eq!(read(words), Err(UsageError::NoOperand.into()), "{words:?}");
        }
    }

    #[test]
    fn arg_37_too_many_operands_to_trash_are_refused_whole() {
        let words = vec!["f"; MOST_OPERANDS + 1];
        let count = MOST_OPERANDS + 1;
        assert_eq!(read(&words), Err(Refused::TooMany { count }));
        assert!(read(&words[1..]).is_ok());
    }

    fn resolved(words: &[OsString]) -> Result<Resolved, Refused> {
        let argv = [&[OsString::from("safe-trash")], words].concat();
        resolve(&parse(words).unwrap(), &argv, PathBuf::from("/"))
    }

    #[test]
    fn p_d29_every_operand_is_a_target_and_a_directory_goes_whole() {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name).into_os_string();
        std::fs::create_dir(path("d")).unwrap();
        std::fs::write(path("f"), "").unwrap();
        let words = [
            path("d"),
            "-v".into(),
            path("f"),
            path("none"),
            path("no/such"),
        ];
        let Resolved {
            options,
            operation,
            pins,
        } = resolved(&words).unwrap();
        assert!(options.verbose && !options.force);
        assert_eq!(operation.action, Action::Trash);
        assert_eq!(operation.argv.len(), 6);
        let told: Vec<_> = operation
            .targets()
            .iter()
            .map(|target| (target.position, target.kind, target.recursive))
            .collect();
        let missing = TargetKind::Missing;
        assert_eq!(
            told,
            [
                (1, TargetKind::Directory, true),
                (3, TargetKind::Entry, false),
                (4, missing, false),
                (5, missing, false)
            ]
        );
        assert_eq!(pins.len(), 4);
    }

    #[test]
    fn arg_24_29_and_30_one_bad_operand_refuses_all() {
        for (word, reason) in [
            ("", PathError::Empty),
            ("/", PathError::Root),
            (".", PathError::Dot),
            ("/tmp/..", PathError::Dot),
            ("/proc/self", PathError::KernelFileSystem),
        ] {
            let refused = resolved(&["/tmp/no-such-file".into(), word.into()]).unwrap_err();
            let operand = OsString::from(word);
            assert_eq!(refused, Refused::Operand { operand, reason });
        }
    }
}
