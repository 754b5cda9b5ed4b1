use crate::confine::Right;
use crate::model::operation::TargetKind;

/// Which of a target's two directories a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// The directory that holds the target.
    Parent,
    /// The target, which is a directory.
    Itself,
}

/// How a target is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// By the real command, under these rules.
    ByCommand(Vec<(Place, Right)>),
    /// By pvm, on the pinned parent: a rule cannot name a single file, and one for its parent
    /// would cover its siblings, which the grant does not.
    ByPvm,
}

/// What a removal looks like to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: TargetKind,
    pub(crate) recursive: bool,
    /// Whether `rm -d` may remove the directory when it is empty.
    pub(crate) empty_directories: bool,
    /// Whether a right to the directory that holds the target may be given: the grant covers that
    /// directory, and nothing of pvm's own lies below it.
    pub(crate) parent_in_reach: bool,
}

/// Returns the rules that removing one target needs.
///
/// For a directory the parent gets the right to remove directories only. A race that is won can
/// then cost an empty directory beside the target; with the right to remove files there, it cost
/// files.
pub(crate) fn removal(shape: Shape) -> Removal {
    let rules = match shape.kind {
        TargetKind::Directory if shape.recursive => vec![
            (Place::Itself, Right::Both),
            (Place::Parent, Right::Directories),
        ],
        TargetKind::Directory if shape.empty_directories => {
            vec![(Place::Parent, Right::Directories)]
        }
        TargetKind::Missing | TargetKind::Directory => Vec::new(),
        TargetKind::Entry if shape.parent_in_reach => vec![(Place::Parent, Right::Entries)],
        TargetKind::Entry => return Removal::ByPvm,
    };
    Removal::ByCommand(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(kind: TargetKind) -> Shape {
        Shape {
            kind,
            recursive: false,
            empty_directories: false,
            parent_in_reach: true,
        }
    }

    #[test]
    fn a_file_needs_its_parent_and_no_directory_rights() {
        let rules = vec![(Place::Parent, Right::Entries)];
        assert_eq!(removal(shape(TargetKind::Entry)), Removal::ByCommand(rules));
    }

    #[test]
    fn path_30_a_file_whose_parent_is_not_granted_is_removed_by_pvm() {
        let alone = Shape {
            parent_in_reach: false,
            ..shape(TargetKind::Entry)
        };
        assert_eq!(removal(alone), Removal::ByPvm);
    }

    #[test]
    fn path_31_a_directory_never_gets_file_rights_on_its_parent() {
        for parent_in_reach in [true, false] {
            let tree = Shape {
                recursive: true,
                parent_in_reach,
                ..shape(TargetKind::Directory)
            };
            let Removal::ByCommand(rules) = removal(tree) else {
                panic!("a command removes trees")
            };
            assert!(rules.contains(&(Place::Itself, Right::Both)));
            let parent: Vec<_> = rules
                .iter()
                .filter(|rule| rule.0 == Place::Parent)
                .collect();
            assert_eq!(parent, [&(Place::Parent, Right::Directories)]);
        }
    }

    #[test]
    fn what_rm_will_not_remove_gets_no_right() {
        let none = Removal::ByCommand(Vec::new());
        assert_eq!(removal(shape(TargetKind::Directory)), none);
        assert_eq!(
            removal(Shape {
                recursive: true,
                ..shape(TargetKind::Missing)
            }),
            none
        );
        let empty = Shape {
            empty_directories: true,
            ..shape(TargetKind::Directory)
        };
        let rules = vec![(Place::Parent, Right::Directories)];
        assert_eq!(removal(empty), Removal::ByCommand(rules));
    }
}
