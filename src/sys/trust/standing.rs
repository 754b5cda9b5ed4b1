use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::unistd::{AccessFlags, faccessat};

use super::{
    Distrust, Found, SAFE_PATH, Searcher, TrustedProgram, first_bytes, links, process, unreadable,
};

/// Who can change a program that `pvm exec` would run.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// Nobody but root, or whom the configuration trusts.
    Trusted(TrustedProgram),
    /// The caller as well: only a grant for exactly this content permits it.
    Changeable,
    /// Somebody else, or it must not be run at all.
    Refused,
}

/// A program that `pvm exec` would run.
#[derive(Clone, Debug)]
pub(crate) struct Examined {
    /// Where it stands, and why it is not trusted when it is not.
    pub(crate) found: Found,
    pub(crate) standing: Standing,
    /// What reads it, when it is a script: the file itself, after every link.
    pub(crate) interpreter: Option<PathBuf>,
}

impl Searcher {
    /// Examines the first program of that name on the search path, which is the usual one when
    /// it is unset or empty. Returns nothing when there is none.
    pub(crate) fn examine_named(
        &self,
        name: &OsStr,
        search_path: Option<&OsStr>,
    ) -> Option<Examined> {
        let safe = OsStr::new(SAFE_PATH);
        let search_path = search_path.filter(|path| !path.is_empty()).unwrap_or(safe);
        let hit = self.places(name, search_path).next()?;
        Some(self.examine(hit))
    }

    /// Returns the first trusted program of that name in the usual directories.
    pub(crate) fn trusted_instead(&self, name: &OsStr) -> Option<PathBuf> {
        let mut hits = self.places(name, OsStr::new(SAFE_PATH));
        hits.find_map(|hit| match self.examine(hit) {
            Examined {
                found,
                standing: Standing::Trusted(_),
                ..
            } => Some(found.program),
            _ => None,
        })
    }

    /// Follows the links of `hit`, judges every step, and says who can change the program.
    pub(crate) fn examine(&self, hit: PathBuf) -> Examined {
        let strict = self.follow_and_judge(&hit);
        let typed = hit;
        let hit = links::plain(&typed);
        let distrust = match strict {
            Ok((program, interpreter)) => {
                return Examined {
                    standing: Standing::Trusted(TrustedProgram {
                        path: program.clone(),
                    }),
                    found: Found {
                        hit,
                        program,
                        distrust: None,
                    },
                    interpreter,
                };
            }
            Err(distrust) => distrust,
        };
        let lenient = Self {
            tolerated: Some(process::uid()),
            ..self.clone()
        };
        match lenient.follow_and_judge(&typed) {
            Ok((program, interpreter)) => Examined {
                found: Found {
                    hit,
                    program,
                    distrust: Some(distrust),
                },
                standing: Standing::Changeable,
                interpreter,
            },
            Err(distrust) => Examined {
                found: Found {
                    program: hit.clone(),
                    hit,
                    distrust: Some(distrust),
                },
                standing: Standing::Refused,
                interpreter: None,
            },
        }
    }

    /// Returns the program that `hit` leads to, and what reads it when it is a script.
    fn follow_and_judge(&self, hit: &Path) -> Result<(PathBuf, Option<PathBuf>), Distrust> {
        let program = self.follow(hit)?;
        self.judge_status(&program)?;
        let head = first_bytes(&program).map_err(|error| unreadable(&program, &error))?;
        match head.as_slice() {
            [0x7f, b'E', b'L', b'F', ..] => Ok((program, None)),
            [b'#', b'!', line @ ..] => {
                let named = interpreter(line).ok_or(Distrust::NotAProgram)?;
                let interpreter = self.judge_interpreter(named)?;
                Ok((program, Some(interpreter)))
            }
            // execvp would hand it to a shell; nothing here does (ENV-06).
            _ => Err(Distrust::NotAProgram),
        }
    }

    /// The content of a script may be bound to a grant, that of what reads it is not: so only one
    /// that is trusted will do.
    fn judge_interpreter(&self, named: PathBuf) -> Result<PathBuf, Distrust> {
        let strict = Self {
            tolerated: None,
            ..self.clone()
        };
        let judged = if named.is_absolute() {
            strict.judge(&named)
        } else {
            Found {
                program: named.clone(),
                hit: named,
                distrust: Some(Distrust::NotAProgram),
            }
        };
        match judged.distrust {
            None => Ok(judged.program),
            Some(why) => Err(Distrust::Interpreter {
                path: judged.hit,
                why: Box::new(why),
            }),
        }
    }
}

/// Returns the interpreter that the first line of a script names, as load_script of
/// fs/binfmt_script.c reads it. A name that is cut off by the end of what the kernel reads is none.
fn interpreter(line: &[u8]) -> Option<PathBuf> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let end = |byte: &u8| blank(byte) || matches!(byte, b'\n' | 0);
    let start = line.iter().position(|byte| !blank(byte))?;
    let line = line.get(start..)?;
    let name = line.get(..line.iter().position(end)?)?;
    (!name.is_empty()).then(|| PathBuf::from(OsString::from_vec(name.to_vec())))
}

/// One file, link or directory that is met on the way to a program: who can change it.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) path: PathBuf,
    /// What it points to, when it is a link.
    pub(crate) leads_to: Option<PathBuf>,
    pub(crate) uid: u32,
    pub(crate) mode: u32,
}

