use crate::support::{Ran, Scene};

#[test]
fn check_answers_for_people_and_for_scripts() {
    let scene = Scene::new();
    let scope = scene.work("d");
    let scope = scope.to_str().unwrap();
    let check = |more: &[&str]| scene.pvm([&["check", "--scope", scope], more].concat());

    let ran = check(&[]);
    assert_eq!(ran.exited(1).stderr, b"");
    assert_eq!(
        ran.stdout_text(),
        format!("DENIED rm {scope}: no active grant covers it\n")
    );
    let answer = check(&["--json"]).exited(1).json();
    assert_eq!(
        answer,
        serde_json::json!({
            "decision": "denied",
            "reason": "no active grant covers it",
            "rule": null,
            "near_misses": [],
        })
    );

    let id = scene.grant_with(scene.work(""), ["--agent", "claude"]);
    let ran = check(&["--agent", "claude"]);
    assert_eq!(
        ran.succeeded().stdout_text(),
        format!("GRANTED rm {scope} by grant {id}\n")
    );
    let answer = check(&["--agent", "claude", "--json"]).succeeded().json();
    assert_eq!(
        (&answer["decision"], &answer["grant"]["id"]),
        (&"granted".into(), &id.into())
    );
    assert!(
        check(&[])
            .exited(1)
            .stdout_text()
            .contains("for another agent")
    );
    let ran = check(&["--agent", "claude", "--op", "trash", "--json"]);
    assert_eq!(
        ran.exited(1).json()["near_misses"][0]["why"],
        "for another operation"
    );
    check(&["--op", "delete"]).exited(2);
}

#[test]
fn check_uses_nothing_up_and_records_nothing() {
    let scene = Scene::new();
    let id = scene.grant_with(scene.work("d"), ["--uses", "1"]);
    let before = scene.trail();
    for _ in 0..3 {
        scene
            .pvm(["check", "--scope", scene.work("d").to_str().unwrap()])
            .succeeded();
    }
    assert_eq!(scene.uses_left(&id), Some(1));
    assert_eq!(scene.trail(), before);
}

#[test]
fn status_says_how_far_the_protection_reaches_before_anything_else() {
    let scene = Scene::new();
    let text = scene.pvm(["status"]).succeeded().stdout_text();
    assert!(text.starts_with("mode: advisory - "), "{text}");
    assert!(text.contains("no live grants"), "{text}");
    let json = scene.pvm(["status", "--json"]).succeeded().json();
    assert_eq!(json["mode"], "advisory");
    assert_eq!(json["grants"], serde_json::json!([]));
}

