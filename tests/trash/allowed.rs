use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::{House, names};
use crate::support::tree;

/// A house without a grant, where `work/ws` is a workspace for an agent, if one is named.
fn house(agent: Option<&str>) -> Option<House> {
    let house = House::new("a home of one's own")?;
    house.scene.pvm(["revoke", "--all"]).exited(0);
    let path = house.home.join("work/ws");
    let workspace = match agent {
        None => format!("\"{}\"", path.display()),
        Some(agent) => format!("{{ path = \"{}\", agent = \"{agent}\" }}", path.display()),
    };
    house
        .scene
        .configure(&format!("trash.workspaces = [{workspace}]"));
    for name in ["ws/f", "ws/d/g", "ws-evil/f", "other/f"] {
        house.file(name);
    }
    Some(house)
}

#[test]
fn inside_a_workspace_no_grant_is_needed() {
    let Some(house) = house(None) else {
        return;
    };
    house
        .script("safe-trash ws/f \"$PWD/ws/../ws/d\" ws/none || true")
        .says("ws/none");
    assert_eq!(names(&house.at("work/ws")), [""; 0]);
    assert_eq!(names(&house.trash("files")), ["d", "f"]);
    let entry = house.last_success();
    let rules = entry["rules"].as_array().unwrap();
    assert!(
        rules[0]
            .as_str()
            .unwrap()
            .starts_with("trash.workspaces (pvm.toml:"),
        "{entry}"
    );
    assert_eq!(
        (&entry["confinement"], &entry["by"]),
        (&"own".into(), &"self".into())
    );
    assert!(
        entry["grant_ids"].as_array().is_none_or(Vec::is_empty),
        "{entry}"
    );
}

#[test]
fn p_d28_to_30_nothing_outside_of_a_workspace_is_taken_for_inside() {
    let Some(house) = house(None) else {
        return;
    };
    symlink("../other", house.at("work/ws/out")).unwrap();
    symlink("ws", house.at("work/in")).unwrap();
    fs::write(house.at("secret"), "").unwrap();
    for words in [
        "ws/../other/f",
        "ws/../../secret",
        "\"$PWD/ws/../../secret\"",
        "ws-evil/f",
        "ws-evil",
        "ws/f other/f",
        "other/f ws/f",
        "ws/out/f",
        "ws",
        "ws/",
        "in/",
        "ws/f ws",
        "../work",
        "\"$PWD\"",
        "in",
    ] {
        let before = tree(&house.at(""));
        for words in [words.to_owned(), format!("-rf -- {words}")] {
            let count = house.scene.trail().len();
            house.script(&format!("exec safe-trash {words}")).denied();
            assert_eq!(tree(&house.at("")), before, "{words}");
            assert_eq!(house.scene.trail().len(), count + 1, "one entry: {words}");
        }
    }
    // The link itself lies inside, and a link into the workspace leads inside.
    house.script("safe-trash ws/out in/f").succeeded();
    assert!(house.at("work/other/f").exists());
}

#[test]
fn p_d30_and_p_d31_no_variable_makes_a_workspace_and_no_option_takes_a_grant_away() {
    let Some(house) = house(None) else {
        return;
    };
    let before = tree(&house.at(""));
    let set = "PVM_WORKSPACE_ROOT=/ PVM_WORKSPACES=/ PVM_TRASH_WORKSPACES=/ PVM_CONFIG=/dev/null";
    house
        .script(&format!("{set} exec safe-trash other/f"))
        .denied();
    for option in [
        "--no-request",
        "--workspace=/",
        "--force-trash",
        "--grant-scope=/",
    ] {
        house
            .script(&format!("exec safe-trash {option} ws/f"))
            .exited(2)
            .says("unknown option");
    }
    assert_eq!(tree(&house.at("")), before);
    house.grant(&house.home.join("work/other"));
    house.script("safe-trash other/f").succeeded();
}

#[test]
fn a_workspace_can_be_one_agents_alone() {
    let Some(house) = house(Some("claude")) else {
        return;
    };
    for agent in [
        "",
        "PVM_AGENT_ID=codex",
        "PVM_AGENT_ID=claude2",
        "AGENT_ID=Claude",
    ] {
        house
            .script(&format!("{agent} exec safe-trash ws/f"))
            .denied();
        assert!(house.at("work/ws/f").exists(), "{agent}");
    }
    house
        .script("PVM_AGENT_ID=claude exec safe-trash ws/f")
        .succeeded();
}

