use std::io::{self, BufRead, IsTerminal, Write};

use crate::broker::BrokerError;
use crate::broker::permit::RemovalWords;
use crate::model::operation::Prompt;
use crate::sys::Errno;
use crate::sys::path::{Obstacle, Pinned};

/// Removes one directory entry as `rm` would, with its prompts and messages.
pub(super) fn unlink(
    pinned: &Pinned,
    words: &RemovalWords,
    still_holds: &dyn Fn() -> Result<bool, BrokerError>,
) -> Result<(), String> {
    let name = &words.name;
    let (line, why) = match remove(pinned, words, still_holds) {
        Ok(true) if words.verbose => match print(&format!("removed {name}\n")) {
            Ok(()) => return Ok(()),
            Err(error) => {
                let why = format!("write error: {}", error.desc());
                (format!("rm: {why}\n"), why)
            }
        },
        Ok(_) => return Ok(()),
        Err(why) => (format!("rm: cannot remove {name}: {why}\n"), why),
    };
    // Nobody may be listening; the entry has it.
    let _unheard = io::stderr().write_all(line.as_bytes());
    Err(why)
}

fn print(line: &str) -> Result<(), Errno> {
    let code = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or_default());
    io::stdout().write_all(line.as_bytes()).map_err(code)
}

fn confirmed(question: &str) -> Result<bool, String> {
    let mut answer = Vec::new();
    io::stderr()
        .write_all(question.as_bytes())
        .and_then(|()| io::stdin().lock().read_until(b'\n', &mut answer))
        .map_err(|error| error.to_string())?;
    Ok(matches!(answer.first(), Some(b'y' | b'Y')))
}

/// Returns whether the entry was removed, or left alone because the person said no.
fn remove(
    pinned: &Pinned,
    words: &RemovalWords,
    still_holds: &dyn Fn() -> Result<bool, BrokerError>,
) -> Result<bool, String> {
    let mut asked = words.prompt == Prompt::Once && words.recursive;
    if asked && !confirmed("rm: remove 1 argument recursively? ")? {
        return Ok(false);
    }
    let protected =
        words.prompt != Prompt::Never && io::stdin().is_terminal() && pinned.is_write_protected();
    if words.prompt == Prompt::Always || protected {
        let kind = pinned.describe();
        let adverb = if protected { "write-protected " } else { "" };
        if !confirmed(&format!("rm: remove {adverb}{kind} {}? ", words.name))? {
            return Ok(false);
        }
        asked = true;
    }
    // The answer may have taken longer than the grant lasted.
    if asked && !still_holds().map_err(|error| error.to_string())? {
        return Err("Permission denied: the grant ended before the answer".to_owned());
    }
    match pinned.unlink() {
        Ok(()) => Ok(true),
        Err(Obstacle::Changed) => Err("it is not the file that was checked any more".to_owned()),
        Err(Obstacle::System(error)) => Err(error.desc().to_owned()),
    }
}
