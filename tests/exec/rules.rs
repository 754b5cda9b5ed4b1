use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{exec, grant, grant_below};
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

/// Every way to write or reach one program, for `/usr/bin/id`.
const WAYS: [&[&str]; 14] = [
    &["id"],
    &["/usr/bin/id"],
    &["/usr/bin/./id"],
    &["//usr/bin/id"],
    &["/usr//bin/id"],
    &["/usr/bin/../bin/id"],
    &["env", "id"],
    &["env", "/bin/id"],
    &["env", "./mine"],
    &["env", "PATH=.", "mine"],
    &["env", "-S", "id -u"],
    &["env", "-Sid"],
    &["env", "-S", "${NOTHING}id"],
    &["flock", "lock", "-c", "id -u"],
];

#[test]
fn v_d25_a_deny_on_a_program_holds_for_every_way_to_it() {
    let allowed = "[[permissions.rules]]\neffect = \"allow\"\nargv = [\"/usr/bin/id\"]\n\
                   [[permissions.rules]]\neffect = \"allow\"\nargv = [\"env\", \"**\"]\n\
                   [[permissions.rules]]\neffect = \"allow\"\nargv = [\"flock\", \"**\"]\n";
    let scene = scene(allowed);
    symlink("/usr/bin/id", scene.work("mine")).unwrap();
    for words in WAYS {
        exec(&scene, words).succeeded();
    }
    for effect in ["deny", "ask"] {
        for name in ["/usr/bin/id", "/bin/id", "id"] {
            let rule = format!(
                "[[permissions.rules]]\neffect = \"{effect}\"\nargv = [\"{name}\", \"**\"]\n"
            );
            scene.configure(&(allowed.to_owned() + &rule));
            for words in WAYS {
                let ran = exec(&scene, words);
                ran.denied();
                if effect == "deny" {
                    ran.says("rule 4");
                }
            }
            exec(&scene, ["env", "true"]).succeeded();
        }
    }
}

#[test]
fn v_d25_a_deny_on_a_link_holds_for_what_it_leads_to_and_for_its_other_names() {
    let scene = scene("");
    copy(Path::new("/usr/bin/touch"), &scene.work("one"));
    fs::hard_link(scene.work("one"), scene.work("two")).unwrap();
    symlink("one", scene.work("name")).unwrap();
    let deny = |name: &str| {
        let path = scene.work(name);
        scene.configure(&format!(
            "[[permissions.rules]]\neffect = \"deny\"\nargv = [\"{}\", \"**\"]\n",
            path.display()
        ));
    };
    for word in ["./one", "./two", "./name"] {
        scene.configure("");
        grant(&scene, [word, "made"]);
        exec(&scene, [word, "made"]).succeeded();
        fs::remove_file(scene.work("made")).unwrap();
        for name in ["one", "two", "name"] {
            scene.configure("");
            grant(&scene, [word, "made"]);
            deny(name);
            exec(&scene, [word, "made"]).denied().says("rule 1");
            assert!(!scene.work("made").exists());
        }
    }
}

#[test]
fn v_d25_an_allow_on_a_directory_is_not_for_what_only_begins_like_it() {
    let scene =
        scene("[[permissions.rules]]\neffect = \"allow\"\nargv = [\"/usr/share/*\", \"**\"]\n");
    for word in ["/usr/share/../bin/touch", "/usr/share/./../bin/touch"] {
        exec(&scene, [word, "made"]).denied();
        assert!(!scene.work("made").exists());
    }
    let entry = scene.last_entry();
    assert_eq!(entry["resolved_path"], "/usr/bin/touch", "{entry}");
    // Unless it is allowed by what it is.
    scene.configure(
        "[[permissions.rules]]\neffect = \"allow\"\nargv = [\"/usr/bin/touch\", \"**\"]\n",
    );
    exec(&scene, ["/usr/share/../bin/touch", "made"]).succeeded();
}

#[test]
fn v_d19_of_several_allows_the_one_that_confines_decides_in_either_order() {
    if !landlock(3) {
        return;
    }
    let free = "[[permissions.rules]]\neffect = \"allow\"\nargv = [\"touch\", \"**\"]\n";
    let within = "[[permissions.rules]]\neffect = \"allow\"\nop = \"exec\"\nscope = \"WORK\"\n";
    // Without the rule that confines, the same command reaches its target.
    for (rules, confines) in [
        (free.to_owned(), false),
        (format!("{free}{within}"), true),
        (format!("{within}{free}"), true),
    ] {
        let scene = scene(&rules);
        let outside = scene.path("outside");
        let ran = exec(&scene, ["touch", outside.to_str().unwrap()]);
        assert_eq!(ran.code != Some(0), confines, "{rules}: {ran}");
        assert_eq!(outside.exists(), !confines, "{rules}");
        let level = scene.last_entry()["confinement"].to_string();
        assert_eq!(level.contains("landlock-abi="), confines, "{level}");
        exec(&scene, ["touch", "made"]).exited(0);
    }
}

#[test]
fn of_programs_that_are_many_in_one_only_the_names_are_denied() {
    let scene = scene("");
    copy(Path::new("/usr/bin/touch"), &scene.work("busybox"));
    for name in ["one", "two"] {
        symlink("busybox", scene.work(name)).unwrap();
    }
    for word in ["./one", "./two"] {
        grant(&scene, [word, "made"]);
    }
    let path = scene.work("one");
    scene.configure(&format!(
        "[[permissions.rules]]\neffect = \"deny\"\nargv = [\"{}\", \"**\"]\n\
         [[permissions.rules]]\neffect = \"deny\"\nargv = [\"one\", \"**\"]\n",
        path.display()
    ));
    exec(&scene, ["./one", "made"]).denied().says("denies");
    assert!(!scene.work("made").exists());
    exec(&scene, ["./two", "made"]).succeeded();
}
