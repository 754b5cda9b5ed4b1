use std::fmt::Write;
use std::fs;
use std::process::Output;

use super::default::{DefaultPush, NoDefault};
use super::*;
use crate::tool::git::config::Layer;
use crate::tool::git::refs::Refs;
use crate::tool::git::refspec::Kind;
use crate::tool::git::repository::Repository;
use crate::tool::git::testing::{self, Dice};

/// A repository `r` on branch main with one commit, and the bare repositories a, b, c and d.
struct Place {
    home: tempfile::TempDir,
    original: Vec<u8>,
}

impl Place {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let git = testing::gits().remove(0);
        let root = home.path();
        testing::done(&git, root, root, &["init", "-q", "-b", "main", "r"]);
        for name in ["a", "b", "c", "d"] {
            testing::done(&git, root, root, &["init", "-q", "--bare", name]);
        }
        let repository = root.join("r");
        testing::done(
            &git,
            &repository,
            root,
            &["commit", "-q", "--allow-empty", "-m", "x"],
        );
        let original = fs::read(repository.join(".git/config")).unwrap();
        Self { home, original }
    }

    fn root(&self) -> PathBuf {
        crate::sys::path::canonical(self.home.path()).unwrap()
    }

    fn configure(&self, text: &str) {
        let whole = [&self.original, text.as_bytes()].concat();
        fs::write(self.root().join("r/.git/config"), whole).unwrap();
    }

    fn git(&self, git: &Path, words: &[&str]) -> Output {
        testing::run(git, &self.root().join("r"), self.home.path(), words)
    }

    fn with<T>(&self, work: impl FnOnce(&Config, &Path, &Head) -> T) -> T {
        let repository = Repository::discover(&self.root().join("r"), None, &[]).unwrap();
        let head = Refs::new(&repository).unwrap().head().unwrap();
        let facts = repository.facts(self.home.path(), head.current_branch());
        let mut layers = Layer::of_machine_and_user(None, self.home.path());
        layers.extend(repository.layers());
        let config = Config::load(&layers, &facts).unwrap();
        work(&config, &repository.common_dir, &head)
    }

    fn find(&self, name: Option<&str>) -> Result<PushRemote, RemoteError> {
        self.with(|config, common, head| {
            PushRemote::find(config, common, head, name.map(str::as_bytes))
        })
    }

    fn urls(&self, name: Option<&str>) -> Result<Vec<String>, RemoteError> {
        let text = |url| String::from_utf8(url).unwrap();
        Ok(self.find(name)?.urls.into_iter().map(text).collect())
    }

    fn default_push(&self, name: Option<&str>) -> Result<DefaultPush, String> {
        self.with(|config, common, head| {
            let remote = PushRemote::find(config, common, head, name.map(str::as_bytes));
            let remote = remote.map_err(|error| error.to_string())?;
            remote
                .default_refspecs(config, head)
                .map_err(|error| error.to_string())
        })
    }

    fn mapped(&self, source: &str) -> Option<(String, bool)> {
        self.with(|config, common, head| {
            let remote = PushRemote::find(config, common, head, Some(b"o")).unwrap();
            let mapped = remote.map_word(config, head, source.as_bytes()).unwrap();
            mapped.map(|mapped| (String::from_utf8(mapped.dst).unwrap(), mapped.force))
        })
    }
}

fn lines(output: &Output) -> Option<Vec<String>> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    output
        .status
        .success()
        .then(|| text.lines().map(str::to_owned).collect())
}

