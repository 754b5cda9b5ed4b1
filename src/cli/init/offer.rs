use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::sys::account::Account;
use crate::sys::trust::{self, Searcher};

/// The real commands that a wrapper looks for.
const PROGRAMS: [&str; 4] = ["rm", "git", "trash", "trash-put"];

/// Somebody who installs programs outside the directories that belong to root.
struct Source {
    name: &'static str,
    /// Where its programs are on PATH.
    programs: PathBuf,
    /// What has to be trusted for them: where they are, and where their links lead.
    directories: Vec<PathBuf>,
}

fn sources(home: &Path) -> Vec<Source> {
    let source = |name, programs: PathBuf, directories: &[PathBuf]| Source {
        name,
        programs,
        directories: directories.to_vec(),
    };
    let homebrew = PathBuf::from("/home/linuxbrew/.linuxbrew");
    let own_homebrew = home.join(".linuxbrew");
    let nix = home.join(".nix-profile");
    let nix_profiles = home.join(".local/state/nix/profiles");
    let nix_store = PathBuf::from("/nix/store");
    let cargo = home.join(".cargo/bin");
    vec![
        source("Homebrew", homebrew.join("bin"), &[homebrew]),
        source("Homebrew", own_homebrew.join("bin"), &[own_homebrew]),
        source("Nix", nix.join("bin"), &[nix, nix_profiles, nix_store]),
        source("Cargo", cargo.clone(), &[cargo]),
    ]
}

/// Directories that a person may want to trust, because a real command comes from them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    pub(super) directories: Vec<PathBuf>,
}

/// Returns the directories that are worth an offer: a real command is there, is not trusted now,
/// and would be.
pub(super) fn offers(config: &Config, account: &Account) -> std::io::Result<Vec<Offer>> {
    let own = trust::own_identity()?;
    let known = &config.trusted_directories;
    let before = Searcher::new(own, known);
    let offers = sources(&account.home).into_iter().filter_map(|source| {
        let exists = |path: &PathBuf| path.is_dir() && path.to_str().is_some();
        let directories: Vec<_> = source.directories.into_iter().filter(exists).collect();
        let after = Searcher::new(own, &[known.as_slice(), &directories].concat());
        let program = PROGRAMS
            .iter()
            .map(|name| source.programs.join(name))
            .find(|hit| helps(hit, &before, &after))?;
        Some(Offer {
            name: source.name,
            program,
            directories,
        })
    });
    Ok(offers.collect())
}

fn helps(hit: &Path, before: &Searcher, after: &Searcher) -> bool {
    let judge = |searcher: &Searcher| searcher.judge(hit).distrust;
    hit.is_file() && !before.is_own(hit) && judge(before).is_some() && judge(after).is_none()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn offered(program: &str, content: Option<&str>) -> Vec<Offer> {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join(".cargo/bin");
        fs::create_dir_all(&bin).unwrap();
        match content {
            Some(path) => drop(fs::copy(path, bin.join(program)).unwrap()),
            None => std::os::unix::fs::symlink("/proc/self/exe", bin.join(program)).unwrap(),
        }
        let account = Account {
            uid: 1,
            name: "a".into(),
            home: home.path().to_owned(),
        };
        offers(&Config::defaults(&account), &account).unwrap()
    }

    #[test]
    fn a_directory_is_offered_only_where_it_makes_a_real_command_trusted() {
        let offers = offered("rm", Some("/usr/bin/rm"));
        assert_eq!(offers.len(), 1);
        assert_eq!(offers[0].name, "Cargo");
        assert!(offers[0].directories[0].ends_with(".cargo/bin"));

        assert_eq!(offered("cargo", Some("/usr/bin/rm")), []);
        assert_eq!(offered("rm", Some("/etc/passwd")), []);
        assert_eq!(offered("rm", None), []);
    }
}
