use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Ran, Scene, Started, copy, is_root, root, script};

/// Runs a command with this PATH behind pvm's own names.
fn with_path(scene: &Scene, path: &str, words: &[&str]) -> Ran {
    let mut command = scene.command("safe-rm");
    Ran::of(command.args(words).env("PATH", path))
}

/// Runs what a shell would take for `rm` on this PATH.
fn unguarded(scene: &Scene, path: &str) -> Ran {
    let mut command = Command::new("/usr/bin/env");
    command
        .args(["rm", "--version"])
        .env_clear()
        .env("PATH", path)
        .current_dir(scene.work(""));
    Ran::of(&mut command)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Puts a program into the trusted directory of stand-ins that can be changed without harm.
fn own_copy(scene: &Scene) -> PathBuf {
    let real = scene.stand_in("fake-tool", "");
    let program = fs::canonicalize(&real).unwrap();
    copy(&program, &scene.path("spare"));
    fs::rename(scene.path("spare"), &real).unwrap();
    real
}

fn planted_script(scene: &Scene, text: &str) -> PathBuf {
    let real = own_copy(scene);
    script(text, &real);
    real
}

/// Plants an `rm` and returns where PATH finds it.
type Plant = fn(&Scene) -> PathBuf;

const PLANTS: [(&str, Plant); 13] = [
    ("in a directory that nobody trusts", |scene| {
        scene.fake("fake-tool", "rm")
    }),
    ("it is a script", |scene| {
        planted_script(scene, "#!/bin/sh\necho hijacked\n")
    }),
    ("it is not an ELF program", |scene| {
        planted_script(scene, "echo hijacked\n")
    }),
    ("it is not an ELF program", |scene| {
        planted_script(scene, "")
    }),
    ("it is setuid, setgid", |scene| {
        let real = own_copy(scene);
        set_mode(&real, 0o4755);
        real
    }),
    ("it is setuid, setgid", |scene| {
        let real = own_copy(scene);
        set_mode(&real, 0o2755);
        real
    }),
    ("rm can be written by others (mode 0775)", |scene| {
        let real = own_copy(scene);
        set_mode(&real, 0o775);
        real
    }),
    ("rm can be written by others (mode 0757)", |scene| {
        let real = own_copy(scene);
        set_mode(&real, 0o757);
        real
    }),
    ("fakes can be written by others (mode 0777)", |scene| {
        let real = own_copy(scene);
        set_mode(&scene.path("fakes"), 0o777);
        real
    }),
    ("fakes can be written by others (mode 1777)", |scene| {
        let real = own_copy(scene);
        let below = scene.path("fakes/below");
        fs::create_dir(&below).unwrap();
        set_mode(&below, 0o755);
        fs::rename(real, below.join("rm")).unwrap();
        set_mode(&scene.path("fakes"), 0o1777);
        below.join("rm")
    }),
    ("in a directory that nobody trusts", |scene| {
        let real = own_copy(scene);
        fs::rename(&real, scene.work("elsewhere")).unwrap();
        symlink(scene.work("elsewhere"), &real).unwrap();
        real
    }),
    ("in a directory that nobody trusts", |scene| {
        let real = own_copy(scene);
        fs::create_dir(scene.work("way")).unwrap();
        symlink(&real, scene.work("way/on")).unwrap();
        fs::rename(&real, scene.path("fakes/real")).unwrap();
        symlink("real", scene.path("fakes/rm")).unwrap();
        symlink("../work/way/on", scene.path("fakes/first")).unwrap();
        fs::create_dir(scene.path("fakes/links")).unwrap();
        symlink("../first", scene.path("fakes/links/rm")).unwrap();
        scene.path("fakes/links/rm")
    }),
    ("Too many levels of symbolic links", |scene| {
        let real = own_copy(scene);
        // Found by its mode, a loop of links is found by nobody; this one has a program at its end.
        fs::rename(&real, scene.path("fakes/end")).unwrap();
        let mut last = PathBuf::from("end");
        for number in 0..39 {
            let name = format!("step{number}");
            symlink(&last, scene.path("fakes").join(&name)).unwrap();
            last = name.into();
        }
        symlink(&last, &real).unwrap();
        real
    }),
];

#[test]
fn env_03_06_and_08_an_rm_that_is_not_trusted_is_a_hijack() {
    for (number, (why, plant)) in PLANTS.into_iter().enumerate() {
        let scene = Scene::new();
        let hit = plant(&scene);
        scene.files(["f"]).grant(scene.work(""));
        let path = format!("{}:/usr/bin", hit.parent().unwrap().display());
        let ran = with_path(&scene, &path, &["-f", "f"]);
        ran.exited(126)
            .says(&format!("is not trusted: {}", hit.display()));
        // Without a word of trust, /tmp is the reason for root and the owner for everybody else.
        if why != "in a directory that nobody trusts" {
            ran.says(why);
        }
        ran.says("hint: a trusted search gives /usr/bin/rm")
            .says("resolver.trusted_dirs");
        assert!(scene.work("f").exists(), "{number}: {why}");
        let entry = scene.last_entry();
        assert_eq!(entry["event_type"], "HIJACK", "{number}: {why}");
        assert_eq!(entry["decision"], "DENIED");
        assert_eq!(entry["resolved_path"], hit.display().to_string());
        assert_eq!(entry["instead"], "/usr/bin/rm");
        let taken = unguarded(&scene, &path);
        assert!(
            !taken.stdout_text().contains("GNU"),
            "a shell takes the plant: {taken}"
        );
        scene.assert_trail_intact();
    }
}

#[test]
fn env_03_a_program_of_somebody_else_in_a_trusted_directory_is_not_trusted() {
    if !root("a file of another user") {
        return;
    }
    let scene = Scene::new();
    let real = own_copy(&scene);
    scene.files(["f"]).grant(scene.work(""));
    chown(&real, Some(65534), None).unwrap();
    scene
        .safe_rm(["f"])
        .exited(126)
        .says("belongs to uid 65534");
    assert_eq!(scene.last_entry()["event_type"], "HIJACK");
    chown(&real, Some(0), None).unwrap();
    Started::read(&scene.safe_rm(["f"]));
}

#[test]
fn env_08_a_program_with_capabilities_is_not_trusted() {
    let scene = Scene::new();
    let real = own_copy(&scene);
    let mut command = Command::new("setcap");
    command.arg("cap_dac_override=ep").arg(&real);
    if !is_root() || !command.status().is_ok_and(|status| status.success()) {
        println!("skipped: file capabilities need root and setcap");
        return;
    }
    scene.files(["f"]).grant(scene.work(""));
    scene.safe_rm(["f"]).exited(126).says("capabilities");
    assert_eq!(scene.last_entry()["event_type"], "HIJACK");
}

#[test]
fn env_03_a_trusted_directory_is_believed_and_only_that_one() {
    let scene = Scene::new();
    own_copy(&scene);
    scene.files(["f"]).grant(scene.work(""));
    assert_eq!(Started::read(&scene.safe_rm(["f"])).argv, ["rm", "f"]);
    assert!(scene.work("f").exists());
    let fakes = scene.path("fakes").display().to_string();
    assert_eq!(scene.last_entry()["resolved_path"], format!("{fakes}/rm"));
    for trusted in [
        format!("{fakes}2"),
        format!("{fakes}/rm/x"),
        scene.work("").display().to_string(),
    ] {
        scene.configure(&format!("resolver.trusted_dirs = [\"{trusted}\"]"));
        scene.safe_rm(["f"]).exited(126);
    }
}

#[test]
fn env_01_02_and_04_entries_that_mean_here_are_never_searched() {
    let scene = Scene::new();
    scene.grant(scene.work(""));
    for place in ["", "bin"] {
        scene.files(["bin/"]);
        let planted = scene.work(place).join("rm");
        script("#!/bin/sh\necho hijacked\n", &planted);
    }
    let paths = [
        ":/usr/bin",
        "/usr/bin:",
        "/no/such/place::/usr/bin",
        ".:/usr/bin",
        "./bin:/usr/bin",
        "bin:/usr/bin",
        "../work:/usr/bin",
        "~/bin:/usr/bin",
        "",
    ];
    for path in paths {
        scene.files(["f"]);
        with_path(&scene, path, &["f"]).succeeded();
        assert!(!scene.work("f").exists(), "{path:?}");
        assert_eq!(
            scene.last_entry()["resolved_path"],
            "/usr/bin/rm",
            "{path:?}"
        );
    }
    scene.files(["f"]);
    Ran::of(scene.command("safe-rm").arg("f").env_remove("PATH")).succeeded();
    assert!(!scene.work("f").exists());
    for path in [":/usr/bin", "./bin:/usr/bin", "bin:/usr/bin"] {
        assert_eq!(
            unguarded(&scene, path).stdout_text(),
            "hijacked\n",
            "a shell searches {path}"
        );
    }
    scene.files(["f"]);
    for path in [":", "bin", ".:./bin", "/no/such/place"] {
        with_path(&scene, path, &["f"])
            .exited(127)
            .says("no other rm on PATH");
        assert!(scene.work("f").exists());
        assert_eq!(scene.last_entry()["decision"], "DENIED", "{path:?}");
    }
}

#[test]
fn env_05_what_cannot_be_run_is_not_found() {
    let scene = Scene::new();
    scene.grant(scene.work(""));
    let planted = scene.path("fakes/rm");
    let plants: [fn(&Path); 4] = [
        |at| fs::create_dir(at).unwrap(),
        |at| fs::write(at, "#!/bin/sh\n").unwrap(),
        |at| symlink("nowhere", at).unwrap(),
        |at| symlink("rm", at).unwrap(),
    ];
    for plant in plants {
        plant(&planted);
        scene.files(["f"]);
        scene.safe_rm(["f"]).succeeded();
        assert_eq!(scene.last_entry()["resolved_path"], "/usr/bin/rm");
        fs::remove_file(&planted)
            .or_else(|_| fs::remove_dir(&planted))
            .unwrap();
    }
}

#[test]
fn arg_08_pvm_never_takes_itself_for_the_real_command() {
    let scene = Scene::new();
    scene.files(["f"]).grant(scene.work(""));
    let names: [fn(&Scene, &Path); 3] = [
        |_, at| symlink("../bin/pvm", at).unwrap(),
        |_, at| symlink("../bin/safe-rm", at).unwrap(),
        |scene, at| fs::hard_link(scene.path("bin/pvm"), at).unwrap(),
    ];
    let alone = scene.path("fakes").display().to_string();
    for name in names {
        let at = scene.path("fakes/rm");
        name(&scene, &at);
        with_path(&scene, &alone, &["f"])
            .exited(127)
            .says("no other rm on PATH");
        assert!(scene.work("f").exists());
        with_path(&scene, &format!("{alone}:/usr/bin"), &["f"]).succeeded();
        assert!(!scene.work("f").exists());
        scene.files(["f"]);
        fs::remove_file(at).unwrap();
    }
}

#[test]
fn env_03_dots_do_not_lead_out_of_a_trusted_directory() {
    let scene = Scene::new();
    let real = scene.stand_in("fake-tool", "");
    fs::create_dir(scene.path("bad")).unwrap();
    copy(&fs::canonicalize(&real).unwrap(), &scene.path("bad/rm"));
    scene.files(["f"]).grant(scene.work("f"));
    let fakes = real.parent().unwrap().display().to_string();
    for path in ["../bad", ".././bad", "..//bad"] {
        let path = format!("{fakes}/{path}");
        assert!(unguarded(&scene, &path).code.is_some(), "a shell finds it");
        with_path(&scene, &path, &["f"]).exited(126);
        assert_eq!(scene.last_entry()["event_type"], "HIJACK");
        assert!(scene.work("f").exists());
    }
    with_path(&scene, &format!("{fakes}/../bad/..//fakes"), &["f"]).succeeded();
}
