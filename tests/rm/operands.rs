use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::plain_rm;
use crate::support::{Ran, Scene, Terminal, is_root, tree};

#[test]
fn arg_28_a_link_with_a_trailing_slash_empties_no_directory() {
    let scene = Scene::new();
    scene
        .files(["target/x", "plain/target/x"])
        .grant(scene.work(""));
    for place in ["", "plain"] {
        symlink("target", scene.work(place).join("ld")).unwrap();
    }
    for word in ["ld/", "ld//", "./ld/"] {
        scene.safe_rm(["-rf", word]).denied().says("trailing slash");
        assert!(scene.work("target/x").exists(), "{word}");
        assert_eq!(scene.last_entry()["decision"], "DENIED");
    }
    Ran::of(&mut plain_rm(&["-rf", "ld/"], &scene.work("plain")));
    assert!(
        !scene.work("plain/target/x").exists(),
        "plain rm empties what the link leads to"
    );

    scene.safe_rm(["-rf", "ld"]).succeeded();
    assert!(!scene.work("ld").is_symlink() && scene.work("target/x").exists());
}

#[test]
fn arg_29_and_30_dots_and_the_root_are_refused_in_every_spelling() {
    let scene = Scene::new();
    scene.files(["d/x"]).grant(scene.path(""));
    symlink("/", scene.work("root")).unwrap();
    symlink("d", scene.work("ld")).unwrap();
    let dots = [
        ".", "..", "./", "..//", ".///", "d/.", "d/..", "d/../", "ld/./", "ld/..",
    ];
    let roots = [
        "/", "//", "///", "/.", "/..", "/../", "/tmp/..", "root/", "root/.", "root//",
    ];
    for word in dots.into_iter().chain(roots) {
        for words in [&["-rf", word][..], &[word], &["d/x", "--", word]] {
            scene.safe_rm(words).denied();
            assert!(scene.work("d/x").exists(), "{words:?}");
            assert_eq!(scene.last_entry()["decision"], "DENIED", "{words:?}");
        }
    }
}

#[test]
fn arg_31_slashes_more_than_one_are_one() {
    let scene = Scene::new();
    scene.grant(scene.work(""));
    let work = scene.work("").display().to_string();
    for spelling in [
        format!("/{work}/f"),
        work.replace('/', "//") + "f",
        format!("//{work}./f"),
    ] {
        scene.files(["f"]);
        scene.safe_rm([&spelling]).succeeded();
        assert!(!scene.work("f").exists(), "{spelling}");
        let granted = scene.work("f").display().to_string();
        assert_eq!(scene.last_entry()["scopes"][0], granted, "{spelling}");
    }
    scene.safe_rm([format!("/{work}/../f")]).denied();
}

#[test]
fn arg_32_operands_that_overlap_are_one_command_and_one_use() {
    let scene = Scene::new();
    let grant = scene
        .files(["a/b/c"])
        .grant_with(scene.work(""), ["--uses", "5"]);
    let before = scene.trail().len();
    scene.safe_rm(["-rfv", "a", "a/b", "a", "./a/"]).succeeded();
    assert!(!scene.work("a").exists());
    assert_eq!(scene.trail().len(), before + 1);
    assert_eq!(scene.uses_left(&grant), Some(4));
}

/// Returns operands that all mean `f` and have `dots` times `./` among them.
fn long_spellings(dots: usize) -> Vec<String> {
    const MOST: usize = 2000;
    let spelled = |dots: usize| "./".repeat(dots) + "f";
    let mut words = vec![spelled(MOST); dots / MOST];
    words.push(spelled(dots % MOST));
    words
}

#[test]
fn arg_35_the_longest_argument_is_refused_and_recorded() {
    let scene = Scene::new();
    scene.grant(scene.work(""));
    let longest = "n".repeat(128 * 1024 - 1);
    scene
        .safe_rm(["-f", &longest])
        .denied()
        .says("File name too long");
    let entry = scene.last_entry();
    assert_eq!(entry["decision"], "DENIED");
    let note = entry["truncated"][0].as_str().unwrap();
    assert!(note.starts_with("argv count=3 "), "{note}");
    scene.assert_trail_intact();
}

#[test]
fn arg_36_a_command_that_grows_too_long_on_the_way_removes_nothing() {
    let scene = Scene::new();
    scene.files(["f"]);
    let command = |dots: usize| {
        let mut command = scene.command("safe-rm");
        command.env_clear().arg("-f").args(long_spellings(dots));
        command
    };
    let (mut starts, mut too_long) = (0, 2 * 1024 * 1024);
    while starts + 1 < too_long {
        let middle = usize::midpoint(starts, too_long);
        match command(middle).output() {
            Ok(_) => starts = middle,
            Err(_) => too_long = middle,
        }
    }
    let grant = scene.grant_with(scene.work(""), ["--uses", "9"]);
    // The real command's environment is larger than the empty one of the caller.
    Ran::of(&mut command(starts))
        .exited(126)
        .says("Argument list too long");
    assert!(scene.work("f").exists());
    assert_eq!(scene.uses_left(&grant), Some(9));
    assert_eq!(scene.last_entry()["decision"], "FAILED");
    scene.assert_trail_intact();
}

