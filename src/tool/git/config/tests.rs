use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::Instant;

use super::*;
use crate::tool::git::testing::{self, Dice};

type Listed = Vec<(PathBuf, Vec<u8>, Option<Vec<u8>>)>;

fn facts(home: &Path) -> Facts<'_> {
    Facts {
        home,
        git_dir: None,
        branch: CurrentBranch::None,
    }
}

fn listed(config: &Config) -> Listed {
    config
        .iter()
        .map(|(name, value)| {
            let file = value.file.unwrap_or(Path::new("")).to_owned();
            (file, name, value.text.map(<[u8]>::to_vec))
        })
        .collect()
}

/// Reads what `git config --list -z --show-origin` printed.
fn git_listed(output: &Output, directory: &Path) -> Result<Listed, String> {
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut parts = output.stdout.split(|byte| *byte == 0);
    let mut listed = Listed::new();
    while let (Some(origin), Some(pair)) = (parts.next(), parts.next()) {
        let origin = std::str::from_utf8(origin).unwrap();
        let file = match origin.strip_prefix("file:") {
            Some(path) => directory.join(path),
            None => PathBuf::new(),
        };
        let end = pair.iter().position(|byte| *byte == b'\n');
        let name = &pair[..end.unwrap_or(pair.len())];
        let value = end.map(|end| pair[end + 1..].to_vec());
        listed.push((file, name.to_vec(), value));
    }
    Ok(listed)
}

const LIST: [&str; 4] = ["config", "--list", "-z", "--show-origin"];

/// git before 2.45 makes a space of all white space inside a value that is not quoted.
fn with_spaces(listed: Listed) -> Listed {
    let blank = |byte: u8| {
        if matches!(byte, b'\t' | b'\r') {
            b' '
        } else {
            byte
        }
    };
    listed
        .into_iter()
        .map(|(file, name, value)| {
            (
                file,
                name,
                value.map(|text| text.into_iter().map(blank).collect()),
            )
        })
        .collect()
}

fn compare(home: &Path, bytes: &[u8]) -> bool {
    let file = home.join(".gitconfig");
    fs::write(&file, bytes).unwrap();
    let ours = Config::load(&[Layer::UserFile(file.clone())], &facts(home));
    for git in testing::gits() {
        let output = testing::run(&git, home, home, &LIST);
        let shown = bytes.escape_ascii();
        match (&ours, git_listed(&output, home)) {
            (Ok(config), Ok(theirs)) if testing::is_at_least(&git, (2, 45)) => {
                assert_eq!(listed(config), theirs, "{shown}");
            }
            (Ok(config), Ok(theirs)) => {
                assert_eq!(with_spaces(listed(config)), with_spaces(theirs), "{shown}");
            }
            (Err(ConfigError::Syntax { line, .. }), Err(message)) => {
                assert!(
                    message.contains(&format!("bad config line {line} in file ")),
                    "{line} {message} {shown}"
                );
            }
            (ours, theirs) => panic!("{shown}: {ours:?} but git {theirs:?}"),
        }
    }
    ours.is_ok()
}

