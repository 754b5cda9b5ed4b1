use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use pvm::{Client, Command};
use serde_json::Value;

use super::{client, command};
use crate::support::{Ran, Scene, mount_namespace};

/// Asks until the answer comes from the cache.
#[track_caller]
fn warm(client: &Client, command: &Command) {
    let before = client.cache_statistics().hits;
    for _ in 0..3 {
        assert!(client.evaluate(command).unwrap().is_allowed());
    }
    assert!(client.cache_statistics().hits > before, "it is remembered");
}

fn a_grant_and_its_client() -> (Scene, Client, Command) {
    let scene = Scene::new();
    scene.files(["d/f"]);
    scene.grant(scene.work("d"));
    // The first refusal makes a file beside the vault.
    scene.safe_rm(["other"]).denied();
    let client = client(&scene);
    let remove = command(&scene, ["rm", "d/f"]);
    (scene, client, remove)
}

#[test]
fn v_d9_revoked_and_asked_at_once_is_refused() {
    let (scene, client, remove) = a_grant_and_its_client();
    let recorded = [true, false];
    for (round, record) in recorded.into_iter().cycle().take(20).enumerate() {
        warm(&client, &remove);
        scene.pvm(["revoke", "--all"]).exited(0);
        let decision = if record {
            client.check(&remove)
        } else {
            client.evaluate(&remove)
        };
        assert!(!decision.unwrap().is_allowed(), "round {round}");
        scene.grant(scene.work("d"));
        assert!(
            client.evaluate(&remove).unwrap().is_allowed(),
            "round {round}"
        );
    }
}

#[test]
fn v_d9_a_rule_that_denies_is_in_the_next_answer() {
    let (scene, client, remove) = a_grant_and_its_client();
    let deny = format!(
        "[[permissions.rules]]\neffect = \"deny\"\nop = \"rm\"\nscope = \"{}\"\n",
        scene.work("d").display()
    );
    // Of the same length, so that only times tell them apart, if those do.
    let harmless = deny.replace("/work/d\"", "/work/e\"");
    scene.configure(&harmless);
    for round in 0..30 {
        sleep(Duration::from_millis(if round % 3 == 0 { 70 } else { 0 }));
        assert!(
            client.evaluate(&remove).unwrap().is_allowed(),
            "round {round}"
        );
        assert!(
            client.evaluate(&remove).unwrap().is_allowed(),
            "round {round}"
        );
        scene.configure(&deny);
        assert!(
            !client.evaluate(&remove).unwrap().is_allowed(),
            "round {round}"
        );
        scene.configure(&harmless);
    }
}

#[test]
fn v_d9_every_commit_of_others_is_seen() {
    let (scene, client, remove) = a_grant_and_its_client();
    for change in 0..8 {
        warm(&client, &remove);
        let before = client.cache_statistics().invalidations;
        match change {
            0 => drop(scene.safe_rm(["nothing/here"])),
            1 => drop(scene.grant(scene.work("elsewhere"))),
            2 => drop(scene.pvm([
                "revoke",
                "--scope",
                scene.work("elsewhere").to_str().unwrap(),
            ])),
            3 => scene.edit_vault("UPDATE grants SET reason = 'x'", []),
            4 => drop(scene.safe_rm(["d/none", "-f"])),
            5 => {
                fs::copy(scene.vault(), scene.path("state/copy")).unwrap();
                fs::rename(scene.path("state/copy"), scene.vault()).unwrap();
            }
            6 => fs::remove_file(scene.path("state/vault.db.lock")).unwrap(),
            _ => drop(scene.pvm(["exec", "--", "no-such-program"])),
        }
        assert!(client.evaluate(&remove).unwrap().is_allowed());
        assert_eq!(
            client.cache_statistics().invalidations,
            before + 1,
            "change {change}"
        );
    }
}

