//! What programs make of their words where those are programs themselves: no rule over words can
//! look into a text that a shell reads, and a person who approves it has to be told.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use super::super::argv::spell;
use crate::model::operation::Invocation;
use crate::sys::trust::only_root_can_change;

/// Programs that run another command given in their words.
const RUNNERS: [&str; 108] = [
    "bundle",
    "busybox",
    "busybox.static",
    "bwrap",
    "capsh",
    "catatonit",
    "catchsegv",
    "cgexec",
    "choom",
    "chpst",
    "chronic",
    "chroot",
    "chrt",
    "command",
    "coreutils",
    "cpulimit",
    "daemonize",
    "dbus-launch",
    "dbus-run-session",
    "direnv",
    "doas",
    "dotenv",
    "dumb-init",
    "eatmydata",
    "entr",
    "env",
    "exec",
    "expect",
    "fakechroot",
    "fakeroot",
    "faketime",
    "fd",
    "fdfind",
    "find",
    "firejail",
    "flatpak",
    "flock",
    "foreman",
    "gdb",
    "genv",
    "gnuenv",
    "gosu",
    "hyperfine",
    "ifne",
    "ionice",
    "linux32",
    "linux64",
    "logsave",
    "ltrace",
    "mise",
    "newgrp",
    "nice",
    "nix-shell",
    "nohup",
    "npm",
    "npx",
    "nsenter",
    "numactl",
    "parallel",
    "perf",
    "pipx",
    "pkexec",
    "pnpm",
    "poetry",
    "primusrun",
    "prlimit",
    "proot",
    "proxychains4",
    "rlwrap",
    "rr",
    "run0",
    "runcon",
    "runuser",
    "rustup",
    "screen",
    "script",
    "sem",
    "setarch",
    "setpriv",
    "setsid",
    "setuidgid",
    "sg",
    "ssh",
    "ssh-agent",
    "sshpass",
    "start-stop-daemon",
    "stdbuf",
    "strace",
    "su",
    "su-exec",
    "sudo",
    "systemd-inhibit",
    "systemd-run",
    "taskset",
    "time",
    "timeout",
    "tini",
    "tmux",
    "torsocks",
    "toybox",
    "unbuffer",
    "unshare",
    "uv",
    "valgrind",
    "vglrun",
    "watch",
    "xargs",
    "xvfb-run",
];

/// Programs that run a command only where one of their words begins so, and those beginnings.
const SOMETIMES: [(&str, &[&str]); 10] = [
    ("gcc", &["-wrapper"]),
    ("g++", &["-wrapper"]),
    ("cc", &["-wrapper"]),
    ("c++", &["-wrapper"]),
    ("gfortran", &["-wrapper"]),
    ("ip", &["exec"]),
    ("rsync", &["-e", "--rsh", "--rsync-path"]),
    ("sort", &["--com"]),
    ("split", &["--f"]),
    (
        "tar",
        &["-I", "-F", "--ch", "--i", "--n", "--r", "--to", "--us"],
    ),
];

const SHELLS: [&str; 15] = [
    "sh", "bash", "dash", "ash", "zsh", "fish", "ksh", "ksh93", "mksh", "yash", "csh", "tcsh",
    "rbash", "pwsh", "nu",
];

