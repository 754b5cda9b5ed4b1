//! What belongs to pvm, and where something of pvm's own would be found if somebody made it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Broker, BrokerError, sites};
use crate::model::operation::FileIdentity;
use crate::model::protected::ProtectedPlace;
use crate::model::scope::PathScope;
use crate::sys::path::{self, PathError, links};
use crate::sys::{Errno, trust};

const CONFIGURATION: &str = "the configuration";
const LOG: &str = "the JSON log";
const TRUSTED: &str = "programs that are trusted";
const MOST_LINKS: usize = 40;

/// What no confined command may change, besides the places that no grant reaches.
#[derive(Debug, Default)]
pub(super) struct OffLimits {
    /// Directories whose programs are trusted, and the links that lead there.
    pub(super) trusted: Vec<ProtectedPlace>,
    /// Where pvm would find something of its own that is not there now. The ancestry begins with the
    /// nearest directory that is there.
    pub(super) to_come: Vec<ProtectedPlace>,
}

impl Broker {
    /// Returns the places that no grant reaches.
    pub(super) fn protected_places(&self) -> Result<Vec<ProtectedPlace>, BrokerError> {
        let own = match &self.foretells {
            Some(program) => path::canonical(program).map_err(unseen(program))?,
            None => trust::own_program().map_err(BrokerError::Program)?,
        };
        let mut places = vec![protect("pvm itself", &own)?];
        // Without one of the links that lead to it, pvm would look for a thing of its own in vain
        // and go on with weaker defaults.
        places.extend(links_to("the vault", &self.settings.vault)?);
        places.push(protect("the vault", self.vault.directory())?);
        for path in &self.settings.configuration {
            if let Some(canonical) = existing(path)? {
                places.extend(links_to(CONFIGURATION, path)?);
                places.push(protect(CONFIGURATION, &canonical)?);
            }
        }
        if let Some(directory) = self.log_directory()
            && let Some(canonical) = existing(directory)?
        {
            places.push(protect(LOG, &canonical)?);
        }
        let names = own
            .ancestors()
            .nth(2)
            .map(|prefix| prefix.join("libexec/pvm"));
        if let Some(names) = names.filter(|names| names.is_dir()) {
            places.push(protect(
                "pvm itself",
                &path::canonical(&names).map_err(unseen(&names))?,
            )?);
        }
        Ok(places)
    }

    /// Returns what else a confined command must not reach: by a configuration that it wrote, or by a
    /// program that is trusted, it would decide for itself.
    pub(super) fn off_limits(&self) -> Result<OffLimits, BrokerError> {
        let mut off = OffLimits::default();
        for directory in &self.settings.trusted {
            match sites::target(directory).map_err(unseen(directory))? {
                Some(canonical) => {
                    off.trusted.extend(links_to(TRUSTED, directory)?);
                    off.trusted.push(protect(TRUSTED, &canonical)?);
                }
                None => off.to_come.extend(to_come(TRUSTED, directory)?),
            }
        }
        for path in &self.settings.configuration {
            if existing(path)?.is_none() {
                off.to_come.extend(to_come(CONFIGURATION, path)?);
            }
        }
        if let Some(directory) = self.log_directory()
            && existing(directory)?.is_none()
        {
            off.to_come.extend(to_come(LOG, directory)?);
        }
        Ok(off)
    }

    /// Returns the place of the JSON log where it is not below the vault's own directory.
    fn log_directory(&self) -> Option<&Path> {
        let log = &self.settings.recording.log;
        let beside = self.settings.vault.parent();
        let is_apart = !beside.is_some_and(|own| log.directory.starts_with(own));
        (log.enabled && is_apart).then_some(log.directory.as_path())
    }
}

fn unseen(path: &Path) -> impl FnOnce(PathError) -> BrokerError {
    let path = path.to_owned();
    move |reason| BrokerError::Path { path, reason }
}

/// Returns the canonical name of what stands at `path`, if something does.
fn existing(path: &Path) -> Result<Option<PathBuf>, BrokerError> {
    match path::canonical(path) {
        Ok(canonical) => Ok(Some(canonical)),
        Err(reason) if reason.is_missing() => Ok(None),
        Err(reason) => Err(unseen(path)(reason)),
    }
}

/// Returns a place of pvm's own, by a path without links.
fn protect(what: &'static str, path: &Path) -> Result<ProtectedPlace, BrokerError> {
    place(what, path, path::ancestry(path).map_err(unseen(path))?)
}

