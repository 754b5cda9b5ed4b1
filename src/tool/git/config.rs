//! git's configuration, read in this process as git's config.c reads it: the files in order,
//! their includes in place, the command line last.

mod include;
mod parse;
mod value;
mod wildmatch;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(crate) use include::{BadInclude, CurrentBranch, Facts};
pub(crate) use parse::is_space;
pub(crate) use value::{BadValue, Value, integer};

use crate::sys::fs::read_regular;
use include::Condition;
use parse::{Header, Item, Parser, Span};

/// The largest file that is read, in bytes.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;
/// git's own limit (config.c, MAX_INCLUDE_DEPTH).
const DEEPEST_INCLUDE: usize = 10;
/// More files than anybody has, so that includes cannot multiply for ever.
const MOST_FILES: usize = 1000;

/// Why there is no configuration to go by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("bad configuration line {line} in {file}", file = .file.display())]
    Syntax { file: PathBuf, line: usize },
    #[error("{file} contains a NUL byte", file = .0.display())]
    Nul(PathBuf),
    #[error("cannot read {file}: {error}", file = .file.display())]
    Read { file: PathBuf, error: io::Error },
    #[error("includes are more than {DEEPEST_INCLUDE} deep at {file}", file = .0.display())]
    TooDeep(PathBuf),
    #[error("more than {MOST_FILES} configuration files are included")]
    TooMany,
    #[error("cannot follow the include '{word}' in {place}: {why}")]
    Include {
        word: String,
        place: String,
        why: BadInclude,
    },
    #[error(
        "{file} has the URL of a remote, and is included only where a remote has a certain URL", file = .0.display()
    )]
    RemoteUrl(PathBuf),
    #[error("'{0}' is not the name of a configuration variable")]
    BadName(String),
    #[error(transparent)]
    Value(#[from] BadValue),
}

/// Where variables come from, in the order in which git reads it.
#[derive(Clone, Debug)]
pub(crate) enum Layer {
    /// A file that may be missing.
    File(PathBuf),
    /// The same, and git does without it where it may not read it.
    UserFile(PathBuf),
    /// A file that was read before, by [`Config::of_file`].
    Read(Rc<Config>),
    /// One variable of the command line: `section.subsection.key`, and its value if it has one.
    Word(Vec<u8>, Option<Vec<u8>>),
}

impl Layer {
    /// Takes the operand of `git -c`: the first `=` ends the name (git's config.c,
    /// git_config_push_parameter).
    pub(crate) fn of_word(word: &[u8]) -> Self {
        match word.iter().position(|byte| *byte == b'=') {
            Some(at) => Self::Word(
                word.get(..at).unwrap_or_default().to_vec(),
                word.get(at + 1..).map(<[u8]>::to_vec),
            ),
            None => Self::Word(word.to_vec(), None),
        }
    }

    /// Returns the files that hold for every repository, the later the stronger.
    pub(crate) fn of_machine_and_user(system: Option<&Path>, home: &Path) -> Vec<Self> {
        let system = system.map(|path| Self::File(path.to_owned()));
        let user = [".config/git/config", ".gitconfig"].map(|name| Self::UserFile(home.join(name)));
        system.into_iter().chain(user).collect()
    }
}

/// Variables in the order in which git sees them; a later one is stronger.
#[derive(Debug, Default)]
pub(crate) struct Config {
    text: Vec<u8>,
    files: Vec<PathBuf>,
    blocks: Vec<Block>,
    entries: Vec<Entry>,
}

/// Variables that follow each other in one section of one file.
#[derive(Clone, Copy, Debug)]
struct Block {
    header: Header,
    /// None is the command line.
    file: Option<usize>,
    first: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: Span,
    value: Option<Span>,
}

impl Config {
    /// Reads all layers. A file that is missing is left out, and any other failure is an error.
    pub(crate) fn load(layers: &[Layer], facts: &Facts) -> Result<Self, ConfigError> {
        let mut loader = Loader::new(layers, facts, Pass::Real);
        loader.run()?;
        Ok(loader.config)
    }

