//! GNU `rm` (coreutils 9.1, rm(1)).

use std::ffi::OsString;
use std::path::PathBuf;

use super::argv::{self, Grammar, Occurrence, TakesValue, UsageError};
use super::operands::{self, MOST_OPERANDS, Operand};
use crate::model::action::Action;
use crate::model::operation::{Objects, Operation, Prompt};
use crate::sys::path::{PathError, Pinned, Resolver};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opt {
    Force,
    PromptAlways,
    PromptOnce,
    Interactive,
    OneFileSystem,
    NoPreserveRoot,
    PreserveRoot,
    Recursive,
    Directories,
    Verbose,
    Help,
    Version,
}

/// The table of coreutils' `rm.c`, less the hidden `---presume-input-tty` (ARG-18).
const GRAMMAR: Grammar<Opt> = Grammar {
    short: &[
        (b'd', Opt::Directories),
        (b'f', Opt::Force),
        (b'i', Opt::PromptAlways),
        (b'I', Opt::PromptOnce),
        (b'r', Opt::Recursive),
        (b'R', Opt::Recursive),
        (b'v', Opt::Verbose),
    ],
    long: &[
        ("force", TakesValue::No, Opt::Force),
        ("interactive", TakesValue::Optional, Opt::Interactive),
        ("one-file-system", TakesValue::No, Opt::OneFileSystem),
        ("no-preserve-root", TakesValue::No, Opt::NoPreserveRoot),
        ("preserve-root", TakesValue::Optional, Opt::PreserveRoot),
        ("recursive", TakesValue::No, Opt::Recursive),
        ("dir", TakesValue::No, Opt::Directories),
        ("verbose", TakesValue::No, Opt::Verbose),
        ("help", TakesValue::No, Opt::Help),
        ("version", TakesValue::No, Opt::Version),
    ],
};

/// What the options ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are rm's own flags")]
pub(crate) struct Options {
    pub(crate) force: bool,
    pub(crate) prompt: Prompt,
    pub(crate) recursive: bool,
    pub(crate) directories: bool,
    pub(crate) verbose: bool,
    /// `--help` or `--version`: nothing else is looked at.
    pub(crate) informational: bool,
}

/// A command line of `rm`, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) options: Options,
    pub(crate) operands: Vec<Operand>,
}

/// Why a command line of `rm` is refused before any grant is looked at.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refused {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error("'--no-preserve-root' is never allowed")]
    NoPreserveRoot,
    #[error("{count} operands are more than {MOST_OPERANDS}")]
    TooMany { count: usize },
    #[error("{reason}")]
    Operand {
        operand: OsString,
        reason: PathError,
    },
}

/// Reads the words after the program's name.
pub(crate) fn parse(words: &[OsString]) -> Result<Command, Refused> {
    let mut options = Options::default();
    let mut preserve_root = true;
    let operands = argv::scan(words, &GRAMMAR, |occurrence| {
        apply(occurrence, &mut options, &mut preserve_root)
    })?;
    if options.informational {
        return Ok(Command {
            options,
            operands: Vec::new(),
        });
    }
    if !preserve_root {
        return Err(Refused::NoPreserveRoot);
    }
    if operands.is_empty() {
        return Err(UsageError::NoOperand.into());
    }
    if operands.len() > MOST_OPERANDS {
        return Err(Refused::TooMany {
            count: operands.len(),
        });
    }
    Ok(Command {
        options,
        operands: operands.into_iter().map(Operand::from).collect(),
    })
}

fn apply(
    occurrence: Occurrence<'_, Opt>,
    options: &mut Options,
    preserve_root: &mut bool,
) -> Result<bool, UsageError> {
    match occurrence.option {
        Opt::Force => {
            options.force = true;
            options.prompt = Prompt::Never;
        }
        Opt::PromptAlways => {
            options.force = false;
            options.prompt = Prompt::Always;
        }
        Opt::PromptOnce => {
            options.force = false;
            options.prompt = Prompt::Once;
        }
        Opt::Interactive => {
            let prompt = when(occurrence.value)?;
            if prompt != Prompt::Never {
                options.force = false;
            }
            options.prompt = prompt;
        }
        Opt::PreserveRoot if !matches!(occurrence.value, None | Some(b"all")) => {
            return Err(invalid("preserve-root", occurrence.value));
        }
        // A later --preserve-root does not make the intention harmless.
        Opt::NoPreserveRoot => *preserve_root = false,
        Opt::Recursive => options.recursive = true,
        Opt::Directories => options.directories = true,
        Opt::Verbose => options.verbose = true,
        Opt::OneFileSystem | Opt::PreserveRoot => {}
        Opt::Help | Opt::Version => {
            options.informational = true;
            return Ok(false);
        }
    }
    Ok(true)
}

fn invalid(option: &'static str, value: Option<&[u8]>) -> UsageError {
    let value = argv::spell(value.unwrap_or_default());
    UsageError::InvalidValue { option, value }
}