/// An interpreter, and the options whose value is a program.
type Interpreter = (&'static str, &'static [&'static str]);

const INTERPRETERS: [Interpreter; 22] = [
    ("python", &["-c", "-m"]),
    ("pypy", &["-c", "-m"]),
    ("perl", &["-e", "-E"]),
    ("ruby", &["-e"]),
    ("node", &["-e", "-p", "--eval", "--print"]),
    ("nodejs", &["-e", "-p", "--eval", "--print"]),
    ("deno", &["eval"]),
    ("bun", &["-e", "--eval"]),
    ("lua", &["-e"]),
    ("luajit", &["-e"]),
    ("php", &["-r", "-B", "-E"]),
    ("Rscript", &["-e"]),
    ("julia", &["-e", "-E"]),
    ("tclsh", &[]),
    ("wish", &[]),
    ("guile", &["-c"]),
    ("java", &[]),
    ("osascript", &["-e"]),
    ("ghci", &["-e"]),
    ("elixir", &["-e"]),
    ("erl", &["-eval"]),
    ("emacs", &["--eval"]),
];

/// Programs whose own language can run commands, with how.
const LANGUAGES: [(&str, &str); 16] = [
    (
        "awk",
        "its program text can run commands (system, pipes) and write files",
    ),
    (
        "gawk",
        "its program text can run commands (system, pipes) and write files",
    ),
    (
        "mawk",
        "its program text can run commands (system, pipes) and write files",
    ),
    (
        "nawk",
        "its program text can run commands (system, pipes) and write files",
    ),
    ("sed", "its script can run commands (e) and write files (w)"),
    ("ed", "its commands can run others (!) and write files"),
    ("ex", "its commands can run others (!) and write files"),
    ("vi", "its commands can run others (!) and write files"),
    ("vim", "its commands can run others (!) and write files"),
    ("nvim", "its commands can run others (!) and write files"),
    ("make", "it runs the commands of a makefile"),
    (
        "tar",
        "its options can run commands (--checkpoint-action, --to-command)",
    ),
    ("rsync", "its options can run commands (-e)"),
    ("m4", "its input can run commands (syscmd)"),
    ("sqlite3", "its input can run commands (.shell)"),
    (
        "sort",
        "its options can run a command (--compress-program) and write files (-o)",
    ),
];

/// Returns the places in `words` where a command of its own may begin: any behind the first, for
/// programs that run what their words say. Which of them it is would need every such program's
/// grammar, and a deny must not miss it (V-D23).
pub(crate) fn inner(words: &[OsString], program: &Path) -> Vec<usize> {
    if runs_words(words, program) {
        (1..words.len()).collect()
    } else {
        Vec::new()
    }
}

/// Returns the words behind the first, cut where a program that runs them may cut them: at blanks
/// and at what a shell ends a command with, without quotes and variables. Nothing where that changes nothing.
pub(crate) fn pieces(words: &[OsString], program: &Path) -> Vec<OsString> {
    let arguments = words.get(1..).unwrap_or_default();
    let is_whole = |word: &OsString| {
        let word = word.as_bytes();
        let is_odd = |byte: &u8| is_cut(*byte) || is_quote(*byte) || *byte == b'$';
        !word.starts_with(b"-") && !word.iter().any(is_odd)
    };
    if arguments.iter().all(is_whole) || !runs_words(words, program) {
        return Vec::new();
    }
    let words = arguments.iter().flat_map(|word| {
        word.as_bytes()
            .split(|byte| is_cut(*byte))
            .filter(|piece| !piece.is_empty())
    });
    words
        .map(|piece| {
            let plain: Vec<u8> = piece
                .iter()
                .copied()
                .filter(|byte| !is_quote(*byte))
                .collect();
            OsString::from_vec(without_variables(&plain))
        })
        .collect()
}

/// Leaves `${NAME}` out: few variables are handed on, so most stand for nothing.
fn without_variables(piece: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(piece.len());
    let mut left = piece;
    while let Some(start) = left.windows(2).position(|pair| pair == b"${") {
        let (before, after) = left.split_at_checked(start).unwrap_or((left, b""));
        out.extend_from_slice(before);
        let end = after.iter().position(|byte| *byte == b'}');
        left = after
            .get(end.unwrap_or(after.len()).saturating_add(1)..)
            .unwrap_or_default();
    }
    out.extend_from_slice(left);
    out
}

fn is_cut(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || matches!(byte, 0x0b | b';' | b'|' | b'&' | b'(' | b')' | b'`' | b',')
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'\'' | b'"' | b'\\')
}

fn runs_words(words: &[OsString], program: &Path) -> bool {
    let Some((typed, arguments)) = words.split_first() else {
        return false;
    };
    let found = program.as_os_str().as_bytes();
    [typed.as_bytes(), found]
        .map(base)
        .into_iter()
        .any(|name| runs(name, arguments))
}

fn runs(name: &[u8], arguments: &[OsString]) -> bool {
    if is_one_of(&RUNNERS, name) || is_loader(name) {
        return true;
    }
    let begins = |starts: &[&str]| {
        arguments.iter().any(|word| {
            let word = word.as_bytes();
            // ip takes the beginning of a word for the word.
            let is_short =
                |start: &[u8]| name == b"ip" && !word.is_empty() && start.starts_with(word);
            let mut starts = starts.iter().map(|start| start.as_bytes());
            starts.any(|start| word.starts_with(start) || is_short(start))
        })
    };
    SOMETIMES.iter().any(|(known, starts)| {
        // x86_64-linux-gnu-gcc-12 is a gcc.
        let mut parts = name.split(|byte| *byte == b'-');
        parts.any(|part| part == known.as_bytes()) && begins(starts)
    })
}

/// Returns lines that say what the program makes of its words, where that is more than it seems.
/// What comes from `invocation` is escaped.
pub(crate) fn describe(invocation: &Invocation, cwd: &Path) -> Vec<String> {
    let Some((typed, arguments)) = invocation.words.split_first() else {
        return Vec::new();
    };
    let names = [typed.as_bytes(), invocation.program.as_os_str().as_bytes()].map(base);
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        let line = describe_as(name, arguments, cwd, !invocation.inner.is_empty());
        if let Some(line) = line.filter(|_| lines.is_empty()) {
            lines.push(line);
        }
    }
    lines
}