#[test]
fn git_28_and_29_urls_are_rewritten_as_git_rewrites_them() {
    let place = Place::new();
    let mut dice = Dice(28);
    let urls = ["x:a", "x:b/c", "https://h/p", "xy", "h:", "p/q"];
    let prefixes = [
        "x",
        "x:",
        "x:b",
        "h",
        "https:",
        "https://h/",
        "p",
        "xy",
        "",
        "q",
        "zz",
    ];
    let bases = ["x:", "git@h:", "/srv/", "ppp", "https://h/"];
    for _ in 0..60 {
        let mut text = String::new();
        for _ in 0..dice.below(6) {
            let key = dice.pick(&["insteadOf", "pushInsteadOf"]);
            let (base, prefix) = (dice.pick(&bases), dice.pick(&prefixes));
            write!(text, "[url \"{base}\"]\n{key} = {prefix}\n").unwrap();
        }
        text += "[remote \"o\"]\n";
        let mut url_count = 0;
        for _ in 0..=dice.below(3) {
            writeln!(text, "url = {}", dice.pick(&urls)).unwrap();
            url_count += 1;
        }
        for _ in 0..dice.below(3) {
            writeln!(text, "pushUrl = {}", dice.pick(&urls)).unwrap();
        }
        if dice.below(6) == 0 {
            text += "pushUrl =\n";
        }
        if dice.below(6) == 0 {
            write!(text, "url =\nurl = {}\n", dice.pick(&urls)).unwrap();
            url_count = 1;
        }
        place.configure(&text);
        let ours = place.find(Some("o")).unwrap();
        assert!(url_count > 0 && ours.name() == Some(b"o"));
        for git in testing::gits() {
            // An empty value took nothing back before git 2.46.
            if text.contains("rl =\n") && !testing::is_at_least(&git, (2, 46)) {
                continue;
            }
            let theirs =
                lines(&place.git(&git, &["remote", "get-url", "--push", "--all", "o"])).unwrap();
            let text_of = |urls: &[Vec<u8>]| -> Vec<String> {
                urls.iter()
                    .map(|url| String::from_utf8(url.clone()).unwrap())
                    .collect()
            };
            assert_eq!(text_of(&ours.urls), theirs, "{text}");
            let fetched = lines(&place.git(&git, &["remote", "get-url", "o"])).unwrap();
            assert_eq!(
                text_of(std::slice::from_ref(&ours.fetch_url)),
                fetched,
                "{text}"
            );
        }
    }
}

#[test]
fn git_28_the_longest_rule_wins_and_the_first_of_equals() {
    let place = Place::new();
    place.configure(
        "[remote \"o\"]\nurl = abc\n[url \"1:\"]\ninsteadOf = a\n[url \"2:\"]\ninsteadOf = ab\n\
         [url \"3:\"]\ninsteadOf = ab\n[url \"1:\"]\ninsteadOf = abx\n",
    );
    assert_eq!(place.urls(Some("o")).unwrap(), ["2:c"]);
    // What was rewritten is not rewritten again, and a URL that is no remote is rewritten, too.
    assert_eq!(place.urls(Some("abx1")).unwrap(), ["1:1"]);
    place.configure(
        "[url \"safe:\"]\npushInsteadOf = x:\n[remote \"o\"]\npushUrl = p:\nurl = x:y\n",
    );
    assert_eq!(place.urls(Some("o")).unwrap(), ["p:"]);
    assert_eq!(place.urls(Some("x:y")).unwrap(), ["safe:y"]);
    assert_eq!(place.find(Some("x:y")).unwrap().fetch_url, b"x:y");
    assert_eq!(place.find(Some("x:y")).unwrap().name(), None);
    place.configure("[url \"safe:\"]\npushInsteadOf = x:\n[remote \"o\"]\nurl = x:1\nurl = z:2\n");
    assert_eq!(place.urls(Some("o")).unwrap(), ["safe:1"]);
    place.configure("[remote \"o\"]\npushUrl = elsewhere\n");
    assert_eq!(place.urls(Some("o")).unwrap(), ["elsewhere"]);
    assert_eq!(place.find(Some("o")).unwrap().fetch_url, b"o");
}

