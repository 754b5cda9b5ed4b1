use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use nix::unistd::{Uid, User};
use serde_json::Value;

use crate::support::{Ran, Scene, copy, landlock};

/// An installation with everything that install.sh makes.
pub(super) fn whole() -> Scene {
    let scene = Scene::new();
    fs::create_dir_all(scene.path("libexec/pvm/agent-bin")).unwrap();
    symlink("../../../bin/pvm", scene.path("libexec/pvm/agent-bin/rm")).unwrap();
    scene
}

pub(super) fn agent_path(scene: &Scene) -> String {
    let path = |below| scene.path(below).display().to_string();
    format!(
        "{}:{}:/usr/bin:/bin",
        path("libexec/pvm/agent-bin"),
        path("bin")
    )
}

pub(super) fn examined(scene: &Scene, path: &str) -> (Ran, Vec<Value>) {
    let mut command = scene.command("pvm");
    let ran = Ran::of(command.args(["doctor", "--json"]).env("PATH", path));
    let json = ran.json();
    assert_eq!(json["mode"], "advisory");
    assert_eq!(json["ok"], ran.code == Some(0), "{ran}");
    assert_eq!(ran.stderr, b"", "{ran}");
    let findings = json["findings"].as_array().unwrap().clone();
    (ran, findings)
}

/// Asserts that something was found, with this level and text.
#[track_caller]
pub(super) fn found(findings: &[Value], level: &str, check: &str, text: &str) {
    let hit = findings.iter().any(|found| {
        let message = found["message"].as_str().unwrap();
        found["level"] == level && found["check"] == check && message.contains(text)
    });
    assert!(hit, "no {level} {check} {text:?} in {findings:#?}");
}

fn levels(findings: &[Value], level: &str) -> usize {
    findings
        .iter()
        .filter(|found| found["level"] == level)
        .count()
}

#[test]
fn a_whole_installation_is_proved_to_refuse() {
    let scene = whole();
    let (ran, findings) = examined(&scene, &agent_path(&scene));
    ran.exited(0);
    assert_eq!(levels(&findings, "fail"), 0);
    for link in ["bin/safe-rm", "libexec/pvm/agent-bin/rm"] {
        let text = format!(
            "{} refused to remove a file without a grant",
            scene.path(link).display()
        );
        found(&findings, "ok", "probe", &text);
    }
    if landlock(1) {
        found(
            &findings,
            "ok",
            "landlock",
            "a ruleset refused a removal just now",
        );
    }
    found(&findings, "ok", "vault", "yours alone");
    found(&findings, "ok", "real rm", "/usr/bin/rm, trusted");
    found(&findings, "ok", "rm", "comes first on PATH");
    found(&findings, "ok", "program", "nobody else can replace");
    // The scene gives grants without a terminal, and that is worth a word.
    found(
        &findings,
        "warn",
        "answers",
        "any process of yours can give grants",
    );
}

#[test]
fn the_probes_are_in_the_trail_under_their_own_name_and_leave_nothing() {
    let scene = whole();
    examined(&scene, &agent_path(&scene)).0.exited(0);
    let trail = scene.trail();
    let probes = trail.iter().filter(|entry| entry["agent"] == "pvm-doctor");
    assert_eq!(probes.clone().count(), 2, "{trail:#?}");
    for probe in probes {
        assert_eq!(probe["decision"], "DENIED");
        let file = Path::new(probe["operands"][0].as_str().unwrap());
        assert!(
            file.is_absolute() && !file.parent().unwrap().exists(),
            "{probe}"
        );
    }
    scene.assert_trail_intact();
}

#[test]
fn people_read_the_mode_first_and_a_hint_where_something_is_wrong() {
    let scene = Scene::bare();
    let ran = scene.pvm(["doctor"]);
    let text = ran.exited(1).stdout_text();
    assert!(text.starts_with("mode: advisory - "), "{text}");
    assert!(
        text.contains("\nFAIL  vault: there is no vault at "),
        "{text}"
    );
    assert!(
        text.contains("\n        hint: make one:  pvm init\n"),
        "{text}"
    );
    assert!(text.contains("\nok    clock: plausible\n"), "{text}");
    assert!(!scene.vault().exists());
}

#[test]
fn a_grant_on_the_usual_places_does_not_fool_the_probe() {
    let scene = whole();
    scene.grant("/var/tmp");
    let (ran, findings) = examined(&scene, &agent_path(&scene));
    ran.exited(0);
    found(&findings, "ok", "probe", "bin/safe-rm refused");

    let home = User::from_uid(Uid::effective()).unwrap().unwrap().dir;
    scene.grant("/tmp");
    scene.grant_with(home, ["--broad"]);
    let (ran, findings) = examined(&scene, &agent_path(&scene));
    ran.exited(0);
    found(
        &findings,
        "warn",
        "probe",
        "not run: grants cover every place",
    );
}

