use std::process::Stdio;

use super::Ground;
use super::servers::nothing_secret;
use crate::support::{Http, Ran};

/// Where a credential can stand, and configuration that goes with it. `{secret}` is the password.
const PLACES: &[(&str, &[&str])] = &[
    ("", &["-f", "https://u:{secret}@127.0.0.1:1/o/r", "main"]),
    ("", &["https://u:{secret}@127.0.0.1:1/o/r", "new"]),
    ("", &["https://{secret}@127.0.0.1:1/o/r", "new"]),
    ("", &["https://{secret}@127.0.0.1:1/o/r", ":new"]),
    ("", &["--repo=https://u:{secret}@127.0.0.1:1/o/r", "-f"]),
    ("", &["--repo", "https://u:{secret}@127.0.0.1:1/o/r"]),
    ("", &["https://u:{secret}@127.0.0.1:1/o/r?x", "new"]),
    ("", &["https://u:{secret}@@127.0.0.1:1/o/r", "new"]),
    ("", &["https://u:{secret}@/o/r", "new"]),
    ("", &["https://u:{secret}@127.0.0.1:1/o\n/r", "new"]),
    ("", &["foo::https://u:{secret}@127.0.0.1:1/o/r", "new"]),
    ("", &["--no-such-option=https://u:{secret}@h/o/r", "new"]),
    (
        "[remote \"origin\"]\n\tpushurl = https://u:{secret}@127.0.0.1:1/o/r\n",
        &["-f", "origin", "main"],
    ),
    (
        "[remote \"origin\"]\n\tpushurl = https://u:{secret}@127.0.0.1:1/o/r\n",
        &["origin", "new"],
    ),
    (
        "[remote \"origin\"]\n\tpushurl = https://u:{secret}@/o/r\n",
        &["origin", "new"],
    ),
    (
        "[url \"https://u:{secret}@127.0.0.1:1/\"]\n\tinsteadOf = short:\n",
        &["short:o/r", "new"],
    ),
    (
        "[url \"https://u:{secret}@127.0.0.1:1/\"]\n\tinsteadOf = short:\n",
        &["-f", "short:o/r", "new"],
    ),
    (
        "[remote \"https://u:{secret}@127.0.0.1:1/\"]\n\tfoo = short:\n",
        &["-f", "https://u:{secret}@127.0.0.1:1/", "new"],
    ),
];

#[test]
fn p_d26_and_aud_14_a_password_in_a_url_appears_nowhere() {
    let ground = Ground::new();
    for (number, (configuration, words)) in PLACES.iter().enumerate() {
        let fill = |text: &str| text.replace("{secret}", Http::PASSWORD);
        let plot = ground.plot(&number.to_string(), &fill(configuration));
        let entries = ground.scene.trail().len();
        let words: Vec<String> = words.iter().map(|word| fill(word)).collect();
        for json in ["0", "1"] {
            let mut command = ground.push_command(&plot.tree(), &words);
            command.env("PVM_JSON", json).stdin(Stdio::null());
            let ran = Ran::of(&mut command);
            assert_ne!(ran.code, Some(0), "{words:?}: {ran}");
            let text = ran.to_string();
            assert!(!text.contains(Http::PASSWORD), "{words:?}: {text}");
        }
        assert!(ground.scene.trail().len() > entries, "{words:?}");
    }
    nothing_secret(&ground.scene);
}

#[test]
fn p_d26_and_aud_14_a_password_in_a_global_option_appears_nowhere() {
    let ground = Ground::new();
    let plot = ground.plot("one", "");
    let links = ground.scene.path("links");
    std::fs::create_dir(&links).unwrap();
    std::os::unix::fs::symlink("../bin/pvm", links.join("git")).unwrap();
    for option in [
        "remote.origin.pushurl=https://u:{secret}@127.0.0.1:1/o/r",
        "url.https://u:{secret}@127.0.0.1:1/.insteadOf=../origin",
        "http.extraHeader=Authorization: Basic {secret}",
        "http.https://127.0.0.1/.extraHeader=Authorization: Basic {secret}",
        "http.proxy=http://u:{secret}@127.0.0.1:1",
        "some.password={secret}",
        "some.token={secret}",
    ] {
        let option = option.replace("{secret}", Http::PASSWORD);
        let words = ["-c", &option, "push", "-f", "origin", "main"];
        let mut command = ground.push_command(&plot.tree(), [""; 0]);
        command = {
            let mut as_git = std::process::Command::new(links.join("git"));
            as_git.args(words).current_dir(plot.tree()).env_clear();
            for (name, value) in command.get_envs() {
                as_git.env(name, value.unwrap());
            }
            as_git.stdin(Stdio::null());
            as_git
        };
        let ran = Ran::of(&mut command);
        ran.denied();
        assert!(!ran.to_string().contains(Http::PASSWORD), "{option}: {ran}");
    }
    nothing_secret(&ground.scene);
}
