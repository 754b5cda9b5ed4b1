use std::os::unix::fs::symlink;

use super::*;
use crate::tool::git::config::{Config, CurrentBranch};
use crate::tool::git::testing;

struct Place {
    home: tempfile::TempDir,
    root: PathBuf,
}

impl Place {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = canonical(home.path()).unwrap();
        Self { home, root }
    }

    fn git(&self, directory: &str, words: &[&str]) {
        let git = testing::gits().remove(0);
        testing::done(&git, &self.root.join(directory), self.home.path(), words);
    }

    fn find(&self, directory: &str, pointers: &[Pointer]) -> Result<Repository, RepositoryError> {
        Repository::discover(&self.root.join(directory), None, pointers)
    }

    /// Checks that every git finds the same from this directory with these global options.
    fn agree(&self, directory: &str, pointers: &[Pointer]) -> Repository {
        let ours = self.find(directory, pointers).unwrap();
        let mut words: Vec<OsString> = Vec::new();
        for pointer in pointers {
            match pointer {
                Pointer::Directory(path) => words.extend(["-C".into(), path.clone()]),
                Pointer::GitDir(path) => words.extend(["--git-dir".into(), path.clone()]),
                Pointer::WorkTree(path) => words.extend(["--work-tree".into(), path.clone()]),
                Pointer::Bare => words.push("--bare".into()),
            }
        }
        for git in testing::gits() {
            let ask = |question: &[&str]| {
                let mut words = words.clone();
                words.extend(question.iter().map(OsString::from));
                let output =
                    testing::run(&git, &self.root.join(directory), self.home.path(), &words);
                let text = String::from_utf8(output.stdout).unwrap();
                output
                    .status
                    .success()
                    .then(|| PathBuf::from(text.trim_end_matches('\n')))
            };
            let absolute = ask(&["rev-parse", "--absolute-git-dir"]).unwrap();
            assert_eq!(canonical(&absolute).unwrap(), ours.git_dir);
            // An alias that is a command runs where git is, except in the top of a worktree.
            let place = ask(&["-c", "alias.where=!pwd -P", "where"]).unwrap();
            let common = ask(&["rev-parse", "--path-format=absolute", "--git-common-dir"]).unwrap();
            assert_eq!(canonical(&common).unwrap(), ours.common_dir);
            assert_eq!(place, ours.top, "{pointers:?} in {directory}");
            let inside = ask(&["rev-parse", "--show-toplevel"]);
            if ours.work_tree.is_none() {
                assert_eq!(inside, None);
            } else if let Some(top) = inside {
                assert_eq!(Some(top), ours.work_tree);
            }
        }
        ours
    }
}

fn c(path: &str) -> Pointer {
    Pointer::Directory(path.into())
}

fn git_dir(path: &str) -> Pointer {
    Pointer::GitDir(path.into())
}

fn work_tree(path: &str) -> Pointer {
    Pointer::WorkTree(path.into())
}

#[test]
fn git_26_a_repository_is_found_where_git_finds_it() {
    let place = Place::new();
    place.git("", &["init", "-q", "r"]);
    place.git("", &["init", "-q", "--bare", "b.git"]);
    fs::create_dir_all(place.root.join("r/d/e")).unwrap();
    fs::create_dir_all(place.root.join("w/x")).unwrap();
    let found = place.agree("r", &[]);
    assert_eq!(found.work_tree, Some(place.root.join("r")));
    assert_eq!(found.object_format, ObjectFormat::Sha1);
    place.agree("r/d/e", &[]);
    place.agree("r/.git", &[]);
    place.agree("r/.git/refs", &[]);
    place.agree("b.git", &[]);
    let below = place.agree("b.git/refs/heads", &[]);
    assert_eq!(below.top, place.root.join("b.git/refs/heads"));
    place.agree("", &[c("r"), c("d")]);
    place.agree("w", &[c("../r/d/.."), c("")]);
    place.agree("w", &[git_dir("../r/.git")]);
    place.agree("w", &[git_dir("../b.git")]);
    place.agree("w/x", &[git_dir("../../r/.git"), work_tree("..")]);
    place.agree("w", &[git_dir("../r/.git"), work_tree("../r/d")]);
    place.agree("r/d/e", &[work_tree("..")]);
    place.agree("r/d/e", &[work_tree("../../../w")]);
    place.agree("r/.git", &[Pointer::Bare]);
    place.agree("r", &[c(".git"), Pointer::Bare, c("refs")]);
    place.agree("w", &[Pointer::Bare, git_dir("../r/.git")]);
    place.agree("w", &[git_dir("../r/.git"), Pointer::Bare]);
    place.agree("r/.git", &[Pointer::Bare, c("../d"), work_tree("..")]);
    place.agree("w", &[git_dir("../w"), git_dir("../r/.git")]);
    assert!(matches!(
        place.find("w", &[]),
        Err(RepositoryError::None(_))
    ));
    assert!(matches!(
        place.find("r", &[git_dir("../w")]),
        Err(RepositoryError::NotARepository(_))
    ));
    assert!(matches!(
        place.find("r", &[c("missing")]),
        Err(RepositoryError::Missing { .. })
    ));
}

