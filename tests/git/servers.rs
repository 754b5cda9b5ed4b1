//! Real servers: what a URL means to git is what pvm says about it.

use super::Ground;
use crate::support::{C, D, Daemon, Http, Plot, Ran, Scene, Ssh, append, git, refs};

/// Puts a repository where a server has it as `o/r.git`.
fn serve(ground: &Ground, name: &str) -> Plot {
    let plot = ground.plot(name, "");
    let at = plot.path("srv/o/r.git");
    crate::support::copy_all(&plot.origin(), &at);
    append(&at.join("config"), "[http]\n\treceivepack = true\n");
    plot
}

/// The harness itself: an unguarded push reaches the repository, by force too.
fn plain_reaches(plot: &Plot, url: &str) {
    let tree = plot.tree();
    let ran = Ran::of(&mut git(&tree, ["push", url, "new", "main"]));
    ran.exited(1).says("non-fast-forward");
    let served = plot.path("srv/o/r.git");
    assert_eq!(refs(&served)["refs/heads/new"], C);
    Ran::of(&mut git(&tree, ["push", "-f", url, "main", ":new"])).exited(0);
    assert_eq!(refs(&served)["refs/heads/main"], C);
    Ran::of(&mut git(
        &tree,
        [
            "push",
            "-f",
            url,
            "refs/remotes/origin/main:refs/heads/main",
        ],
    ))
    .exited(0);
    assert_eq!(refs(&served)["refs/heads/main"], D);
}

/// Every spelling is one repository: refused without a grant, allowed with one on it, and what is
/// overwritten is kept. A plain push goes.
#[track_caller]
fn guarded(ground: &Ground, plot: &Plot, canonical: &str, spellings: &[String]) {
    let served = plot.path("srv/o/r.git");
    for spelling in spellings {
        let before = refs(&served);
        ground.refuses(plot, &["-f", spelling, "main"], canonical);
        assert_eq!(refs(&served), before, "{spelling}");
    }
    for spelling in spellings {
        let branch = format!("by-{}", spelling.len());
        let words = [spelling.clone(), format!("new:refs/heads/{branch}")];
        ground.push(plot, &words).exited(0);
        assert_eq!(refs(&served)[&format!("refs/heads/{branch}")], C);
        let scopes = ground.ran("git-push")["scopes"].clone();
        let expected = format!("{canonical}#refs/heads/{branch}");
        assert_eq!(scopes, serde_json::json!([expected]));
    }
    ground.grant_force(&format!("{canonical}#refs/heads/main"));
    for spelling in spellings {
        ground.refuses(plot, &["-f", spelling, "topic"], canonical);
        let words = ["-f", spelling.as_str(), "main"];
        ground.push(plot, words).exited(0);
        assert_eq!(refs(&served)["refs/heads/main"], C);
        let entry = ground.ran("git-push-force");
        assert!(
            entry["kept_refs"][0].as_str().unwrap().contains(D),
            "{entry}"
        );
        let back = [
            "push",
            "-q",
            "-f",
            "../srv/o/r.git",
            "refs/remotes/origin/main:refs/heads/main",
        ];
        Ran::of(&mut git(&plot.tree(), back)).exited(0);
    }
}

#[test]
fn p_d26_over_http_with_a_password() {
    let ground = Ground::new();
    let plot = serve(&ground, "one");
    let Some(http) = Http::start(&plot.path("srv"), &ground.scene.path("http")) else {
        return;
    };
    let (with, host) = (http.with_credentials(), http.authority());
    plain_reaches(&plot, &format!("http://{with}/o/r.git"));
    guarded(
        &ground,
        &plot,
        &format!("{host}/o/r"),
        &[
            format!("http://{with}/o/r.git"),
            format!("http://{with}/o//r.git/"),
            format!("HTTP://{with}/o/r.git").replace("HTTP", "http"),
        ],
    );
    nothing_secret(&ground.scene);
}

#[test]
fn p_d26_over_ssh_in_every_spelling() {
    let ground = Ground::new();
    let plot = serve(&ground, "one");
    let Some(ssh) = Ssh::start(&ground.scene.path("ssh")) else {
        return;
    };
    plot.configure(&ssh.configuration());
    let host = ssh.authority();
    let served = plot.path("srv/o/r.git").display().to_string();
    plain_reaches(&plot, &format!("ssh://{host}{served}"));
    guarded(
        &ground,
        &plot,
        &format!("{host}{}", served.trim_end_matches(".git")),
        &[
            format!("ssh://{host}{served}"),
            format!("ssh://git@{host}{served}"),
            format!("git+ssh://git@{host}{served}/"),
            format!("ssh+git://{host}/{served}"),
        ],
    );
    // Without a port in the URL it is another name, though the client's options lead to the same.
    let scopes = ground.refuses(
        &plot,
        &["-f", &format!("git@127.0.0.1:{served}"), "main"],
        "127.0.0.1",
    )["scopes"]
        .clone();
    let path = served.trim_end_matches(".git");
    assert_eq!(
        scopes,
        serde_json::json!([format!("127.0.0.1{path}#refs/heads/main")])
    );
}

#[test]
fn p_d26_over_the_git_protocol() {
    let ground = Ground::new();
    let plot = serve(&ground, "one");
    let daemon = Daemon::start(&plot.path("srv"));
    let host = daemon.authority();
    plain_reaches(&plot, &format!("git://{host}/o/r.git"));
    guarded(
        &ground,
        &plot,
        &format!("{host}/o/r"),
        &[format!("git://{host}/o/r.git"), format!("git://{host}/o/r")],
    );
}

/// Asserts that the password is nowhere in what the installation wrote.
#[track_caller]
pub(super) fn nothing_secret(scene: &Scene) {
    let state = scene.path("state");
    for file in crate::support::tree(&state) {
        let path = state.join(&file);
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes
                .windows(Http::PASSWORD.len())
                .any(|window| window == Http::PASSWORD.as_bytes());
            assert!(!found, "the password is in {}", path.display());
        }
    }
    for words in [
        &["audit", "--json", "--limit", "1000"] as &[&str],
        &["audit", "export", "--format", "csv"],
        &["status"],
    ] {
        let ran = scene.pvm(words);
        assert!(
            !ran.to_string().contains(Http::PASSWORD),
            "{words:?}: {ran}"
        );
    }
}
