//! `git push` (builtin/push.c, git 2.30 to 2.55).

#[cfg(test)]
mod real;
mod table;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::parse_options::{self, Occurrence, Scanned, UsageError};
use crate::tool::argv::spell;
use table::{Opt, TABLE};

/// What `--force-with-lease` was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    /// No value: every ref, against its remote-tracking ref.
    Everything,
    /// `=REF` or `=REF:EXPECTED`, as it was written; an empty expectation is a ref that must not
    /// exist.
    Ref {
        name: OsString,
        expected: Option<OsString>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Ipv4,
    Ipv6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    Never,
    Always,
    IfAsked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecurseSubmodules {
    No,
    Check,
    OnDemand,
    Only,
}

/// The words after `push`, read. What is `None` was not said, and the configuration decides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are git's own flags")]
pub(crate) struct PushWords {
    /// The force in effect at the end. `--mirror` brings it and `--no-mirror` takes it away.
    pub(crate) force: bool,
    pub(crate) leases: Vec<Lease>,
    pub(crate) if_includes: Option<bool>,
    pub(crate) mirror: bool,
    pub(crate) prune: bool,
    pub(crate) delete: bool,
    pub(crate) all: bool,
    pub(crate) tags: bool,
    pub(crate) follow_tags: Option<bool>,
    pub(crate) dry_run: bool,
    pub(crate) porcelain: bool,
    /// The times `-v` was given, or less than zero for `-q`.
    pub(crate) verbosity: i32,
    pub(crate) progress: Option<bool>,
    pub(crate) thin: bool,
    pub(crate) atomic: bool,
    /// Whether the pre-push hook runs.
    pub(crate) verify: bool,
    pub(crate) family: Option<Family>,
    pub(crate) set_upstream: bool,
    pub(crate) signed: Option<Signed>,
    /// Empty means that `push.pushOption` counts, even after `--no-push-option`.
    pub(crate) push_options: Vec<OsString>,
    /// `--receive-pack` or `--exec`, which are one option.
    pub(crate) receive_pack: Option<OsString>,
    pub(crate) recurse_submodules: Option<RecurseSubmodules>,
    /// The first operand, or `--repo` where there is none.
    pub(crate) repository: Option<OsString>,
    /// The operands after the first, as they stood: `tag v1` is two words.
    pub(crate) refspecs: Vec<OsString>,
    /// git prints its usage or manual page and pushes nothing; nothing else here counts.
    pub(crate) informational: bool,
}

impl Default for PushWords {
    fn default() -> Self {
        Self {
            force: false,
            leases: Vec::new(),
            if_includes: None,
            mirror: false,
            prune: false,
            delete: false,
            all: false,
            tags: false,
            follow_tags: None,
            dry_run: false,
            porcelain: false,
            verbosity: 0,
            progress: None,
            thin: true,
            atomic: false,
            verify: true,
            family: None,
            set_upstream: false,
            signed: None,
            push_options: Vec::new(),
            receive_pack: None,
            recurse_submodules: None,
            repository: None,
            refspecs: Vec::new(),
            informational: false,
        }
    }
}

/// Why git would push nothing for these words.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum BadWords {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error("'{value}' is not a value for '--{option}'")]
    Value { option: &'static str, value: String },
    #[error("'{0}' and '{1}' do not go together")]
    Conflict(&'static str, &'static str),
    #[error("'--delete' needs a ref to delete")]
    DeleteNothing,
    #[error("'--delete' takes plain names of refs, not '{0}'")]
    DeleteRefspec(String),
    #[error("'{0}' does not go with refspecs")]
    Refspecs(&'static str),
    #[error("'tag' needs the name of a tag behind it")]
    TagAlone,
    #[error("a push option has a line break")]
    LineBreak,
}

/// Reads the words after `push`.
pub(crate) fn parse(words: &[OsString]) -> Result<PushWords, BadWords> {
    let mut push = PushWords::default();
    let mut repo = None;
    let scanned = parse_options::scan(words, &TABLE, |occurrence| {
        apply(occurrence, &mut push, &mut repo)
    })?;
    let Scanned::Operands(operands) = scanned else {
        return Ok(PushWords {
            informational: true,
            ..PushWords::default()
        });
    };
    let mut operands = operands.into_iter().map(OsStr::to_owned);
    push.repository = operands.next().or(repo);
    push.refspecs = operands.collect();
    check_together(&push)?;
    check_refspecs(&push)?;
    if push
        .push_options
        .iter()
        .any(|o| o.as_bytes().contains(&b'\n'))
    {
        return Err(BadWords::LineBreak);
    }
    Ok(push)
}

fn apply(
    occurrence: Occurrence<'_, Opt>,
    push: &mut PushWords,
    repo: &mut Option<OsString>,
) -> Result<(), BadWords> {
    let on = !occurrence.negated;
    let value = occurrence.value;
    match occurrence.option {
        Opt::Verbose => {
            push.verbosity = if on {
                push.verbosity.max(0).saturating_add(1)
            } else {
                0
            }
        }
        Opt::Quiet => {
            push.verbosity = if on {
                push.verbosity.min(0).saturating_sub(1)
            } else {
                0
            }
        }
        Opt::Repo => *repo = value.map(OsStr::to_owned),
        Opt::All => push.all = on,
        Opt::Mirror => {
            push.mirror = on;
            push.force = on;
        }
        Opt::Delete => push.delete = on,
        Opt::Tags => push.tags = on,
        Opt::DryRun => push.dry_run = on,
        Opt::Porcelain => push.porcelain = on,
        Opt::Force => push.force = on,
        Opt::Lease if on => push.leases.push(lease(value)),
        Opt::Lease => push.leases.clear(),
        Opt::IfIncludes => push.if_includes = Some(on),
        Opt::RecurseSubmodules => recurse(value, push)?,
        Opt::Thin => push.thin = on,
        Opt::ReceivePack => push.receive_pack = value.map(OsStr::to_owned),
        Opt::SetUpstream => push.set_upstream = on,
        Opt::Progress => push.progress = Some(on),
        Opt::Prune => push.prune = on,
        Opt::NoVerify => push.verify = !on,
        Opt::FollowTags => push.follow_tags = Some(on),
        Opt::Signed if on => push.signed = Some(signed(value)?),
        Opt::Signed => push.signed = Some(Signed::Never),
        Opt::Atomic => push.atomic = on,
        Opt::PushOption => match value {
            Some(value) => push.push_options.push(value.to_owned()),
            None => push.push_options.clear(),
        },
        Opt::Ipv4 => push.family = Some(Family::Ipv4),
        Opt::Ipv6 => push.family = Some(Family::Ipv6),
    }
    Ok(())
}

fn lease(value: Option<&OsStr>) -> Lease {
    let Some(value) = value else {
        return Lease::Everything;
    };
    let mut parts = value.as_bytes().splitn(2, |byte| *byte == b':');
    let mut part = || parts.next().map(|part| OsString::from_vec(part.to_vec()));
    Lease::Ref {
        name: part().unwrap_or_default(),
        expected: part(),
    }
}

fn signed(value: Option<&OsStr>) -> Result<Signed, BadWords> {
    let Some(value) = value.map(OsStr::as_bytes) else {
        return Ok(Signed::Always);
    };
    match truth(value) {
        Some(true) => Ok(Signed::Always),
        Some(false) => Ok(Signed::Never),
        None if value.eq_ignore_ascii_case(b"if-asked") => Ok(Signed::IfAsked),
        None => Err(bad_value("signed", value)),
    }
}

/// "only-is-on-demand" is what git says to itself in a submodule: it changes an earlier "only" and
/// nothing else.
fn recurse(value: Option<&OsStr>, push: &mut PushWords) -> Result<(), BadWords> {
    let said = match value.map(OsStr::as_bytes) {
        None => Some(RecurseSubmodules::No),
        Some(b"only-is-on-demand") => push.recurse_submodules.map(|earlier| match earlier {
            RecurseSubmodules::Only => RecurseSubmodules::OnDemand,
            other => other,
        }),
        Some(b"check") => Some(RecurseSubmodules::Check),
        Some(b"on-demand") => Some(RecurseSubmodules::OnDemand),
        Some(b"only") => Some(RecurseSubmodules::Only),
        Some(value) if truth(value) == Some(false) => Some(RecurseSubmodules::No),
        Some(value) => return Err(bad_value("recurse-submodules", value)),
    };
    push.recurse_submodules = said;
    Ok(())
}

fn bad_value(option: &'static str, value: &[u8]) -> BadWords {
    BadWords::Value {
        option,
        value: spell(value),
    }
}

/// Reads a boolean as git does (parse.c, `git_parse_maybe_bool`), of numbers only the decimal ones.
fn truth(value: &[u8]) -> Option<bool> {
    let is = |words: &[&str]| {
        words
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
    };
    if is(&["true", "yes", "on"]) {
        return Some(true);
    }
    if is(&["", "false", "no", "off"]) {
        return Some(false);
    }
    let number: i32 = std::str::from_utf8(value).ok()?.parse().ok()?;
    Some(number != 0)
}

/// What does not go together (`die_for_incompatible_opt4`). Since `--mirror` can also be
/// configured, the caller asks once more about that.
fn check_together(push: &PushWords) -> Result<(), BadWords> {
    let mut given = [
        (push.delete, "--delete"),
        (push.tags, "--tags"),
        (push.all, "--all"),
        (push.mirror, "--mirror"),
    ]
    .into_iter()
    .filter_map(|(given, name)| given.then_some(name));
    if let (Some(first), Some(second)) = (given.next(), given.next()) {
        return Err(BadWords::Conflict(first, second));
    }
    Ok(())
}

fn check_refspecs(push: &PushWords) -> Result<(), BadWords> {
    if push.delete && push.refspecs.is_empty() {
        return Err(BadWords::DeleteNothing);
    }
    if push.all && !push.refspecs.is_empty() {
        return Err(BadWords::Refspecs("--all"));
    }
    if push.mirror && !push.refspecs.is_empty() {
        return Err(BadWords::Refspecs("--mirror"));
    }
    let mut words = push.refspecs.iter().map(|word| word.as_bytes());
    while let Some(word) = words.next() {
        if word == b"tag" {
            words.next().ok_or(BadWords::TagAlone)?;
        } else if push.delete && (word.is_empty() || word.contains(&b':')) {
            return Err(BadWords::DeleteRefspec(spell(word)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<OsString> {
        list.iter().map(OsString::from).collect()
    }

    fn push(list: &[&str]) -> PushWords {
        parse(&words(list)).unwrap_or_else(|error| panic!("{list:?}: {error}"))
    }

    fn refused(list: &[&str]) -> BadWords {
        parse(&words(list)).expect_err(&format!("{list:?}"))
    }

    #[test]
    fn git_01_force_counts_after_operands_too() {
        for list in [
            &["-f"][..],
            &["--force", "origin"],
            &["origin", "main", "-f"],
            &["origin", "-f", "main"],
        ] {
            assert!(push(list).force, "{list:?}");
        }
        // Behind two dashes it is a refspec.
        let said = push(&["origin", "--", "-f"]);
        assert_eq!((said.force, said.refspecs), (false, words(&["-f"])));
    }

    #[test]
    fn git_02_clusters_are_split() {
        for list in ["-fu", "-uf", "-qf", "-nf", "-4f", "-fo"] {
            assert!(push(&[list, "x"]).force, "{list}");
        }
        assert!(!push(&["-uof"]).force);
        assert_eq!(push(&["-uof"]).push_options, words(&["f"]));
    }

    #[test]
    fn git_03_a_forced_dry_run_is_both() {
        let said = push(&["-nf"]);
        assert!(said.force && said.dry_run);
    }

    #[test]
    fn git_04_the_short_forms_of_force_are_ambiguous() {
        for word in ["--f", "--fo", "--for", "--forc", "--no-forc", "--force-"] {
            let error = UsageError::Ambiguous(word.into());
            assert_eq!(refused(&[word]), BadWords::Usage(error), "{word}");
        }
    }

    #[test]
    fn git_05_and_06_a_lease_is_found_under_every_abbreviation() {
        assert_eq!(push(&["--force-with-l"]).leases, [Lease::Everything]);
        let main = |expected: Option<&str>| Lease::Ref {
            name: "main".into(),
            expected: expected.map(OsString::from),
        };
        assert_eq!(push(&["--force-w=main:x"]).leases, [main(Some("x"))]);
        assert_eq!(
            push(&["--force-with-lease=main", "--force-w=main:"]).leases,
            [main(None), main(Some(""))]
        );
        // The value is never the next word.
        let said = push(&["--force-with-lease", "main"]);
        assert_eq!(said.leases, [Lease::Everything]);
        assert_eq!(said.repository, Some("main".into()));
    }

    #[test]
    fn git_07_if_includes_alone_is_no_force() {
        let said = push(&["--force-if-includes"]);
        assert_eq!((said.force, said.if_includes), (false, Some(true)));
        assert!(said.leases.is_empty());
        assert_eq!(push(&["--no-force-if"]).if_includes, Some(false));
    }

    #[test]
    fn git_08_the_last_force_wins() {
        assert!(!push(&["-f", "--no-force"]).force);
        assert!(push(&["--no-force", "-f"]).force);
        assert!(!push(&["-f", "origin", "--no-force"]).force);
    }

    #[test]
    fn git_09_taking_back_the_lease_leaves_the_force() {
        let said = push(&["--force", "--force-with-lease", "--no-force-with-lease"]);
        assert!(said.force && said.leases.is_empty());
        let said = push(&["--force-with-lease=a", "--no-force-w", "--force-with-lease"]);
        assert_eq!(said.leases, [Lease::Everything]);
        let said = push(&["--force-with-lease", "--no-force"]);
        assert_eq!((said.force, said.leases.len()), (false, 1));
    }

    #[test]
    fn git_14_mirror_carries_force() {
        let said = push(&["--mirr"]);
        assert!(said.mirror && said.force);
        let said = push(&["--mirror", "--no-force"]);
        assert!(said.mirror && !said.force);
        // git clears both bits.
        let said = push(&["-f", "--no-mirror"]);
        assert!(!said.mirror && !said.force);
    }

    #[test]
    fn git_15_16_and_18_what_deletes_or_pushes_much() {
        assert!(push(&["--prun", "refs/heads/*"]).prune);
        for list in [
            &["-d", "o", "b"][..],
            &["--del", "o", "b"],
            &["o", "b", "-d"],
        ] {
            assert!(push(list).delete, "{list:?}");
        }
        assert!(push(&["--branches"]).all);
        assert!(push(&["--al"]).all);
        assert!(!push(&["--all", "--no-branches"]).all);
    }

    #[test]
    fn git_49_and_50_tags_and_push_options() {
        let said = push(&["o", "tag", "v1", "-o", "ci.skip", "-oa", "--push-o=b"]);
        assert_eq!(said.refspecs, words(&["tag", "v1"]));
        assert_eq!(said.push_options, words(&["ci.skip", "a", "b"]));
        assert!(push(&["-oa", "--no-push-option"]).push_options.is_empty());
        // A value that looks like force is a value.
        let said = push(&["-o", "--force", "--push-option", "-f"]);
        assert_eq!(
            (said.force, said.push_options),
            (false, words(&["--force", "-f"]))
        );
        assert_eq!(refused(&["-o", "a\nb"]), BadWords::LineBreak);
    }

    #[test]
    fn the_repository_is_the_first_operand_or_else_repo() {
        assert_eq!(push(&["--repo=a"]).repository, Some("a".into()));
        assert_eq!(push(&["--repo", "a", "b"]).repository, Some("b".into()));
        assert_eq!(push(&["--repo=a", "--no-repo"]).repository, None);
        assert_eq!(push(&[]).repository, None);
        assert_eq!(push(&["", "x"]).repository, Some("".into()));
    }

    #[test]
    fn git_38_receive_pack_and_exec_are_one_option() {
        assert_eq!(push(&["--exec=a"]).receive_pack, Some("a".into()));
        let said = push(&["--receive-pack", "a", "--exec", "b"]);
        assert_eq!(said.receive_pack, Some("b".into()));
        assert_eq!(push(&["--rece=a", "--no-exec"]).receive_pack, None);
    }

    #[test]
    fn git_36_and_51_values_are_read_as_git_reads_them() {
        let signed = |word| push(&[word]).signed;
        assert_eq!(signed("--signed"), Some(Signed::Always));
        assert_eq!(signed("--signed="), Some(Signed::Never));
        assert_eq!(signed("--signed=If-Asked"), Some(Signed::IfAsked));
        assert_eq!(signed("--signed=0"), Some(Signed::Never));
        assert_eq!(signed("--signed=-2"), Some(Signed::Always));
        assert_eq!(signed("--no-signed"), Some(Signed::Never));
        assert_eq!(signed("-q"), None);
        let recurse = |word| push(&["--recurse-submodules", word]).recurse_submodules;
        assert_eq!(recurse("only"), Some(RecurseSubmodules::Only));
        assert_eq!(recurse("on-demand"), Some(RecurseSubmodules::OnDemand));
        assert_eq!(recurse("check"), Some(RecurseSubmodules::Check));
        assert_eq!(recurse("NO"), Some(RecurseSubmodules::No));
        assert_eq!(recurse("only-is-on-demand"), None);
        let said = push(&["--recu=only", "--recu=only-is-on-demand"]);
        assert_eq!(said.recurse_submodules, Some(RecurseSubmodules::OnDemand));
        let said = push(&["--recu=only", "--no-recu"]);
        assert_eq!(said.recurse_submodules, Some(RecurseSubmodules::No));
        for word in [
            "--signed=maybe",
            "--recurse-submodules=yes",
            "--recurse-submodules=Check",
            "--recurse-submodules=1",
        ] {
            assert!(matches!(refused(&[word]), BadWords::Value { .. }), "{word}");
        }
    }

    #[test]
    fn the_other_options_are_passed_on() {
        assert_eq!(push(&["-vvq"]).verbosity, -1);
        assert_eq!(push(&["-qqv"]).verbosity, 1);
        assert_eq!(push(&["-vv", "--no-quiet"]).verbosity, 0);
        assert_eq!(push(&["--progress"]).progress, Some(true));
        assert_eq!(push(&["--no-prog"]).progress, Some(false));
        assert!(!push(&["--no-thin"]).thin && push(&[]).thin);
        assert!(!push(&["--no-verify"]).verify);
        assert!(push(&["--no-verify", "--verify"]).verify);
        assert_eq!(push(&["-46"]).family, Some(Family::Ipv6));
        assert!(push(&["--set-upstream"]).set_upstream && push(&["--atomic"]).atomic);
        assert_eq!(push(&["--no-follow"]).follow_tags, Some(false));
        assert!(push(&["--porcelain", "--tags"]).porcelain);
    }

    #[test]
    fn what_git_itself_dies_on_is_refused() {
        let cases = [
            (
                &["--delete", "--all"][..],
                "'--delete' and '--all' do not go together",
            ),
            (
                &["--tags", "--mirror"],
                "'--tags' and '--mirror' do not go together",
            ),
            (
                &["--all", "--mirror"],
                "'--all' and '--mirror' do not go together",
            ),
            (
                &["--all", "--tags"],
                "'--tags' and '--all' do not go together",
            ),
            (&["-d", "o"], "'--delete' needs a ref to delete"),
            (
                &["-d", "o", "a:b"],
                "'--delete' takes plain names of refs, not 'a:b'",
            ),
            (
                &["-d", "o", ""],
                "'--delete' takes plain names of refs, not ''",
            ),
            (&["--all", "o", "x"], "'--all' does not go with refspecs"),
            (
                &["--mirror", "o", "x"],
                "'--mirror' does not go with refspecs",
            ),
            (
                &["o", "x", "tag"],
                "'tag' needs the name of a tag behind it",
            ),
        ];
        for (list, message) in cases {
            assert_eq!(refused(list).to_string(), message);
        }
        assert!(!push(&["--all", "--no-all", "o", "x"]).all);
    }

    #[test]
    fn the_usage_means_that_nothing_is_pushed() {
        for list in [
            &["-h"][..],
            &["--help"],
            &["o", "-fh"],
            &["-f", "--help-all"],
        ] {
            let said = push(list);
            assert!(said.informational && !said.force, "{list:?}");
        }
        // Here it is a value.
        let said = push(&["--repo", "--help", "-f"]);
        assert!(!said.informational && said.force);
    }
}