#[test]
fn git_26_linked_worktrees_and_git_files_are_followed() {
    let place = Place::new();
    place.git("", &["init", "-q", "-b", "main", "r"]);
    place.git("r", &["commit", "-q", "--allow-empty", "-m", "x"]);
    place.git("r", &["worktree", "add", "-q", "../linked"]);
    place.git("", &["init", "-q", "--separate-git-dir=elsewhere", "s"]);
    fs::create_dir(place.root.join("linked/d")).unwrap();
    let linked = place.agree("linked/d", &[]);
    assert_eq!(linked.git_dir, place.root.join("r/.git/worktrees/linked"));
    assert_eq!(linked.common_dir, place.root.join("r/.git"));
    assert_eq!(linked.top, place.root.join("linked"));
    place.agree("r/.git/worktrees/linked", &[]);
    place.agree("", &[git_dir("linked/.git")]);
    place.agree("s", &[]);

    place.git("r", &["config", "extensions.worktreeConfig", "true"]);
    place.git("r", &["config", "core.bare", "false"]);
    place.git("linked", &["config", "--worktree", "x.y", "own"]);
    let linked = place.agree("linked", &[]);
    let facts = linked.facts(place.home.path(), CurrentBranch::None);
    let config = Config::load(&linked.layers(), &facts).unwrap();
    assert_eq!(config.string(b"x", None, b"y"), Ok(Some(&b"own"[..])));
    let main = place.agree("r", &[]);
    let config = Config::load(
        &main.layers(),
        &main.facts(place.home.path(), CurrentBranch::None),
    )
    .unwrap();
    assert_eq!(config.string(b"x", None, b"y"), Ok(None));

    fs::write(place.root.join("s/.git"), "gitdir: ../nowhere\n").unwrap();
    assert!(place.find("s", &[]).is_err());
    fs::write(place.root.join("s/.git"), "gitdir:../elsewhere\n").unwrap();
    assert!(matches!(
        place.find("s", &[]),
        Err(RepositoryError::BadGitfile(_))
    ));
    fs::write(place.root.join("s/.git"), "gitdir: ../elsewhere\r\n\n").unwrap();
    place.agree("s", &[]);
}

#[test]
fn git_26_the_configuration_says_where_the_worktree_is() {
    let place = Place::new();
    place.git("", &["init", "-q", "r"]);
    fs::create_dir_all(place.root.join("w/x")).unwrap();
    place.git("r", &["config", "core.worktree", "../../w"]);
    let found = place.agree("r", &[]);
    assert_eq!(
        (found.top, found.work_tree),
        (place.root.join("r"), Some(place.root.join("w")))
    );
    place.agree("w/x", &[git_dir("../../r/.git")]);
    place.agree("r/.git", &[]);
    place.git("r", &["config", "core.bare", "true"]);
    assert_eq!(place.find("r", &[]).unwrap().work_tree, None);
    place.git("r", &["config", "--unset", "core.worktree"]);
    place.agree("r", &[]);
    fs::create_dir(place.root.join("r/d")).unwrap();
    place.agree("r/d", &[]);
    // Without a version the rest does not count.
    place.git("r", &["config", "--unset", "core.repositoryformatversion"]);
    assert!(place.agree("r/d", &[]).work_tree.is_some());
}

#[test]
fn formats_that_only_git_reads_are_flagged_or_refused() {
    let place = Place::new();
    place.git("", &["init", "-q", "--object-format=sha256", "r"]);
    assert_eq!(place.agree("r", &[]).object_format.hex_len(), 64);
    let config = |text: &str| {
        fs::write(place.root.join("r/.git/config"), text).unwrap();
        place.find("r", &[])
    };
    let v1 =
        |extension: &str| format!("[core]\nrepositoryformatversion=1\n[extensions]\n{extension}\n");
    assert!(config(&v1("refstorage=reftable")).unwrap().has_reftable);
    assert!(!config(&v1("refstorage=files")).unwrap().has_reftable);
    assert!(config(&v1("objectformat=md5")).is_err());
    assert!(config(&v1("objectformat=sha256").replace('1', "0")).is_err());
    assert!(config(&v1("refstorage")).is_err());
    assert!(config("[core]\nrepositoryformatversion=2\n").is_err());
    assert!(config("[core\n").is_err());
    assert!(config("").is_ok());
}

#[test]
fn a_directory_is_a_repository_only_with_head_objects_and_refs() {
    let place = Place::new();
    let git = testing::gits().remove(0);
    place.git("", &["init", "-q", "r"]);
    let dot_git = place.root.join("r/.git");
    let head = dot_git.join("HEAD");
    let check = |expected: bool| {
        let output = testing::run(
            &git,
            &place.root.join("r"),
            place.home.path(),
            &["rev-parse", "--git-dir"],
        );
        assert_eq!(output.status.success(), expected);
        assert_eq!(place.find("r", &[]).is_ok(), expected);
    };
    check(true);
    for (content, expected) in [
        ("ref: refs/heads/x", true),
        ("ref:refs/x", true),
        ("ref: \t\nrefs/heads/x", true),
        ("ref: heads/x", false),
        ("", false),
        ("0123456789012345678901234567890123456789 and more", true),
        ("012345678901234567890123456789012345678", false),
    ] {
        fs::write(&head, content).unwrap();
        check(expected);
    }
    fs::remove_file(&head).unwrap();
    check(false);
    symlink("refs/heads/missing", &head).unwrap();
    check(true);
    fs::remove_file(&head).unwrap();
    symlink("elsewhere", &head).unwrap();
    check(false);
    fs::remove_file(&head).unwrap();
    fs::write(&head, "ref: refs/heads/x").unwrap();
    fs::remove_dir_all(dot_git.join("objects")).unwrap();
    check(false);
}

#[test]
fn env_21_links_on_the_way_are_known_to_conditions() {
    let place = Place::new();
    place.git("", &["init", "-q", "r"]);
    let link = place.root.join("link");
    symlink(place.root.join("r"), &link).unwrap();
    let found = Repository::discover(&place.root.join("r"), Some(&link), &[]).unwrap();
    let facts = found.facts(place.home.path(), CurrentBranch::None);
    assert_eq!(
        facts.git_dir,
        Some((
            place.root.join("r/.git").as_path(),
            link.join(".git").as_path()
        ))
    );
}