fn describe_as(name: &[u8], arguments: &[OsString], cwd: &Path, runs: bool) -> Option<String> {
    let shown = spell(name);
    if is_one_of(&SHELLS, name) {
        return Some(if first_code(arguments, is_shell_code) {
            format!("{shown} is a shell: it runs the text behind -c, which no rule looks into")
        } else {
            read_from(&format!("{shown} is a shell"), arguments, cwd)
        });
    }
    if let Some((_, options)) = INTERPRETERS
        .iter()
        .find(|(known, _)| is_version_of(name, known))
    {
        let code = |word: &[u8]| options.iter().any(|option| gives(word, option));
        return Some(if first_code(arguments, code) {
            format!(
                "{shown} is an interpreter: it runs the code in its words, which no rule looks into"
            )
        } else {
            read_from(&format!("{shown} is an interpreter"), arguments, cwd)
        });
    }
    if let Some((_, how)) = LANGUAGES
        .iter()
        .find(|(known, _)| is_version_of(name, known))
    {
        return Some(format!("{shown}: {how}"));
    }
    if runs && self::runs(name, arguments) {
        return Some(another(name, arguments));
    }
    None
}

/// Programs whose first word that is no option and no variable is the command.
const PLAIN_RUNNERS: [&str; 11] = [
    "env", "nohup", "nice", "setsid", "time", "sudo", "doas", "command", "exec", "busybox",
    "toybox",
];

/// Names the command that is run where it is clear which word begins it.
fn another(name: &[u8], arguments: &[OsString]) -> String {
    let shown = spell(name);
    let plain = |word: &&OsString| !word.as_bytes().contains(&b'=');
    let options = arguments
        .iter()
        .any(|word| word.as_bytes().starts_with(b"-"));
    match arguments.iter().find(plain) {
        Some(command) if !options && is_one_of(&PLAIN_RUNNERS, name) => {
            format!(
                "{shown} runs another command: {}",
                spell(command.as_bytes())
            )
        }
        Some(_) => format!("{shown} runs another command, which stands among its words"),
        None => format!("{shown} can run another command"),
    }
}

fn read_from(what: &str, arguments: &[OsString], cwd: &Path) -> String {
    match arguments.first() {
        None => format!("{what}: it runs what comes from its input, which no rule looks into"),
        Some(script) if !script.as_bytes().starts_with(b"-") => {
            let who = if only_root_can_change(&cwd.join(script)) {
                "which only root can change"
            } else {
                "which can be changed after it was approved"
            };
            format!("{what}: it runs {}, {who}", spell(script.as_bytes()))
        }
        Some(_) => format!("{what}: what it runs depends on its words"),
    }
}

fn first_code(arguments: &[OsString], is_code: impl Fn(&[u8]) -> bool) -> bool {
    arguments.iter().any(|word| is_code(word.as_bytes()))
}

/// Says whether a word is or holds a shell's `-c`: `-ec`, `-lic`.
fn is_shell_code(word: &[u8]) -> bool {
    matches!(word, b"--command" | b"-Command" | b"-EncodedCommand")
        || (word.starts_with(b"-") && !word.starts_with(b"--") && word.contains(&b'c'))
}

/// Says whether a word is this option, has its value in it, or is a cluster that ends in it.
fn gives(word: &[u8], option: &str) -> bool {
    let option = option.as_bytes();
    match option {
        [b'-', letter] if *letter != b'-' => {
            word.starts_with(b"-") && !word.starts_with(b"--") && word.contains(letter)
        }
        _ => word.starts_with(option),
    }
}

fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

fn is_one_of(names: &[&str], name: &[u8]) -> bool {
    names.iter().any(|known| known.as_bytes() == name)
}

/// The dynamic loader runs the program that its words name.
fn is_loader(name: &[u8]) -> bool {
    name.starts_with(b"ld-linux") || name.starts_with(b"ld-musl") || name == b"ld.so"
}

