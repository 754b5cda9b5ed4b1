//! The JSON log beside the trail.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::sys::resource::Resource;
use serde_json::Value;

use super::eventful;
use crate::support::{Launch, Ran, Running, Scene, tree};

fn directory(scene: &Scene) -> PathBuf {
    scene.path("state/audit")
}

/// Returns the one file that there is.
fn today(scene: &Scene) -> PathBuf {
    let files: Vec<_> = tree(&directory(scene)).into_iter().collect();
    let [file] = files.as_slice() else {
        panic!("one file and not {files:?}, unless it was midnight")
    };
    directory(scene).join(file)
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}")))
        .collect()
}

fn chmod(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn v_d11_every_entry_of_the_trail_is_a_line_of_the_log() {
    let scene = eventful();
    let (trail, lines) = (scene.trail(), lines(&today(&scene)));
    assert_eq!(lines.len(), trail.len());
    let by_number: BTreeMap<i64, &Value> = trail
        .iter()
        .map(|entry| (entry["entry"].as_i64().unwrap(), entry))
        .collect();
    for line in &lines {
        let entry = by_number[&line["entry"].as_i64().unwrap()];
        for field in ["timestamp", "agent", "resolved_path", "cwd"] {
            let same = entry.get(field).unwrap_or(&Value::Null);
            assert_eq!(line[field], *same, "{field} of {line}");
        }
        if line["truncated"].is_null() {
            assert_eq!(line["argv"], entry.get("argv").cloned().unwrap_or_default());
        }
        if let Some([only]) = entry["grant_ids"].as_array().map(Vec::as_slice) {
            assert_eq!(line["grant_id"], *only);
        }
    }
    let expected = [
        ("ConfigChanged", "Allowed"),
        ("GrantRequested", "Prompted"),
        ("GrantIssued", "Allowed"),
        ("CommandExecution", "Allowed"),
        ("CommandExecution", "Denied"),
        ("CommandResult", "Allowed"),
        ("GrantRevoked", "Denied"),
        ("HijackDetected", "Denied"),
    ];
    for (event_type, decision) in expected {
        let is = |line: &&Value| line["event_type"] == event_type && line["decision"] == decision;
        assert!(
            lines.iter().any(|line| is(&line)),
            "{event_type} {decision}"
        );
    }
    let cut = lines
        .iter()
        .find(|line| !line["truncated"].is_null())
        .unwrap();
    assert_eq!(cut["truncated"], serde_json::json!(["argv"]));
}

#[test]
fn v_d30_an_entry_is_in_the_file_of_its_own_day_and_for_this_user_alone() {
    let scene = eventful();
    let file = today(&scene);
    let name = file.file_name().unwrap().to_str().unwrap();
    for line in lines(&file) {
        let day = line["timestamp"].as_str().unwrap()[..10].to_owned();
        assert_eq!(name, format!("permissions-{day}.log"));
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&directory(&scene)), mode(&file)), (0o700, 0o600));
}

#[test]
fn aud_12_a_hundred_processes_write_whole_lines() {
    let scene = Scene::new();
    scene.configure("permissions.denials_per_minute = 100000");
    let word = "x".repeat(250);
    let running: Vec<Running> = (0..100)
        .map(|number| {
            let mut command = scene.command("safe-rm");
            command.env("PVM_AGENT_ID", format!("agent-{number}"));
            Running::start(command.args(std::iter::repeat_n(&word, 200)))
        })
        .collect();
    for run in running {
        run.finish().denied();
    }
    let lines = lines(&today(&scene));
    let mut agents: Vec<String> = lines[1..]
        .iter()
        .map(|line| line["agent"].as_str().unwrap().to_owned())
        .collect();
    agents.sort();
    agents.dedup();
    assert_eq!(agents.len(), 100);
    for line in &lines[1..] {
        assert!(line.to_string().len() < 64 * 1024);
        assert_eq!(
            line["truncated"],
            serde_json::json!(["argv"]),
            "and large enough"
        );
    }
}

#[test]
fn the_settings_thin_out_the_log_and_never_the_trail() {
    for (settings, allowed, denied, there) in [
        ("log_allowed_commands = false", 0, 1, true),
        ("log_denied_commands = false", 1, 0, true),
        ("audit_enabled = false", 0, 0, false),
    ] {
        let scene = Scene::bare();
        scene.configure(&format!("permissions.{settings}"));
        scene.files(["f"]).grant(scene.work("f"));
        scene.safe_rm(["other"]).denied();
        scene.safe_rm(["f"]).succeeded();
        assert_eq!(scene.trail().len(), 6, "{settings}");
        assert_eq!(directory(&scene).exists(), there, "{settings}");
        if there {
            let lines = lines(&today(&scene));
            let count = |decision| {
                let is = |line: &&Value| {
                    line["event_type"] == "CommandExecution" && line["decision"] == decision
                };
                lines.iter().filter(|line| is(line)).count()
            };
            assert_eq!(
                (count("Allowed"), count("Denied")),
                (allowed, denied),
                "{settings}"
            );
            assert!(lines.iter().any(|line| line["event_type"] == "GrantIssued"));
        }
    }
}