/// Returns the links that lead to a place of pvm's own, as themselves.
fn links_to(what: &'static str, path: &Path) -> Result<Vec<ProtectedPlace>, BrokerError> {
    let links = links::on_the_way(path).map_err(unseen(path))?;
    let protect_link = |link: &PathBuf| {
        let directory = link.parent().unwrap_or(Path::new("/"));
        let mut ancestry = vec![path::identity_of_link(link).map_err(unseen(link))?];
        ancestry.extend(path::ancestry(directory).map_err(unseen(directory))?);
        place(what, link, ancestry)
    };
    links.iter().map(protect_link).collect()
}

/// Returns every name that has to be made, or to lead elsewhere, for something to stand at a path
/// where nothing does: what it would be called, and the links on the way.
fn to_come(what: &'static str, path: &Path) -> Result<Vec<ProtectedPlace>, BrokerError> {
    let mut places = Vec::new();
    let mut wanted = path.to_owned();
    for _ in 0..MOST_LINKS {
        let mut level = wanted.as_path();
        let found = loop {
            if let Some(found) = sites::target(level).map_err(unseen(level))? {
                break found;
            }
            level = level.parent().unwrap_or(Path::new("/"));
        };
        places.extend(links_to(what, level)?);
        let rest = wanted.strip_prefix(level).unwrap_or(Path::new(""));
        let mut names = rest.components();
        let next = names.next().map_or(found.clone(), |name| found.join(name));
        let ancestry = || path::ancestry(&found).map_err(unseen(&found));
        // What a link without a target leads to is made at that target.
        let Ok(target) = fs::read_link(&next) else {
            places.push(place(what, &found.join(rest), ancestry()?)?);
            return Ok(places);
        };
        places.push(place(what, &next, ancestry()?)?);
        wanted = found.join(target).join(names.as_path());
    }
    Err(unseen(path)(PathError::System(Errno::ELOOP)))
}

fn place(
    what: &'static str,
    path: &Path,
    ancestry: Vec<FileIdentity>,
) -> Result<ProtectedPlace, BrokerError> {
    Ok(ProtectedPlace {
        what,
        path: PathScope::new(path).map_err(|error| unseen(path)(error.into()))?,
        ancestry,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::broker::Settings;
    use crate::model::agent::{Agent, AgentName};
    use crate::model::confinement::Mode;
    use crate::model::recording::Recording;
    use crate::model::rule::Policy;
    use crate::model::time::Ttl;
    use crate::sys::process;

    #[test]
    fn path_28_every_place_of_a_configuration_is_protected_whether_it_is_there_or_not() {
        let directory = tempfile::tempdir().unwrap();
        let base = path::canonical(directory.path()).unwrap();
        fs::create_dir_all(base.join("one")).unwrap();
        fs::write(base.join("one/pvm.toml"), "").unwrap();
        symlink("nowhere/deep", base.join("dangling")).unwrap();
        let places = [
            base.join("one/pvm.toml"),
            base.join("two/pvm/pvm.toml"),
            base.join("dangling/pvm.toml"),
        ];
        let vault = base.join("state/vault.db");
        let recording = Recording::standard(base.join("state/audit"));
        let (ttl, policy) = (Ttl::minutes(10), Policy::default());
        let settings = Settings::new(&vault, ttl, Mode::Auto, policy, recording, &places, &[]);
        let agent = Agent {
            name: AgentName::default(),
            uid: process::uid(),
            pid: process::pid(),
        };
        let (broker, _) = Broker::open_or_create(settings, &agent).unwrap();
        let named = |places: &[ProtectedPlace]| -> Vec<PathBuf> {
            let own = places.iter().filter(|place| place.what == CONFIGURATION);
            own.map(|place| place.path.as_path().to_owned()).collect()
        };
        assert_eq!(
            named(&broker.protected_places().unwrap()),
            [base.join("one/pvm.toml")]
        );
        let to_come = broker.off_limits().unwrap().to_come;
        assert_eq!(
            named(&to_come),
            [
                base.join("two/pvm/pvm.toml"),
                base.join("dangling"),
                base.join("nowhere/deep/pvm.toml")
            ]
        );
        let itself = path::identity_of(&base).unwrap();
        assert!(to_come.iter().all(|place| place.lies_below(itself)));
    }
}
