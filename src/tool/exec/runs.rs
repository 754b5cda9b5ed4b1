//! What programs make of their words where those are programs themselves: no rule over words can
//! look into a text that a shell reads, and a person who approves it has to be told.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::super::argv::spell;
use crate::model::operation::Invocation;
use crate::sys::trust::only_root_can_change;

/// Programs that run another command given in their words.
const RUNNERS: [&str; 74] = [
    "bwrap",
    "busybox",
    "bundle",
    "chpst",
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
    "entr",
    "env",
    "exec",
    "expect",
    "fakeroot",
    "fd",
    "fdfind",
    "find",
    "firejail",
    "flock",
    "foreman",
    "gdb",
    "ionice",
    "linux32",
    "linux64",
    "logsave",
    "ltrace",
    "mise",
    "nice",
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
    "prlimit",
    "proot",
    "proxychains4",
    "rlwrap",
    "run0",
    "runuser",
    "rustup",
    "screen",
    "script",
    "setarch",
    "setpriv",
    "setsid",
    "ssh",
    "start-stop-daemon",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemd-run",
    "taskset",
    "time",
    "timeout",
    "tmux",
    "torsocks",
    "toybox",
    "unshare",
    "uv",
    "watch",
    "xargs",
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
    let typed = words.first().map(|word| base(word.as_bytes()));
    let found = base(program.as_os_str().as_bytes());
    let runs = |name: &[u8]| is_one_of(&RUNNERS, name) || is_loader(name);
    if typed.is_some_and(runs) || runs(found) {
        (1..words.len()).collect()
    } else {
        Vec::new()
    }
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
    if runs && (is_one_of(&RUNNERS, name) || is_loader(name)) {
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
            words,
            program: PathBuf::from(program),
            digest: None,
            directory: None,
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
