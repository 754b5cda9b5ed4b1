use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::process::Command;

use nix::sys::stat::umask;

use super::*;
use crate::model::time::Timestamp;
use crate::sys::path::Resolver;
use crate::sys::trash::restore;
use crate::sys::{env, process};

const NOW: Timestamp = Timestamp(1_793_491_200_000);

fn pin(path: &Path) -> Pinned {
    Resolver::default().resolve(path.as_os_str()).unwrap()
}

fn choose(path: &Path, home: &Path) -> Result<Can, TrashError> {
    Can::for_entry(&pin(path), home, process::uid())
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let keep = tempfile::tempdir().unwrap();
    let base = path::canonical(keep.path()).unwrap();
    (keep, base)
}

/// Runs the rest of a test where it may mount things: this test again, as its own process in a
/// mount namespace, in an empty directory. `script` comes before it, in that directory.
#[expect(clippy::print_stdout, reason = "says what is skipped")]
fn where_mounting_is_allowed(test: &str, script: &str, rest: impl FnOnce(&Path)) {
    if let Some(place) = env::bytes("PVM_TEST_INNER") {
        return rest(Path::new(&place));
    }
    let (_keep, base) = scratch();
    let unshared = || {
        let mut command = Command::new("unshare");
        if process::uid() != 0 {
            command.args(["--user", "--map-root-user"]);
        }
        command
            .args(["--mount", "/bin/sh", "-ec"])
            .current_dir(&base);
        command
    };
    let probe = unshared().arg("mount -t tmpfs tmpfs .").output();
    if !probe.is_ok_and(|output| output.status.success()) {
        println!("skipped: {test} needs a mount namespace");
        return;
    }
    let test = format!("sys::trash::can::tests::{test}");
    let script = format!("{script}\nexec \"$0\" --exact {test}");
    let output = unshared()
        .arg(script)
        .arg(std::env::current_exe().unwrap())
        .env("PVM_TEST_INNER", &base)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("1 passed"), "{text}{errors}");
}

#[test]
fn path_39_a_home_trash_that_is_a_link_or_open_to_others_is_unusable() {
    let (_keep, base) = scratch();
    let uid = process::uid();
    fs::create_dir_all(base.join("home/.local/share/Trash/files")).unwrap();
    fs::create_dir_all(base.join("real/share/Trash")).unwrap();
    fs::write(base.join("f"), "").unwrap();
    let home = base.join("home");
    let steps = [
        "",
        ".local",
        ".local/share",
        ".local/share/Trash",
        ".local/share/Trash/files",
    ];
    for step in steps {
        set_mode(&home.join(step), 0o700);
    }
    let pinned = pin(&base.join("f"));
    let reach = Reach::of(&*pinned.parent).unwrap();
    let at_home = || Chooser { reach, uid }.at_home(&home);
    let fault = |at: &str, why: Fault| {
        let refused = at_home().unwrap_err();
        let path = home.join(at);
        assert_eq!(refused, Unusable { path, why });
    };
    for step in steps {
        set_mode(&home.join(step), 0o720);
        fault(step, Fault::WritableByOthers(0o720));
        set_mode(&home.join(step), 0o700);
    }
    // trash-cli makes it so, with both halves closed.
    let trash = home.join(".local/share/Trash");
    set_mode(&trash, 0o755);
    assert!(at_home().unwrap().is_some());
    for half in ["files", "info"] {
        set_mode(&trash.join(half), 0o750);
        let at = format!(".local/share/Trash/{half}");
        fault(&at, Fault::NotPrivate(0o750));
        set_mode(&trash.join(half), 0o700);
    }
    set_mode(&trash, 0o700);
    for step in steps.into_iter().skip(1) {
        let aside = base.join("aside");
        fs::rename(home.join(step), &aside).unwrap();
        symlink(&aside, home.join(step)).unwrap();
        fault(step, Fault::Link);
        fs::remove_file(home.join(step)).unwrap();
        fs::write(home.join(step), "").unwrap();
        fault(step, Fault::NotADirectory);
        fs::remove_file(home.join(step)).unwrap();
        fs::rename(&aside, home.join(step)).unwrap();
    }
    assert!(at_home().unwrap().is_some());
}

#[test]
fn a_home_that_a_link_leads_to_has_a_trash() {
    let (_keep, base) = scratch();
    fs::create_dir(base.join("real")).unwrap();
    symlink("real", base.join("home")).unwrap();
    fs::write(base.join("f"), "").unwrap();
    let can = choose(&base.join("f"), &base.join("home")).unwrap();
    assert_eq!(can.path, base.join("real/.local/share/Trash"));
    assert_eq!(can.passed_over, []);
}

