//! git tells a fast-forward by the parents of commits, and a repository can say that those are
//! others than they are (GIT-55).

use std::fs;
use std::path::Path;

use super::{Ground, plain_push};
use crate::support::{C, D, Plot, Ran, git, git_says, identity};

/// Makes the repository say that `C` comes after `D`.
type Pretence = fn(&Plot);

const PRETENCES: [(&str, Pretence); 3] = [
    ("refs/replace", replaced),
    ("info/grafts", |plot| {
        let info = plot.tree().join(".git/info");
        fs::create_dir_all(&info).unwrap();
        fs::write(info.join("grafts"), format!("{C} {D}\n")).unwrap();
    }),
    ("objects/info/commit-graph", forged_graph),
];

/// Puts a commit after `D` in the place of `C`.
pub(super) fn replaced(plot: &Plot) {
    let mut command = git(&plot.tree(), ["replace", "--graft", C, D]);
    Ran::of(command.envs(identity())).exited(0);
}

/// Writes a commit-graph file in which `C` comes after `D`.
pub(super) fn forged_graph(plot: &Plot) {
    let words = ["commitGraph.generationVersion=1", "commit-graph", "write"];
    let tree = plot.tree();
    git_says(
        &tree,
        [&["-c"] as &[&str], &words, &["--reachable"]].concat(),
    );
    forge(&tree.join(".git/objects/info/commit-graph"));
}

/// Changes the first parent of `C` to `D` (gitformat-commit-graph(5)). The checksum at the end is
/// looked at by nobody who only reads.
fn forge(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let number = |bytes: &[u8], at: usize| {
        u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    };
    let chunk = |bytes: &[u8], name: &[u8]| {
        let mut entries = (8..).step_by(12);
        let at = entries.find(|at| &bytes[*at..at + 4] == name).unwrap();
        number(bytes, at + 8)
    };
    let (fanout, oids, data) = (
        chunk(&bytes, b"OIDF"),
        chunk(&bytes, b"OIDL"),
        chunk(&bytes, b"CDAT"),
    );
    let count = number(&bytes, fanout + 255 * 4);
    let position = |oid: &str| {
        let oid = data_encoding::HEXLOWER.decode(oid.as_bytes()).unwrap();
        (0..count).find(|at| bytes[oids + at * 20..][..20] == oid)
    };
    let (older, newer) = (position(D).unwrap(), position(C).unwrap());
    let parent = u32::try_from(older).unwrap().to_be_bytes();
    bytes[data + newer * 36 + 20..][..4].copy_from_slice(&parent);
    // Generations grow towards the children, and only D's is too high now.
    for at in (0..count).filter(|at| *at != older) {
        let place = data + at * 36 + 28;
        let raised = number(&bytes, place) + if at == newer { 4 << 2 } else { 0 };
        let raised = u32::try_from(raised).unwrap().to_be_bytes();
        bytes[place..place + 4].copy_from_slice(&raised);
    }
    fs::remove_file(file).unwrap();
    fs::write(file, bytes).unwrap();
}

/// Has a branch whose parents are made to look like others.
pub(super) fn pretending(plot: Plot, pretend: Pretence) -> Plot {
    // git reads the commit that is pushed itself, and the ones before it from the file.
    let tree = plot.tree();
    let words = ["commit-tree", "-m", "E", "-p", C, &format!("{C}^{{tree}}")];
    let made = Ran::of(git(&tree, words).envs(identity()));
    let child = made.succeeded().stdout_text().trim().to_owned();
    git_says(&tree, ["update-ref", "refs/heads/main", &child]);
    pretend(&plot);
    plot
}

#[test]
fn git_55_parents_that_the_repository_invents_make_no_fast_forward() {
    let ground = Ground::new();
    for (number, (name, pretend)) in PRETENCES.into_iter().enumerate() {
        let [control, plot] = ["control", "case"]
            .map(|arm| pretending(ground.plot(&format!("{arm}{number}"), ""), pretend));
        let before = control.remote_refs();
        let ran = plain_push(&control, &["origin", "main"]);
        let after = control.remote_refs();
        assert_ne!(
            after["origin refs/heads/main"], D,
            "{name} deceives git: {ran}"
        );
        let ran = ground.push(&plot, ["origin", "main"]);
        ran.exited(1).says("non-fast-forward");
        assert_eq!(plot.remote_refs(), before, "{name}: {ran}");
    }
}
