use std::os::unix::fs::symlink;

use super::*;
use crate::tool::git::testing;

struct Place {
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            home: tempfile::tempdir().unwrap(),
        };
        place.git(&["init", "-q", "-b", "main", "r"]);
        place
    }

    fn root(&self) -> PathBuf {
        crate::sys::path::canonical(self.home.path()).unwrap()
    }

    fn git(&self, words: &[&str]) -> String {
        let git = testing::gits().remove(0);
        let directory = self.root().join("r");
        let directory = if directory.exists() {
            directory
        } else {
            self.root()
        };
        let output = testing::done(&git, &directory, self.home.path(), words);
        String::from_utf8(output).unwrap().trim_end().to_owned()
    }

    fn with_commit() -> Self {
        let place = Self::new();
        place.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
        place
    }

    fn repository(&self, directory: &str) -> Repository {
        Repository::discover(&self.root().join(directory), None, &[]).unwrap()
    }

    fn head(&self) -> Result<Head, RefError> {
        Refs::new(&self.repository("r")).unwrap().head()
    }

    fn source(&self, word: &str) -> Result<Source, RefError> {
        Refs::new(&self.repository("r"))
            .unwrap()
            .resolve_source(word.as_bytes())
    }

    /// Returns what every git would push for a word alone: `src:dst` as its porcelain says it.
    fn pushed(&self, word: &str) -> Option<String> {
        let mut answers: Vec<Option<String>> = testing::gits()
            .iter()
            .map(|git| {
                let words = [
                    "push",
                    "--dry-run",
                    "--porcelain",
                    "../remote.git",
                    "--",
                    word,
                ];
                let output = testing::run(git, &self.root().join("r"), self.home.path(), &words);
                let text = String::from_utf8(output.stdout).unwrap();
                let line = text.lines().find(|line| line.contains('\t'))?;
                Some(line.split('\t').nth(1).unwrap().to_owned())
            })
            .collect();
        answers.dedup();
        assert_eq!(answers.len(), 1);
        answers.remove(0)
    }
}

fn named(name: &str) -> Source {
    Source::Ref {
        name: name.into(),
        leads_to: None,
    }
}

#[test]
fn head_is_a_branch_or_a_commit_or_not_born() {
    let place = Place::new();
    assert_eq!(
        place.head().unwrap(),
        Head::Unborn("refs/heads/main".into())
    );
    assert!(matches!(place.source("HEAD"), Err(RefError::Unborn(_))));
    place.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
    assert_eq!(
        place.head().unwrap(),
        Head::Branch("refs/heads/main".into())
    );
    assert_eq!(
        place.head().unwrap().current_branch(),
        CurrentBranch::Named(b"main")
    );
    assert_eq!(
        place.source("@").unwrap(),
        Source::Head("refs/heads/main".into())
    );
    place.git(&["pack-refs", "--all"]);
    assert_eq!(
        place.head().unwrap(),
        Head::Branch("refs/heads/main".into())
    );
    place.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    place.git(&["symbolic-ref", "HEAD", "refs/heads/alias"]);
    assert_eq!(
        place.head().unwrap(),
        Head::Branch("refs/heads/main".into())
    );
    place.git(&["checkout", "-q", "--detach"]);
    let oid = place.git(&["rev-parse", "HEAD"]);
    assert_eq!(place.head().unwrap(), Head::Detached(oid.into()));
    assert_eq!(
        place.source("HEAD").unwrap(),
        Source::Revision("HEAD".into())
    );
    place.git(&["symbolic-ref", "HEAD", "refs/remotes/o/x"]);
    assert_eq!(
        place.head().unwrap(),
        Head::Elsewhere("refs/remotes/o/x".into())
    );
    let head = place.root().join("r/.git/HEAD");
    fs::write(&head, "ref: refs/heads/a..b\n").unwrap();
    assert!(matches!(place.head(), Err(RefError::BrokenHead)));
    fs::remove_file(&head).unwrap();
    symlink("refs/heads/main", &head).unwrap();
    assert_eq!(
        place.head().unwrap(),
        Head::Branch("refs/heads/main".into())
    );
}

const NAMES: &[&str] = &[
    "refs/heads/topic",
    "refs/tags/v1",
    "refs/heads/a/b",
    "refs/tags/both",
    "refs/heads/both",
    "refs/notes/n",
    "refs/remotes/o/main",
    "refs/heads/tagged",
    "refs/remotes/tagged",
    "refs/remotes/two",
    "refs/other/two",
    "refs/heads/HEAD",
    "refs/stash",
    "refs/remotes/o/only",
    "refs/weird/both2",
    "refs/heads/weird/both2",
    "refs/tags/refs/heads/deep",
    "refs/heads/deep",
    "refs/bisect/bad",
];

const WORDS: &[&str] = &[
    "topic",
    "v1",
    "a/b",
    "both",
    "heads/both",
    "tags/both",
    "refs/tags/both",
    "notes/n",
    "refs/notes/n",
    "n",
    "o/main",
    "remotes/o/main",
    "o",
    "tagged",
    "two",
    "HEAD",
    "@",
    "stash",
    "refs/stash",
    "o/only",
    "alias",
    "refs/heads/alias",
    "dangling",
    "loop",
    "weird/both2",
    "deep",
    "refs/heads/deep",
    "bisect/bad",
    "missing",
    "main",
    "refs/heads/main",
    "MAIN",
    "refs",
    "heads",
    "a",
    "HEAD~0",
    "main^{}",
    "-f",
    "topic/x",
    "../main",
];

