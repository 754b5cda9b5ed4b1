//! The repository that a command line of git works in, and the configuration that holds there.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::config::{Config, CurrentBranch, Layer};
use super::globals::{Global, Setting};
use super::plan::Refused;
use super::refs::{Head, Refs};
use super::repository::{Pointer, Repository};
use crate::sys::env;

/// A repository and its configuration, the command line's included.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) repository: Repository,
    pub(crate) config: Config,
    pub(crate) head: Head,
    /// The words before the subcommand that git is given as well.
    pub(crate) globals: Vec<OsString>,
    /// Variables that belong to those words.
    pub(crate) variables: Vec<(String, Vec<u8>)>,
    /// What `-c` and `--config-env` set, in order.
    pub(crate) settings: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Opens what git would open. `program` is the real git, which knows by where it is installed
/// which file holds for the whole machine.
pub(crate) fn open(
    options: &[Global<'_>],
    cwd: &Path,
    home: &Path,
    program: &Path,
) -> Result<Opened, Refused> {
    let words = Words::of(options)?;
    let repository = Repository::discover(cwd, None, &words.pointers)?;
    let head = Refs::new(&repository)?.head()?;
    let system = system_file(program);
    let mut layers = Layer::of_machine_and_user(Some(&system), home);
    layers.extend(repository.layers());
    layers.extend(words.layers);
    let config = {
        let branch: CurrentBranch<'_> = head.current_branch();
        Config::load(&layers, &repository.facts(home, branch))?
    };
    let system = system.as_os_str().as_bytes().to_vec();
    Ok(Opened {
        repository,
        config,
        head,
        globals: words.kept,
        variables: vec![("GIT_CONFIG_SYSTEM".to_owned(), system)],
        settings: words.settings,
    })
}

/// git has this path built in, from the prefix it was built for (git's Makefile, ETC_GITCONFIG);
/// it is told the same one (GIT_CONFIG_SYSTEM, since git 2.32).
fn system_file(program: &Path) -> PathBuf {
    let prefix = program.parent().and_then(Path::parent);
    match prefix {
        Some(prefix) if prefix != Path::new("/usr") && prefix != Path::new("/") => {
            prefix.join("etc/gitconfig")
        }
        _ => PathBuf::from("/etc/gitconfig"),
    }
}

/// The words before the subcommand, by what they are for.
#[derive(Default)]
struct Words {
    pointers: Vec<Pointer>,
    layers: Vec<Layer>,
    kept: Vec<OsString>,
    settings: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Words {
    fn of(options: &[Global<'_>]) -> Result<Self, Refused> {
        let mut words = Self::default();
        for option in options {
            words.take(option)?;
        }
        Ok(words)
    }

    fn take(&mut self, option: &Global<'_>) -> Result<(), Refused> {
        let (setting, value) = match *option {
            Global::Set(setting, value) => (setting, value),
            Global::Bare => {
                self.pointers.push(Pointer::Bare);
                self.kept.push(OsString::from("--bare"));
                return Ok(());
            }
            Global::Switch(switch) => {
                self.kept.push(OsString::from(switch));
                return Ok(());
            }
            Global::Query => return Err(Refused::Global("a query")),
        };
        let word = match setting {
            Setting::Directory => {
                self.pointers.push(Pointer::Directory(value.to_owned()));
                "-C"
            }
            Setting::GitDir => {
                self.pointers.push(Pointer::GitDir(value.to_owned()));
                "--git-dir"
            }
            Setting::WorkTree => {
                self.pointers.push(Pointer::WorkTree(value.to_owned()));
                "--work-tree"
            }
            Setting::Config => {
                self.take_setting(value.as_bytes());
                return Ok(());
            }
            Setting::AttrSource => "--attr-source",
            Setting::ConfigEnv => return self.take_variable(value.as_bytes()),
            Setting::Namespace => return Err(Refused::Global("--namespace")),
            Setting::ExecPath => return Err(Refused::Global("--exec-path")),
            Setting::ShallowFile => return Err(Refused::Global("--shallow-file")),
            Setting::SuperPrefix => return Err(Refused::Global("--super-prefix")),
        };
        self.kept.push(OsString::from(word));
        self.kept.push(value.to_owned());
        Ok(())
    }

    /// Takes `KEY=VALUE`, or `KEY`, which is true. git would read it after everything else, the
    /// pinned settings too, so it goes with those and before them.
    fn take_setting(&mut self, word: &[u8]) {
        self.layers.push(Layer::of_word(word));
        let sign = word.iter().position(|byte| *byte == b'=');
        let (key, value) = match sign.and_then(|at| word.split_at_checked(at)) {
            Some((key, value)) => (key, value.get(1..).unwrap_or_default()),
            None => (word, b"true".as_slice()),
        };
        self.settings.push((key.to_vec(), value.to_vec()));
    }

    /// Takes `KEY=VARIABLE`, where the last `=` ends the key (git's config.c,
    /// git_config_push_env).
    fn take_variable(&mut self, word: &[u8]) -> Result<(), Refused> {
        let at = word.iter().rposition(|byte| *byte == b'=');
        let parts = at.and_then(|at| Some((word.get(..at)?, word.get(at + 1..)?)));
        let value = parts.and_then(|(key, variable)| {
            let variable = std::str::from_utf8(variable).ok()?;
            let value = env::bytes(variable).filter(|_| !variable.is_empty())?;
            Some((key.to_vec(), value.as_bytes().to_vec()))
        });
        let (key, value) = value.ok_or(Refused::Global("--config-env"))?;
        self.layers
            .push(Layer::Word(key.clone(), Some(value.clone())));
        self.settings.push((key, value));
        Ok(())
    }
}