#[test]
fn git_44_every_corner_of_the_grammar_is_read_as_git_reads_it() {
    let home = tempfile::tempdir().unwrap();
    let good: [&[u8]; 33] = [
        b"[a]\nb=c\n",
        b"\xef\xbb\xbf[a]\nb=c",
        b"[a]b=c",
        b"[a] b = c [d] e = f\n",
        b"[A] B = C\n[a \"B\"] C = D\n[a.B] c = d\n",
        b"[remote \"sub \\\" \\\\ s\\ect\"] url = x\n",
        b"[remote \"\"]\nurl=x\n",
        b"[remote.]\nurl=x\n",
        b"[.x]\nurl=x\n",
        b"[a.b \"c.d\"]\nurl=x\n",
        b"[a\t \t\"b\"]\nc\n",
        b"[a]\r\nb=c\r\nd\r\n",
        b"[a]\nb=\"x\r\"\n",
        b"[a]\nb=x\r y\n",
        b"[a]\nb=x\r\r\n",
        b"[a]\nb\n c \n d=\n e= \n f=\"\"\n",
        b"[a]\nb = x \\\n  y\\\nz\n",
        b"[a]\nb = x \\\n\n",
        b"[a]\nb = x\\\r\ny\n",
        b"[a]\nb = \" x \" y \" z \" ; c\n",
        b"[a]\nb = \"x # y\" # \\\n",
        b"[a]\nb = x\\ty\\nz\\bq\\\\\\\"\n",
        b"[a]\nb = \"x\\\ny\"\n",
        b"[a]\nb = x\\",
        b"[a]\nb = x  ",
        b"b = c\n[a]\n",
        b"# x\n; y\n\n \t\n",
        b"",
        b"[a]\n\tb-c1 = x\ty\n",
        b"[a]\nb=x=y\n",
        b"[1-a]\nb=\xff\xfe\n",
        b"[a \"\xff\"]\nb=c\n",
        b"[a]\nb = \"\" x\n",
    ];
    for bytes in good {
        let grammatical = compare(home.path(), bytes);
        assert!(grammatical, "{}", bytes.escape_ascii());
    }
    let bad: [&[u8]; 23] = [
        b"[a \"#;\"] b # c\n",
        b"[a",
        b"[]",
        b"[a]\n1b=c\n",
        b"[a]\nb_c=d\n",
        b"[a]\nb c\n",
        b"[a]\nb\rc\n",
        b"[a \"b]\nc=d\n",
        b"[a \"b\" ]\n",
        b"[a ]\n",
        b"[a\n\"b\"]\n",
        b"[a \"b\\\n\"]\n",
        b"[a_b]\n",
        b"[a]]\n",
        b"[a]\nb=\"c\n",
        b"[a]\n\nb=\"c",
        b"[a]\nb=\\x\n",
        b"[a]\nb=\\\r",
        b"\xef\xbb[a]\n",
        b"\xef\xbb\xbf\xef\xbb\xbf[a]\n",
        b"=c",
        b"[a]\n\n\nb!\n",
        b"[a\"b\"]\n",
    ];
    for bytes in bad {
        assert!(!compare(home.path(), bytes), "{}", bytes.escape_ascii());
    }
}

#[test]
fn random_files_are_read_as_git_reads_them() {
    let home = tempfile::tempdir().unwrap();
    let mut dice = Dice(0x5eed);
    let soup: [&[u8]; 33] = [
        b"[a]",
        b"[b \"c\"]",
        b"[",
        b"]",
        b"\"",
        b"\\",
        b"\n",
        b"\n",
        b"\n",
        b" ",
        b"\t",
        b"=",
        b" = ",
        b"#",
        b";",
        b".",
        b"\r",
        b"\r\n",
        b"-",
        b"1",
        b"x",
        b"key",
        b"Url",
        b"\\\n",
        b"\\n",
        b"\\t",
        b"\\\"",
        b"\xc3\xa9",
        b"[A.B]\n",
        b"\nk = v w  \n",
        b"\nk = \"v  #w\" ; z\n",
        b"\nq\n",
        b"[r \"x\\\\\\\"y\"]\n",
    ];
    let mut grammatical = 0;
    for _ in 0..250 {
        let length = 1 + dice.below(14);
        let mut bytes = b"[s]\n".to_vec();
        bytes.extend((0..length).flat_map(|_| dice.pick(&soup).to_vec()));
        grammatical += usize::from(compare(home.path(), &bytes));
    }
    assert!((20..230).contains(&grammatical), "{grammatical}");
}

