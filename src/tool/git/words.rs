//! The canonical words of a push: what git is told, whatever the configuration says.

use std::ffi::OsString;

use super::options::{Family, PushWords, RecurseSubmodules, Signed};
use super::pin::word;
use super::push::Push;

/// Returns the words behind `push` for a push that was looked at: each option written out, `leases`
/// in the place of force, the remote by its random name, and every refspec in full.
pub(crate) fn canonical(
    asked: &PushWords,
    push: &Push,
    leases: Option<&[OsString]>,
    remote: OsString,
) -> Vec<OsString> {
    let mut words = options(asked, push);
    if let Some(leases) = leases {
        words.extend_from_slice(leases);
    }
    words.extend([OsString::from("--"), remote]);
    let refspecs = push
        .updates
        .iter()
        .map(|update| update.refspec(leases.is_some()));
    words.extend(refspecs.map(word));
    words
}

fn options(asked: &PushWords, push: &Push) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    let mut say = |said: bool, option: &str| {
        if said {
            words.push(OsString::from(option));
        }
    };
    for _ in 0..asked.verbosity.max(0) {
        say(true, "--verbose");
    }
    for _ in asked.verbosity.min(0)..0 {
        say(true, "--quiet");
    }
    say(asked.progress == Some(true), "--progress");
    say(asked.progress == Some(false), "--no-progress");
    say(asked.dry_run, "--dry-run");
    say(asked.porcelain, "--porcelain");
    say(!asked.thin, "--no-thin");
    say(asked.atomic, "--atomic");
    say(!asked.verify, "--no-verify");
    say(asked.family == Some(Family::Ipv4), "--ipv4");
    say(asked.family == Some(Family::Ipv6), "--ipv6");
    say(asked.if_includes == Some(true), "--force-if-includes");
    say(asked.if_includes == Some(false), "--no-force-if-includes");
    say(push.signed == Signed::Always, "--signed");
    say(push.signed == Signed::IfAsked, "--signed=if-asked");
    say(push.signed == Signed::Never, "--no-signed");
    say(push.prune, "--prune");
    say(push.follow_tags, "--follow-tags");
    say(!push.follow_tags, "--no-follow-tags");
    let check = push.submodules == RecurseSubmodules::Check;
    say(check, "--recurse-submodules=check");
    say(!check, "--recurse-submodules=no");
    for option in &push.server_options {
        words.push(with_value("--push-option=", word(option.clone())));
    }
    words.push(OsString::from("--receive-pack=git-receive-pack"));
    words
}

fn with_value(option: &str, value: OsString) -> OsString {
    let mut word = OsString::from(option);
    word.push(value);
    word
}
