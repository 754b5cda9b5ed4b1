//! What a repository says of itself in its own `config`, includes left out (git's setup.c,
//! check_repo_format and read_and_verify_repository_format).

use std::path::Path;

use super::RepositoryError;
use crate::tool::git::config::{self, Config, ConfigError};

/// The hash that object ids are made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ObjectFormat {
    #[default]
    Sha1,
    Sha256,
}

impl ObjectFormat {
    /// Returns the length of an object id in hexadecimal digits.
    pub(crate) fn hex_len(self) -> usize {
        match self {
            Self::Sha1 => 40,
            Self::Sha256 => 64,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Format {
    pub(super) is_bare: Option<bool>,
    pub(super) work_tree: Option<Vec<u8>>,
    pub(super) hash: ObjectFormat,
    pub(super) has_reftable: bool,
    pub(super) has_worktree_config: bool,
}

impl Format {
    /// Reads the format from the repository's `config`. `is_shared` says that a linked worktree
    /// uses it together with others, and then it has no say in where the worktree is.
    pub(super) fn read(
        config: &Config,
        git_dir: &Path,
        is_shared: bool,
    ) -> Result<Self, RepositoryError> {
        let bad = |why| RepositoryError::Format {
            path: git_dir.to_owned(),
            why,
        };
        let core = |key| config.last(b"core", None, key);
        // Without a version git ignores all the rest.
        let Some(version) = core(b"repositoryformatversion") else {
            return Ok(Self::default());
        };
        let version = match version.text.map(config::integer) {
            Some(Some(version)) if (0..=1).contains(&version) => version,
            _ => return Err(bad("core.repositoryFormatVersion is not 0 or 1")),
        };
        let mut format = Self::default();
        let value = |key| {
            config
                .string(b"extensions", None, key)
                .map_err(ConfigError::from)
        };
        let object_format = value(b"objectformat")?;
        let ref_storage = value(b"refstorage")?;
        if version == 0 && (object_format.is_some() || ref_storage.is_some()) {
            return Err(bad("its version does not allow its extensions"));
        }
        format.hash = match object_format {
            None | Some(b"sha1") => ObjectFormat::Sha1,
            Some(b"sha256") => ObjectFormat::Sha256,
            Some(_) => return Err(bad("extensions.objectFormat is not known")),
        };
        format.has_reftable = match ref_storage {
            None | Some(b"files") => false,
            Some(_) => true,
        };
        let truth = config.bool(b"extensions", None, b"worktreeconfig");
        format.has_worktree_config = truth.map_err(ConfigError::from)?.unwrap_or(false);
        if format.has_worktree_config {
            format.take_core(config)?;
            let own = git_dir.join("config.worktree");
            if let Some(own) = Config::of_file(&own)? {
                format.take_core(&own)?;
            }
        } else if !is_shared {
            format.take_core(config)?;
        }
        Ok(format)
    }

    fn take_core(&mut self, config: &Config) -> Result<(), ConfigError> {
        if let Some(is_bare) = config.bool(b"core", None, b"bare")? {
            self.is_bare = Some(is_bare);
        }
        if let Some(path) = config.string(b"core", None, b"worktree")? {
            self.work_tree = Some(path.to_vec());
        }
        Ok(())
    }
}