#[test]
fn what_git_would_cut_or_choke_on_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".gitconfig");
    let load = || Config::load(&[Layer::UserFile(file.clone())], &facts(home.path()));
    fs::write(&file, b"[a]\nb=c\0d\n").unwrap();
    assert!(matches!(load(), Err(ConfigError::Nul(_))));
    fs::remove_file(&file).unwrap();
    assert_eq!(load().unwrap().iter().count(), 0);
    fs::create_dir(&file).unwrap();
    assert!(matches!(load(), Err(ConfigError::Read { .. })));
    fs::remove_dir(&file).unwrap();
    let large = fs::File::create(&file).unwrap();
    large.set_len(LARGEST_FILE + 1).unwrap();
    assert!(matches!(load(), Err(ConfigError::Read { .. })));
    fs::remove_file(&file).unwrap();
    testing::fifo(&file);
    assert!(matches!(load(), Err(ConfigError::Read { .. })));
}

#[test]
fn a_users_file_without_permission_is_left_out_and_a_repositorys_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".gitconfig");
    fs::write(&file, b"[a]\nb=c\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&file).is_ok() {
        // root reads everything.
        return;
    }
    let facts = facts(home.path());
    let left_out = Config::load(&[Layer::UserFile(file.clone())], &facts).unwrap();
    assert_eq!(left_out.iter().count(), 0);
    let error = Config::load(&[Layer::File(file)], &facts).unwrap_err();
    assert!(matches!(error, ConfigError::Read { .. }));
}

/// A home and a repository in it, and what git makes of both.
struct Place {
    home: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            home: tempfile::tempdir().unwrap(),
        };
        let git = testing::gits().remove(0);
        testing::done(
            &git,
            place.home(),
            place.home(),
            &["init", "-q", "-b", "main", "repo"],
        );
        place
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.home().join(name), text).unwrap();
    }

    fn ours(&self) -> Result<Config, ConfigError> {
        let home = self.home();
        let git_dir = home.join("repo/.git");
        let mut layers = Layer::of_machine_and_user(None, home);
        layers.push(Layer::File(git_dir.join("config")));
        let real = crate::sys::path::canonical(&git_dir).unwrap();
        let facts = Facts {
            home,
            git_dir: Some((&real, &git_dir)),
            branch: CurrentBranch::Named(b"main"),
        };
        Config::load(&layers, &facts)
    }

    /// Checks that git reads the same, and returns all values of `x.y`.
    fn agreed(&self) -> Vec<String> {
        let config = self.ours().unwrap();
        for git in testing::gits() {
            let directory = self.home().join("repo");
            let output = testing::run(&git, &directory, self.home(), &LIST);
            let theirs = git_listed(&output, &directory).unwrap();
            let files = |listed: &Listed| -> Vec<PathBuf> {
                listed.iter().map(|one| one.0.clone()).collect()
            };
            assert_eq!(files(&listed(&config)), files(&theirs));
            assert_eq!(listed(&config), theirs);
        }
        let text = |value: Value| String::from_utf8(value.text.unwrap().to_vec()).unwrap();
        config.all(b"x", None, b"y").map(text).collect()
    }

    fn both_refuse(&self) -> ConfigError {
        for git in testing::gits() {
            let output = testing::run(&git, &self.home().join("repo"), self.home(), &LIST);
            assert!(!output.status.success());
        }
        self.ours().unwrap_err()
    }
}

#[test]
fn env_21_includes_are_read_in_place() {
    let place = Place::new();
    fs::create_dir(place.home().join("d")).unwrap();
    let absolute = place.home().join("absolute");
    place.write("absolute", "[x]\ny=absolute\n");
    place.write(
        "d/first",
        "[include]\npath=second\npath=~/third\n[x]\ny=first\n",
    );
    place.write("d/second", "[x]\ny=second\n");
    place.write("third", "[x]\ny=third\n");
    place.write(
        ".gitconfig",
        &format!(
            "[x]\ny=a\n[include]\npath=d/first\n[x]\ny=b\n[Include]\nPATH={}\npath=missing\npath=~/missing/x\n[x]y=c\n[include \"no\"]path=third",
            absolute.display()
        ),
    );
    let expected = ["a", "second", "third", "first", "b", "absolute", "c"];
    assert_eq!(place.agreed(), expected);
}