/// Says whether `name` is `known`, with a version behind it or not: `python3.11`, `lua5.4`.
fn is_version_of(name: &[u8], known: &str) -> bool {
    name.strip_prefix(known.as_bytes()).is_some_and(|rest| {
        rest.iter()
            .all(|byte| byte.is_ascii_digit() || b".-".contains(byte))
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn invocation(words: &[&str], program: &str) -> Invocation {
        let words: Vec<_> = words.iter().map(OsString::from).collect();
        Invocation {
            inner: inner(&words, Path::new(program)),
            pieces: pieces(&words, Path::new(program)),
            words,
            program: PathBuf::from(program),
            ..Invocation::default()
        }
    }

    fn said(words: &[&str], program: &str) -> String {
        describe(&invocation(words, program), Path::new("/tmp")).join("\n")
    }

    #[test]
    fn v_d23_commands_inside_commands_begin_anywhere_behind_the_first_word() {
        let env = invocation(&["env", "A=b", "curl", "x"], "/usr/bin/env");
        assert_eq!(env.inner, [1, 2, 3]);
        assert_eq!(
            invocation(&["/bin/mine", "curl"], "/usr/bin/env").inner,
            [1]
        );
        assert_eq!(
            invocation(&["ls", "curl"], "/usr/bin/ls").inner,
            [0_usize; 0]
        );
        let loader = invocation(
            &["/lib64/ld-linux-x86-64.so.2", "/bin/ls"],
            "/lib64/ld-linux-x86-64.so.2",
        );
        assert_eq!(loader.inner, [1]);
    }

    #[test]
    fn v_d23_words_with_blanks_are_cut() {
        let names = |words: &[&str], program: &str| -> Vec<String> {
            let invocation = invocation(words, program);
            let cut = invocation.commands().filter(|spoken| spoken.is_cut);
            cut.map(|spoken| spoken.name.to_str().unwrap().to_owned())
                .collect()
        };
        for words in [
            &["env", "-S", "curl x"][..],
            &["env", "-Scurl x"],
            &["env", "-iScurl"],
            &["env", "--split-string=curl x"],
            &["env", "-S", "'curl' x"],
            &["env", "-S", "A=b\tcurl\tx"],
            &["env", "sh -c \"true;curl x\""],
        ] {
            assert!(
                names(words, "/usr/bin/env").contains(&"curl".to_owned()),
                "{words:?}"
            );
        }
        assert!(names(&["env", "curl", "x"], "/usr/bin/env").is_empty());
        assert!(names(&["ls", "curl x"], "/usr/bin/ls").is_empty());
        let wrapped = ["gcc", "-wrapper", "curl,x", "a.c"];
        let gcc = "/usr/bin/x86_64-linux-gnu-gcc-12";
        assert!(names(&wrapped, gcc).contains(&"curl".to_owned()));
        assert!(invocation(&["gcc", "-o", "id"], gcc).inner.is_empty());
        let ip = |words: &[&str]| invocation(words, "/usr/sbin/ip").inner.len();
        assert_eq!(ip(&["ip", "netns", "e", "x", "curl"]), 4);
        assert_eq!(ip(&["ip", "link", "show", "eth0"]), 0);
    }

    #[test]
    fn arg_43_shells_and_interpreters_are_called_what_they_are() {
        for words in [
            &["bash", "-c", "x"][..],
            &["/bin/sh", "-ec", "x"],
            &["dash", "-e", "-c", "x"],
        ] {
            assert!(
                said(words, "/usr/bin/bash").contains("text behind -c, which no rule"),
                "{words:?}"
            );
        }
        assert!(
            said(&["sh", "x.sh"], "/usr/bin/dash").contains("it runs x.sh, which can be changed")
        );
        assert!(said(&["sh"], "/usr/bin/dash").contains("from its input"));
        let python = said(&["python3", "/usr/bin/env"], "/usr/bin/python3.11");
        assert!(
            python.contains("python3 is an interpreter: it runs /usr/bin/env, which only root"),
            "{python}"
        );
        assert!(
            said(&["python3.11", "-c", "x"], "/usr/bin/python3.11").contains("code in its words")
        );
        assert!(said(&["perl", "-ne", "x"], "/usr/bin/perl").contains("code in its words"));
        assert!(said(&["mine"], "/usr/bin/python3.11").starts_with("python3.11 is an interpreter"));
        assert!(said(&["awk", "x"], "/usr/bin/mawk").contains("can run commands"));
        assert_eq!(
            said(&["env", "A=b", "curl"], "/usr/bin/env"),
            "env runs another command: curl"
        );
        assert!(
            said(&["timeout", "-k", "5", "curl"], "/usr/bin/timeout").contains("among its words")
        );
        assert_eq!(said(&["pythonic"], "/usr/bin/pythonic"), "");
        assert_eq!(said(&["ls", "-c"], "/usr/bin/ls"), "");
    }

    #[test]
    fn arg_25_words_in_descriptions_are_escaped() {
        assert!(!said(&["env", "\u{1b}[2K"], "/usr/bin/env").contains('\u{1b}'));
    }
}
