//! Which file an operand is: decided by the kernel and not by its spelling, by component, and never
//! one of pvm's own.

mod mounts;
mod own;
mod trees;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::rm::plain_rm;
use crate::support::{Ran, Scene, tree};

#[test]
fn path_01_and_02_a_scope_ends_at_a_component() {
    let scene = Scene::new();
    scene
        .files(["x/f", "xy/f", "X/f", "x-/f", "f"])
        .grant(scene.work("x"));
    let outside: [&[&str]; 9] = [
        &["xy/f"],
        &["xy"],
        &["X/f"],
        &["x-/f"],
        &["x/../f"],
        &["x/../xy/f"],
        &["x/./../xy"],
        // The grant is looked up for the first operand, and has to be judged for the second.
        &["x/f", "xy/f"],
        &["x", "xy"],
    ];
    for words in outside {
        let ran = scene.safe_rm(["-rf"].iter().chain(words));
        ran.denied().says("no active grant covers");
        assert_eq!(tree(&scene.work("")).len(), 9, "{words:?}");
    }
    scene.safe_rm(["-rf", "xy/../x"]).succeeded();
    assert_eq!(tree(&scene.work("")).len(), 7);
}

#[test]
fn path_03_and_06_links_on_the_way_lead_where_the_kernel_says() {
    let scene = Scene::new();
    scene
        .files(["outside/deep/", "outside/victim", "x/victim", "x/own"])
        .grant(scene.work("x"));
    symlink(scene.work("outside/deep"), scene.work("x/link")).unwrap();
    symlink("x", scene.work("alias")).unwrap();
    for word in [
        "x/link/../victim",
        "x/link/../deep",
        "x/link/",
        "alias/link/../victim",
    ] {
        scene.safe_rm(["-rf", word]).denied();
        assert!(scene.work("outside/victim").exists() && scene.work("outside/deep").exists());
    }
    let outside = scene.work("outside/victim").display().to_string();
    scene
        .safe_rm(["-f", "x/link/../victim"])
        .denied()
        .says(&outside);
    assert_eq!(scene.last_entry()["scopes"][0], outside);

    scene.safe_rm(["-f", "alias/own"]).succeeded();
    assert!(
        !scene.work("x/own").exists(),
        "a link into the scope is another name for it"
    );
    Ran::of(&mut plain_rm(&["-f", "x/link/../victim"], &scene.work(""))).exited(0);
    assert!(!scene.work("outside/victim").exists() && scene.work("x/victim").exists());
}

#[test]
fn path_04_05_and_12_only_the_name_goes() {
    let scene = Scene::new();
    scene
        .files(["target/f", "file", "x/"])
        .grant(scene.work("x"));
    symlink(scene.work("target"), scene.work("x/link")).unwrap();
    symlink("nowhere", scene.work("x/dangling")).unwrap();
    symlink("loop", scene.work("x/loop")).unwrap();
    fs::hard_link(scene.work("file"), scene.work("x/second")).unwrap();
    scene
        .safe_rm(["-rf", "x/link", "x/dangling", "x/loop", "x/second"])
        .succeeded();
    assert_eq!(tree(&scene.work("x")).len(), 0);
    assert!(scene.work("target/f").exists() && scene.work("file").exists());

    symlink("../x", scene.work("target/in")).unwrap();
    scene.safe_rm(["target/in"]).denied();
    assert!(
        scene.work("target/in").is_symlink(),
        "a link out of scope stays, wherever it leads"
    );
}

#[test]
fn path_17_and_18_what_the_kernel_shows_is_no_file_of_anybody() {
    let scene = Scene::new();
    scene.files(["f"]).grant(scene.work(""));
    let work = scene.work("").display().to_string();
    let descriptor = File::open(scene.work("")).unwrap();
    let pid = std::process::id();
    let magic = [
        format!("/proc/self/root{work}f"),
        format!("/proc/{pid}/cwd/f"),
        format!("/proc/{pid}/root{work}f"),
        format!(
            "/proc/{pid}/fd/{}/f",
            std::os::fd::AsRawFd::as_raw_fd(&descriptor)
        ),
    ];
    let kernel = [
        "/proc/1/status",
        "/proc/self/fd/0",
        "/sys/kernel",
        "/dev/null",
        "/dev/pts/0",
    ];
    let words = magic
        .iter()
        .map(|word| (word.as_str(), "Too many symbolic links"));
    let kernel = kernel.map(|word| (word, "on a file system of the kernel or of devices"));
    for (word, why) in words.chain(kernel) {
        scene.safe_rm(["-f", word]).denied().says(why);
        assert!(scene.work("f").exists(), "{word}");
        assert_eq!(scene.last_entry()["decision"], "DENIED");
    }
    Ran::of(&mut plain_rm(&["-f", &magic[0]], &scene.work(""))).exited(0);
    assert!(
        !scene.work("f").exists(),
        "plain rm goes through the magic link"
    );
}

/// Runs a command in a directory that is gone by then. `$0` is what to run.
fn in_a_deleted_directory(scene: &Scene, words: [&str; 2]) -> Ran {
    fs::create_dir_all(scene.work("gone")).unwrap();
    let mut command = Command::new("/bin/sh");
    let script = "cd gone && rmdir ../gone && exec \"$0\" \"$@\"";
    command.env_clear().env("PATH", scene.search_path());
    Ran::of(
        command
            .args(["-c", script])
            .args(words)
            .current_dir(scene.work("")),
    )
}