#[test]
fn env_21_conditions_hold_where_git_says_they_do() {
    let place = Place::new();
    let home = crate::sys::path::canonical(place.home()).unwrap();
    std::os::unix::fs::symlink(&home, home.join("link")).unwrap();
    let home = home.display();
    let conditions = [
        "gitdir:~/repo/.git",
        "gitdir:~/repo/",
        "gitdir:~/",
        "gitdir:repo/",
        "gitdir:repo",
        "gitdir:.git",
        "gitdir:REPO/",
        "gitdir/i:REPO/",
        "gitdir:./repo/",
        "gitdir:./",
        "gitdir:./REPO/",
        "gitdir/i:./REPO/",
        "gitdir:~/re*/",
        "gitdir:~/r?po/**",
        "gitdir:*/.git",
        "gitdir:**/repo/.git",
        "gitdir:/",
        "gitdir:",
        "gitdir:~/link/repo/",
        "gitdir:~",
        "gitdir:~/repo/.git/",
        "gitdir:[r]epo/",
        "gitdir:./[r]epo/",
        "onbranch:main",
        "onbranch:ma*",
        "onbranch:main/",
        "onbranch:x",
        "onbranch:**",
        "onbranch:m[a]in",
    ];
    let mut text = String::new();
    for (at, condition) in conditions.iter().enumerate() {
        let name = format!("c{at}");
        place.write(&name, &format!("[x]\ny = \"{condition}\"\n"));
        write!(text, "[includeIf \"{condition}\"]\npath = {name}\n").unwrap();
    }
    write!(text, "[includeIf \"gitdir:{home}/repo/\"]\npath = c1\n").unwrap();
    text += "[includeIf]\npath = c1\n[includeIf \"gitdir:/\"]\nother = x\n";
    place.write(".gitconfig", &text);
    let held = place.agreed();
    assert!(
        held.contains(&"gitdir:~/".to_owned()) && held.contains(&"gitdir:./[r]epo/".to_owned())
    );
    assert!(!held.contains(&"gitdir:REPO/".to_owned()) && !held.contains(&"onbranch:x".to_owned()));
}

#[test]
fn env_21_a_condition_about_urls_sees_every_remote() {
    let place = Place::new();
    place.write("yes", "[x]\ny=yes\n");
    place.write("no", "[x]\ny=no\n");
    place.write(
        ".gitconfig",
        "[includeIf \"hasconfig:remote.*.url:https://*.example/**\"]\npath=yes\n\
         [includeIf \"hasconfig:remote.*.url:https://h.example\"]\npath=no\n",
    );
    let local = "[core]\nrepositoryformatversion=0\n[remote \"r\"]\nurl=https://h.example/a/b\n";
    place.write("repo/.git/config", local);
    assert_eq!(place.agreed(), ["yes"]);

    place.write("yes", "[remote \"q\"]\nurl=x\n");
    assert!(matches!(place.both_refuse(), ConfigError::RemoteUrl(_)));
}

#[test]
fn env_21_loops_and_bad_includes_are_refused() {
    let place = Place::new();
    place.write(".gitconfig", "[include]\npath=.gitconfig\n");
    assert!(matches!(place.both_refuse(), ConfigError::TooDeep(_)));

    place.write(".gitconfig", "[include]\npath=i1\n");
    for level in 1..=10 {
        place.write(
            &format!("i{level}"),
            &format!("[x]\ny={level}\n[include]\npath=i{}\n", level + 1),
        );
    }
    assert_eq!(place.agreed().len(), 10);
    place.write("i11", "");
    assert!(matches!(place.both_refuse(), ConfigError::TooDeep(_)));

    place.write(".gitconfig", "[include]\npath\n");
    assert!(matches!(place.both_refuse(), ConfigError::Value(_)));
    place.write(".gitconfig", "[include]\npath=bad\n");
    place.write("bad", "[\n");
    assert!(matches!(place.both_refuse(), ConfigError::Syntax { .. }));
}