#[test]
fn what_denies_or_asks_beats_a_workspace_and_deny_beats_a_grant() {
    let Some(house) = house(None) else {
        return;
    };
    let ws = house.home.join("work/ws");
    let rule = |effect: &str, below: &str| {
        format!(
            "trash.workspaces = [\"{0}\"]\n[[permissions.rules]]\neffect = \"{effect}\"\n\
             op = \"trash\"\nscope = \"{0}/{below}\"",
            ws.display()
        )
    };
    house.scene.configure(&rule("deny", "d"));
    for words in ["ws/d/g", "ws/d", "ws/f ws/d/g"] {
        let ran = house.script(&format!("exec safe-trash {words}"));
        ran.denied().says("rule 1");
    }
    house.grant(&house.home.join("work"));
    house.script("exec safe-trash ws/d").denied().says("rule 1");
    house.script("exec safe-trash ws").denied().says("rule 1");
    house.scene.pvm(["revoke", "--all"]).exited(0);
    house.scene.configure(&rule("ask", "d"));
    house
        .script("exec safe-trash ws/d/g")
        .denied()
        .says("no active grant");
    house.script("safe-trash ws/f").succeeded();
    house.grant(&ws.join("d"));
    house.script("safe-trash ws/d/g").succeeded();
}

#[test]
fn safe_rm_offers_the_trash_where_that_would_take_it() {
    let Some(house) = house(None) else {
        return;
    };
    let offer = "the trash would take it:  safe-trash -- ";
    let ran = house.script("exec safe-rm -r 'ws/d'");
    ran.denied().says(&format!(
        "{offer}{}",
        house.home.join("work/ws/d").display()
    ));
    let line = ran.stderr_text();
    let line = line
        .lines()
        .find_map(|line| line.split_once("it:  ").map(|(_, line)| line));
    house.script(line.unwrap()).succeeded();
    assert!(!house.at("work/ws/d").exists());

    house.file("ws/a b");
    house
        .script("exec safe-rm 'ws/a b'")
        .denied()
        .says("safe-trash -- '");
    house
        .script("exec safe-rm ws/f 'ws/a b'")
        .denied()
        .says("the trash would take all of them");
    for words in ["other/f", "ws/f other/f", "-r ws"] {
        let ran = house.script(&format!("exec safe-rm {words}"));
        ran.denied();
        assert!(!ran.stderr_text().contains("the trash would"), "{ran}");
    }
}

#[test]
fn a_grant_is_for_the_trash_and_is_used_up() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.scene.pvm(["revoke", "--all"]).exited(0);
    house.file("f");
    house.file("g");
    house
        .script("pvm grant --op rm --ttl 1m --scope \"$PWD\" >/dev/null")
        .succeeded();
    house
        .script("exec safe-trash f")
        .denied()
        .says("for another operation");
    house
        .script("pvm grant --op trash --uses 1 --ttl 1m --scope \"$PWD\" >/dev/null")
        .succeeded();
    house.script("exec safe-trash f").succeeded();
    house
        .script("exec safe-trash g")
        .denied()
        .says("no use left");
    assert!(house.at("work/g").exists());
    house.script("exec safe-rm g").succeeded();
}

#[test]
fn each_run_is_one_entry_and_its_result() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    for (words, code, moved) in [
        ("f", 0, 1),
        ("f none", 1, 1),
        ("-f f none", 0, 1),
        ("none", 1, 0),
    ] {
        house.file("f");
        let before = house.scene.trail().len();
        house
            .script(&format!("exec safe-trash {words}"))
            .exited(code);
        let trail = house.scene.trail();
        let [success, result] = &trail[before..] else {
            panic!("{words}: {:#?}", &trail[before..])
        };
        assert_eq!(
            (&success["event_type"], &success["decision"]),
            (&"EXECUTION".into(), &"SUCCESS".into())
        );
        assert_eq!(
            (&result["decision"], &result["status"]),
            (&"RESULT".into(), &code.into())
        );
        assert_eq!(result["of_entry"], success["entry"]);
        let places = result["trashed"].as_array().unwrap();
        assert_eq!(
            places.len(),
            success["operands"].as_array().unwrap().len(),
            "{words}"
        );
        let there = places.iter().filter(|place| **place != "").count();
        assert_eq!(there, moved, "{words}");
    }
}

#[test]
fn arg_04_every_name_of_it_does_the_same() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    let links = house.scene.path("links");
    fs::create_dir(&links).unwrap();
    for name in ["trash", "trash-put", "safe-trash"] {
        symlink("../bin/pvm", links.join(name)).unwrap();
        let path = house.file(name);
        let script = format!("PATH={}:$PATH; {name} -v -- {name}", links.display());
        let ran = house.script(&script);
        ran.succeeded();
        assert_eq!(ran.stdout_text(), format!("{name}: trashed '{name}'\n"));
        assert!(!path.exists());
        house.file("f");
        let script = format!("PATH={}:$PATH; exec {name} ../f", links.display());
        let ran = house.script(&script);
        assert!(
            ran.stderr_text()
                .starts_with(&format!("{name}: permission denied: ")),
            "{ran}"
        );
        let ran = house.script(&format!("PATH={}:$PATH; {name} --help", links.display()));
        ran.succeeded();
        assert!(
            ran.stdout_text().starts_with(&format!("Usage: {name} ")),
            "{ran}"
        );
    }
}