#[test]
fn path_30_a_file_that_is_a_whole_scope_is_removed_by_pvm_itself() {
    let scene = Scene::new();
    scene.files(["f", "g", "neighbour", "plain/f"]);
    symlink("neighbour", scene.work("link")).unwrap();
    for name in ["f", "g", "link"] {
        // A link is no clear scope on the command line, so its grant is given for a file.
        let there = scene.work(name);
        if there.is_symlink() {
            std::fs::rename(&there, scene.work("aside")).unwrap();
            scene.grant(&there);
            std::fs::rename(scene.work("aside"), &there).unwrap();
        } else {
            scene.grant(&there);
        }
    }
    let ran = scene.safe_rm(["-v", "f"]);
    let plain = Ran::of(&mut plain_rm(&["-v", "f"], &scene.work("plain")));
    assert_eq!(ran.to_string(), plain.to_string());
    let trail = scene.trail();
    let [.., success, result] = trail.as_slice() else {
        panic!("two entries at least")
    };
    assert_eq!(
        (&success["decision"], &success["by"]),
        (&"SUCCESS".into(), &"self".into())
    );
    assert_eq!(success["confinement"], "own");
    assert_eq!(
        (&result["decision"], &result["by"]),
        (&"RESULT".into(), &"self".into())
    );
    assert_eq!(
        (&result["status"], &result["of_entry"]),
        (&0.into(), &success["entry"])
    );

    scene.safe_rm(["-f", "link"]).succeeded();
    scene.safe_rm(["g", "neighbour"]).denied();
    let left: Vec<_> = tree(&scene.work("")).into_iter().collect();
    assert_eq!(
        left,
        ["g", "neighbour", "plain"].map(std::path::PathBuf::from)
    );
}

#[test]
fn path_30_a_whole_scope_and_other_operands_are_to_be_split() {
    let scene = Scene::new();
    scene.files(["f", "d/x"]).grant(scene.work("f"));
    scene.grant(scene.work("d"));
    for words in [["-rf", "f", "d"], ["-rf", "d", "f"], ["-f", "d/x", "f"]] {
        scene
            .safe_rm(words)
            .denied()
            .says("goes alone")
            .says("hint: remove it in a command of its own");
        assert!(scene.work("f").exists() && scene.work("d/x").exists());
        assert_eq!(scene.last_entry()["decision"], "DENIED");
    }
    scene.safe_rm(["-rf", "f"]).succeeded();
    scene.safe_rm(["-rf", "d"]).succeeded();
    assert_eq!(tree(&scene.work("")).len(), 0);
}

#[test]
fn arg_41_pvm_asks_in_the_words_of_rm_and_the_answer_grants_nothing() {
    let scene = Scene::new();
    let questions = [
        ("y\n", false),
        ("Yes\n", false),
        ("n\n", true),
        ("", true),
        ("\n", true),
        ("\u{ff}y\n", true),
    ];
    for (answer, stays) in questions {
        scene.files(["f", "plain/f"]).grant(scene.work("f"));
        let ran = Ran::with_input(
            scene.command("safe-rm").args(["-iv", "f"]),
            answer.as_bytes(),
        );
        let plain = Ran::with_input(
            &mut plain_rm(&["-iv", "f"], &scene.work("plain")),
            answer.as_bytes(),
        );
        assert_eq!(ran.to_string(), plain.to_string(), "{answer:?}");
        assert_eq!(scene.work("f").exists(), stays, "{answer:?}");
    }
    scene.pvm(["revoke", "--all"]).succeeded();
    scene.files(["f"]);
    let ran = Ran::with_input(scene.command("safe-rm").args(["-i", "f"]), b"y\n");
    ran.denied();
    assert!(!ran.stderr_text().contains("rm: remove"), "{ran}");
    assert!(scene.work("f").exists());
}

#[test]
fn proc_10_the_exit_status_of_the_real_command_comes_through() {
    let scene = Scene::new();
    scene.files(["d/x", "f"]).grant(scene.work(""));
    let commands: [(&[&str], i32); 5] = [
        (&["d"], 1),
        (&["missing"], 1),
        (&["-f", "missing"], 0),
        (&["-d", "d"], 1),
        (&["f", "missing"], 1),
    ];
    for (words, code) in commands {
        let ran = scene.safe_rm(words);
        ran.exited(code);
        assert!(!ran.stderr_text().contains("permission denied"), "{ran}");
        assert_eq!(scene.last_entry()["decision"], "SUCCESS", "{words:?}");
    }
    assert!(!scene.work("f").exists() && scene.work("d/x").exists());
}

#[test]
fn arg_41_a_write_protected_file_is_asked_about_on_a_terminal() {
    if is_root() {
        println!("skipped: nothing is write-protected for root");
        return;
    }
    let scene = Scene::new();
    scene.files(["f", "plain/f"]).grant(scene.work("f"));
    let question = "rm: remove write-protected regular file 'f'? ";
    for name in ["f", "plain/f"] {
        let protected = Permissions::from_mode(0o444);
        std::fs::set_permissions(scene.work(name), protected).unwrap();
    }
    let mut plain = Terminal::start(&scene, "cd plain && exec /usr/bin/rm f", []);
    plain.sees("remove write-protected regular file 'f'? ");
    plain.types("n\r");
    assert_eq!(plain.ends().0, Some(0));
    for (answer, stays) in [("n\r", true), ("y\r", false)] {
        let mut terminal = Terminal::start(&scene, "exec safe-rm f", []);
        terminal.sees(question);
        terminal.types(answer);
        assert_eq!(terminal.ends().0, Some(0));
        assert_eq!(scene.work("f").exists(), stays);
    }
    assert!(scene.work("plain/f").exists());
}