/// Reads WHEN as gnulib's `argmatch` does: a prefix is enough when all it fits mean the same.
fn when(value: Option<&[u8]>) -> Result<Prompt, UsageError> {
    const WORDS: [(&str, Prompt); 6] = [
        ("never", Prompt::Never),
        ("no", Prompt::Never),
        ("none", Prompt::Never),
        ("once", Prompt::Once),
        ("always", Prompt::Always),
        ("yes", Prompt::Always),
    ];
    let Some(value) = value else {
        return Ok(Prompt::Always);
    };
    if let Some((_, prompt)) = WORDS.iter().find(|(word, _)| word.as_bytes() == value) {
        return Ok(*prompt);
    }
    let mut fits = WORDS
        .iter()
        .filter(|(word, _)| word.as_bytes().starts_with(value));
    match fits.next() {
        Some((_, prompt)) if fits.all(|(_, other)| other == prompt) => Ok(*prompt),
        _ => Err(invalid("interactive", Some(value))),
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

/// Resolves every operand as `rm` will find it: one that cannot be resolved refuses all of them.
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
    let (targets, pins) = operands::resolve(resolver, &command.operands, command.options.recursive)
        .map_err(|(operand, reason)| Refused::Operand { operand, reason })?;
    let operation = Operation {
        action: Action::Rm,
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

    fn read(words: &[&str]) -> Result<Command, Refused> {
        parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    fn options(words: &[&str]) -> Options {
        read(words).unwrap().options
    }

    #[test]
    fn arg_13_clusters_are_split() {
        for words in [["-rfv", "d"], ["-vRf", "d"], ["-fvr", "d"]] {
            let options = options(&words);
            assert!(
                options.recursive && options.force && options.verbose,
                "{words:?}"
            );
        }
        assert_eq!(
            read(&["-rfz", "d"]),
            Err(UsageError::Unknown("-z".into()).into())
        );
    }

    #[test]
    fn arg_14_long_options_may_be_abbreviated() {
        for word in ["--r", "--re", "--recurs", "--recursive"] {
            assert!(options(&[word, "d"]).recursive, "{word}");
        }
        assert!(options(&["--fo", "d"]).force);
        assert_eq!(
            read(&["--ver", "d"]),
            Err(UsageError::Ambiguous("--ver".into()).into())
        );
        assert!(options(&["--verb", "d"]).verbose);
    }

    #[test]
    fn arg_15_and_16_no_preserve_root_is_never_allowed_in_any_spelling() {
        for word in [
            "--no-preserve-root",
            "--no-preserve",
            "--no-preserve-r",
            "--n",
            "--no",
        ] {
            assert_eq!(
                read(&["-rf", word, "d"]),
                Err(Refused::NoPreserveRoot),
                "{word}"
            );
        }
        let taken_back = read(&["--no-preserve-root", "--preserve-root", "d"]);
        assert_eq!(taken_back, Err(Refused::NoPreserveRoot));
        let operand = read(&["--", "--no-preserve-root"]).unwrap();
        assert_eq!(operand.operands[0].word, "--no-preserve-root");
        assert_eq!(operand.operands[0].position, 1);
    }

    #[test]
    fn arg_17_interactive_takes_its_words_and_their_prefixes() {
        assert_eq!(options(&["--interactive", "f"]).prompt, Prompt::Always);
        for (word, prompt) in [
            ("--interactive=no", Prompt::Never),
            ("--interactive=n", Prompt::Never),
            ("--interactive=never", Prompt::Never),
            ("--interactive=o", Prompt::Once),
            ("--int=y", Prompt::Always),
        ] {
            assert_eq!(options(&[word, "f"]).prompt, prompt, "{word}");
        }
        assert!(read(&["--interactive=", "f"]).is_err());
        assert!(read(&["--interactive=maybe", "f"]).is_err());
        assert_eq!(
            read(&["-i=never", "f"]),
            Err(UsageError::Unknown("-=".into()).into())
        );
    }

    #[test]
    fn arg_18_the_hidden_option_is_unknown() {
        assert!(matches!(
            read(&["---presume-input-tty", "f"]),
            Err(Refused::Usage(_))
        ));
    }

    #[test]
    fn arg_20_help_and_version_look_at_nothing_after_them() {
        for words in [
            ["--help", "f"],
            ["f", "--version"],
            ["--he", "--frobnicate"],
        ] {
            let command = read(&words).unwrap();
            assert!(
                command.options.informational && command.operands.is_empty(),
                "{words:?}"
            );
        }
        assert!(read(&["--frobnicate", "--help"]).is_err());
    }

    #[test]
    fn arg_21_no_operand_is_wrong_usage() {
        for words in [&[][..], &["-f"], &["-rf", "--"]] {
            assert_eq!(read(words), Err(UsageError::NoOperand.into()), "{words:?}");
        }
    }

    #[test]
    fn arg_37_too_many_operands_are_refused_whole() {
        let words = vec!["f"; MOST_OPERANDS + 1];
        assert_eq!(
            read(&words),
            Err(Refused::TooMany {
                count: MOST_OPERANDS + 1
            })
        );
        assert!(read(&words[1..]).is_ok());
    }

    #[test]
    fn the_last_of_force_and_prompt_wins() {
        assert_eq!(options(&["-fi", "f"]).prompt, Prompt::Always);
        assert_eq!(options(&["-if", "f"]).prompt, Prompt::Never);
        assert!(!options(&["-fI", "f"]).force);
    }
}
