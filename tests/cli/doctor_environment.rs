//! What `pvm doctor` says of PATH, links, variables, other installations and the JSON log.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::Value;

use super::doctor::{agent_path, examined, found, whole};
use crate::support::{Ran, Scene, copy};

fn chmod(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn no(findings: &[Value], level: &str, check: &str) {
    let hit = findings
        .iter()
        .find(|found| found["level"] == level && found["check"] == check);
    assert!(hit.is_none(), "{hit:?}");
}

/// Returns the findings of a doctor who has more variables.
fn with_variables(scene: &Scene, variables: &[(&str, &str)]) -> (Ran, Vec<Value>) {
    let mut command = scene.command("pvm");
    command
        .args(["doctor", "--json"])
        .env("PATH", agent_path(scene));
    let ran = Ran::of(command.envs(variables.iter().copied()));
    let findings = ran.json()["findings"].as_array().unwrap().clone();
    (ran, findings)
}

#[test]
fn directories_on_path_that_others_rule_are_found() {
    let scene = whole();
    let (_, findings) = examined(&scene, &agent_path(&scene));
    found(
        &findings,
        "ok",
        "PATH",
        "nobody else can put a command into its directories",
    );
    for (name, mode, text) in [
        ("open", 0o777, "can be written by others (mode 0777)"),
        ("sticky", 0o1777, "can be written by others (mode 1777)"),
        ("group", 0o775, "can be written by others (mode 0775)"),
    ] {
        let directory = scene.path(name);
        fs::create_dir(&directory).unwrap();
        chmod(&directory, mode);
        let path = format!("{}:{}", agent_path(&scene), directory.display());
        let (ran, findings) = examined(&scene, &path);
        ran.exited(0);
        found(&findings, "warn", "PATH", text);
        no(&findings, "ok", "PATH");
    }
    let below = scene.path("open/below");
    fs::create_dir(&below).unwrap();
    chmod(&below, 0o755);
    let path = format!("{}:{}", agent_path(&scene), below.display());
    found(
        &examined(&scene, &path).1,
        "warn",
        "PATH",
        "open can be written by others",
    );
}

#[test]
fn directories_on_path_that_are_none_are_found() {
    let scene = whole();
    scene.files(["file"]);
    let path = |below| format!("{}:{}", agent_path(&scene), scene.work(below).display());
    found(
        &examined(&scene, &path("gone")).1,
        "warn",
        "PATH",
        "whoever can make it decides",
    );
    found(
        &examined(&scene, &path("file")).1,
        "warn",
        "PATH",
        "file is not a directory",
    );
}

#[test]
fn links_that_lead_nowhere_or_elsewhere_are_found() {
    let scene = whole();
    symlink("/no/such/pvm", scene.path("fakes/rm")).unwrap();
    let fakes = scene.path("fakes").display().to_string();
    let (ran, findings) = examined(&scene, &format!("{}:{fakes}", agent_path(&scene)));
    ran.exited(0);
    found(
        &findings,
        "warn",
        "links",
        "fakes/rm leads to /no/such/pvm, where nothing is",
    );

    let link = scene.path("libexec/pvm/agent-bin/git");
    symlink("/usr/bin/env", &link).unwrap();
    let (ran, findings) = examined(&scene, &agent_path(&scene));
    ran.exited(1);
    found(
        &findings,
        "fail",
        "links",
        "agent-bin/git leads to /usr/bin/env, not to this pvm",
    );
    fs::remove_file(&link).unwrap();
    symlink("../../../bin/gone", &link).unwrap();
    let (_, findings) = examined(&scene, "/usr/bin:/bin");
    found(
        &findings,
        "warn",
        "links",
        "agent-bin/git leads to ../../../bin/gone",
    );
}

#[test]
fn a_command_before_pvms_own_of_that_name_is_found() {
    let scene = whole();
    symlink(
        "../../../bin/pvm",
        scene.path("libexec/pvm/agent-bin/trash"),
    )
    .unwrap();
    let (_, findings) = examined(&scene, &agent_path(&scene));
    found(
        &findings,
        "ok",
        "trash",
        "agent-bin/trash comes first on PATH",
    );
    scene.fake("fake-tool", "trash");
    let path = format!("{}:{}", scene.path("fakes").display(), agent_path(&scene));
    let (ran, findings) = examined(&scene, &path);
    ran.exited(1);
    found(&findings, "fail", "trash", "calls are not guarded");
}

#[test]
fn another_pvm_on_path_is_found() {
    let scene = whole();
    no(
        &examined(&scene, &agent_path(&scene)).1,
        "warn",
        "installations",
    );
    copy(&scene.path("bin/pvm"), &scene.path("fakes/pvm"));
    let path = format!("{}:{}", agent_path(&scene), scene.path("fakes").display());
    let (ran, findings) = examined(&scene, &path);
    ran.exited(0);
    found(
        &findings,
        "warn",
        "installations",
        "another pvm is on PATH: ",
    );
}

#[test]
fn env_10_variables_that_change_what_programs_do_are_found_and_not_handed_on() {
    let scene = whole();
    let (_, findings) = with_variables(&scene, &[("EDITOR", "vi"), ("GITHUB_TOKEN", "x")]);
    found(&findings, "ok", "environment", "no variable is set");
    for (name, obeyed) in [
        ("LD_LIBRARY_PATH", "which the loader obeys"),
        ("BASH_ENV", "which shells obey"),
        ("GIT_SSH_COMMAND", "which git obeys"),
        ("PYTHONPATH", "which interpreters obey"),
    ] {
        let (ran, findings) = with_variables(&scene, &[(name, "/no/such")]);
        ran.exited(0);
        found(
            &findings,
            "warn",
            "environment",
            &format!("{name}, {obeyed}"),
        );
        found(
            &findings,
            "warn",
            "environment",
            "the commands that pvm starts get none of it",
        );
    }
}

#[test]
fn a_shell_function_of_a_guarded_name_is_a_failure() {
    let scene = whole();
    let (ran, findings) = with_variables(&scene, &[("BASH_FUNC_rm%%", "() { :; }")]);
    ran.exited(1);
    found(
        &findings,
        "fail",
        "environment",
        "a shell function comes before any rm on PATH",
    );
    let hint = findings
        .iter()
        .find(|found| found["level"] == "fail")
        .unwrap();
    assert_eq!(hint["hint"], "unset -f rm");
}

#[test]
fn the_json_log_is_proved_by_the_refusals_of_the_probes() {
    let scene = whole();
    let check = |level: &str, text: &str| {
        let (_, findings) = examined(&scene, &agent_path(&scene));
        found(&findings, level, "JSON log", text);
    };
    check("ok", "is yours alone, and the probe's refusal is in it");
    scene.configure("permissions.log_denied_commands = false");
    check("ok", "state/audit is yours alone");
    scene.configure("permissions.audit_enabled = false");
    check("ok", "switched off; the trail has everything");
    scene.configure(&format!(
        "permissions.log_denied_commands = false\npermissions.audit_directory = '{}'",
        scene.path("new").display()
    ));
    check("ok", "the next entry makes ");
    scene.configure("");
    chmod(scene.path("state/audit"), 0o770);
    check("fail", "can be written by others (mode 0770)");
}

#[test]
fn db_18_a_probe_after_too_many_refusals_still_proves() {
    let scene = whole();
    scene.configure("permissions.denials_per_minute = 1");
    scene.safe_rm(["f"]).denied();
    let (ran, findings) = examined(&scene, &agent_path(&scene));
    ran.exited(0);
    found(
        &findings,
        "ok",
        "probe",
        "bin/safe-rm refused to remove a file without a grant",
    );
    found(&findings, "ok", "JSON log", "state/audit is yours alone");
}
