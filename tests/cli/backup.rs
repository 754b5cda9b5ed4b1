use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::{Ran, Scene};

fn used() -> Scene {
    let scene = Scene::new();
    scene.files(["victim"]);
    scene.grant(scene.work("d"));
    scene.safe_rm(["victim"]).denied();
    scene
}

#[test]
fn db_21_the_copy_is_a_vault_with_everything_in_it() {
    let scene = used();
    let trail = scene.trail();
    let directory = scene.path("copy");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    let copy = directory.join("vault.db");
    let ran = scene.pvm(["backup", copy.to_str().unwrap()]);
    assert_eq!(
        ran.succeeded().stdout_text(),
        format!("copied the vault to {}\n", copy.display())
    );
    let status = fs::metadata(&copy).unwrap();
    assert_eq!(status.permissions().mode() & 0o7777, 0o600);
    assert_eq!(
        fs::read_dir(&directory).unwrap().count(),
        1,
        "nothing is left beside it"
    );

    // The source stays usable, and what happens to it then is not in the copy.
    scene.safe_rm(["victim"]).denied();
    scene.assert_trail_intact();

    let more = format!(
        "vault.path = \"{}\"\napprover.unattended = true\n",
        copy.display()
    );
    scene.configure_as(&more);
    assert_eq!(scene.trail(), trail);
    scene.assert_trail_intact();
    let json = scene.pvm(["status", "--json"]).succeeded().json();
    assert_eq!(json["grants"].as_array().unwrap().len(), 1);
    scene.grant(scene.work("e"));
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let scene = used();
    let vault = fs::read(scene.vault()).unwrap();
    fs::write(scene.work("file"), "mine").unwrap();
    symlink("nowhere", scene.work("link")).unwrap();
    for name in ["file", "link", "."] {
        let ran = scene.pvm(["backup", scene.work(name).to_str().unwrap()]);
        ran.exited(2)
            .says("File exists")
            .says("name a file that does not exist yet");
    }
    let own = scene.vault();
    scene
        .pvm(["backup", own.to_str().unwrap()])
        .exited(2)
        .says("File exists");
    assert_eq!(fs::read(scene.work("file")).unwrap(), b"mine");
    assert!(!scene.work("nowhere").exists());
    assert_eq!(fs::read(own).unwrap(), vault);
}

#[test]
fn a_place_where_nothing_can_be_made_is_named() {
    let scene = used();
    let ran = scene.pvm(["backup", "/no/such/directory/copy"]);
    ran.exited(2)
        .says("pvm: cannot make /no/such/directory/copy: No such file or directory");
    scene.pvm(["backup", ""]).exited(2);
    scene.pvm(["backup"]).exited(2);
}

#[test]
fn a_name_with_a_meaning_for_sqlite_is_a_name_like_any_other() {
    let scene = used();
    for name in [":memory:", "file:copy?mode=memory", "a b", "-"] {
        let mut command = scene.command("pvm");
        Ran::of(command.args(["backup", "--", name])).succeeded();
        let copy = fs::read(scene.work(name)).unwrap();
        assert!(copy.starts_with(b"SQLite format 3\0"), "{name}");
    }
}