#[test]
fn path_19_a_deleted_working_directory_refuses() {
    let scene = Scene::new();
    scene.files(["f"]).grant(scene.work(""));
    let absolute = scene.work("f").display().to_string();
    for word in ["../f", "f", &absolute] {
        let ran = in_a_deleted_directory(&scene, ["safe-rm", word]);
        ran.exited(1).says("the working directory cannot be named");
        assert!(scene.work("f").exists(), "{word}");
        let entry = scene.last_entry();
        assert_eq!(entry["decision"], "DENIED");
        assert!(entry["cwd"].is_null(), "{entry}");
    }
    in_a_deleted_directory(&scene, ["/usr/bin/rm", "../f"]).exited(0);
    assert!(!scene.work("f").exists(), "plain rm finds its way");
}

#[test]
fn path_21_pwd_has_no_say() {
    let scene = Scene::new();
    scene.files(["a/f", "b/f"]).grant(scene.work("a"));
    let mut command = scene.command("safe-rm");
    command
        .arg("f")
        .current_dir(scene.work("b"))
        .env("PWD", scene.work("a"));
    Ran::of(&mut command).denied();
    assert_eq!(
        scene.last_entry()["cwd"],
        scene.work("b").display().to_string()
    );
    assert!(scene.work("a/f").exists() && scene.work("b/f").exists());
}

#[test]
fn path_32_and_45_a_directory_lends_nothing_to_what_is_typed_in_it() {
    let scene = Scene::new();
    scene.files(["x/f", "f"]).grant(scene.work("x"));
    let from_inside = |word: &str| {
        let mut command = scene.command("safe-rm");
        Ran::of(command.args(["-f", word]).current_dir(scene.work("x")))
    };
    let (outside, inside) = (scene.work("f"), scene.work("x/f"));
    from_inside(outside.to_str().unwrap()).denied();
    from_inside("../f").denied();
    assert!(outside.exists());
    from_inside(inside.to_str().unwrap()).succeeded();
    assert!(!inside.exists());
    let mut command = scene.command("safe-rm");
    Ran::of(command.arg("f").current_dir(scene.work(""))).denied();
}

#[test]
fn path_22_names_that_are_too_long_are_refused() {
    let scene = Scene::new();
    scene.files(["f"]).grant(scene.work(""));
    let long = [
        "n".repeat(256),
        "d/".repeat(2100) + "f",
        "./".repeat(2048) + "f",
    ];
    for word in &long {
        scene
            .safe_rm(["-f", "f", word])
            .denied()
            .says("File name too long");
        assert!(scene.work("f").exists());
    }
    scene.safe_rm(["-f", &"n".repeat(255)]).succeeded();
    scene
        .safe_rm([("./".repeat(2047) + "f").as_str()])
        .succeeded();
    assert!(!scene.work("f").exists());
}

#[test]
fn path_24_and_25_names_are_compared_byte_for_byte() {
    let scene = Scene::new();
    let (composed, decomposed) = ("\u{e9}/f", "e\u{301}/f");
    scene
        .files(["build/f", "Build/f", composed, decomposed])
        .grant(scene.work("Build"));
    scene.grant(scene.work("\u{e9}"));
    for word in ["build/f", decomposed] {
        scene.safe_rm([word]).denied();
    }
    for word in ["Build/f", composed] {
        scene.safe_rm([word]).succeeded();
    }
    assert!(scene.work("build/f").exists() && scene.work(decomposed).exists());
}

#[test]
fn path_26_and_28_scopes_that_are_no_clear_place_are_not_granted() {
    let scene = Scene::new();
    scene.files(["d/"]);
    symlink("d", scene.work("link")).unwrap();
    let link = scene.work("link").display().to_string();
    let up = scene.work("d/..").display().to_string();
    // The last one is a home directory that every password database has.
    let scopes = [
        "",
        "/",
        "//",
        "/.",
        "/tmp/..",
        "tmp",
        "./d",
        "/proc/self",
        &link,
        &up,
        "/root",
    ];
    for scope in scopes {
        let ran = scene.pvm(["grant", "--scope", scope, "--ttl", "1m"]);
        ran.exited(2);
        assert_eq!(ran.stdout, b"", "{scope}");
    }
    assert!(
        scene
            .trail()
            .iter()
            .all(|entry| entry["event_type"] != "APPROVAL")
    );
}

#[test]
fn path_29_spellings_of_one_scope_are_one_scope() {
    let scene = Scene::new();
    scene.files(["d/"]);
    let plain = scene.work("d").display().to_string();
    for end in ["d/", "./d", "/d", "/./d/.//", "d/."] {
        scene.grant(scene.work("").join(".").display().to_string() + "/" + end);
        let entry = scene.last_entry();
        assert_eq!(entry["scopes"][0], plain, "{end}");
    }
}

#[test]
fn path_38_a_trailing_slash_on_what_is_no_directory_is_refused() {
    let scene = Scene::new();
    scene.files(["f"]).grant(scene.work(""));
    for word in ["f/", "f//", "./f/"] {
        scene.safe_rm(["-f", word]).denied().says("trailing slash");
    }
    scene
        .safe_rm(["-f", "f/x"])
        .denied()
        .says("Not a directory");
    scene.safe_rm(["-f", "missing/"]).succeeded();
    Ran::of(&mut plain_rm(&["-f", "f/"], &scene.work(""))).exited(0);
    assert!(
        scene.work("f").exists(),
        "plain rm -f keeps the file and says nothing"
    );
}
