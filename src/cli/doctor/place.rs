use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::broker::{Broker, Coverage};
use crate::cli::context::Context;
use crate::model::action::Action;
use crate::model::agent::Agent;
use crate::model::scope::PathScope;
use crate::sys::{fs as sys_fs, path, random};

/// Where a scratch directory may be made. The environment has no say.
const PLACES: [&str; 2] = ["/var/tmp", "/tmp"];

/// A private directory that is removed with what is in it.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes one; with a last resort beside the usual places.
    pub(super) fn new(last_resort: Option<&Path>) -> io::Result<Self> {
        let mut first_error = None;
        for place in candidates(last_resort) {
            match Self::below(place) {
                Ok(scratch) => return Ok(scratch),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    /// Makes one that no grant for this agent covers; nothing when there is no such place.
    pub(super) fn uncovered(
        context: &Context,
        broker: &Broker,
        agent: &Agent,
    ) -> io::Result<Option<Self>> {
        for place in candidates(Some(&context.account.home)) {
            let Ok(scratch) = Self::below(place) else {
                continue;
            };
            let scope = PathScope::new(&scratch.0).map_err(io::Error::other)?;
            let coverage = broker.check(&scope.into(), Action::Rm, agent);
            if matches!(coverage.map_err(io::Error::other)?, Coverage::Denied { .. }) {
                return Ok(Some(scratch));
            }
        }
        Ok(None)
    }

    fn below(place: &Path) -> io::Result<Self> {
        let place = path::canonical(place).map_err(io::Error::other)?;
        let suffix = random::bytes::<8>().map_err(io::Error::other)?;
        let name = format!("pvm-doctor-{}", data_encoding::HEXLOWER.encode(&suffix));
        let directory = place.join(name);
        DirBuilder::new().mode(0o700).create(&directory)?;
        Ok(Self(directory))
    }

    /// Makes a file in it.
    pub(super) fn file(&self) -> io::Result<PathBuf> {
        let path = self.0.join("must-survive");
        match sys_fs::create_private_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(path),
        }
    }
}

fn candidates(last_resort: Option<&Path>) -> impl Iterator<Item = &Path> {
    PLACES.iter().map(Path::new).chain(last_resort)
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _left_over = fs::remove_dir_all(&self.0);
    }
}
