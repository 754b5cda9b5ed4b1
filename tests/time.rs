//! When a grant holds: both clocks, at the moment of the decision, and never again once it ended.

use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::types::Value;

use crate::support::{Held, Ran, Scene, root, until};

const HOUR: i64 = 3_600_000;

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Returns the milliseconds since the machine was started, as the grants have it.
fn uptime() -> i64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).unwrap();
    time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000
}

type Column = (&'static str, Value);

/// Sets columns of every grant in the vault.
fn age(scene: &Scene, columns: &[Column]) {
    let names: Vec<_> = columns
        .iter()
        .map(|(column, _)| format!("{column} = ?"))
        .collect();
    let values = rusqlite::params_from_iter(columns.iter().map(|(_, value)| value));
    scene.edit_vault(&format!("UPDATE grants SET {}", names.join(", ")), values);
}

fn granted() -> Scene {
    let scene = Scene::new();
    scene.files(["f"]).grant(scene.work(""));
    scene
}

fn expiries(scene: &Scene) -> usize {
    scene
        .trail()
        .iter()
        .filter(|entry| entry["event_type"] == "EXPIRY")
        .count()
}

#[test]
fn time_02_an_expired_grant_is_noticed_once_and_stays_expired() {
    let scene = granted();
    let lasts = [
        ("expires_at", (now() + HOUR).into()),
        ("boot_deadline", (uptime() + HOUR).into()),
    ];
    age(
        &scene,
        &[
            ("issued_at", (now() - 2 * HOUR).into()),
            ("not_before", (now() - HOUR).into()),
            ("expires_at", (now() - 1).into()),
        ],
    );
    scene
        .safe_rm(["f"])
        .denied()
        .says("covered it and has expired");
    assert_eq!(expiries(&scene), 1);
    let trail = scene.trail();
    let [.., expiry, refusal] = trail.as_slice() else {
        panic!("two entries at least")
    };
    assert_eq!(
        (&expiry["event_type"], &expiry["decision"]),
        (&"EXPIRY".into(), &"EXPIRED".into())
    );
    assert_eq!(refusal["decision"], "DENIED");

    scene.safe_rm(["f"]).denied();
    age(&scene, &lasts);
    scene.safe_rm(["f"]).denied();
    assert_eq!(expiries(&scene), 1, "once, however often it is looked at");
    assert!(
        scene.work("f").exists(),
        "whatever its columns say afterwards"
    );
    scene
        .pvm(["check", "--scope", scene.work("f").to_str().unwrap()])
        .exited(1);
    scene.grant(scene.work(""));
    scene.safe_rm(["f"]).succeeded();
    scene.assert_trail_intact();
}

#[test]
fn time_01_and_03_the_stricter_clock_holds_and_another_boot_leaves_the_wall_clock() {
    let wall = |offset: i64| ("expires_at", Value::from(now() + offset));
    let boot = |offset: i64| ("boot_deadline", Value::from(uptime() + offset));
    let issued = || ("issued_at", Value::from(now() - 2 * HOUR));
    let other = || ("boot", Value::from(vec![7_u8; 16]));
    let begun = || ("not_before", Value::from(now() - HOUR));
    let cases: [(&str, Vec<Column>, bool); 6] = [
        (
            "both clocks say that it lasts",
            vec![issued(), begun(), wall(HOUR), boot(HOUR)],
            true,
        ),
        (
            "the wall clock was set back",
            vec![issued(), begun(), wall(HOUR), boot(-1)],
            false,
        ),
        (
            "the wall clock went on",
            vec![issued(), begun(), wall(-1), boot(HOUR)],
            false,
        ),
        (
            "after a reboot",
            vec![issued(), begun(), wall(HOUR), boot(-1), other()],
            true,
        ),
        (
            "after a reboot, too late",
            vec![issued(), begun(), wall(-1), boot(HOUR), other()],
            false,
        ),
        (
            "it was given in the future",
            vec![
                wall(3 * HOUR),
                ("not_before", (now() + HOUR).into()),
                ("issued_at", (now() + HOUR).into()),
            ],
            false,
        ),
    ];
    for (what, columns, allowed) in cases {
        let scene = granted();
        age(&scene, &columns);
        let ran = scene.safe_rm(["f"]);
        assert_eq!(ran.code, Some(i32::from(!allowed)), "{what}: {ran}");
        assert_eq!(scene.work("f").exists(), !allowed, "{what}");
    }
}

#[test]
fn time_01_and_04_the_time_since_boot_ends_a_grant_that_the_wall_clock_does_not() {
    if !root("a time namespace") {
        return;
    }
    let scene = granted();
    let later = |words: &[&str]| {
        let mut command = Command::new("/usr/bin/unshare");
        command.args(["--time", "--boottime", "3600"]).args(words);
        command.env_clear().env("PATH", scene.search_path());
        Ran::of(command.current_dir(scene.work("")))
    };
    if later(&["/bin/true"]).code != Some(0) {
        println!("skipped: no time namespaces");
        return;
    }
    later(&["safe-rm", "f"])
        .denied()
        .says("covered it and has expired");
    assert!(scene.work("f").exists());
    scene.safe_rm(["f"]).denied();
    assert_eq!(
        expiries(&scene),
        1,
        "it ended, although no clock here says so"
    );
    scene.grant(scene.work(""));
    scene.safe_rm(["f"]).succeeded();
}

#[test]
fn time_13_a_grant_from_the_future_says_that_the_clock_was_set_back() {
    let scene = granted();
    age(
        &scene,
        &[
            ("expires_at", (now() + 3 * HOUR).into()),
            ("not_before", (now() + HOUR).into()),
            ("issued_at", (now() + HOUR).into()),
        ],
    );
    scene
        .safe_rm(["f"])
        .denied()
        .says("the clock was set back since it was given");
    assert_eq!(expiries(&scene), 0, "it did not end");
    assert!(scene.work("f").exists());
}

#[test]
fn time_05_a_grant_that_ends_while_its_turn_is_waited_for_permits_nothing() {
    let scene = granted();
    let held = Held::take(&scene);
    let ends = now() + 300;
    drop(held);
    age(&scene, &[("expires_at", ends.into())]);
    let held = Held::take(&scene);
    let waiting = held.start(scene.command("safe-rm").arg("f"));
    until("the end of the grant", || now() > ends);
    drop(held);
    waiting.finish().denied().says("has expired");
    assert!(scene.work("f").exists());
    assert_eq!(expiries(&scene), 1);
}

#[test]
fn v_d9_a_grant_that_is_revoked_while_its_turn_is_waited_for_permits_nothing() {
    let scene = granted();
    let held = Held::take(&scene);
    let waiting = held.start(scene.command("safe-rm").arg("f"));
    // Whoever holds the turn writes; the wait ends with what it wrote.
    let columns = [
        ("ended_at", now().into()),
        ("ended_by", "revoked".to_owned().into()),
    ];
    age(&scene, &columns);
    drop(held);
    waiting.finish().denied();
    assert!(scene.work("f").exists());
}

fn instant(milliseconds: i64) -> String {
    let at = time::OffsetDateTime::from_unix_timestamp(milliseconds / 1000).unwrap();
    at.format(&time::format_description::well_known::Rfc3339)
        .unwrap()
}

fn grant_from(scene: &Scene, scope: &Path, start: i64) {
    scene.grant_with(scope, ["--not-before", &instant(start)]);
}

#[test]
fn time_09_a_grant_permits_nothing_before_it_begins() {
    let scene = Scene::new();
    scene.files(["f"]);
    grant_from(&scene, &scene.work(""), now() + HOUR);
    scene
        .safe_rm(["f"])
        .denied()
        .says("covers it and has not begun");
    assert!(scene.work("f").exists());
    let start = (now() / 1000 + 2) * 1000;
    grant_from(&scene, &scene.work("f"), start);
    scene.safe_rm(["f"]).denied().says("has not begun");
    until("the beginning of the grant", || now() >= start);
    scene.safe_rm(["f"]).succeeded();
    let past = instant(now() - 2 * HOUR);
    let work = scene.work("").display().to_string();
    let words = [
        "grant",
        "--scope",
        &work,
        "--ttl",
        "1h",
        "--not-before",
        &past,
    ];
    scene.pvm(words).exited(2).says("lies in the past");
}

#[test]
fn time_07_and_08_odd_durations_give_no_grant() {
    let scene = Scene::new();
    let work = scene.work("").display().to_string();
    let odd = [
        "0",
        "0s",
        "-1m",
        "10",
        "1e9s",
        "\u{663}m",
        "18446744073709551615s",
        "292000000000y",
        "9h",
        "1M",
        "0x10s",
        "",
        " ",
        "m",
        "NaN",
        "inf",
        "10m\0x",
    ];
    for ttl in odd.into_iter().filter(|ttl| !ttl.contains('\0')) {
        let ran = scene.pvm([
            "grant",
            "--scope",
            &work,
            "--op",
            "rm",
            &format!("--ttl={ttl}"),
        ]);
        ran.exited(2);
        assert_eq!(ran.stdout, b"", "{ttl:?}");
    }
    scene.files(["f"]).safe_rm(["f"]).denied();
    scene
        .pvm(["grant", "--scope", &work, "--op", "rm", "--ttl", "1h 30m"])
        .exited(0);
    scene.safe_rm(["f"]).succeeded();
}