#[test]
fn env_28_no_umask_changes_what_is_made() {
    let test = "env_28_no_umask_changes_what_is_made";
    // In a process of its own, because the umask is for all threads.
    where_mounting_is_allowed(test, "", |base| {
        for mask in [0, 0o777, 0o277, 0o022] {
            let base = base.join(mask.to_string());
            let (home, file) = (base.join("home"), base.join("f"));
            fs::create_dir_all(&home).unwrap();
            set_mode(&home, 0o700);
            fs::write(&file, "").unwrap();
            let pinned = pin(&file);
            let before = umask(Mode::from_bits_truncate(mask));
            let can = Can::for_entry(&pinned, &home, 0).unwrap();
            let trashed = can.put(&pinned, NOW).unwrap();
            umask(before);
            for step in [".local", ".local/share", ".local/share/Trash"] {
                assert_eq!(mode(&home.join(step)), 0o700, "{step}, umask {mask:o}");
            }
            for half in ["files", "info"] {
                assert_eq!(mode(&can.path.join(half)), 0o700, "{half}, umask {mask:o}");
            }
            assert_eq!(mode(&trashed.info), 0o600);
        }
    });
}

/// Mounts a file system of its own at `disk`, and leaves the home outside of it.
const DISK: &str = "mkdir -m 755 home disk; mount -t tmpfs tmpfs disk; mkdir -p disk/d; >disk/d/f";

#[test]
fn on_another_file_system_the_trash_is_at_the_mount_point() {
    let test = "on_another_file_system_the_trash_is_at_the_mount_point";
    where_mounting_is_allowed(test, DISK, |base| {
        let path = base.join("disk/d/f");
        let pinned = pin(&path);
        let can = Can::for_entry(&pinned, &base.join("home"), 0).unwrap();
        let trashed = can.put(&pinned, NOW).unwrap();
        assert_eq!(trashed.file, base.join("disk/.Trash-0/files/f"));
        assert_eq!(mode(&base.join("disk/.Trash-0")), 0o700);
        let note = fs::read_to_string(&trashed.info).unwrap();
        assert!(note.contains("\nPath=d/f\n"), "{note}");
        assert_eq!(can.passed_over, []);
        assert_eq!(fs::read_dir(base.join("home")).unwrap().count(), 0);
        restore(&trashed.file, &trashed.info, &path).unwrap();
        assert!(path.exists());
    });
}

#[test]
fn another_mount_of_the_same_file_system_has_its_own_trash() {
    let test = "another_mount_of_the_same_file_system_has_its_own_trash";
    let script = "mkdir -m 755 home disk again; >disk/f; mount --bind disk again";
    where_mounting_is_allowed(test, script, |base| {
        let pinned = pin(&base.join("again/f"));
        let can = Can::for_entry(&pinned, &base.join("home"), 0).unwrap();
        can.put(&pinned, NOW).unwrap();
        assert!(base.join("disk/.Trash-0/files/f").exists());
    });
}

#[test]
fn path_39_the_shared_trash_of_a_disk_must_be_sticky() {
    let test = "path_39_the_shared_trash_of_a_disk_must_be_sticky";
    where_mounting_is_allowed(test, DISK, |base| {
        let (path, shared) = (base.join("disk/d/f"), base.join("disk/.Trash"));
        let chosen = || choose(&path, &base.join("home")).unwrap();
        let (own, within) = (base.join("disk/.Trash-0"), shared.join("0"));
        let passed_over = |why: Fault| {
            let can = chosen();
            assert_eq!(can.path, own);
            let path = shared.clone();
            assert_eq!(can.passed_over, [Unusable { path, why }]);
            assert!(!within.exists());
        };
        fs::create_dir(&shared).unwrap();
        set_mode(&shared, 0o777);
        passed_over(Fault::NotSticky(0o777));
        fs::rename(&shared, base.join("disk/aside")).unwrap();
        set_mode(&base.join("disk/aside"), 0o1777);
        symlink("aside", &shared).unwrap();
        passed_over(Fault::Link);
        fs::remove_file(&shared).unwrap();
        fs::write(&shared, "").unwrap();
        passed_over(Fault::NotADirectory);
        fs::remove_file(&shared).unwrap();
        fs::rename(base.join("disk/aside"), &shared).unwrap();
        // In a user namespace there is nobody else.
        if chown(&shared, Some(1234), None).is_ok() {
            passed_over(Fault::Owner(1234));
            chown(&shared, Some(0), None).unwrap();
        }
        let can = chosen();
        assert_eq!((can.path, can.passed_over), (within.clone(), Vec::new()));
        assert_eq!(mode(&within), 0o700);
        let pinned = pin(&path);
        let trashed = chosen().put(&pinned, NOW).unwrap();
        let note = fs::read_to_string(&trashed.info).unwrap();
        assert!(note.contains("\nPath=d/f\n"), "{note}");
        restore(&trashed.file, &trashed.info, &path).unwrap();
        assert!(path.exists());
        set_mode(&within, 0o770);
        assert_eq!(chosen().path, own);
    });
}

