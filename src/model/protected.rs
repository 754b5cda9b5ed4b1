use super::operation::{FileIdentity, Target, TargetKind};
use super::scope::PathScope;

/// A place of pvm's own that no grant reaches: the vault, the configuration, the program.
#[derive(Clone, Debug)]
pub(crate) struct ProtectedPlace {
    pub(crate) what: &'static str,
    pub(crate) path: PathScope,
    /// The place and the directories above it, the root last. A bind mount gives a directory a
    /// second name; these find it under any.
    pub(crate) ancestry: Vec<FileIdentity>,
}

impl ProtectedPlace {
    /// Says whether removing `target` would remove this place or something in it.
    pub(crate) fn is_hit_by(&self, target: &Target) -> bool {
        if self.path.covers(&target.scope) || target.scope.covers(&self.path) {
            return true;
        }
        let holds = |identity| match target.kind {
            TargetKind::Directory => self.lies_below(identity),
            _ => self.ancestry.first() == Some(&identity),
        };
        let lies_in = |place| target.lineage.contains(place);
        target.identity.is_some_and(holds) || self.ancestry.first().is_some_and(lies_in)
    }

    /// Says whether this place is a directory, or lies below it.
    pub(crate) fn lies_below(&self, directory: FileIdentity) -> bool {
        self.ancestry.contains(&directory)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;
    use std::rc::Rc;

    use super::*;

    fn target(path: &str, kind: TargetKind, inode: u64) -> Target {
        Target {
            operand: OsString::from(path),
            position: 1,
            scope: PathScope::new(Path::new(path)).unwrap(),
            kind,
            identity: Some(FileIdentity { device: 1, inode }),
            lineage: Rc::from([]),
            recursive: true,
        }
    }

    fn vault() -> ProtectedPlace {
        let identity = |inode| FileIdentity { device: 1, inode };
        ProtectedPlace {
            what: "the vault",
            path: PathScope::new(Path::new("/home/a/vault")).unwrap(),
            ancestry: vec![identity(30), identity(20), identity(10), identity(2)],
        }
    }

    #[test]
    fn path_28_the_place_its_contents_and_what_contains_it_are_hit() {
        for path in [
            "/home/a/vault",
            "/home/a/vault/vault.db",
            "/home/a",
            "/home",
        ] {
            assert!(
                vault().is_hit_by(&target(path, TargetKind::Directory, 99)),
                "{path}"
            );
        }
        assert!(!vault().is_hit_by(&target("/home/a/vault2", TargetKind::Directory, 99)));
    }

    #[test]
    fn path_28_what_lies_in_the_place_is_hit_under_any_name() {
        let identity = |inode| FileIdentity { device: 1, inode };
        let mut file = target("/mnt/alias/vault.db", TargetKind::Entry, 99);
        assert!(!vault().is_hit_by(&file));
        file.lineage = Rc::from([identity(30), identity(2)]);
        assert!(vault().is_hit_by(&file));
        file.lineage = Rc::from([identity(20), identity(2)]);
        assert!(
            !vault().is_hit_by(&file),
            "a neighbour of the vault is not in it"
        );
        assert!(vault().is_hit_by(&target("/mnt/itself", TargetKind::Entry, 30)));
    }

    #[test]
    fn a_second_name_for_a_containing_directory_is_hit() {
        assert!(vault().is_hit_by(&target("/mnt/alias", TargetKind::Directory, 20)));
        assert!(!vault().is_hit_by(&target("/mnt/file", TargetKind::Entry, 20)));
    }
}
