use super::operation::{FileIdentity, Target, TargetKind};
use super::scope::PathScope;

/// A place of pvm's own that no grant reaches: the vault, the configuration, the program.
#[derive(Clone, Debug)]
pub(crate) struct ProtectedPlace {
    pub(crate) what: &'static str,
    pub(crate) path: PathScope,
    /// The directories from the place up to the root. A bind mount gives a directory a second
    /// name; these find it under any.
    pub(crate) ancestry: Vec<FileIdentity>,
}

impl ProtectedPlace {
    /// Says whether removing `target` would remove this place or something in it.
    pub(crate) fn is_hit_by(&self, target: &Target) -> bool {
        if self.path.covers(&target.scope) || target.scope.covers(&self.path) {
            return true;
        }
        target.kind == TargetKind::Directory
            && target
                .identity
                .is_some_and(|identity| self.ancestry.contains(&identity))
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::*;

    fn target(path: &str, kind: TargetKind, inode: u64) -> Target {
        Target {
            operand: OsString::from(path),
            position: 1,
            scope: PathScope::new(Path::new(path)).unwrap(),
            kind,
            identity: Some(FileIdentity { device: 1, inode }),
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
    fn a_second_name_for_a_containing_directory_is_hit() {
        assert!(vault().is_hit_by(&target("/mnt/alias", TargetKind::Directory, 20)));
        assert!(!vault().is_hit_by(&target("/mnt/file", TargetKind::Entry, 20)));
    }
}