#[test]
fn v_d30_the_first_entry_of_a_day_removes_what_its_name_says_is_old() {
    let scene = Scene::new();
    scene.configure("permissions.retention_days = 2");
    let file = today(&scene);
    let kept = [
        "permissions-2999-01-01.log",
        "permissions-2001-01-01.log.gz",
        "permissions-2001-1-1.log",
        "notes",
    ];
    let old = ["permissions-2001-01-01.log", "permissions-2026-01-01.log"];
    for name in kept.iter().chain(&old) {
        fs::write(directory(&scene).join(name), "").unwrap();
    }
    // A name that is old and cannot be removed stops nothing.
    fs::create_dir(directory(&scene).join("permissions-2002-01-01.log")).unwrap();
    scene.safe_rm(["f"]).denied();
    assert_eq!(tree(&directory(&scene)).len(), 8, "not at every entry");
    fs::remove_file(&file).unwrap();
    scene.safe_rm(["f"]).denied();
    for name in old {
        assert!(!directory(&scene).join(name).exists(), "{name}");
    }
    for name in kept {
        assert!(directory(&scene).join(name).exists(), "{name}");
    }
    assert_eq!(lines(&file).len(), 1);
}

/// Breaks the log of a scene in which `f` may be removed.
fn broken(how: &str) -> Scene {
    let scene = Scene::new();
    scene.files(["f"]).grant(scene.work("f"));
    let (log, file) = (directory(&scene), today(&scene));
    let elsewhere = scene.path("elsewhere");
    match how {
        "directory a link" => {
            fs::rename(&log, &elsewhere).unwrap();
            symlink(&elsewhere, &log).unwrap();
        }
        "directory open" => chmod(&log, 0o777),
        "directory a file" => {
            fs::remove_dir_all(&log).unwrap();
            fs::write(&log, "").unwrap();
        }
        "file a link" => {
            fs::rename(&file, &elsewhere).unwrap();
            symlink(&elsewhere, &file).unwrap();
        }
        "file open" => chmod(&file, 0o666),
        "file readable" => chmod(&file, 0o644),
        "file with a second name" => fs::hard_link(&file, &elsewhere).unwrap(),
        _ => {
            fs::remove_file(&file).unwrap();
            fs::create_dir(&file).unwrap();
        }
    }
    scene
}

#[test]
fn aud_13_a_log_that_others_could_write_is_refused_and_stops_nothing() {
    for how in [
        "directory a link",
        "directory open",
        "directory a file",
        "file a link",
        "file open",
        "file readable",
        "file with a second name",
        "file a directory",
    ] {
        let scene = broken(how);
        let before = fs::read(scene.path("elsewhere")).ok();
        let said = "the JSON log lacks an entry that the trail has: ";
        let ran = scene.safe_rm(["other"]);
        ran.denied().says("hint: ").says(said);
        let ran = scene.safe_rm(["f"]);
        ran.exited(0)
            .says("pvm: note: ")
            .says(said)
            .says("pvm doctor");
        assert!(!scene.work("f").exists(), "{how}");
        let ran = scene.pvm(["revoke", "--all"]);
        ran.exited(0);
        let ran = scene.pvm(["grant", "--op", "rm", "--scope", "/srv/x"]);
        ran.exited(0).says("pvm: note: ").says(said);
        assert_eq!(ran.stderr_text().lines().count(), 2, "{ran}");
        assert_eq!(fs::read(scene.path("elsewhere")).ok(), before, "{how}");
        scene.assert_trail_intact();
        let doctor = scene.pvm(["doctor"]);
        let text = doctor.exited(1).stdout_text();
        assert!(text.contains("\nFAIL  JSON log: "), "{how}: {text}");
    }
}

#[test]
fn aud_01_a_log_without_room_stops_nothing() {
    let scene = Scene::new();
    scene.files(["f"]).grant(scene.work(""));
    let file = today(&scene);
    let full = [fs::read(&file).unwrap(), vec![b'\n'; 1 << 20]].concat();
    fs::write(&file, &full).unwrap();
    let mut command = scene.command("safe-rm");
    let ran = Ran::of(command.arg("f").limited(Resource::RLIMIT_FSIZE, 1 << 19));
    ran.exited(0).says("the JSON log lacks");
    assert!(!scene.work("f").exists());
    assert_eq!(fs::read(&file).unwrap(), full);
}

#[test]
fn what_a_confined_command_came_to_is_in_the_log() {
    let scene = Scene::new();
    let rm = scene.stand_in("fake-rm", "");
    fs::remove_file(&rm).unwrap();
    crate::support::script("\u{7f}ELF, but not really", &rm);
    scene.files(["d/f"]).grant(scene.work(""));
    let ran = scene.safe_rm(["-r", "d"]);
    assert!(matches!(ran.code, Some(126)), "{ran}");
    let failed = scene.not_started();
    let line = lines(&today(&scene)).pop().unwrap();
    assert_eq!(line["entry"], failed["entry"]);
    assert_eq!(
        (&line["event_type"], &line["reason"]),
        (&"CommandFailed".into(), &failed["error"])
    );
}

#[test]
fn path_28_no_grant_reaches_a_log_elsewhere() {
    let scene = Scene::new();
    let log = scene.work("log");
    scene.configure(&format!(
        "permissions.audit_directory = '{}'",
        log.display()
    ));
    scene.grant(scene.work(""));
    assert!(log.join(today(&scene).file_name().unwrap()).exists());
    let ran: Ran = scene.safe_rm(["-r", "log"]);
    ran.denied().says("is the JSON log");
    scene.safe_rm(["-r", "../work"]).denied();
    assert!(log.exists());
}