#[test]
fn p_d57_a_grant_ends_in_the_cache_when_it_ends() {
    let (scene, client, remove) = a_grant_and_its_client();
    scene.pvm(["revoke", "--all"]).exited(0);
    let scope = scene.work("d");
    scene
        .pvm([
            "grant",
            "--op",
            "rm",
            "--ttl",
            "1s",
            "--scope",
            scope.to_str().unwrap(),
        ])
        .exited(0);
    warm(&client, &remove);
    let counts = client.cache_statistics();
    sleep(Duration::from_millis(1100));
    assert!(!client.evaluate(&remove).unwrap().is_allowed());
    assert_eq!(
        client.cache_statistics().invalidations,
        counts.invalidations,
        "nothing changed"
    );
}

#[test]
fn v_d7_the_configured_time_to_live_holds() {
    let (scene, client, remove) = a_grant_and_its_client();
    scene.configure("permissions.cache_ttl_seconds = 1");
    sleep(Duration::from_millis(70));
    warm(&client, &remove);
    let counts = client.cache_statistics();
    sleep(Duration::from_millis(1050));
    assert!(client.evaluate(&remove).unwrap().is_allowed());
    assert_eq!(client.cache_statistics().misses, counts.misses + 1);
    scene.configure("permissions.cache_enabled = false");
    sleep(Duration::from_millis(70));
    let counts = client.cache_statistics();
    for _ in 0..3 {
        assert!(client.evaluate(&remove).unwrap().is_allowed());
    }
    let now = client.cache_statistics();
    assert_eq!((now.hits, now.entries), (counts.hits, 0));
}

#[test]
fn statistics_and_clear() {
    let (_scene, client, remove) = a_grant_and_its_client();
    assert_eq!(client.cache_statistics().hit_rate(), None);
    for _ in 0..4 {
        assert!(client.evaluate(&remove).unwrap().is_allowed());
    }
    let counts = client.cache_statistics();
    assert_eq!((counts.hits, counts.misses, counts.entries), (3, 1, 1));
    assert_eq!(counts.hit_rate(), Some(0.75));
    client.clear_cache();
    assert_eq!(client.cache_statistics().entries, 0);
    assert!(client.evaluate(&remove).unwrap().is_allowed());
    let counts = client.cache_statistics();
    assert_eq!(
        (counts.hits, counts.misses, counts.invalidations),
        (3, 2, 0)
    );
}

#[test]
fn v_d8_and_v_d11_a_remembered_answer_is_recorded_as_what_it_was() {
    let (scene, client, remove) = a_grant_and_its_client();
    let refused = command(&scene, ["rm", "other"]).agent("claude");
    for _ in 0..2 {
        assert!(client.check(&remove).unwrap().is_allowed());
        assert!(!client.check(&refused).unwrap().is_allowed());
    }
    // Its own entries do not make it forget.
    let counts = client.cache_statistics();
    assert_eq!(
        (counts.hits, counts.misses, counts.invalidations),
        (2, 2, 0)
    );
    let trail = scene.trail();
    let last = &trail[trail.len() - 4..];
    let expected = [
        ("GRANTED", Value::Null),
        ("DENIED", Value::Null),
        ("GRANTED", "yes".into()),
        ("DENIED", "yes".into()),
    ];
    for (entry, (decision, cached)) in last.iter().zip(expected) {
        assert_eq!(entry["event_type"], "GRANT_CHECK", "{entry:#}");
        assert_eq!(entry["decision"], decision, "{entry:#}");
        assert_eq!(entry["cached"], cached, "{entry:#}");
    }
    assert_eq!(last[2]["grant_ids"], last[0]["grant_ids"]);
    assert_eq!(last[3]["reason"], last[1]["reason"]);
    assert_eq!(last[3]["agent"], "claude");
    scene.assert_trail_intact();
    let mut logs = fs::read_dir(scene.path("state/audit")).unwrap();
    let log = fs::read_to_string(logs.next().unwrap().unwrap().path()).unwrap();
    let decisions: Vec<(Value, Value)> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["event_type"] == "CommandExecution")
        .map(|line| (line["decision"].clone(), line["cached_decision"].clone()))
        .skip(1)
        .collect();
    let expected: [(Value, Value); 4] = [
        ("Allowed".into(), Value::Null),
        ("Denied".into(), Value::Null),
        ("Cached".into(), "Allowed".into()),
        ("Cached".into(), "Denied".into()),
    ];
    assert_eq!(decisions, expected);
}