#[test]
fn git_46_and_47_a_word_is_the_ref_that_git_pushes() {
    let place = Place::with_commit();
    place.git(&["init", "-q", "--bare", "../remote.git"]);
    for packed in [false, true] {
        for name in NAMES {
            place.git(&["update-ref", name, "main"]);
        }
        place.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
        place.git(&["symbolic-ref", "refs/remotes/o/HEAD", "refs/remotes/o/main"]);
        place.git(&["symbolic-ref", "refs/heads/dangling", "refs/heads/nowhere"]);
        place.git(&["symbolic-ref", "refs/heads/loop", "refs/heads/loop"]);
        // A directory where the loose ref was.
        if packed {
            place.git(&["pack-refs", "--all"]);
            fs::create_dir_all(place.root().join("r/.git/refs/heads/topic")).unwrap();
        }
        for word in WORDS {
            let ours = place.source(word);
            let dst = ours.as_ref().ok().and_then(Source::own_destination);
            let dst = dst.map(|dst| String::from_utf8(dst.to_vec()).unwrap());
            let theirs = place
                .pushed(word)
                .map(|pair| pair.split_once(':').unwrap().1.to_owned());
            assert_eq!(dst, theirs, "{word}, packed: {packed}: {ours:?}");
        }
        place.git(&["update-ref", "-d", "refs/heads/HEAD"]);
        assert_eq!(
            place.pushed("HEAD").as_deref(),
            Some("HEAD:refs/heads/main")
        );
        assert_eq!(
            place.source("HEAD").unwrap(),
            Source::Head("refs/heads/main".into())
        );
    }
    assert_eq!(place.source("topic").unwrap(), named("refs/heads/topic"));
    assert_eq!(place.source("v1").unwrap().namespace(), Some(TAGS));
    assert_eq!(place.source("alias").unwrap().namespace(), Some(HEADS));
    assert_eq!(place.source("n").unwrap().namespace(), None);
    assert!(
        matches!(place.source("both"), Err(RefError::Ambiguous { refs, .. }) if refs.len() == 2)
    );
}

#[test]
fn what_is_no_ref_may_be_a_revision_that_stays_one() {
    let place = Place::with_commit();
    for word in [
        "HEAD~1",
        "main^{commit}",
        "0123456789",
        "ORIG_HEAD",
        "HEAD:file",
        ":/text",
        "@{u}",
        "stash",
        "x",
    ] {
        assert_eq!(
            place.source(word).unwrap(),
            Source::Revision(word.into()),
            "{word}"
        );
    }
    for word in ["", "-f", "+main", "^main", "a\nb", "refs/heads/*", "--all"] {
        assert!(
            matches!(place.source(word), Err(RefError::NotARevision(_))),
            "{word}"
        );
    }
    // The control arm: with a plus git takes it for force.
    let forced = super::super::refspec::Refspec::parse(b"+main:x").unwrap();
    assert!(forced.force);
}

#[test]
fn refs_of_a_worktree_are_its_own() {
    let place = Place::with_commit();
    place.git(&["worktree", "add", "-q", "-b", "other", "../w"]);
    place.git(&["update-ref", "refs/worktree/mine", "main"]);
    place.git(&["tag", "shared"]);
    let (main, linked) = (place.repository("r"), place.repository("w"));
    let (main, linked) = (Refs::new(&main).unwrap(), Refs::new(&linked).unwrap());
    assert_eq!(
        linked.head().unwrap(),
        Head::Branch("refs/heads/other".into())
    );
    assert!(main.exists(b"refs/worktree/mine").unwrap());
    assert!(!linked.exists(b"refs/worktree/mine").unwrap());
    assert!(linked.exists(b"main-worktree/refs/worktree/mine").unwrap());
    assert!(linked.exists(b"main-worktree/HEAD").unwrap());
    assert!(main.exists(b"worktrees/w/HEAD").unwrap());
    assert!(linked.exists(b"refs/tags/shared").unwrap());
    assert_eq!(
        linked.resolve_source(b"shared").unwrap(),
        named("refs/tags/shared")
    );
    let other = linked.resolve_source(b"main-worktree/HEAD").unwrap();
    assert_eq!(other, Source::Revision("main-worktree/HEAD".into()));
}

#[test]
fn refs_in_another_format_need_git() {
    let place = Place::new();
    let mut repository = place.repository("r");
    repository.has_reftable = true;
    assert!(matches!(Refs::new(&repository), Err(RefError::NeedsGit)));
}

#[test]
fn odd_files_are_no_refs_and_unreadable_ones_are_errors() {
    let place = Place::with_commit();
    let heads = place.root().join("r/.git/refs/heads");
    let repository = place.repository("r");
    let exists = |name: &str| Refs::new(&repository).unwrap().exists(name.as_bytes());
    let oid = place.git(&["rev-parse", "HEAD"]);
    for (content, expected) in [
        (format!("{oid}\n"), true),
        (format!("{oid} x"), true),
        (oid.to_uppercase(), true),
        (format!("{oid}0\n"), false),
        (oid.split_at(1).1.to_owned(), false),
        (String::new(), false),
        ("ref:refs/heads/main".to_owned(), true),
        ("ref: ../../x".to_owned(), false),
    ] {
        fs::write(heads.join("x"), &content).unwrap();
        assert_eq!(exists("refs/heads/x").unwrap(), expected, "{content}");
    }
    symlink("/nowhere", heads.join("dangling")).unwrap();
    assert!(!exists("refs/heads/dangling").unwrap());
    assert!(!exists("refs/heads/main/below").unwrap());
    assert!(!exists(&format!("refs/heads/{}", "x".repeat(300))).unwrap());
    assert!(!exists("refs/heads/../heads/main").unwrap());
    testing::fifo(&heads.join("fifo"));
    assert!(exists("refs/heads/fifo").is_err());
}