#[test]
fn path_39_where_no_place_is_fit_each_is_named() {
    let test = "path_39_where_no_place_is_fit_each_is_named";
    where_mounting_is_allowed(test, DISK, |base| {
        let path = base.join("disk/d/f");
        symlink("d", base.join("disk/.Trash")).unwrap();
        symlink("d", base.join("disk/.Trash-0")).unwrap();
        let refused = choose(&path, &base.join("home")).unwrap_err();
        let base = base.display();
        let expected = format!(
            "no trash can take it: {base}/home/.local: it is on another file system or mount; \
             {base}/disk/.Trash: it is a link; {base}/disk/.Trash-0: it is a link"
        );
        assert_eq!(refused.to_string(), expected);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    });
}

#[test]
fn a_mount_over_the_mount_point_is_not_the_entrys_own() {
    let test = "a_mount_over_the_mount_point_is_not_the_entrys_own";
    let script = format!("{DISK}; cd disk/d; mount -t tmpfs tmpfs ..");
    where_mounting_is_allowed(test, &script, |base| {
        let pinned = Resolver::default().resolve(OsStr::new("f")).unwrap();
        let refused = Can::for_entry(&pinned, &base.join("home"), 0).unwrap_err();
        assert!(matches!(refused, TrashError::NoCan(_)), "{refused}");
        assert_eq!(fs::read_dir(base.join("disk")).unwrap().count(), 0);
    });
}

#[test]
fn a_read_only_file_system_is_no_place() {
    let test = "a_read_only_file_system_is_no_place";
    let script = format!("{DISK}; mount -o remount,bind,ro disk");
    where_mounting_is_allowed(test, &script, |base| {
        let refused = choose(&base.join("disk/d/f"), &base.join("home")).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains(".Trash-0: Read-only file system"), "{text}");
    });
}

#[test]
fn path_40_a_directory_that_would_have_to_be_copied_stays() {
    let test = "path_40_a_directory_that_would_have_to_be_copied_stays";
    let script = "mkdir -m 755 home disk; mount -t tmpfs tmpfs disk; cd disk; \
        mkdir -p lower/d upper work all; >lower/d/f; >lower/f; \
        mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,redirect_dir=off all \
        || echo no overlay here";
    where_mounting_is_allowed(test, script, |base| {
        let all = base.join("disk/all");
        let pinned = match fs::exists(all.join("d")) {
            Ok(true) => pin(&all.join("d")),
            _ => return,
        };
        let can = Can::for_entry(&pinned, &base.join("home"), 0).unwrap();
        let refused = can.put(&pinned, NOW).unwrap_err();
        assert!(matches!(refused, TrashError::NeedsCopy(_)), "{refused}");
        assert!(all.join("d/f").exists());
        let left = |half| fs::read_dir(can.path.join(half)).unwrap().count();
        assert_eq!((left("files"), left("info")), (0, 0));
        can.put(&pin(&all.join("f")), NOW).unwrap();
        assert!(!all.join("f").exists());
    });
}

#[test]
fn what_may_not_be_moved_leaves_no_note() {
    let (_keep, base) = scratch();
    for name in ["home", "d"] {
        fs::create_dir(base.join(name)).unwrap();
        set_mode(&base.join(name), 0o700);
    }
    fs::write(base.join("d/f"), "").unwrap();
    let pinned = pin(&base.join("d/f"));
    let can = Can::for_entry(&pinned, &base.join("home"), process::uid()).unwrap();
    set_mode(&base.join("d"), 0o500);
    let put = can.put(&pinned, NOW);
    set_mode(&base.join("d"), 0o700);
    if process::uid() == 0 {
        return;
    }
    let error = Errno::EACCES;
    assert!(matches!(put, Err(TrashError::System { error: e, .. }) if e == error));
    assert_eq!(fs::read_dir(can.path.join("info")).unwrap().count(), 0);
}