/// Returns everything that is met on the way to the program at `hit`, from the program up and each
/// once, as far as it can be seen.
pub(crate) fn chain(hit: &Path) -> Vec<Link> {
    let mut met: Vec<Link> = Vec::new();
    let mut meet = |path: &Path, leads_to: Option<PathBuf>| {
        let known = met.iter().any(|link| link.path == path);
        if let Ok(status) = std::fs::symlink_metadata(path)
            && !known
        {
            met.push(Link {
                path: path.to_owned(),
                leads_to,
                uid: status.uid(),
                mode: status.mode() & 0o7777,
            });
        }
    };
    let Ok(mut walk) = links::Walk::new(hit) else {
        return Vec::new();
    };
    while let Ok(Some((link, target))) = walk.next_link() {
        meet(&link, Some(target));
        for directory in link.ancestors().skip(1) {
            meet(directory, None);
        }
    }
    for directory in walk.here().ancestors() {
        meet(directory, None);
    }
    met
}

/// Says whether the caller may execute what stands at `path`, which is no directory.
pub(crate) fn is_executable(path: &Path) -> bool {
    let flags = nix::fcntl::AtFlags::AT_EACCESS;
    path.is_file() && faccessat(AT_FDCWD, path, AccessFlags::X_OK, flags).is_ok()
}

/// Says whether nobody but root can change the file at `path`, links and directories included.
pub(crate) fn only_root_can_change(path: &Path) -> bool {
    let nobody = Searcher {
        own: crate::model::operation::FileIdentity {
            device: 0,
            inode: 0,
        },
        trusted_directories: Vec::new(),
        tolerated: None,
    };
    let there = nobody.follow(path);
    there.is_ok_and(|file| {
        let status = std::fs::symlink_metadata(&file);
        status.is_ok_and(|status| nobody.judge_owner(&file, &status).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    use super::super::own_identity;
    use super::*;

    fn searcher() -> Searcher {
        Searcher::new(own_identity().unwrap(), &[])
    }

    /// Writes a program into a directory of the caller's own.
    fn written(directory: &Path, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn env_06_the_first_line_is_read_as_the_kernel_reads_it() {
        let name = |line: &[u8]| interpreter(line).map(|path| path.into_os_string().into_vec());
        assert_eq!(name(b"/bin/sh\n"), Some(b"/bin/sh".to_vec()));
        assert_eq!(name(b" \t/bin/sh -e x\n"), Some(b"/bin/sh".to_vec()));
        assert_eq!(
            name(b"/usr/bin/env python3\n"),
            Some(b"/usr/bin/env".to_vec())
        );
        assert_eq!(name(b"\n"), None);
        assert_eq!(name(b"  \n"), None);
        assert_eq!(name(&[b'/'; 254]), None, "cut off");
    }

    #[test]
    fn env_03_and_08_who_can_change_a_program_decides() {
        let directory = tempfile::tempdir().unwrap();
        let standing = |content: &[u8], mode| {
            let path = written(directory.path(), "x", content, mode);
            searcher().examine(path)
        };
        let elf = fs::read("/usr/bin/true").unwrap();
        assert!(matches!(
            standing(&elf, 0o755).standing,
            Standing::Changeable
        ));
        let script = standing(b"#!/bin/sh\n", 0o755);
        assert!(
            matches!(script.standing, Standing::Changeable),
            "{script:?}"
        );
        assert!(script.interpreter.is_some());
        for (content, mode) in [
            (&elf[..], 0o775),
            (&elf, 0o757),
            (&elf, 0o4755),
            (&elf, 0o2755),
            (b"echo", 0o755),
            (b"", 0o755),
            (b"#!", 0o755),
            (b"#!sh\n", 0o755),
            (b"#!/no/such\n", 0o755),
        ] {
            let examined = standing(content, mode);
            assert!(
                matches!(examined.standing, Standing::Refused),
                "{examined:?}"
            );
        }
        let own = written(directory.path(), "own", &elf, 0o755);
        let line = [b"#!", own.as_os_str().as_bytes(), b"\n"].concat();
        let examined = standing(&line, 0o755);
        let distrust = examined.found.distrust.unwrap();
        assert!(
            matches!(distrust, Distrust::Interpreter { .. }),
            "{distrust}"
        );
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let examined = standing(&elf, 0o755);
        assert!(
            matches!(examined.standing, Standing::Refused),
            "{examined:?}"
        );
    }

    #[test]
    fn env_03_a_link_of_somebody_else_in_a_sticky_directory_is_theirs_to_exchange() {
        let directory = tempfile::tempdir().unwrap();
        let base = super::super::super::path::canonical(directory.path()).unwrap();
        fs::set_permissions(&base, fs::Permissions::from_mode(0o1777)).unwrap();
        let elf = fs::read("/usr/bin/true").unwrap();
        written(&base, "x", &elf, 0o755);
        std::os::unix::fs::symlink("x", base.join("link")).unwrap();
        let standing = || searcher().examine(base.join("link")).standing;
        assert!(matches!(standing(), Standing::Changeable));
        if std::os::unix::fs::lchown(base.join("link"), Some(12345), None).is_ok() {
            assert!(matches!(standing(), Standing::Refused));
        }
    }

    #[test]
    fn what_the_system_has_is_trusted() {
        let examined = searcher().examine_named(OsStr::new("env"), None).unwrap();
        assert!(
            matches!(examined.standing, Standing::Trusted(_)),
            "{examined:?}"
        );
        assert!(only_root_can_change(Path::new("/usr/bin/env")));
        assert!(!only_root_can_change(Path::new("/tmp/x")));
    }
}
