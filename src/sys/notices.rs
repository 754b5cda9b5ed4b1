//! Notices that the kernel gives of directories (inotify(7)). Each is there before the call that it is
//! about returns to whoever made it.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// What has to be heard of; that it was is all that is known of it.
#[derive(Debug)]
pub(crate) struct Notices(Inotify);

impl Notices {
    pub(crate) fn new() -> Result<Self, Errno> {
        Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map(Self)
    }

    /// Listens for a directory that gets another name, by itself or with one of those above it.
    pub(crate) fn of_name(&self, canonical: &Path) -> Result<(), Errno> {
        let moves = AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_DELETE_SELF;
        canonical
            .ancestors()
            .try_for_each(|level| self.listen(level, moves))
    }

    /// Listens for files that come to a directory or leave it.
    pub(crate) fn of_files_in(&self, directory: &Path) -> Result<(), Errno> {
        let changes = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVE;
        self.listen(directory, changes)
    }

    fn listen(&self, directory: &Path, to: AddWatchFlags) -> Result<(), Errno> {
        // A directory that is listened to already is listened to for both.
        let more = AddWatchFlags::from_bits_retain(libc::IN_MASK_ADD);
        let how = AddWatchFlags::IN_ONLYDIR | more;
        self.0.add_watch(directory, to | how).map(drop)
    }

    /// Says whether something was heard of since this was last asked, or may have been.
    pub(crate) fn any(&self) -> bool {
        !matches!(self.0.read_events(), Err(Errno::EAGAIN))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn another_name_of_a_directory_above_and_an_exchanged_file_are_heard_of() {
        let directory = tempfile::tempdir().unwrap();
        let root = crate::sys::path::canonical(directory.path()).unwrap();
        let deep = root.join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("f"), "1").unwrap();
        let notices = Notices::new().unwrap();
        notices.of_name(&deep).unwrap();
        notices.of_files_in(&deep).unwrap();
        assert!(!notices.any());
        fs::write(deep.join("f"), "2").unwrap();
        fs::create_dir(root.join("a/other")).unwrap();
        assert!(!notices.any(), "nothing has another name");
        fs::write(root.join("new"), "3").unwrap();
        fs::rename(root.join("new"), deep.join("f")).unwrap();
        assert!(notices.any());
        assert!(!notices.any());
        fs::remove_file(deep.join("f")).unwrap();
        assert!(notices.any());
        fs::rename(root.join("a"), root.join("z")).unwrap();
        assert!(notices.any());
    }
}