/// Compares the places and the refs of `git push --dry-run` with what is found here.
#[test]
fn git_20_30_and_34_a_push_without_refspecs_goes_where_git_sends_it() {
    let place = Place::new();
    let mut dice = Dice(34);
    let root = place.root();
    let (mut succeeded, mut several) = (0, 0);
    for _ in 0..110 {
        let mut text = String::new();
        let names = ["a", "b", "origin"];
        for (name, target) in names.iter().zip(["a", "b", "c"]) {
            if dice.below(3) > 0 {
                write!(text, "[remote \"{name}\"]\nurl = ../{target}\n").unwrap();
                if dice.below(5) == 0 {
                    text += "pushUrl = ../d\npushUrl = ../a\n";
                }
                if dice.below(5) == 0 {
                    let refspecs = [
                        "+refs/heads/main:refs/heads/x",
                        "HEAD",
                        "main",
                        "refs/heads/*:refs/q/*",
                        "+HEAD:y",
                    ];
                    writeln!(text, "push = {}", dice.pick(&refspecs)).unwrap();
                }
            }
        }
        let mut maybe = |odds: usize, key: &str, values: &[&str]| {
            if dice.below(odds) == 0 {
                writeln!(text, "{key} = {}", dice.pick(values)).unwrap();
            }
            dice.below(odds)
        };
        let remotes = ["a", "b", "origin", "../c", "missing", "."];
        maybe(3, "[remote]\npushDefault", &remotes);
        maybe(3, "[branch \"main\"]\npushRemote", &remotes);
        maybe(2, "[branch \"main\"]\nremote", &remotes);
        maybe(
            2,
            "[branch \"main\"]\nmerge",
            &["refs/heads/main", "refs/heads/up", "up"],
        );
        maybe(
            8,
            "[branch \"main\"]\nmerge",
            &["refs/heads/main", "refs/heads/up"],
        );
        let modes = [
            "simple", "current", "upstream", "tracking", "nothing", "matching", "odd",
        ];
        maybe(2, "[push]\ndefault", &modes);
        maybe(3, "[push]\nautoSetupRemote", &["true", "false"]);
        let word = [None, Some("a"), Some("../b"), Some("origin")][dice.below(4)];
        place.configure(&text);
        let remote = place.find(word);
        let push = place.default_push(word);
        for git in testing::gits() {
            let mut words = vec!["push", "--dry-run", "--porcelain"];
            words.extend(word);
            let output = place.git(&git, &words);
            let printed = String::from_utf8(output.stdout).unwrap();
            let context = format!(
                "{word:?}\n{text}\n{printed}\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
            let Ok(push) = &push else {
                assert!(!output.status.success(), "{push:?} {context}");
                assert!(!printed.contains('\t'), "{push:?} {context}");
                continue;
            };
            let Ok(remote) = &remote else {
                panic!("{context}");
            };
            if push.refspecs[0].kind == Kind::Matching {
                continue;
            }
            // A missing place makes git fail and says nothing of ours.
            if remote.urls.iter().any(|url| {
                !root
                    .join("r")
                    .join(std::str::from_utf8(url).unwrap())
                    .exists()
            }) {
                assert!(!output.status.success(), "{context}");
                continue;
            }
            succeeded += 1;
            several += usize::from(remote.urls.len() > 1);
            let to: Vec<&str> = printed
                .lines()
                .filter_map(|line| line.strip_prefix("To "))
                .collect();
            let urls: Vec<&str> = remote
                .urls
                .iter()
                .map(|url| std::str::from_utf8(url).unwrap())
                .collect();
            if remote.urls != [b"."] {
                assert_eq!(to, urls, "{context}");
                let pairs: Vec<&str> = printed
                    .lines()
                    .filter_map(|line| line.split('\t').nth(1))
                    .collect();
                assert_eq!(pairs[0], expected(&push.refspecs[0]), "{context}");
            }
            let sets = printed.contains("Would set upstream");
            assert_eq!(push.sets_upstream, sets, "{context}");
        }
    }
    assert!(succeeded > 40 && several > 1, "{succeeded} {several}");
}

/// Says what git's porcelain says of a refspec on branch main and an empty remote.
fn expected(refspec: &Refspec) -> String {
    let full = |name: &[u8]| {
        let name = std::str::from_utf8(name).unwrap();
        match name {
            "HEAD" | "main" => "refs/heads/main".to_owned(),
            name if name.starts_with("refs/") => name.to_owned(),
            name => format!("refs/heads/{name}"),
        }
    };
    match &refspec.kind {
        Kind::Single { src, dst } => {
            let left = if src == b"HEAD" {
                "HEAD".to_owned()
            } else {
                full(src)
            };
            format!("{left}:{}", full(dst.as_ref().unwrap_or(src)))
        }
        Kind::Pattern { .. } => "refs/heads/main:refs/q/main".to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_default_says_what_a_person_has_to_decide() {
    let place = Place::new();
    let refusal = |text: &str| {
        place.configure(&format!(
            "[remote \"o\"]\nurl=x\n[remote \"p\"]\nurl=y\n{text}"
        ));
        place.with(|config, common, head| {
            let remote = PushRemote::find(config, common, head, Some(b"o")).unwrap();
            remote.default_refspecs(config, head).unwrap_err()
        })
    };
    let branch = b"main".to_vec();
    let upstream = "[branch \"main\"]\nremote=o\nmerge=refs/heads/up\n";
    assert_eq!(refusal("[push]\ndefault=nothing\n"), NoDefault::Nothing);
    assert_eq!(
        refusal("[branch \"main\"]\nremote=o\n"),
        NoDefault::NoUpstream {
            branch: branch.clone()
        }
    );
    let differs = NoDefault::UpstreamDiffers {
        branch: branch.clone(),
        upstream: "refs/heads/up".into(),
    };
    assert_eq!(refusal(upstream), differs);
    assert_eq!(
        refusal(&format!("{upstream}merge=refs/heads/main\n")),
        NoDefault::SeveralUpstreams {
            branch: branch.clone()
        }
    );
    assert_eq!(
        refusal("[push]\ndefault=upstream\n[branch \"main\"]\nremote=p\nmerge=refs/heads/main\n"),
        NoDefault::Triangular { branch }
    );
    assert!(matches!(
        refusal("[push]\ndefault=some\n"),
        NoDefault::Value(_)
    ));
    assert!(matches!(refusal("[push]\ndefault\n"), NoDefault::Value(_)));
    let git = testing::gits().remove(0);
    place.configure("[remote \"o\"]\nurl=x\n");
    assert!(
        place
            .git(&git, &["checkout", "-q", "--detach"])
            .status
            .success()
    );
    assert_eq!(refusal(""), NoDefault::Detached);
}

#[test]
fn git_21_words_are_mapped_with_the_plus_of_the_configuration() {
    let place = Place::new();
    place.configure("[remote \"o\"]\nurl=../a\npush = +refs/heads/main:refs/heads/prod\n");
    assert_eq!(
        place.mapped("refs/heads/main"),
        Some(("refs/heads/prod".into(), true))
    );
    assert_eq!(place.mapped("refs/heads/other"), None);
    for git in testing::gits() {
        let printed =
            lines(&place.git(&git, &["push", "--dry-run", "--porcelain", "o", "main"])).unwrap();
        assert!(
            printed[1].contains("refs/heads/main:refs/heads/prod"),
            "{printed:?}"
        );
        // The control arm: a full refspec is not mapped, and neither is one with a plus.
        let full = [
            "push",
            "--dry-run",
            "--porcelain",
            "o",
            "refs/heads/main:refs/heads/main",
        ];
        let printed = lines(&place.git(&git, &full)).unwrap();
        assert!(
            printed[1].contains("refs/heads/main:refs/heads/main"),
            "{printed:?}"
        );
        let printed =
            lines(&place.git(&git, &["push", "--dry-run", "--porcelain", "o", "+main"])).unwrap();
        assert!(
            printed[1].contains("refs/heads/main:refs/heads/main"),
            "{printed:?}"
        );
    }
    let upstream = "[remote \"o\"]\nurl=../a\n[push]\ndefault=tracking\n[branch \"main\"]\nremote=x\nmerge=refs/heads/up\n";
    place.configure(upstream);
    assert_eq!(
        place.mapped("refs/heads/main"),
        Some(("refs/heads/up".into(), false))
    );
    assert_eq!(
        place.mapped("refs/heads/HEAD"),
        Some(("refs/heads/up".into(), false))
    );
    assert_eq!(place.mapped("refs/tags/main"), None);
    for git in testing::gits() {
        let printed =
            lines(&place.git(&git, &["push", "--dry-run", "--porcelain", "o", "main"])).unwrap();
        assert!(
            printed[1].contains("refs/heads/main:refs/heads/up"),
            "{printed:?}"
        );
    }
    place.configure(&upstream.replace("remote=x\n", ""));
    assert_eq!(place.mapped("refs/heads/main"), None);
    place.configure(&format!("{upstream}merge=refs/heads/other\n"));
    assert_eq!(place.mapped("refs/heads/main"), None);
}

/// With a colon in it git would split `refs/heads/main:up:refs/heads/main` at the last one.
#[test]
fn git_30_an_upstream_that_cannot_stand_in_a_refspec_is_refused() {
    let place = Place::new();
    place.configure(
        "[remote \"o\"]\nurl=../a\n[branch \"main\"]\nremote=o\nmerge=up:refs/heads/main\n",
    );
    assert!(matches!(place.find(Some("o")), Err(RemoteError::Value(_))));
}

#[test]
fn git_32_and_33_remotes_have_files_of_their_own() {
    let place = Place::new();
    let dot_git = place.root().join("r/.git");
    for directory in ["remotes", "branches"] {
        fs::create_dir_all(dot_git.join(directory)).unwrap();
    }
    place.configure("[init]\ndefaultBranch=trunk\n[url \"../\"]\ninsteadOf = up/\n");
    fs::write(
        dot_git.join("remotes/old"),
        "URL: up/a \r\nURL:../b\nPush: +refs/heads/main:refs/heads/x\nPull: y\nurl: z\n",
    )
    .unwrap();
    fs::write(dot_git.join("branches/cg"), "up/c#dev\nmore\n").unwrap();
    fs::write(dot_git.join("branches/plain"), " ../c \n").unwrap();
    fs::write(dot_git.join("branches/empty"), "\n../c\n").unwrap();
    let old = place.find(Some("old")).unwrap();
    assert_eq!(old.urls, [b"../a".to_vec(), b"../b".to_vec()]);
    assert!(old.push[0].force);
    let refspec = |name: &str| place.default_push(Some(name)).unwrap().refspecs.remove(0);
    assert_eq!(
        refspec("cg"),
        Refspec::parse(b"HEAD:refs/heads/dev").unwrap()
    );
    assert_eq!(
        refspec("plain"),
        Refspec::parse(b"HEAD:refs/heads/trunk").unwrap()
    );
    assert_eq!(place.urls(Some("empty")).unwrap(), ["empty"]);
    for git in testing::gits() {
        for (name, url, pair) in [
            ("old", "../a", "refs/heads/main:refs/heads/x"),
            ("cg", "../c", "HEAD:refs/heads/dev"),
            ("plain", "../c", "HEAD:refs/heads/trunk"),
        ] {
            let printed =
                lines(&place.git(&git, &["push", "--dry-run", "--porcelain", name])).unwrap();
            assert_eq!(printed[0], format!("To {url}"));
            assert_eq!(printed[1].split('\t').nth(1), Some(pair));
        }
    }
    place.configure("");
    assert!(matches!(
        place.find(Some("plain")),
        Err(RemoteError::NoBranch(_))
    ));
    // What is configured goes first.
    place.configure("[remote \"old\"]\nurl = ../d\n");
    assert_eq!(place.urls(Some("old")).unwrap(), ["../d"]);
    assert!(place.find(Some("old")).unwrap().push.is_empty());
}

#[test]
fn git_31_and_40_groups_and_foreign_helpers_are_refused() {
    let place = Place::new();
    place.configure(
        "[remotes]\nall = o p\n[remotes \"x\"]\ny = o\n[remote \"o\"]\nurl=../a\n[remote \"f\"]\nurl=../a\nvcs=hg\n",
    );
    for group in ["all", "x.y"] {
        assert!(matches!(
            place.find(Some(group)),
            Err(RemoteError::Group(_))
        ));
    }
    assert!(matches!(place.find(Some("f")), Err(RemoteError::Vcs(_))));
    assert_eq!(place.urls(Some("o")).unwrap(), ["../a"]);
    assert_eq!(place.urls(Some("x")).unwrap(), ["x"]);
}

#[test]
fn git_22_38_and_43_what_a_remote_says_besides_its_urls() {
    let place = Place::new();
    place.configure(
        "[remote \"o\"]\nurl=../a\nMirror\nreceivePack=first\nreceivepack=second\nfetch=+refs/heads/*:refs/remotes/o/*\n\
         proxy=http://p\nfetch=^refs/heads/x\nskipDefaultUpdate=true\nuploadpack=u\nfuture=x\n\
         [remote \"/odd\"]\nmirror=true\nreceivepack=x\n",
    );
    let remote = place.find(Some("o")).unwrap();
    assert!(remote.mirror);
    assert_eq!(remote.receive_pack.as_deref(), Some(&b"first"[..]));
    let keys: Vec<&[u8]> = remote
        .carried
        .iter()
        .map(|(key, _)| key.as_slice())
        .collect();
    assert_eq!(keys, [&b"fetch"[..], b"proxy", b"fetch"]);
    assert!(!remote.is_triangular);
    let odd = place.find(Some("/odd")).unwrap();
    assert!(!odd.mirror && odd.receive_pack.is_none() && odd.is_triangular);
    place.configure("[remote \"o\"]\nurl=../a\npush=a:b:\n");
    assert!(matches!(
        place.find(Some("o")),
        Err(RemoteError::BadRefspec { .. })
    ));
    place.configure("[remote \"o\"]\nurl\n");
    assert!(matches!(place.find(Some("o")), Err(RemoteError::Value(_))));
    place.configure("");
    assert!(matches!(place.find(None), Err(RemoteError::None)));
}
