use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

use nix::unistd::{Uid, User};

use crate::support::{Launch, Ran, Scene, Started};

const SAFE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What an agent could set to steer a program.
const HOSTILE: [(&str, &str); 30] = [
    ("LD_LIBRARY_PATH", "/no/such/place"),
    ("LD_AUDIT", ""),
    ("GLIBC_TUNABLES", "glibc.malloc.check=1"),
    ("GCONV_PATH", "/no/such/place"),
    ("LOCPATH", "/no/such/place"),
    ("NLSPATH", "/no/such/place/%N"),
    ("IFS", "/"),
    ("CDPATH", "/"),
    ("ENV", "/no/such/file"),
    ("BASH_ENV", "/no/such/file"),
    ("BASH_FUNC_rm%%", "() { echo hijacked; }"),
    ("SHELL", "/no/such/shell"),
    ("POSIXLY_CORRECT", "1"),
    ("HOME", "relative"),
    ("USER", "somebody"),
    ("LOGNAME", "somebody"),
    ("PWD", "/"),
    ("TZ", "/etc/shadow"),
    ("TMPDIR", "/no/such/place"),
    ("SQLITE_TMPDIR", "/no/such/place"),
    ("RUST_BACKTRACE", "full"),
    ("RUST_LOG", "trace"),
    ("RUST_MIN_STACK", "1"),
    ("PVM_AGENT_ID", "an-agent"),
    ("PVM_JSON", "1"),
    ("GIT_DIR", "/no/such/place"),
    ("EDITOR", "/no/such/editor"),
    ("http_proxy", "http://example.invalid"),
    ("SSH_AUTH_SOCK", "/no/such/socket"),
    ("MALLOC_PERTURB_", "1"),
];

fn account() -> User {
    User::from_uid(Uid::effective()).unwrap().unwrap()
}

/// Returns what the real command always gets.
fn fixed() -> BTreeMap<String, OsString> {
    let user = account();
    [
        ("PATH", OsString::from(SAFE_PATH)),
        ("HOME", user.dir.into()),
        ("USER", user.name.clone().into()),
        ("LOGNAME", user.name.into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn with_tool() -> Scene {
    let scene = Scene::new();
    scene.stand_in("fake-tool", "");
    scene.files(["f"]).grant(scene.work(""));
    scene
}

#[test]
fn env_10_14_16_and_18_the_real_command_gets_what_is_allowed_and_nothing_else() {
    let scene = with_tool();
    let mut command = scene.command("safe-rm");
    let started = Started::read(&Ran::of(command.arg("f").envs(HOSTILE)));
    assert_eq!(started.environment, fixed());

    let kept = [
        ("TERM", "xterm-256color"),
        ("COLORTERM", "truecolor"),
        ("NO_COLOR", "1"),
        ("LANG", "de_DE.UTF-8"),
        ("LANGUAGE", "de:en"),
        ("LC_ALL", "C"),
        ("LC_MESSAGES", "sr_RS@latin"),
        ("COLUMNS", "80"),
        ("LINES", "25"),
    ];
    let mut command = scene.command("safe-rm");
    let started = Started::read(&Ran::of(command.arg("f").envs(HOSTILE).envs(kept)));
    let mut expected = fixed();
    expected.extend(kept.map(|(name, value)| (name.to_owned(), value.into())));
    assert_eq!(started.environment, expected);
}

#[test]
fn env_15_locales_that_name_a_file_are_dropped() {
    let scene = with_tool();
    for value in [
        "/tmp/evil",
        "../evil",
        "de/DE",
        ".:/evil",
        "%s%n",
        "a b",
        "a\nb",
        "\u{1b}[2J",
        "\u{e9}",
    ] {
        for name in ["LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TERM", "COLUMNS"] {
            let mut command = scene.command("safe-rm");
            let started = Started::read(&Ran::of(command.arg("f").env(name, value)));
            assert_eq!(started.environment, fixed(), "{name}={value:?}");
        }
    }
    let mut command = scene.command("safe-rm");
    command.arg("f").env("LANG", "x".repeat(100_000));
    assert_eq!(Started::read(&Ran::of(&mut command)).environment, fixed());
}

#[test]
fn env_17_a_variable_that_comes_twice_counts_once() {
    let scene = with_tool();
    let path = format!("PATH={}", scene.path("fakes").display());
    let environment: [&[u8]; 8] = [
        path.as_bytes(),
        b"PATH=/no/such/place",
        b"LANG=C",
        b"LANG=de",
        b"=odd",
        b"odd",
        b"TERM",
        b"",
    ];
    let mut command = scene.command("pvm");
    command.exactly(&scene.path("bin/pvm"), &[b"safe-rm", b"f"], &environment);
    let started = Started::read(&Ran::of(&mut command));
    let mut expected = fixed();
    expected.insert("LANG".to_owned(), "C".into());
    assert_eq!(started.environment, expected);
}

#[test]
fn env_11_to_13_no_variable_chooses_the_vault_or_the_configuration() {
    let (scene, other) = (Scene::new(), Scene::new());
    scene.files(["f"]);
    other.grant(scene.work(""));
    // The other installation as a home directory: with a configuration, and a vault that grants.
    fs::create_dir_all(other.path(".config/pvm")).unwrap();
    fs::copy(other.configuration(), other.path(".config/pvm/pvm.toml")).unwrap();
    let root = other.path("").display().to_string();
    let root = root.trim_end_matches('/');
    let vault = other.vault().display().to_string();
    let configuration = other.configuration().display().to_string();
    let variables = [
        ("HOME", root),
        ("XDG_CONFIG_HOME", &format!("{root}/.config")),
        ("XDG_DATA_HOME", &format!("{root}/state")),
        ("PVM_HOME", root),
        ("PVM_PREFIX", root),
        ("PVM_VAULT", &vault),
        ("PVM_VAULT_PATH", &vault),
        ("PVM_DB", &vault),
        ("PVM_CONFIG", &configuration),
        ("PVM_CONFIG_FILE", &configuration),
        ("PVM_LANDLOCK", "off"),
    ];
    let run = |scene: &Scene, arguments: &[&str], name: &str| {
        let mut command = scene.command(name);
        Ran::of(
            command
                .args(arguments)
                .current_dir(scene.work(""))
                .envs(variables),
        )
    };
    run(&scene, &["-f", "f"], "safe-rm").denied();
    assert!(scene.work("f").exists());
    assert_eq!(
        scene.last_entry()["decision"],
        "DENIED",
        "recorded in its own vault"
    );
    let check = ["check", "--scope", &scene.work("f").display().to_string()];
    run(&scene, &check, "pvm").exited(1);
    for home in ["", "relative", "."] {
        let mut command = scene.command("safe-rm");
        Ran::of(command.args(["-f", "f"]).env("HOME", home)).denied();
    }
    let target = scene.work("f");
    other.safe_rm([target.as_os_str()]).succeeded();
    assert!(!target.exists(), "the other vault does grant it");
}
