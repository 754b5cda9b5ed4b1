use super::super::parse_options::{Spec, Takes};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opt {
    Verbose,
    Quiet,
    Repo,
    All,
    Mirror,
    Delete,
    Tags,
    DryRun,
    Porcelain,
    Force,
    Lease,
    IfIncludes,
    RecurseSubmodules,
    Thin,
    ReceivePack,
    SetUpstream,
    Progress,
    Prune,
    NoVerify,
    FollowTags,
    Signed,
    Atomic,
    PushOption,
    Ipv4,
    Ipv6,
}

const fn plain(short: Option<u8>, long: &'static str, option: Opt) -> Spec<Opt> {
    Spec {
        short,
        long,
        takes: Takes::Nothing,
        negatable: true,
        option,
    }
}

const fn taking(takes: Takes, short: Option<u8>, long: &'static str, option: Opt) -> Spec<Opt> {
    Spec {
        takes,
        ..plain(short, long, option)
    }
}

const fn without_no(short: Option<u8>, long: &'static str, option: Opt) -> Spec<Opt> {
    Spec {
        negatable: false,
        ..plain(short, long, option)
    }
}

pub(super) const TABLE: [Spec<Opt>; 27] = [
    plain(Some(b'v'), "verbose", Opt::Verbose),
    plain(Some(b'q'), "quiet", Opt::Quiet),
    taking(Takes::Value, None, "repo", Opt::Repo),
    plain(None, "all", Opt::All),
    // Since 2.41.
    plain(None, "branches", Opt::All),
    plain(None, "mirror", Opt::Mirror),
    plain(Some(b'd'), "delete", Opt::Delete),
    plain(None, "tags", Opt::Tags),
    plain(Some(b'n'), "dry-run", Opt::DryRun),
    plain(None, "porcelain", Opt::Porcelain),
    plain(Some(b'f'), "force", Opt::Force),
    taking(Takes::OptionalValue, None, "force-with-lease", Opt::Lease),
    plain(None, "force-if-includes", Opt::IfIncludes),
    taking(
        Takes::Value,
        None,
        "recurse-submodules",
        Opt::RecurseSubmodules,
    ),
    plain(None, "thin", Opt::Thin),
    taking(Takes::Value, None, "receive-pack", Opt::ReceivePack),
    taking(Takes::Value, None, "exec", Opt::ReceivePack),
    plain(Some(b'u'), "set-upstream", Opt::SetUpstream),
    plain(None, "progress", Opt::Progress),
    plain(None, "prune", Opt::Prune),
    plain(None, "no-verify", Opt::NoVerify),
    plain(None, "follow-tags", Opt::FollowTags),
    taking(Takes::OptionalValue, None, "signed", Opt::Signed),
    plain(None, "atomic", Opt::Atomic),
    taking(Takes::Value, Some(b'o'), "push-option", Opt::PushOption),
    // Until 2.39 these had a `--no-` form, which meant neither.
    without_no(Some(b'4'), "ipv4", Opt::Ipv4),
    without_no(Some(b'6'), "ipv6", Opt::Ipv6),
];
