use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};

use super::{beside, open, refused, scene};
use crate::support::{Random, Scene};

const PAGE: usize = 4096;

type Damage = fn(Vec<u8>) -> Vec<u8>;

#[test]
fn db_04_what_is_no_whole_database_is_refused() {
    let whole = |scene: &Scene| {
        drop(open(scene));
        fs::read(scene.vault()).unwrap()
    };
    let damages: [(&str, Damage); 7] = [
        ("nothing", |_| Vec::new()),
        ("one byte", |_| vec![0]),
        ("a text", |_| b"not a database\n".repeat(1000)),
        ("zeros", |bytes| vec![0; bytes.len()]),
        ("the first page", |bytes| bytes[..PAGE].to_vec()),
        ("the first half", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("all but the last page", |bytes| {
            bytes[..bytes.len() - PAGE].to_vec()
        }),
    ];
    for (what, damage) in damages {
        let scene = scene();
        let bytes = damage(whole(&scene));
        fs::write(scene.vault(), bytes).unwrap();
        refused(&scene, what, "the vault");
    }
}

/// Removes a file with the vault as it is: whatever the damage, it goes with an entry or stays.
#[track_caller]
fn goes_with_an_entry_or_stays(scene: &Scene, what: &str) {
    File::create(scene.work("file")).unwrap();
    let ran = scene.safe_rm(["file"]);
    assert!(matches!(ran.code, Some(0 | 1 | 125)), "{what}: {ran}");
    assert!(!ran.stderr_text().contains("panicked"), "{what}: {ran}");
    assert_eq!(
        scene.work("file").exists(),
        ran.code != Some(0),
        "{what}: {ran}"
    );
    for verb in [&["status"][..], &["audit", "verify"], &["audit", "--json"]] {
        let ran = scene.pvm(verb);
        assert!(matches!(ran.code, Some(0 | 2 | 125)), "{what}: {ran}");
        assert!(!ran.stderr_text().contains("panicked"), "{what}: {ran}");
    }
}

#[test]
fn db_04_a_page_that_turned_to_garbage_lets_nothing_through_unrecorded() {
    let scene = scene();
    for _ in 0..30 {
        File::create(scene.work("file")).unwrap();
        scene.safe_rm(["file"]).succeeded();
    }
    drop(open(&scene));
    let whole = fs::read(scene.vault()).unwrap();
    for page in 0..whole.len() / PAGE {
        for garbage in [0, 0xff] {
            let mut bytes = whole.clone();
            bytes[page * PAGE..(page + 1) * PAGE].fill(garbage);
            fs::write(scene.vault(), bytes).unwrap();
            fs::write(beside(&scene, "-wal"), "").unwrap();
            goes_with_an_entry_or_stays(&scene, &format!("page {page} filled with {garbage}"));
        }
    }
}

#[test]
fn db_04_a_flipped_byte_anywhere_is_never_a_panic() {
    let mut random = Random::seeded("PVM_FLIP_SEED");
    let scene = scene();
    scene.safe_rm(["other"]).succeeded();
    for (suffix, rounds) in [("", 60), ("-wal", 30)] {
        if suffix.is_empty() {
            drop(open(&scene));
        }
        let path = beside(&scene, suffix);
        File::create(scene.work("file")).unwrap();
        scene.safe_rm(["file"]).succeeded();
        let vault = fs::read(scene.vault()).unwrap();
        let log = fs::read(beside(&scene, "-wal")).unwrap();
        for _ in 0..rounds {
            fs::write(scene.vault(), &vault).unwrap();
            fs::write(beside(&scene, "-wal"), &log).unwrap();
            let length = fs::metadata(&path).unwrap().len();
            let at = random.below(usize::try_from(length).unwrap());
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .open(&path)
                .unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, at as u64).unwrap();
            byte[0] ^= 1 << random.below(8);
            file.write_all_at(&byte, at as u64).unwrap();
            drop(file);
            goes_with_an_entry_or_stays(&scene, &format!("byte {at} of '{suffix}'"));
        }
        fs::write(scene.vault(), &vault).unwrap();
        fs::write(beside(&scene, "-wal"), &log).unwrap();
    }
}

/// The log of a process that never closed it is read by the next one, up to where it is whole.
#[test]
fn db_07_a_log_that_was_left_is_recovered() {
    let scene = scene();
    scene.safe_rm(["file"]).succeeded();
    let log = beside(&scene, "-wal");
    assert_ne!(
        fs::metadata(&log).unwrap().len(),
        0,
        "the wrapper left its log"
    );
    OpenOptions::new()
        .append(true)
        .open(&log)
        .unwrap()
        .write_all(&[7; 5000])
        .unwrap();
    scene.assert_trail_intact();
    assert_eq!(scene.last_entry()["decision"], "SUCCESS");
    scene.safe_rm(["other"]).succeeded();
    scene.assert_trail_intact();
}

/// This vault is not written by way of a journal; one that lies there must not be played back.
#[test]
fn db_07_a_journal_of_another_time_changes_nothing() {
    let scene = scene();
    scene.safe_rm(["file"]).succeeded();
    drop(open(&scene));
    let before = scene.trail();
    // The header of a journal with one page in it, which would overwrite the first of the vault.
    let header =
        b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7\0\0\0\x01\0\0\0\0\0\0\0\x07\0\0\x02\0\0\0\x10\0";
    let mut journal = header.to_vec();
    journal.resize(512, 0);
    journal.extend([0, 0, 0, 1]);
    journal.resize(512 + 4 + PAGE + 4, 0xff);
    let path = beside(&scene, "-journal");
    fs::write(&path, journal).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let ran = scene.safe_rm(["other"]);
    assert_eq!(scene.work("other").exists(), ran.code == Some(125), "{ran}");
    fs::remove_file(&path).unwrap_or_default();
    scene.assert_trail_intact();
    assert!(scene.trail().starts_with(&before));
}