    /// Reads one file, if there is one, without following its includes.
    pub(crate) fn of_file(file: &Path) -> Result<Option<Self>, ConfigError> {
        let bytes = read(file)?;
        bytes.map(|bytes| Self::of_bytes(file, &bytes)).transpose()
    }

    /// Reads the content of one file without following its includes.
    pub(crate) fn of_bytes(file: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        config.files.push(file.to_owned());
        config.text.reserve(bytes.len());
        let mut parser = parser_of(file, bytes)?;
        while let Some(item) = next_item(&mut parser, &mut config.text, file)? {
            config.push(item, Some(0));
        }
        Ok(config)
    }

    fn push(&mut self, item: Item, file: Option<usize>) {
        let at = self.entries.len();
        self.entries.push(Entry {
            key: item.key,
            value: item.value,
        });
        match self.blocks.last_mut() {
            Some(block) if block.header == item.header && block.file == file => block.end = at + 1,
            _ => self.blocks.push(Block {
                header: item.header,
                file,
                first: at,
                end: at + 1,
            }),
        }
    }

    fn blocks<'a, 'n>(
        &'a self,
        section: &'n [u8],
        subsection: Option<&'n [u8]>,
    ) -> impl DoubleEndedIterator<Item = &'a Block> + use<'a, 'n> {
        self.blocks.iter().filter(move |block| {
            block.header.section.of(&self.text) == section
                && block.header.subsection.map(|span| span.of(&self.text)) == subsection
        })
    }

    fn of_block<'a>(
        &'a self,
        block: &'a Block,
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], Value<'a>)> {
        let entries = self.entries.get(block.first..block.end).unwrap_or_default();
        entries.iter().map(|entry| {
            let value = Value {
                text: entry.value.map(|span| span.of(&self.text)),
                file: block
                    .file
                    .and_then(|at| self.files.get(at))
                    .map(PathBuf::as_path),
            };
            (entry.key.of(&self.text), value)
        })
    }

    /// Returns the variables of a section in order, each with its key in lower case. `section` is
    /// in lower case, `subsection` exactly as written.
    pub(crate) fn pairs_of<'a, 'n>(
        &'a self,
        section: &'n [u8],
        subsection: Option<&'n [u8]>,
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], Value<'a>)> + use<'a, 'n> {
        self.blocks(section, subsection)
            .flat_map(|block| self.of_block(block))
    }

    /// Returns every value of a variable, in order. `key` is in lower case.
    pub(crate) fn all<'a, 'n>(
        &'a self,
        section: &'n [u8],
        subsection: Option<&'n [u8]>,
        key: &'n [u8],
    ) -> impl DoubleEndedIterator<Item = Value<'a>> + use<'a, 'n> {
        self.pairs_of(section, subsection)
            .filter(move |(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// Returns the value of a variable that is in force.
    pub(crate) fn last(
        &self,
        section: &[u8],
        subsection: Option<&[u8]>,
        key: &[u8],
    ) -> Option<Value<'_>> {
        self.all(section, subsection, key).next_back()
    }

    /// Returns the text in force. A variable without `=` anywhere is an error, as git dies of it.
    pub(crate) fn string(
        &self,
        section: &[u8],
        subsection: Option<&[u8]>,
        key: &[u8],
    ) -> Result<Option<&[u8]>, BadValue> {
        let mut last = None;
        for text in self.strings(section, subsection, key) {
            last = Some(text?);
        }
        Ok(last)
    }

    /// Returns every text of a variable; one without `=` is an error.
    pub(crate) fn strings<'a, 'n>(
        &'a self,
        section: &'n [u8],
        subsection: Option<&'n [u8]>,
        key: &'n [u8],
    ) -> impl Iterator<Item = Result<&'a [u8], BadValue>> + use<'a, 'n> {
        self.all(section, subsection, key)
            .map(move |value| value.string(section, subsection, key))
    }

    /// Returns the truth in force, in git's spellings; any other spelling is an error.
    pub(crate) fn bool(
        &self,
        section: &[u8],
        subsection: Option<&[u8]>,
        key: &[u8],
    ) -> Result<Option<bool>, BadValue> {
        self.last(section, subsection, key)
            .map(|value| value.bool(section, subsection, key))
            .transpose()
    }

    /// Returns the subsections of a section that have a variable, in the order in which they
    /// first appear.
    pub(crate) fn subsections<'a>(&'a self, section: &[u8]) -> Vec<&'a [u8]> {
        let mut seen = BTreeSet::new();
        let names = self
            .blocks
            .iter()
            .filter(|block| block.header.section.of(&self.text) == section);
        names
            .filter_map(|block| block.header.subsection.map(|span| span.of(&self.text)))
            .filter(|name| seen.insert(*name))
            .collect()
    }

    /// Returns every variable by its whole name as `git config --list` prints it.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Vec<u8>, Value<'_>)> {
        self.blocks.iter().flat_map(move |block| {
            let section = block.header.section.of(&self.text);
            let subsection = block.header.subsection.map(|span| span.of(&self.text));
            self.of_block(block)
                .map(move |(key, value)| (value::whole_name(section, subsection, key), value))
        })
    }
}