#[test]
fn status_lists_grants_and_the_last_refusals() {
    let scene = Scene::new();
    scene.files(["victim"]);
    let id = scene.grant_with(scene.work("d"), ["--uses", "2", "--agent", "claude"]);
    scene.safe_rm(["victim"]).denied();
    let text = scene.pvm(["status"]).succeeded().stdout_text();
    let line = text.lines().find(|line| line.contains(&id[..8])).unwrap();
    for part in ["claude", "rm", "work/d", "in 9m", "2"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(text.contains("/safe-rm victim: "), "{text}");
    let json = scene.pvm(["status", "--json"]).succeeded().json();
    let grant = &json["grants"][0];
    assert_eq!(
        (&grant["id"], &grant["uses_left"]),
        (&id.as_str().into(), &2.into())
    );
    assert_eq!(json["refusals"][0]["argv"][1], "victim");
    assert_eq!(json["head"]["entry"], scene.trail().len());
}

#[test]
fn nothing_is_coloured_in_a_pipe() {
    let scene = Scene::new();
    scene.grant(scene.work("d"));
    for verb in ["status", "doctor", "audit", "--help"] {
        assert!(!scene.pvm([verb]).stdout_text().contains('\x1b'), "{verb}");
    }
}

#[test]
fn revoke_by_every_selection() {
    let scene = Scene::new();
    let a = scene.grant(scene.work("a"));
    let b = scene.grant_with(scene.work("b"), ["--agent", "claude"]);
    let c = scene.grant(scene.work("c/d"));
    let e = scene.grant(scene.work("e"));

    let ran = scene.pvm(["revoke", &a[..8]]);
    let text = ran.succeeded().stdout_text();
    assert!(
        text.starts_with(&format!("revoked {}: rm on /", &a[..8])),
        "{text}"
    );
    let json = scene
        .pvm(["revoke", "--agent", "claude", "--json"])
        .succeeded()
        .json();
    assert_eq!(json["id"], b);
    let parent = scene.work("c");
    let ran = scene.pvm(["revoke", "--scope", parent.to_str().unwrap()]);
    assert!(ran.succeeded().stdout_text().contains(&c[..8]));
    assert!(
        scene
            .pvm(["revoke", "--all"])
            .succeeded()
            .stdout_text()
            .contains(&e[..8])
    );

    let ran = scene.pvm(["revoke", "--all"]);
    assert_eq!(ran.succeeded().stdout_text(), "no live grant was revoked\n");
    assert_eq!(
        scene.pvm(["revoke", "--all", "--json"]).succeeded().stdout,
        b""
    );
    let ran = scene.pvm(["revoke", &a]);
    assert_eq!(ran.succeeded().stdout_text(), "no live grant was revoked\n");
    scene.assert_trail_intact();
}

#[test]
fn json_goes_with_every_selection() {
    let scene = Scene::new();
    let id = scene.grant(scene.work("a"));
    assert_eq!(
        scene.pvm(["revoke", &id, "--json"]).succeeded().json()["id"],
        id
    );
}

#[test]
fn revoke_names_what_it_cannot_find() {
    let scene = Scene::new();
    scene.grant(scene.work("a"));
    scene
        .pvm(["revoke", "abc"])
        .exited(2)
        .says("too short to name a grant");
    scene
        .pvm(["revoke", "aaaaaaaa"])
        .exited(2)
        .says("no grant has an id that begins with");
    scene.pvm(["revoke", "aaaa", "--all"]).exited(2);
    scene
        .pvm(["revoke", "%%%%"])
        .exited(2)
        .says("no grant has an id");
    scene
        .pvm(["revoke", "____"])
        .exited(2)
        .says("no grant has an id");
    scene.pvm(["revoke", ""]).exited(2);
    let json = scene.pvm(["status", "--json"]).succeeded().json();
    assert_eq!(json["grants"].as_array().unwrap().len(), 1);
}

#[test]
fn a_name_that_is_no_text_stands_in_json_without_loss() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let scene = Scene::new();
    let scope = scene.work(OsStr::from_bytes(b"a\xff\x1b[2K"));
    let id = scene.grant(&scope);
    let json = scene.pvm(["status", "--json"]).succeeded().json();
    let encoded = json["grants"][0]["scope"]["base64"].as_str().unwrap();
    let bytes = data_encoding::BASE64.decode(encoded.as_bytes()).unwrap();
    assert_eq!(bytes, scope.as_os_str().as_bytes());
    let text = scene.pvm(["status"]).succeeded().stdout_text();
    assert!(
        text.contains("a\\xff\\u{1b}[2K") && text.contains(&id[..8]),
        "{text}"
    );
}

#[test]
fn every_command_that_needs_the_vault_says_how_to_make_one() {
    let scene = Scene::bare();
    let copy = scene.work("copy");
    let words: [&[&str]; 5] = [
        &["status"],
        &["check", "--scope", "/tmp/x"],
        &["revoke", "--all"],
        &["audit"],
        &["backup", copy.to_str().unwrap()],
    ];
    for words in words {
        let ran: Ran = scene.pvm(words);
        ran.exited(125)
            .says("pvm: there is no vault at")
            .says("make one:  pvm init");
        assert!(!scene.vault().exists() && !copy.exists());
    }
}
