//! Questions to the person at the controlling terminal, whatever the standard streams are.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

const LONGEST_ANSWER: u64 = 4096;

/// Asks a question, and returns the line that was typed.
pub(crate) fn line(question: &str) -> io::Result<String> {
    ask(&open()?, question)
}

/// Asks a question whose answer is not shown.
pub(crate) fn secret(question: &str) -> io::Result<String> {
    let terminal = open()?;
    // First of all, so that nothing that is typed at the question is ever shown.
    let silence = Silence::begin(&terminal)?;
    let answer = ask(&terminal, question);
    drop(silence);
    (&terminal).write_all(b"\n")?;
    answer
}

/// Tells the person something between two questions.
pub(crate) fn say(text: &str) -> io::Result<()> {
    (&open()?).write_all(format!("{text}\n").as_bytes())
}

fn open() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

fn ask(terminal: &File, question: &str) -> io::Result<String> {
    let mut terminal = terminal;
    terminal.write_all(question.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(terminal.take(LONGEST_ANSWER)).read_line(&mut answer)?;
    match answer.strip_suffix('\n') {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A terminal that does not show what is typed, for as long as this lives.
struct Silence<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> Silence<'t> {
    fn begin(terminal: &'t File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(terminal, SetArg::TCSAFLUSH, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let _shell_puts_it_right = tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}
