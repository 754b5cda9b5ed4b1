use nix::sys::resource::{Resource, getrlimit};

use crate::support::{Launch, Ran, Scene, Started, tree};

/// The most operands that one command may have.
const MOST: usize = 4096;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("n{number}")).collect()
}

#[test]
fn arg_37_more_operands_than_are_allowed_are_refused_whole() {
    let scene = Scene::new();
    scene.grant(scene.work(""));
    let names = names(MOST + 1);
    for name in &names {
        scene.files([name.as_str()]);
    }
    scene
        .safe_rm(&names)
        .denied()
        .says("4097 operands are more than 4096")
        .says("hint: split");
    assert_eq!(tree(&scene.work("")).len(), MOST + 1);
    assert_eq!(scene.last_entry()["decision"], "DENIED");

    scene.safe_rm(&names[1..]).succeeded();
    assert_eq!(tree(&scene.work("")).len(), 1);
    let entry = scene.last_entry();
    assert_eq!(entry["decision"], "SUCCESS");
    assert_eq!(entry["operands"].as_array().unwrap().len(), MOST);
}

#[test]
fn env_29_many_directories_are_removed_in_spite_of_a_low_limit_on_open_files() {
    let scene = Scene::new();
    scene.grant(scene.work(""));
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let names: Vec<String> = names(1500)
        .into_iter()
        .map(|name| format!("{name}/d"))
        .collect();
    if hard < 4000 {
        println!("skipped: the hard limit on open files is {hard}");
        return;
    }
    for name in &names {
        scene.files([format!("{name}/f").as_str()]);
    }
    let mut command = scene.command("safe-rm");
    command.arg("-r").args(&names);
    Ran::of(command.soft_limited(Resource::RLIMIT_NOFILE, 64, hard)).succeeded();
    assert!(names.iter().all(|name| !scene.work(name).exists()));

    scene.stand_in("fake-tool", "");
    let mut command = scene.command("safe-rm");
    command.arg("-rf").args(&names);
    let ran = Ran::of(command.soft_limited(Resource::RLIMIT_NOFILE, 64, hard));
    assert_eq!(
        Started::read(&ran).field("open_files"),
        "64",
        "the real command gets its own limit"
    );
}

#[test]
fn env_29_too_few_descriptors_for_the_operands_refuse_them_all() {
    let scene = Scene::new();
    scene.grant(scene.work(""));
    let names: Vec<String> = names(200)
        .into_iter()
        .map(|name| format!("{name}/d"))
        .collect();
    for name in &names {
        scene.files([format!("{name}/f").as_str()]);
    }
    let mut command = scene.command("safe-rm");
    command.arg("-r").args(&names);
    let ran = Ran::of(command.limited(Resource::RLIMIT_NOFILE, 64));
    ran.denied().says("Too many open files");
    assert!(names.iter().all(|name| scene.work(name).join("f").exists()));
    assert_eq!(scene.last_entry()["decision"], "DENIED");
}
