use std::fs;
use std::path::Path;

use super::{exec, grant_below};
use crate::support::{Scene, copy, landlock};

/// A scene with these standing rules.
fn scene(rules: &str) -> Scene {
    let scene = Scene::new();
    let work = scene.work("");
    let work = work.to_str().unwrap().trim_end_matches('/');
    scene.configure(&rules.replace("WORK", work));
    scene
}

#[test]
fn v_d12_a_rule_over_words_allows_these_words_and_no_others() {
    let scene = scene("[[permissions.rules]]\neffect = \"allow\"\nargv = [\"touch\", \"made*\"]\n");
    exec(&scene, ["touch", "made"]).succeeded();
    assert!(scene.work("made").exists());
    let entry = scene.last_entry();
    assert_eq!(entry["confinement"], "none");
    assert!(
        entry["rules"][0].as_str().unwrap().starts_with("rule 1"),
        "{entry}"
    );
    for words in [
        &["touch", "other"][..],
        &["touch", "made", "other"],
        &["touchx", "made"],
    ] {
        assert_ne!(exec(&scene, words).code, Some(0));
    }
    assert!(!scene.work("other").exists());
}

#[test]
fn v_d25_a_rule_is_not_for_what_only_has_the_name() {
    let scene = scene("[[permissions.rules]]\neffect = \"allow\"\nargv = [\"touch\", \"made\"]\n");
    copy(Path::new("/usr/bin/touch"), &scene.path("fakes/touch"));
    exec(&scene, ["touch", "made"]).denied();
    assert!(!scene.work("made").exists());
    fs::remove_file(scene.path("fakes/touch")).unwrap();
    exec(&scene, ["touch", "made"]).succeeded();
}

#[test]
fn v_d23_a_deny_sees_the_command_inside_another() {
    let scene = scene(
        "[[permissions.rules]]\neffect = \"allow\"\nargv = [\"env\", \"**\"]\n\
         [[permissions.rules]]\neffect = \"deny\"\nargv = [\"touch\", \"**\"]\nreason = \"no\"\n",
    );
    exec(&scene, ["env", "true"]).succeeded();
    for words in [
        &["env", "touch", "made"][..],
        &["env", "A=b", "/usr/bin/touch", "made"],
        &["env", "-i", "nice", "touch", "made"],
    ] {
        exec(&scene, words)
            .denied()
            .says("rule 2")
            .says("no grant overrides a rule");
        assert!(!scene.work("made").exists());
    }
}

#[test]
fn a_rule_with_a_scope_confines_to_it() {
    if !landlock(3) {
        return;
    }
    let scene = scene(
        "[[permissions.rules]]\neffect = \"allow\"\nargv = [\"sh\", \"-c\", \"*\"]\nscope = \"WORK\"\n",
    );
    exec(&scene, ["sh", "-c", "echo x >made"]).succeeded();
    assert!(scene.work("made").exists());
    let outside = scene.path("etc/made");
    let line = format!("echo x >{}", outside.display());
    assert_ne!(exec(&scene, ["sh", "-c", &line]).code, Some(0));
    assert!(!outside.exists());
    assert_ne!(exec(&scene, ["sh", "-c", "/bin/rm made"]).code, Some(0));
    assert!(
        scene.work("made").exists(),
        "a rule for exec removes nothing"
    );
}

#[test]
fn v_d9_a_deny_beats_a_grant() {
    let scene = scene("[[permissions.rules]]\neffect = \"deny\"\nargv = [\"touch\", \"**\"]\n");
    grant_below(&scene, "exec", &scene.work(""));
    exec(&scene, ["touch", "made"]).denied().says("denies");
    assert!(!scene.work("made").exists());
}
