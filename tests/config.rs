//! `pvm.toml`: where it is looked for, who may have written it, and what it may say.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User};

use crate::support::{Ran, Scene, mount_namespace};

fn samples(kind: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/config")
        .join(kind);
    let entries = fs::read_dir(directory).unwrap();
    let samples: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(samples.len() > 5);
    samples
}

fn chmod(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn check(scene: &Scene, file: &Path) -> Ran {
    Ran::of(scene.command("pvm").args(["config", "check"]).arg(file))
}

/// Asserts that nothing runs: neither the wrapper, under a grant, nor pvm.
#[track_caller]
fn nothing_runs(scene: &Scene, text: &str) {
    let ran = scene.safe_rm(["victim"]);
    ran.exited(125)
        .says("safe-rm: ")
        .says(text)
        .says("pvm config check");
    scene.pvm(["status"]).exited(125).says(text);
    scene.pvm(["config", "check"]).exited(1).says(text);
    scene.pvm(["config", "show"]).exited(1).says(text);
    assert!(scene.work("victim").exists(), "{text}");
}

/// A scene in which `safe-rm victim` would run, were it not for the configuration.
fn granted() -> Scene {
    let scene = Scene::new();
    scene.files(["victim"]);
    scene.grant(scene.work(""));
    scene
}

#[test]
fn what_is_valid_is_taken_and_shown_as_a_configuration_that_says_the_same() {
    let scene = Scene::bare();
    for sample in samples("valid") {
        let ran = check(&scene, &sample);
        let name = sample.display();
        assert_eq!(
            ran.succeeded().stdout_text(),
            format!("{name}: ok (a draft, not in force)\n")
        );

        fs::copy(&sample, scene.configuration()).unwrap();
        chmod(scene.configuration(), 0o600);
        let shown = scene.pvm(["config", "show"]).succeeded().stdout_text();
        let json = scene.pvm(["config", "show", "--json"]).succeeded().json();
        if json["approver"]["passphrase"].is_null() {
            scene.configure_as(&shown);
            assert_eq!(
                scene.pvm(["config", "show", "--json"]).succeeded().json(),
                json,
                "{name}"
            );
        }
    }
}

#[test]
fn p_d83_what_is_not_understood_is_an_error_with_its_line_and_nothing_runs() {
    let scene = granted();
    for sample in samples("invalid") {
        let text = fs::read(&sample).unwrap();
        let first = String::from_utf8(text.split(|byte| *byte == b'\n').next().unwrap().to_vec());
        let first = first.unwrap();
        let (line, message) = first.strip_prefix("# ").unwrap().split_once(": ").unwrap();
        let ran = check(&scene, &sample);
        let start = format!("pvm: {}:{line}: ", sample.display());
        assert!(
            ran.exited(1).stderr_text().starts_with(&start),
            "{start}: {ran}"
        );
        ran.says(message)
            .says("hint: every key and value:  man 5 pvm.toml");
        assert!(
            !ran.stderr.contains(&0x1b) && ran.stdout.is_empty(),
            "{ran}"
        );

        fs::write(scene.configuration(), &text).unwrap();
        nothing_runs(
            &scene,
            &format!("{}:{line}: ", scene.configuration().display()),
        );
    }
    scene.configure("");
    scene.safe_rm(["victim"]).succeeded();
}

#[test]
fn a_file_that_others_can_write_is_refused() {
    let scene = granted();
    for mode in [0o620, 0o602, 0o666, 0o777] {
        chmod(scene.configuration(), mode);
        nothing_runs(
            &scene,
            &format!("can be written by others (mode {mode:04o})"),
        );
    }
    for mode in [0o600, 0o644, 0o400] {
        chmod(scene.configuration(), mode);
        scene.pvm(["config", "check"]).succeeded();
    }
}

#[test]
fn a_directory_above_it_that_others_can_write_is_refused() {
    let scene = granted();
    for directory in ["etc/pvm", "etc", ""] {
        for mode in [0o775, 0o757, 0o777] {
            chmod(scene.path(directory), mode);
            nothing_runs(
                &scene,
                &format!("can be written by others (mode {mode:04o})"),
            );
        }
        chmod(scene.path(directory), 0o755);
    }
    scene.safe_rm(["victim"]).succeeded();
}

#[test]
fn what_is_no_plain_file_is_refused() {
    let scene = granted();
    let path = scene.configuration();
    let aside = scene.path("etc/aside.toml");
    fs::rename(&path, &aside).unwrap();

    symlink(&aside, &path).unwrap();
    nothing_runs(&scene, "pvm.toml");
    fs::remove_file(&path).unwrap();
    symlink("/no/such", &path).unwrap();
    nothing_runs(&scene, "pvm.toml");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    nothing_runs(&scene, "is not a regular file");
    fs::remove_dir(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    nothing_runs(&scene, "is not a regular file");
    fs::remove_file(&path).unwrap();
    // What stands where a directory should be is not a missing file either.
    fs::remove_dir(scene.path("etc/pvm")).unwrap();
    fs::write(scene.path("etc/pvm"), "").unwrap();
    nothing_runs(&scene, "Not a directory");
}

#[test]
fn a_file_is_read_whole_or_not_at_all() {
    let scene = granted();
    let mut text = fs::read_to_string(scene.configuration()).unwrap();
    text.push_str(&"# filler\n".repeat(1024 * 1024 / 9 - 20));
    scene.configure_as(&text);
    scene.pvm(["config", "check"]).succeeded();
    text.push_str(&"# filler\n".repeat(40));
    text.push_str("exec.landlock = 'required'\n");
    scene.configure_as(&text);
    nothing_runs(&scene, "is larger than 1048576 bytes");
}

fn places(scene: &Scene) -> Vec<(String, String)> {
    let json = scene.pvm(["config", "path", "--json"]).succeeded().json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let places = json["places"].as_array().unwrap().iter();
    places
        .map(|place| (text(&place["path"]), text(&place["state"])))
        .collect()
}

fn home() -> PathBuf {
    User::from_uid(Uid::effective()).unwrap().unwrap().dir
}

#[test]
fn the_places_are_shown_in_their_order_with_what_became_of_each() {
    let scene = Scene::bare();
    let own = scene.configuration();
    let expected = [
        PathBuf::from("/etc/pvm/pvm.toml"),
        own.clone(),
        home().join(".config/pvm/pvm.toml"),
    ];
    let looked = places(&scene);
    let paths: Vec<_> = looked.iter().map(|(path, _)| PathBuf::from(path)).collect();
    assert_eq!(paths, expected);
    assert_eq!(looked[1].1, "in_force");
    let text = scene.pvm(["config", "path"]).succeeded().stdout_text();
    assert!(
        text.contains(&format!("* {}: in force\n", own.display())),
        "{text}"
    );
    assert!(
        text.starts_with("  /etc/pvm/pvm.toml (must belong to root): does not exist\n"),
        "{text}"
    );

    scene.configure_as("broken");
    let text = scene.pvm(["config", "path"]).succeeded().stdout_text();
    let line = format!(
        "* {}: refused, and nothing runs: {}:1: ",
        own.display(),
        own.display()
    );
    assert!(text.contains(&line), "{text}");
    assert_eq!(places(&scene)[1].1, "refused");

    fs::remove_file(&own).unwrap();
    assert_eq!(places(&scene)[1].1, "absent");
}

/// Runs a shell script in which /etc and the home directory are the scene's own.
fn with_own_etc(scene: &Scene, script: &str) -> Option<Ran> {
    if !mount_namespace("an /etc of its own") {
        return None;
    }
    let etc = scene.path("machine");
    fs::create_dir_all(etc.join("pvm")).unwrap();
    for name in ["passwd", "group", "nsswitch.conf", "ld.so.cache"] {
        let _may_be_missing = fs::copy(Path::new("/etc").join(name), etc.join(name));
    }
    let home = home();
    let line = format!(
        "mount --bind {} /etc && mount -t tmpfs -o mode=700 none {home} && mkdir -p {home}/.config/pvm && {script}",
        etc.display(),
        home = home.display()
    );
    let mut command = Command::new("unshare");
    command
        .args(["-m", "/bin/sh", "-c", &line])
        .env_clear()
        .env("PATH", scene.search_path());
    Some(Ran::of(command.current_dir(scene.work(""))))
}

#[test]
fn the_file_of_the_machine_comes_first_and_the_person_s_last() {
    let scene = Scene::bare();
    let personal = home().join(".config/pvm/pvm.toml");
    let script = format!(
        "echo \"vault.path = '/person/v.db'\" > {personal} && pvm config show --json && \
         rm {own} && pvm config show --json && \
         echo \"vault.path = '/machine/v.db'\" > /etc/pvm/pvm.toml && pvm config show --json && \
         pvm config path --json",
        personal = personal.display(),
        own = scene.configuration().display(),
    );
    let Some(ran) = with_own_etc(&scene, &script) else {
        return;
    };
    let text = ran.succeeded().stdout_text();
    let json: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(json[0]["vault"]["path"], scene.vault().to_str().unwrap());
    assert_eq!(json[1]["vault"]["path"], "/person/v.db");
    assert_eq!(json[2]["vault"]["path"], "/machine/v.db");
    let states: Vec<_> = json[3]["places"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["state"])
        .collect();
    assert_eq!(states, ["in_force", "absent", "overruled"]);
}

#[test]
fn a_broken_first_file_does_not_give_way_to_the_next() {
    let scene = Scene::bare();
    let script = "echo broken > /etc/pvm/pvm.toml; pvm status; echo $?; safe-rm x; echo $?; \
                  rm /etc/pvm/pvm.toml; ln -s /no/such /etc/pvm/pvm.toml; safe-rm x; echo $?";
    let Some(ran) = with_own_etc(&scene, script) else {
        return;
    };
    assert_eq!(ran.stdout_text(), "125\n125\n125\n");
    ran.says("/etc/pvm/pvm.toml:1: ");
}

#[test]
fn env_11_12_and_13_the_environment_has_no_say() {
    let scene = granted();
    scene.configure_as(&format!("vault.path = \"{}\"\n", scene.vault().display()));
    scene.pvm(["revoke", "--all"]).succeeded();

    // A whole installation's worth of state where an agent would put it, with a grant in it.
    let hostile = Scene::new();
    hostile.grant(scene.work(""));
    let place = |below: &str| {
        let at = hostile.path(below);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::copy(hostile.configuration(), at).unwrap();
    };
    place(".config/pvm/pvm.toml");
    place("pvm/pvm.toml");
    place("pvm.toml");
    fs::create_dir_all(hostile.path(".local/share/pvm")).unwrap();
    fs::copy(hostile.vault(), hostile.path(".local/share/pvm/vault.db")).unwrap();

    let shown = scene.pvm(["config", "show", "--json"]).succeeded().json();
    let at = |below: &str| hostile.path(below).into_os_string();
    let variables = [
        ("HOME", at("")),
        ("XDG_CONFIG_HOME", at("")),
        ("XDG_CONFIG_HOME", at(".config")),
        ("XDG_CONFIG_DIRS", at("")),
        ("XDG_DATA_HOME", at(".local/share")),
        ("XDG_STATE_HOME", at("")),
        ("PVM_CONFIG", at("pvm.toml")),
        ("PVM_CONFIG_FILE", at("pvm.toml")),
        ("PVM_CONFIG_DIR", at("")),
        ("PVM_VAULT", hostile.vault().into_os_string()),
        ("PVM_DB", hostile.vault().into_os_string()),
        ("PVM_HOME", at("")),
        ("PVM_PREFIX", at("")),
        ("PVM_UNATTENDED", "1".into()),
        ("USER", "nobody".into()),
        ("LOGNAME", "nobody".into()),
        ("HOME", "".into()),
        ("HOME", "work".into()),
        ("HOME", OsStr::from_bytes(b"/\xff").to_owned()),
    ];
    for (name, value) in variables {
        let with = |program: &str, words: &[&str]| {
            Ran::of(scene.command(program).args(words).env(name, &value))
        };
        let now = with("pvm", &["config", "show", "--json"]);
        assert_eq!(now.succeeded().json(), shown, "{name}");
        with("safe-rm", &["victim"]).denied();
        with(
            "pvm",
            &["check", "--scope", scene.work("victim").to_str().unwrap()],
        )
        .exited(1);
        // Whatever it is, it does not make an agent a person.
        let mut command = Command::new("/usr/bin/setsid");
        command
            .arg("-w")
            .arg(scene.path("bin/pvm"))
            .args(["grant", "--scope", "/tmp/x"]);
        Ran::of(command.env_clear().env(name, &value)).denied();
    }
    assert!(scene.work("victim").exists());
}

#[test]
fn a_passphrase_hash_is_never_shown() {
    let scene = Scene::new();
    let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$\
                CzxrOt9kVy3dqJt7uV2GJbXc0Yy0W2C2sd1nP6ZfYhE";
    scene.configure(&format!("approver.passphrase = '{hash}'"));
    let verbs: [&[&str]; 6] = [
        &["config", "show"],
        &["config", "show", "--json"],
        &["config", "check"],
        &["config", "path"],
        &["doctor"],
        &["grant", "--scope", "/tmp/x"],
    ];
    for words in verbs {
        let ran = scene.pvm(words);
        let all = ran.stdout_text() + &ran.stderr_text();
        assert!(
            !all.contains("argon2id$") && !all.contains("CzxrOt9"),
            "{words:?}: {all}"
        );
    }
    let json = scene.pvm(["config", "show", "--json"]).succeeded().json();
    assert_eq!(json["approver"]["passphrase"], "set");

    // Others who can read it can guess at it.
    chmod(scene.configuration(), 0o644);
    let text = scene.pvm(["doctor"]).stdout_text();
    assert!(text.contains("and guess the passphrase"), "{text}");
}

#[test]
fn a_draft_is_checked_wherever_it_stands_and_a_file_in_its_place_with_its_owner_and_mode() {
    let scene = Scene::bare();
    let draft = scene.work("draft.toml");
    fs::write(&draft, "").unwrap();
    chmod(&draft, 0o666);
    check(&scene, &draft).succeeded();
    check(&scene, Path::new("draft.toml")).succeeded();
    let ran = check(&scene, &scene.configuration());
    let expected = format!("{}: ok\n", scene.configuration().display());
    assert_eq!(ran.succeeded().stdout_text(), expected);
    chmod(scene.configuration(), 0o666);
    check(&scene, &scene.configuration())
        .exited(1)
        .says("mode 0666");
    check(&scene, Path::new("/no/such"))
        .exited(125)
        .says("cannot read /no/such: No such file");
}

#[test]
fn the_keys_that_are_shown_are_those_that_are_read() {
    let scene = Scene::bare();
    let json = scene.pvm(["config", "show", "--json"]).succeeded().json();
    let mut keys = Vec::new();
    for (table, values) in json.as_object().unwrap() {
        let names = values.as_object().into_iter().flatten();
        keys.extend(names.map(|(name, _)| format!("{table}.{name}")));
    }
    keys.sort();
    let expected = [
        "approver.passphrase",
        "approver.unattended",
        "exec.landlock",
        "git.plain_push",
        "permissions.audit_directory",
        "permissions.audit_enabled",
        "permissions.cache_enabled",
        "permissions.cache_ttl_seconds",
        "permissions.denials_per_minute",
        "permissions.log_allowed_commands",
        "permissions.log_denied_commands",
        "permissions.resolve_commands",
        "permissions.retention_days",
        "permissions.rules",
        "resolver.trusted_dirs",
        "trash.tool",
        "trash.workspaces",
        "vault.default_ttl",
        "vault.max_ttl",
        "vault.path",
        "wrapper.on_ask",
    ];
    assert_eq!(keys, expected);
    let page = include_str!("../man/pvm.toml.5");
    for key in expected {
        assert!(
            page.contains(&format!(".It Ic {key} ")),
            "pvm.toml(5) lacks {key}"
        );
    }
}