#[test]
fn a_broken_configuration_is_a_finding_and_no_failure_of_the_doctor() {
    let scene = whole();
    scene.configure_as("[vault]\npth = \"/v\"\n");
    let (ran, findings) = examined(&scene, &agent_path(&scene));
    ran.exited(1);
    found(
        &findings,
        "fail",
        "configuration",
        "pvm.toml:2: unknown field",
    );
    found(&findings, "ok", "clock", "plausible");
}

#[test]
fn a_vault_that_others_can_use_is_found() {
    let scene = whole();
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    chmod(&scene.vault(), 0o666).unwrap();
    let (ran, findings) = examined(&scene, &agent_path(&scene));
    ran.exited(1);
    found(
        &findings,
        "fail",
        "vault",
        "can be written by others (mode 0666)",
    );
    found(&findings, "fail", "probe", "refuses everything, with 125");
    chmod(&scene.vault(), 0o600).unwrap();
    chmod(&scene.path("state"), 0o777).unwrap();
    found(
        &examined(&scene, &agent_path(&scene)).1,
        "fail",
        "vault",
        "(mode 0777)",
    );
    chmod(&scene.path("state"), 0o700).unwrap();
    let beside = scene.path("state/vault.db-old");
    fs::write(&beside, "").unwrap();
    chmod(&beside, 0o644).unwrap();
    found(
        &examined(&scene, &agent_path(&scene)).1,
        "fail",
        "vault",
        "vault.db-old can be read",
    );
}

#[test]
fn a_vault_that_pvm_did_not_make_is_found() {
    let scene = whole();
    fs::write(scene.vault(), vec![b'x'; 8192]).unwrap();
    let (ran, findings) = examined(&scene, &agent_path(&scene));
    ran.exited(1);
    found(&findings, "fail", "vault", "every wrapper refuses");
}

#[test]
fn path_problems_that_matter_are_found() {
    let scene = whole();
    scene.fake("fake-tool", "rm");
    let fakes = scene.path("fakes").display().to_string();
    let (ran, findings) = examined(&scene, &format!("{fakes}:{}", agent_path(&scene)));
    ran.exited(1);
    found(
        &findings,
        "fail",
        "real rm",
        "is not trusted, so safe-rm refuses",
    );
    found(&findings, "fail", "rm", "calls are not guarded");

    let (ran, findings) = examined(&scene, &format!(":bin:{}", agent_path(&scene)));
    ran.exited(0);
    found(
        &findings,
        "warn",
        "PATH",
        "2 of its entries are empty or relative",
    );

    let (ran, findings) = examined(&scene, "/usr/bin:/bin");
    ran.exited(0);
    found(&findings, "warn", "safe-rm", "not on PATH");
    found(
        &findings,
        "warn",
        "rm",
        "it is /usr/bin/rm: only safe-rm is guarded",
    );

    let bin = scene.path("bin").display().to_string();
    let (ran, findings) = examined(&scene, &bin);
    ran.exited(1);
    found(&findings, "fail", "real rm", "not on PATH");
}

#[test]
fn another_program_under_the_name_of_a_wrapper_is_found_and_not_run() {
    let scene = whole();
    let safe = scene.path("bin/safe-rm");
    fs::remove_file(&safe).unwrap();
    let (ran, findings) = examined(&scene, &agent_path(&scene));
    ran.exited(0);
    found(&findings, "warn", "wrappers", "there is no ");

    copy(Path::new("/usr/bin/rm"), &safe);
    let (ran, findings) = examined(&scene, &agent_path(&scene));
    ran.exited(1);
    found(&findings, "fail", "wrappers", "is not this pvm");
    found(&findings, "fail", "safe-rm", "which is not this pvm");
}

#[test]
fn what_the_configuration_weakens_is_said() {
    let scene = whole();
    scene.configure("exec.landlock = 'off'\nresolver.trusted_dirs = ['/no/such']");
    let (ran, findings) = examined(&scene, &agent_path(&scene));
    ran.exited(0);
    found(&findings, "warn", "landlock", "switched off");
    found(
        &findings,
        "warn",
        "configuration",
        "/no/such, which is no directory",
    );
}

#[test]
fn who_can_answer_from_here_is_said() {
    let scene = whole();
    scene.configure_as(&format!("vault.path = \"{}\"\n", scene.vault().display()));
    let mut command = scene.command("pvm");
    let ran = Ran::of(command.args(["doctor"]).env("CLAUDECODE", "1"));
    let text = ran.stdout_text();
    assert!(
        text.contains("answers: no grant can be given from here: CLAUDECODE in"),
        "{text}"
    );
}
