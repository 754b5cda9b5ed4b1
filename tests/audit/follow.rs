use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::remove_as;
use crate::support::{Running, Scene, until};

fn following<const N: usize>(scene: &Scene, options: [&str; N]) -> Running {
    Running::start(
        scene
            .command("pvm")
            .args(["audit", "--follow"])
            .args(options),
    )
}

#[test]
fn new_entries_come_as_they_are_made_through_the_filters() {
    let scene = Scene::new();
    remove_as(&scene, "early", &["x".as_ref()]).denied();
    let mut running = following(&scene, ["--json", "--decision", "denied"]);
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["agent"], "early");
    scene.grant(scene.work("y"));
    remove_as(&scene, "first", &["x".as_ref()]).denied();
    assert_eq!(next()["agent"], "first");
    remove_as(&scene, "second", &["x".as_ref()]).denied();
    assert_eq!(next()["agent"], "second");

    kill(
        Pid::from_raw(running.0.id().try_into().unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    let ran = running.finish();
    assert_eq!((ran.signal, ran.stderr_text().as_str()), (Some(2), ""));
}

#[test]
fn it_ends_by_itself_when_nobody_reads_any_more() {
    let scene = Scene::new();
    let mut running = following(&scene, []);
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("WHAT"));
    drop(lines);
    until("the end", || running.0.try_wait().unwrap().is_some());
    running.finish().succeeded();
}

#[test]
fn writers_do_not_wait_for_one_who_reads_slowly() {
    let scene = Scene::new();
    super::pages::append(&scene, 5000);
    // Nobody empties the pipe, so it stands in the middle of its output.
    let mut command = scene.command("pvm");
    command
        .args(["audit", "--json", "--limit", "0"])
        .stdout(Stdio::piped());
    let mut stuck = command.spawn().unwrap();
    stuck.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    remove_as(&scene, "writer", &["x".as_ref()]).denied();
    assert!(stuck.try_wait().unwrap().is_none());
    stuck.kill().unwrap();
    stuck.wait().unwrap();
}