#[test]
fn path_13_to_15_a_directory_with_a_mount_below_does_not_go() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.file("d/f");
    house.file("victim/f");
    fs::create_dir(house.at("work/d/point")).unwrap();
    for word in ["d", "d/point", "-r d", "d/./point/../../d/"] {
        let ran = house.script(&format!(
            "mount --bind victim d/point; exec safe-trash {word}"
        ));
        ran.denied().says("mount");
        assert!(house.at("work/victim/f").exists() && house.at("work/d/f").exists());
    }
    house
        .script("mount --bind victim d/point; exec safe-trash d/f")
        .succeeded();
}

#[test]
fn path_28_nothing_of_pvms_own_goes_to_the_trash() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    let root = house.scene.path("");
    house.grant(&root);
    for name in [
        "state",
        "state/vault.db",
        "etc/pvm/pvm.toml",
        "etc",
        "bin/pvm",
    ] {
        let ran = house.run("exec safe-trash -- \"$1\"", [root.join(name)]);
        ran.denied().says("no grant reaches what belongs to pvm");
        assert!(root.join(name).exists(), "{name}");
    }
    assert!(!house.trash("").exists());
}

#[test]
fn path_41_a_hundred_processes_leave_a_hundred_entries() {
    let Some(house) = house(None) else {
        return;
    };
    for number in 0..100 {
        house.file(format!("ws/{number}/foo"));
    }
    let before = house.scene.trail().len();
    let script = "n=0; while [ $n -lt 100 ]; do safe-trash ws/$n/foo & n=$((n + 1)); done; wait";
    house.script(script).succeeded();
    assert_eq!(names(&house.trash("files")).len(), 100);
    let trail = house.scene.trail();
    let ends = trail[before..]
        .iter()
        .filter(|entry| entry["decision"] == "RESULT");
    let places: std::collections::BTreeSet<_> = ends
        .map(|entry| entry["trashed"][0].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((trail.len() - before, places.len()), (200, 100));
    house.scene.assert_trail_intact();
}

#[test]
fn aud_08_what_is_said_of_a_name_steers_no_terminal() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    let name = OsStr::from_bytes(b"\x1b[2J\xff\n-v");
    house.file(name);
    let ran = house.run("safe-trash -v -- \"$1\" \"$1\" || true", [name]);
    ran.exited(0).says("cannot trash");
    let said = [ran.stdout.as_slice(), ran.stderr.as_slice()].concat();
    assert!(
        said.iter()
            .all(|byte| *byte == b'\n' || !byte.is_ascii_control()),
        "{ran}"
    );
    assert_eq!(ran.stdout_text().lines().count(), 1, "{ran}");
    assert_eq!(ran.stderr_text().lines().count(), 1, "{ran}");
}

#[test]
fn path_39_what_was_passed_over_is_said_when_asked() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.file("f");
    fs::create_dir_all(house.at(".local/share")).unwrap();
    symlink("/tmp", house.at(".local/share/Trash")).unwrap();
    let ran = house.script("safe-trash -v f");
    ran.succeeded();
    assert!(ran.stdout_text().contains("passed over "), "{ran}");
    assert!(ran.stdout_text().contains("Trash: it is a link"), "{ran}");
    house.file("g");
    assert_eq!(house.script("safe-trash g").succeeded().stdout, b"");
}

#[test]
fn p_d33_a_trash_that_fails_is_a_failure() {
    let Some(house) = House::new("a home of one's own") else {
        return;
    };
    house.file("f");
    let full = "mkdir -p \"$HOME/.local/share/Trash\"; mount -t tmpfs tmpfs \"$HOME/.local/share/Trash\"; \
                mount --bind \"$HOME\" \"$HOME\"; mount -o remount,bind,ro \"$HOME\"; cd \"$HOME/work\"";
    house
        .script(&format!("{full}; exec safe-trash f"))
        .exited(1)
        .says("cannot trash 'f'");
    assert!(house.at("work/f").exists());
    let result = house.scene.last_entry();
    assert_eq!(
        (&result["decision"], &result["status"]),
        (&"RESULT".into(), &1.into())
    );
    assert!(result["error"].is_string(), "{result}");
}