#[test]
fn a_condition_that_pvm_does_not_know_is_refused_not_skipped() {
    let place = Place::new();
    for text in [
        "[includeIf \"worktree:/x\"]\npath=y\n",
        "[includeIf \"gitdir:~bob/\"]\npath=y\n",
        "[include]\npath=~bob/y\n",
        "[include]\npath=%(prefix)/y\n",
    ] {
        place.write(".gitconfig", text);
        assert!(
            matches!(place.ours(), Err(ConfigError::Include { .. })),
            "{text}"
        );
    }
}

#[test]
fn git_23_words_of_the_command_line_come_last_and_may_include() {
    let place = Place::new();
    let home = place.home();
    place.write(".gitconfig", "[remote \"Or\"]\nurl=file\npush=a\n");
    place.write("more", "[remote \"Or\"]\nurl=included\n");
    let load = |words: &[&str]| {
        let mut layers = Layer::of_machine_and_user(None, home);
        layers.extend(words.iter().map(|word| Layer::of_word(word.as_bytes())));
        Config::load(&layers, &facts(home))
    };
    let config = load(&["Remote.Or.URL=a=b", "core.bare", "remote.Or.mirror"]).unwrap();
    let url = config.last(b"remote", Some(b"Or"), b"url").unwrap();
    assert_eq!((url.text, url.file), (Some(&b"a=b"[..]), None));
    assert_eq!(
        config.bool(b"remote", Some(b"Or"), b"mirror"),
        Ok(Some(true))
    );
    assert_eq!(config.bool(b"core", None, b"bare"), Ok(Some(true)));
    assert_eq!(config.last(b"remote", Some(b"or"), b"url"), None);
    assert_eq!(config.subsections(b"remote"), [b"Or"]);
    let keys: Vec<&[u8]> = config
        .pairs_of(b"remote", Some(b"Or"))
        .map(|(key, _)| key)
        .collect();
    assert_eq!(keys, [&b"url"[..], b"push", b"url", b"mirror"]);

    let included = format!("include.path={}", home.join("more").display());
    let config = load(&[&included]).unwrap();
    assert_eq!(
        config.string(b"remote", Some(b"Or"), b"url"),
        Ok(Some(&b"included"[..]))
    );
    assert!(matches!(
        load(&["include.path=more"]),
        Err(ConfigError::Include { .. })
    ));
    for bad in ["", "x", "=y", "a.=y", "a.b c=d"] {
        assert!(
            matches!(load(&[bad]), Err(ConfigError::BadName(_))),
            "{bad}"
        );
    }
    assert!(
        load(&["remote.Or.url"])
            .unwrap()
            .string(b"remote", Some(b"Or"), b"url")
            .is_err()
    );
}

/// The bound is generous: a debug build on a busy machine has to keep it.
#[test]
fn a_large_configuration_is_read_quickly() {
    let home = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for remote in 0..200 {
        write!(
            text,
            "[remote \"r{remote}\"]\n\turl = https://h.example/{remote}.git\n"
        )
        .unwrap();
        for line in 0..23 {
            writeln!(
                text,
                "\tfetch = +refs/heads/{line}/*:refs/remotes/r{remote}/{line}/* ; why"
            )
            .unwrap();
        }
    }
    fs::write(home.path().join(".gitconfig"), &text).unwrap();
    let layers = Layer::of_machine_and_user(None, home.path());
    let started = Instant::now();
    let config = Config::load(&layers, &facts(home.path())).unwrap();
    assert_eq!(config.subsections(b"remote").len(), 200);
    let taken = started.elapsed();
    assert!(taken.as_millis() < 500, "{taken:?}");
}
