use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};
use serde_json::Value;

use super::{eventful, remove_as};
use crate::support::{Ran, Scene};

/// Returns what `pvm audit --json` prints with more options.
fn listed<S: AsRef<OsStr>>(scene: &Scene, options: &[S]) -> Vec<Value> {
    let mut command = scene.command("pvm");
    let ran = Ran::of(command.args(["audit", "--json"]).args(options));
    let text = ran.succeeded().stdout_text();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn numbers(entries: &[Value]) -> Vec<i64> {
    entries
        .iter()
        .map(|entry| entry["entry"].as_i64().unwrap())
        .collect()
}

#[test]
fn each_filter_gives_what_it_names_and_all_of_it() {
    let scene = eventful();
    let trail = scene.trail();
    let all = |wanted: &dyn Fn(&Value) -> bool| {
        let found: Vec<_> = trail
            .iter()
            .filter(|entry| wanted(entry))
            .cloned()
            .collect();
        assert!(!found.is_empty() && found.len() < trail.len());
        numbers(&found)
    };
    let has = |entry: &Value, field: &str, text: &str| {
        entry.get(field).is_some_and(|value| match value {
            Value::Array(values) => values.iter().any(|value| value == text),
            value => value == text,
        })
    };

    let denied = all(&|entry| entry["decision"] == "DENIED");
    assert_eq!(numbers(&listed(&scene, &["--decision", "DENIED"])), denied);
    assert_eq!(numbers(&listed(&scene, &["--decision", "denied"])), denied);
    let either = all(&|entry| entry["decision"] == "RESULT" || entry["decision"] == "REVOKED");
    assert_eq!(
        numbers(&listed(&scene, &["--decision", "result,revoked"])),
        either
    );

    let of = "claude of uid ";
    let claude = all(&|entry| {
        entry["agent"] == "claude"
            || entry
                .get("for")
                .is_some_and(|whom| whom.as_str().unwrap().starts_with(of))
    });
    assert_eq!(numbers(&listed(&scene, &["--agent", "claude"])), claude);
    assert_eq!(
        numbers(&listed(&scene, &["--agent", "claud"])),
        Vec::<i64>::new()
    );

    let rm = all(&|entry| entry["op"] == "rm" || has(entry, "ops", "rm"));
    assert_eq!(numbers(&listed(&scene, &["--op", "rm"])), rm);
    assert_eq!(
        numbers(&listed(&scene, &["--op", "trash"])),
        Vec::<i64>::new()
    );

    let claude_denied = ["--agent", "codex", "--decision", "success"];
    assert_eq!(numbers(&listed(&scene, &claude_denied)), Vec::<i64>::new());
}

#[test]
fn a_result_is_listed_with_what_it_is_the_end_of() {
    let scene = eventful();
    let scope = scene.work("single");
    let entries = listed(&scene, &[OsStr::new("--scope"), scope.as_os_str()]);
    let decisions: Vec<_> = entries
        .iter()
        .map(|entry| entry["decision"].as_str().unwrap())
        .collect();
    assert_eq!(
        decisions,
        ["PENDING", "GRANTED", "SUCCESS", "RESULT", "REVOKED"]
    );
    assert_eq!(entries[3]["of_entry"], entries[2]["entry"]);
    assert_eq!(entries[3]["status"], 0);

    let grant = entries[1]["grant_ids"][0].as_str().unwrap();
    for prefix in [grant, &grant[..6]] {
        assert_eq!(
            numbers(&listed(&scene, &["--grant", prefix])),
            numbers(&entries[1..])
        );
    }
}

#[test]
fn a_scope_covers_by_component_and_needs_not_exist() {
    let scene = Scene::bare();
    scene.files(["a/x", "ab"]);
    scene.grant(scene.path("work"));
    for word in ["a/x", "ab", "a"] {
        scene.safe_rm(["-rf", word]).succeeded();
    }
    let words = |scope: &OsStr| {
        let entries = listed(
            &scene,
            &["--op".as_ref(), "rm".as_ref(), "--scope".as_ref(), scope],
        );
        let words = entries
            .iter()
            .filter_map(|entry| entry["operands"][0].as_str());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(words(scene.work("a").as_ref()), ["a/x", "a"]);
    assert_eq!(words("a/".as_ref()), ["a/x", "a"]);
    assert_eq!(words("../work/ab".as_ref()), ["ab"]);
    assert_eq!(words(".".as_ref()), ["a/x", "ab", "a"]);
    assert_eq!(words("/".as_ref()), ["a/x", "ab", "a"]);
    std::os::unix::fs::symlink("work", scene.path("link")).unwrap();
    assert_eq!(words(scene.path("link/ab").as_ref()), ["ab"]);
    let gone = scene.path("gone/../work/ab");
    scene
        .pvm([OsStr::new("audit"), "--scope".as_ref(), gone.as_ref()])
        .exited(2)
        .says("without '..'");
    scene.pvm(["audit", "--scope", ""]).exited(2);
}

#[test]
fn time_01_a_span_is_searched_whole_even_where_the_clock_was_set_back() {
    let scene = Scene::bare();
    scene.grant(scene.work("x"));
    scene.edit_vault("UPDATE audit SET at = 1800000000000 + seq * 1000", []);
    scene.edit_vault("UPDATE audit SET at = 1700000000000 WHERE seq = 2", []);
    let since = |options: &[&str]| numbers(&listed(&scene, options));
    assert_eq!(since(&["--since", "2027-01-15T08:00:00Z"]), [1, 3]);
    assert_eq!(since(&["--until", "2027-01-15T08:00:01Z"]), [1, 2]);
    assert_eq!(since(&["--since", "2027-01-15T09:00:03+01:00"]), [3]);
    assert_eq!(
        since(&["--since", "2023-11-14", "--until", "2023-11-15"]),
        [2]
    );
    assert_eq!(since(&["--until", "9000days"]), Vec::<i64>::new());
    assert_eq!(since(&["--since", "9000days", "--limit", "2"]), [2, 3]);
}

#[test]
fn the_newest_are_listed_with_the_oldest_of_them_first() {
    let scene = eventful();
    let all = numbers(&scene.trail());
    let last: Vec<_> = all[all.len() - 3..].to_vec();
    assert_eq!(numbers(&listed(&scene, &["--limit", "3"])), last);
    assert_eq!(numbers(&listed(&scene, &["--limit", "0"])), all);
    assert_eq!(
        scene.pvm(["audit", "--agent", "nobody"]).succeeded().stdout,
        b"no such entry\n"
    );
}

#[test]
fn what_is_asked_wrongly_is_an_error_that_says_what_is_right() {
    let scene = Scene::new();
    for (words, says) in [
        (&["--since", "yesterday"][..], "neither like 90s"),
        (&["--since", "99999999999999d"], "neither like 90s"),
        (
            &["--decision", "maybe"],
            "known are pending, granted, denied",
        ),
        (&["--op", "mv"], "known are rm"),
        (&["--grant", "ABC"], "does not begin an id"),
        (&["--limit=-1"], "--limit"),
        (&["--limit", "1", "verify"], "cannot be used with"),
        (&["export"], "--format"),
    ] {
        scene.pvm([&["audit"], words].concat()).exited(2).says(says);
    }
    let bare = Scene::bare();
    for verb in [&["audit"][..], &["audit", "verify"], &["audit", "head"]] {
        bare.pvm(verb)
            .exited(125)
            .says("there is no vault")
            .says("pvm init");
        assert!(!bare.vault().exists());
    }
}

#[test]
fn aud_08_hostile_names_are_escaped_for_people_and_whole_in_json() {
    let scene = Scene::new();
    let names: [&[u8]; 4] = [
        b"a\nENTRY 9 SUCCESS",
        b"\x1b[2K\x1b]0;title\x07",
        "\u{202e}gpj.exe\u{200b}".as_bytes(),
        b"\xff{\"decision\":\"SUCCESS\"}",
    ];
    remove_as(&scene, "x", &names.map(OsStr::from_bytes)).denied();

    let table = scene.pvm(["audit"]).succeeded().stdout_text();
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(
        !table
            .chars()
            .any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'),
        "{table}"
    );
    assert!(table.contains(r"$'a\nENTRY 9 SUCCESS'"), "{table}");
    assert!(
        table.contains(r"$'\xe2\x80\xaegpj.exe\xe2\x80\x8b'"),
        "{table}"
    );

    let entry = scene.last_entry();
    assert_eq!(entry["decision"], "DENIED");
    let back = entry["operands"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| match word {
            Value::String(text) => text.clone().into_bytes(),
            other => data_encoding::BASE64
                .decode(other["base64"].as_str().unwrap().as_bytes())
                .unwrap(),
        });
    assert_eq!(back.collect::<Vec<_>>(), names);
}

#[test]
fn an_agent_that_somebody_wrote_into_the_vault_is_escaped() {
    let scene = Scene::new();
    scene.edit_vault(
        "UPDATE audit SET agent = 'a' || char(27) || '[31m' || char(10) || 'b'",
        [],
    );
    let table = scene.pvm(["audit"]).succeeded().stdout_text();
    assert!(table.contains(r"a\u{1b}[31m\nb"), "{table}");
}

/// Returns what `pvm audit` writes to a terminal of so many columns.
fn on_a_terminal(scene: &Scene, columns: u16) -> String {
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let terminal = openpty(&size, None).unwrap();
    // What other tests start meanwhile shall not hold it open.
    for end in [&terminal.master, &terminal.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    }
    let mut command = scene.command("pvm");
    command
        .arg("audit")
        .env("TERM", "xterm-256color")
        .stdout(Stdio::from(terminal.slave));
    let mut child = command.spawn().unwrap();
    // The command still holds the other end, and reading would go on for ever.
    drop(command);
    let mut shown = Vec::new();
    let _closed = File::from(terminal.master).read_to_end(&mut shown);
    assert!(child.wait().unwrap().success());
    String::from_utf8(shown).unwrap()
}

#[test]
fn on_a_terminal_lines_are_cut_and_decisions_have_colours() {
    let scene = eventful();
    let shown = on_a_terminal(&scene, 70);
    assert!(shown.contains("\x1b[31mDENIED"), "{shown:?}");
    let plain = anstream::adapter::strip_str(&shown).to_string();
    assert!(plain.lines().count() > 10);
    for line in plain.lines() {
        assert!(line.chars().count() <= 70, "{line:?}");
    }
    assert!(plain.contains('…'), "{plain}");
    let piped = scene.pvm(["audit"]).succeeded().stdout_text();
    assert!(!piped.contains(['…', '\x1b']), "{piped}");
}