#[test]
fn what_stands_at_an_operand_is_looked_at_each_time() {
    let (scene, client, _) = a_grant_and_its_client();
    scene.files(["outside/f", "d/sub/f"]);
    let remove = command(&scene, ["rm", "d/sub/f"]);
    warm(&client, &remove);
    // The same words lead elsewhere.
    fs::rename(scene.work("d/sub"), scene.work("d/was")).unwrap();
    std::os::unix::fs::symlink(scene.work("outside"), scene.work("d/sub")).unwrap();
    assert!(!client.evaluate(&remove).unwrap().is_allowed());
}

#[test]
fn a_scope_of_a_rule_that_comes_to_lie_elsewhere_is_seen() {
    let (scene, client, remove) = a_grant_and_its_client();
    scene.files(["empty/"]);
    let alias = scene.work("alias");
    std::os::unix::fs::symlink(scene.work("empty"), &alias).unwrap();
    scene.configure(&format!(
        "[[permissions.rules]]\neffect = \"deny\"\nop = \"rm\"\nscope = \"{}\"\n",
        alias.display()
    ));
    sleep(Duration::from_millis(70));
    warm(&client, &remove);
    fs::remove_file(&alias).unwrap();
    std::os::unix::fs::symlink(scene.work("d"), &alias).unwrap();
    assert!(!client.evaluate(&remove).unwrap().is_allowed());
}

#[test]
fn path_28_what_belongs_to_pvm_is_found_where_it_was_moved() {
    let (scene, client, _) = a_grant_and_its_client();
    let remove = command(&scene, ["rm", "-r", "d"]);
    warm(&client, &remove);
    // Nothing that names the vault or the operand changes, nor any of their files.
    fs::rename(scene.path("state"), scene.work("d/state")).unwrap();
    std::os::unix::fs::symlink(scene.work("d/state"), scene.path("state")).unwrap();
    assert!(!client.evaluate(&remove).unwrap().is_allowed());
    scene.safe_rm(["-r", "d"]).denied();
}

#[test]
fn a_configuration_that_may_change_within_one_tick_is_not_relied_on() {
    let (scene, client, remove) = a_grant_and_its_client();
    warm(&client, &remove);
    let soon_enough = (0..50).any(|_| {
        scene.configure("");
        let written = Instant::now();
        let before = client.cache_statistics().hits;
        for _ in 0..3 {
            assert!(client.evaluate(&remove).unwrap().is_allowed());
        }
        let hits = client.cache_statistics().hits - before;
        let in_time = written.elapsed() < Duration::from_millis(40);
        assert!(hits == 0 || !in_time, "{hits} decisions were remembered");
        in_time
    });
    assert!(soon_enough, "the machine is too busy to tell");
    sleep(Duration::from_millis(70));
    warm(&client, &remove);
}

const MOUNTED: &str = "client::cache::path_14_a_mount_below_an_operand_is_seen";

/// The part that runs in a mount namespace of its own.
fn mount_below(root: &Path) {
    let client = Client::of_installation(root.join("bin/pvm")).unwrap();
    let work = root.join("work");
    let remove = Command::new("rm", &work).args(["-r", "d"]);
    warm(&client, &remove);
    let mount = ["--bind", "outside", "d/point"];
    let mut mounting = std::process::Command::new("mount");
    assert!(
        mounting
            .args(mount)
            .current_dir(&work)
            .status()
            .unwrap()
            .success()
    );
    assert!(!client.evaluate(&remove).unwrap().is_allowed());
}

#[test]
fn path_14_a_mount_below_an_operand_is_seen() {
    if let Some(root) = std::env::var_os("PVM_TEST_ROOT") {
        return mount_below(Path::new(&root));
    }
    if !mount_namespace("a mount below an operand") {
        return;
    }
    let (scene, _client, _) = a_grant_and_its_client();
    scene.files(["d/point/", "outside/"]);
    let mut inner = std::process::Command::new("unshare");
    inner
        .args(["--mount", "--propagation", "private", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", MOUNTED, "--nocapture"])
        .env("PVM_TEST_ROOT", scene.path(""));
    let ran = Ran::of(&mut inner);
    ran.exited(0);
    assert!(ran.stdout_text().contains("1 passed"), "{ran}");
}