fn parser_of<'a>(file: &Path, bytes: &'a [u8]) -> Result<Parser<'a>, ConfigError> {
    // git cuts names and values at a NUL byte, each in its own way.
    if bytes.contains(&0) {
        return Err(ConfigError::Nul(file.to_owned()));
    }
    Ok(Parser::new(bytes))
}

fn next_item(
    parser: &mut Parser,
    text: &mut Vec<u8>,
    file: &Path,
) -> Result<Option<Item>, ConfigError> {
    parser.item(text).map_err(|bad| ConfigError::Syntax {
        file: file.to_owned(),
        line: bad.0,
    })
}

/// Reads a file if there is one.
fn read(file: &Path) -> Result<Option<Vec<u8>>, ConfigError> {
    match read_regular(file, LARGEST_FILE) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(ConfigError::Read {
            file: file.to_owned(),
            error,
        }),
    }
}

/// Says whether git would take the file for missing (ENOENT and ENOTDIR).
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What the files are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Real,
    /// Collects the URLs that `hasconfig:` asks about: such an include is then followed in any
    /// case, and may not hold a URL itself.
    RemoteUrls,
}

struct Loader<'a> {
    layers: &'a [Layer],
    facts: &'a Facts<'a>,
    pass: Pass,
    config: Config,
    remote_urls: Option<Vec<Vec<u8>>>,
    depth: usize,
    forbids_urls: bool,
}

impl<'a> Loader<'a> {
    fn new(layers: &'a [Layer], facts: &'a Facts<'a>, pass: Pass) -> Self {
        Self {
            layers,
            facts,
            pass,
            config: Config::default(),
            remote_urls: None,
            depth: 0,
            forbids_urls: false,
        }
    }

