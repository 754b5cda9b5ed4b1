use std::thread;
use std::time::{Duration, Instant};

use pvm::{Answer, ErrorKind};

use super::{client, command};
use crate::support::Scene;

const SHORT: Duration = Duration::from_millis(20);
const TEN_MINUTES: Duration = Duration::from_mins(10);

fn scene() -> Scene {
    let scene = Scene::new();
    scene.files(["d/f", "d/g", "e/f"]);
    scene
}

#[test]
fn a_request_waits_for_a_person_and_a_grant_ends_the_waiting() {
    let scene = scene();
    let client = client(&scene);
    let remove = command(&scene, ["rm", "d/f"]).agent("claude");
    let request = client.request(&remove, "in the way", TEN_MINUTES).unwrap();
    let entry = scene.last_entry();
    assert_eq!(entry["decision"], "PENDING");
    assert_eq!(entry["request_id"], request.as_str());
    assert_eq!(entry["reason"], "in the way");
    assert_eq!(entry["agent"], "claude");
    assert_eq!(client.wait(&request, SHORT).unwrap(), Answer::TimedOut);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let answer = client.wait(&request, Duration::from_secs(20)).unwrap();
            (answer, Instant::now())
        });
        thread::sleep(Duration::from_millis(150));
        assert!(!waiting.is_finished());
        scene.grant(scene.work("d"));
        let granted = Instant::now();
        let (answer, at) = waiting.join().unwrap();
        assert_eq!(answer, Answer::Granted);
        assert!(at.saturating_duration_since(granted) < Duration::from_secs(2));
    });
    assert!(client.evaluate(&remove).unwrap().is_allowed());
    scene.assert_trail_intact();
}

#[test]
fn the_same_attempt_joins_the_request_that_is_pending() {
    let scene = scene();
    let client = client(&scene);
    let remove = command(&scene, ["rm", "d/f"]).agent("claude");
    let first = client.request(&remove, "", TEN_MINUTES).unwrap();
    let entries = scene.trail().len();
    let again = client.request(&remove, "again", TEN_MINUTES).unwrap();
    assert_eq!(first, again);
    assert_eq!(scene.trail().len(), entries, "nothing new was filed");
    for other in [
        command(&scene, ["rm", "d/g"]).agent("claude"),
        command(&scene, ["rm", "d/f"]).agent("codex"),
        command(&scene, ["rm", "d/f", "d/g"]).agent("claude"),
    ] {
        assert_ne!(
            client.request(&other, "", TEN_MINUTES).unwrap().as_str(),
            first.as_str()
        );
    }
    // One that is over is joined no more.
    scene.edit_vault("UPDATE request_keys SET expires_at = 1", []);
    let anew = client.request(&remove, "", TEN_MINUTES).unwrap();
    assert_ne!(anew.as_str(), first.as_str());
    assert_eq!(client.wait(&first, SHORT).unwrap(), Answer::Expired);
}

#[test]
fn p_d59_the_state_of_the_request_itself_is_the_answer() {
    let scene = scene();
    let client = client(&scene);
    let remove = command(&scene, ["rm", "d/f"]);
    let states = [
        ("approved", Answer::Granted),
        ("denied", Answer::Denied),
        ("cancelled", Answer::Cancelled),
        ("expired", Answer::Expired),
    ];
    for (state, answer) in states {
        let request = client.request(&remove, "", TEN_MINUTES).unwrap();
        let sql = "UPDATE requests SET state = ?1 WHERE state = 'pending'";
        scene.edit_vault(sql, [state]);
        let begun = Instant::now();
        assert_eq!(client.wait(&request, TEN_MINUTES).unwrap(), answer);
        assert!(begun.elapsed() < Duration::from_secs(5), "{state}");
    }
}

#[test]
fn p_d57_a_request_ends_at_its_instant_and_stays_ended() {
    let scene = scene();
    let client = client(&scene);
    let remove = command(&scene, ["rm", "d/f"]);
    let request = client.request(&remove, "", TEN_MINUTES).unwrap();
    let soon = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis();
    let soon = i64::try_from(soon).unwrap() + 400;
    scene.edit_vault("UPDATE request_keys SET expires_at = ?1", [soon]);
    assert_eq!(client.wait(&request, SHORT).unwrap(), Answer::TimedOut);
    assert_eq!(client.wait(&request, TEN_MINUTES).unwrap(), Answer::Expired);
    let entry = scene.last_entry();
    assert_eq!(
        (&entry["decision"], &entry["request_id"]),
        (&"EXPIRED".into(), &request.as_str().into())
    );
    scene.edit_vault(
        "UPDATE request_keys SET expires_at = expires_at + 100000000",
        [],
    );
    assert_eq!(client.wait(&request, SHORT).unwrap(), Answer::Expired);
    scene.assert_trail_intact();
}

#[test]
fn what_no_person_can_or_need_decide_is_not_filed() {
    let scene = scene();
    let deny = "[[permissions.rules]]\neffect = \"deny\"\nop = \"rm\"\nscope = \"{}\"\n";
    scene.configure(&deny.replace("{}", scene.work("e").to_str().unwrap()));
    scene.grant(scene.work("d"));
    let client = client(&scene);
    let entries = scene.trail().len();
    let ask = |words: [&str; 2], ttl| {
        let request = client.request(&command(&scene, words), "", ttl);
        request.unwrap_err().kind()
    };
    assert_eq!(ask(["rm", "d/f"], TEN_MINUTES), ErrorKind::AlreadyAllowed);
    assert_eq!(
        ask(["git", "status"], TEN_MINUTES),
        ErrorKind::AlreadyAllowed
    );
    assert_eq!(ask(["rm", "e/f"], TEN_MINUTES), ErrorKind::Refused);
    assert_eq!(ask(["rm", "../state"], TEN_MINUTES), ErrorKind::Refused);
    assert_eq!(ask(["rm", "--nonsense"], TEN_MINUTES), ErrorKind::Refused);
    assert_eq!(ask(["rm", "x"], Duration::ZERO), ErrorKind::Invalid);
    assert_eq!(
        ask(["rm", "x"], Duration::from_hours(9)),
        ErrorKind::Invalid
    );
    let long = "x".repeat(1001);
    let error = client
        .request(&command(&scene, ["rm", "x"]), &long, TEN_MINUTES)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(scene.trail().len(), entries);
}

#[test]
fn only_so_many_requests_wait_at_a_time() {
    let scene = scene();
    let client = client(&scene);
    let ask = |name: &str| client.request(&command(&scene, ["rm", name]), "", TEN_MINUTES);
    for number in 0..20 {
        ask(&format!("f{number}")).unwrap();
    }
    assert_eq!(
        ask("one-more").unwrap_err().kind(),
        ErrorKind::TooManyRequests
    );
    ask("f3").unwrap();
    scene.edit_vault("UPDATE request_keys SET boot_deadline = 1", []);
    ask("one-more").unwrap();
}