    fn run(&mut self) -> Result<(), ConfigError> {
        for layer in self.layers {
            match layer {
                Layer::File(path) => self.file(path)?,
                Layer::UserFile(path) => match self.file(path) {
                    Err(ConfigError::Read { file, error })
                        if file == *path && error.kind() == io::ErrorKind::PermissionDenied => {}
                    other => other?,
                },
                Layer::Read(file) => self.replay(file)?,
                Layer::Word(name, value) => self.word(name, value.as_deref())?,
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        match read(path)? {
            Some(bytes) => self.content(path, &bytes),
            None => Ok(()),
        }
    }

    fn content(&mut self, path: &Path, bytes: &[u8]) -> Result<(), ConfigError> {
        let file = self.config.files.len();
        if file >= MOST_FILES {
            return Err(ConfigError::TooMany);
        }
        self.config.files.push(path.to_owned());
        let mut parser = parser_of(path, bytes)?;
        while let Some(item) = next_item(&mut parser, &mut self.config.text, path)? {
            self.item(item, Some((file, path)))?;
        }
        Ok(())
    }

    /// Takes over what was read before, and follows its includes.
    fn replay(&mut self, read: &Config) -> Result<(), ConfigError> {
        let Some(path) = read.files.first() else {
            return Ok(());
        };
        let file = self.config.files.len();
        self.config.files.push(path.clone());
        let before = self.config.text.len();
        self.config.text.extend_from_slice(&read.text);
        self.config.entries.reserve(read.entries.len());
        for block in &read.blocks {
            let header = block.header.after(before);
            for entry in read.entries.get(block.first..block.end).unwrap_or_default() {
                let item = Item {
                    header,
                    key: entry.key.after(before),
                    value: entry.value.map(|span| span.after(before)),
                };
                self.item(item, Some((file, path)))?;
            }
        }
        Ok(())
    }

    fn word(&mut self, name: &[u8], value: Option<&[u8]>) -> Result<(), ConfigError> {
        let bad = || ConfigError::BadName(name.escape_ascii().to_string());
        let (base, key) = value::split_name(name).ok_or_else(bad)?;
        let text = &mut self.config.text;
        let base = Span::write(text, &base);
        let item = Item {
            header: Header::of_span(base, text),
            key: Span::write(text, &key),
            value: value.map(|value| Span::write(text, value)),
        };
        self.item(item, None)
    }

    fn item(&mut self, item: Item, from: Option<(usize, &Path)>) -> Result<(), ConfigError> {
        self.config.push(item, from.map(|(file, _)| file));
        let text = &self.config.text;
        let section = item.header.section.of(text);
        if self.forbids_urls
            && section == b"remote"
            && item.header.subsection.is_some()
            && item.key.of(text) == b"url"
        {
            let file = from.map(|(_, path)| path.to_owned());
            return Err(ConfigError::RemoteUrl(file.unwrap_or_default()));
        }
        if item.key.of(text) != b"path" {
            return Ok(());
        }
        let from = from.map(|(_, path)| path);
        match (section, item.header.subsection) {
            (b"include", None) => self.include(item, from),
            (b"includeif", Some(condition)) => {
                let condition = condition.of(text).to_vec();
                self.include_if(&condition, item, from)
            }
            _ => Ok(()),
        }
    }

    fn include_if(
        &mut self,
        text: &[u8],
        item: Item,
        from: Option<&Path>,
    ) -> Result<(), ConfigError> {
        let bad = |why| ConfigError::Include {
            word: text.escape_ascii().to_string(),
            place: value::place(from),
            why,
        };
        match include::condition(text, from, self.facts).map_err(bad)? {
            Condition::Holds(false) => Ok(()),
            Condition::Holds(true) => self.include(item, from),
            Condition::RemoteUrl if self.pass == Pass::RemoteUrls => {
                let before = std::mem::replace(&mut self.forbids_urls, true);
                self.include(item, from)?;
                self.forbids_urls = before;
                Ok(())
            }
            Condition::RemoteUrl => {
                let urls = match self.remote_urls.take() {
                    Some(urls) => urls,
                    None => self.collect_urls()?,
                };
                let holds = include::has_remote_url(text, &urls).map_err(bad)?;
                self.remote_urls = Some(urls);
                if holds {
                    self.include(item, from)
                } else {
                    Ok(())
                }
            }
        }
    }

    fn collect_urls(&self) -> Result<Vec<Vec<u8>>, ConfigError> {
        let mut loader = Loader::new(self.layers, self.facts, Pass::RemoteUrls);
        loader.run()?;
        let config = loader.config;
        let mut urls = Vec::new();
        for block in &config.blocks {
            let Some(name) = block.header.subsection.map(|span| span.of(&config.text)) else {
                continue;
            };
            if block.header.section.of(&config.text) == b"remote" {
                for (_, url) in config.of_block(block).filter(|(key, _)| *key == b"url") {
                    urls.push(url.string(b"remote", Some(name), b"url")?.to_vec());
                }
            }
        }
        Ok(urls)
    }

    fn include(&mut self, item: Item, from: Option<&Path>) -> Result<(), ConfigError> {
        let value = item.value.map(|span| span.of(&self.config.text));
        let value = Value {
            text: value,
            file: from,
        };
        let path = value.string(b"include", None, b"path")?;
        let target =
            include::target(path, from, self.facts).map_err(|why| ConfigError::Include {
                word: path.escape_ascii().to_string(),
                place: value::place(from),
                why,
            })?;
        let Some(bytes) = read(&target)? else {
            return Ok(());
        };
        if self.depth >= DEEPEST_INCLUDE {
            return Err(ConfigError::TooDeep(target));
        }
        self.depth += 1;
        self.content(&target, &bytes)?;
        self.depth -= 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
