use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::context::Context;
use super::exec;
use super::output::{self, Stop};
use crate::failure::{ExitStatus, Failure};
use crate::sys::env;
use crate::sys::trust::{self, BoundProgram, Examined, Found, Search, Searcher, Standing};
use crate::text::escape::{shell_word, shown};

/// Say which program a wrapper would run under a name, and whether it is trusted
///
/// The first program of that name on PATH that is not pvm itself is the one. It is trusted when
/// the file, every link on the way and every directory above belong to root or lie in a
/// directory of resolver.trusted_dirs, and others cannot write them. Exit status 0 when it is
/// trusted, 126 when it is not, 127 when there is none.
///
/// pvm exec takes scripts as well when what reads them is trusted, and a program that only you could
/// have changed under a grant for exactly this file. What it makes of the program is said beside
/// the verdict, with the owner and mode of the file and of everything above it. A name with a slash
/// is that file, as for pvm exec.
#[derive(Debug, Args)]
pub(crate) struct Resolve {
    /// The program's name, like rm, or the path of one, like ./x
    #[arg(value_name = "NAME", value_hint = clap::ValueHint::CommandName)]
    name: OsString,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// One directory of the search path, and what became of it.
#[derive(Debug)]
struct Step {
    entry: PathBuf,
    seen: Seen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Empty,
    Relative,
    NotADirectory,
    Nothing,
    Own,
    Program,
}

impl Seen {
    fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Relative => "relative",
            Self::NotADirectory => "no_directory",
            Self::Nothing => "nothing",
            Self::Own => "own",
            Self::Program => "program",
        }
    }

    fn explain(self, name: &str) -> String {
        match self {
            Self::Empty => "skipped: it stands for the working directory".to_owned(),
            Self::Relative => "skipped: not absolute".to_owned(),
            Self::NotADirectory => "is no directory".to_owned(),
            Self::Nothing => format!("no {name}"),
            Self::Own => format!("{name} is pvm itself, skipped"),
            Self::Program => format!("{name} is here"),
        }
    }
}

impl Resolve {
    pub(crate) fn run(self, context: &Context) -> Result<ExitStatus, Stop> {
        let own = trust::own_identity().map_err(Failure::internal)?;
        let searcher = Searcher::new(own, &context.config.trusted_directories);
        if self.name.as_bytes().contains(&b'/') {
            return self.run_path(&searcher);
        }
        let name = self.plain_name()?;
        let path = env::bytes("PATH").filter(|path| !path.is_empty());
        let search_path = path.clone().unwrap_or_else(|| env::SAFE_PATH.into());
        let verdict = searcher.search(name, path.as_deref());
        let hits: Vec<Found> = searcher.hits(name, &search_path).collect();
        let steps = steps(&searcher, name, &search_path);
        let examined = hits
            .first()
            .map(|found| searcher.examine(found.hit.clone()));
        if self.json {
            let mut answer = to_json(name, &verdict, &hits, &steps);
            if let Some(object) = answer.as_object_mut() {
                object.insert(
                    "exec".to_owned(),
                    examined.as_ref().map_or(Value::Null, exec_json),
                );
                object.insert("path_is_set".to_owned(), path.is_some().into());
            }
            output::json(&answer)?;
        } else {
            show_verdict(name, &verdict)?;
            if let Some(examined) = &examined {
                show_examined(examined)?;
            }
            show_search(name, &hits, &steps, path.is_some())?;
        }
        Ok(status(&verdict))
    }

    /// Judges the file that a name with a slash stands for, as `pvm exec` does.
    fn run_path(&self, searcher: &Searcher) -> Result<ExitStatus, Stop> {
        let cwd = std::env::current_dir().map_err(|error| {
            Failure::usage(format!("the working directory has no name: {error}"))
        })?;
        let typed = shown(self.name.as_bytes());
        let path = cwd.join(&self.name);
        if let Err(error) = std::fs::metadata(&path) {
            return Err(Failure::new(ExitStatus::NotFound, format!("{typed}: {error}")).into());
        }
        if searcher.is_own(&path) {
            return Err(Failure::usage(format!("'{typed}' is pvm itself")).into());
        }
        if !trust::is_executable(&path) {
            let message = format!("'{typed}' cannot be executed");
            return Err(Failure::new(ExitStatus::NotExecutable, message).into());
        }
        let examined = searcher.examine(path);
        if self.json {
            let mut answer = exec_json(&examined);
            if let Some(object) = answer.as_object_mut() {
                object.insert("name".to_owned(), output::bytes(self.name.as_bytes()));
            }
            output::json(&answer)?;
        } else {
            output::line(format!("{typed}: {}", name(&examined.found.program)))?;
            show_examined(&examined)?;
        }
        Ok(match examined.standing {
            Standing::Trusted(_) => ExitStatus::Success,
            _ => ExitStatus::NotExecutable,
        })
    }

    fn plain_name(&self) -> Result<&str, Failure> {
        let shown = shown(self.name.as_bytes());
        match self.name.to_str() {
            Some(name) if !matches!(name, "" | "." | "..") && !name.contains('/') => Ok(name),
            _ => Err(
                Failure::usage(format!("'{shown}' is not the name of a program"))
                    .hint("give the name alone:  pvm resolve rm"),
            ),
        }
    }
}

fn status(verdict: &Search) -> ExitStatus {
    match verdict {
        Search::Trusted(_) => ExitStatus::Success,
        Search::Hijacked { .. } => ExitStatus::NotExecutable,
        Search::NotFound => ExitStatus::NotFound,
    }
}

fn steps(searcher: &Searcher, name: &str, search_path: &OsStr) -> Vec<Step> {
    std::env::split_paths(search_path)
        .map(|entry| Step {
            seen: seen(searcher, name, &entry),
            entry,
        })
        .collect()
}

fn seen(searcher: &Searcher, name: &str, entry: &Path) -> Seen {
    if entry.as_os_str().is_empty() {
        Seen::Empty
    } else if !entry.is_absolute() {
        Seen::Relative
    } else if !entry.is_dir() {
        Seen::NotADirectory
    } else if searcher.is_own(&entry.join(name)) {
        Seen::Own
    } else if searcher.hits(name, entry.as_os_str()).next().is_some() {
        Seen::Program
    } else {
        Seen::Nothing
    }
}

fn name(path: &Path) -> String {
    shown(path.as_os_str().as_bytes())
}

fn show_verdict(program: &str, verdict: &Search) -> Result<(), Stop> {
    match verdict {
        Search::Trusted(trusted) => {
            output::line(format!("{program}: {}, trusted", name(trusted.path())))?;
            output::line("  nobody but root, or whom the configuration trusts, can change it")?;
        }
        Search::Hijacked { found, instead } => {
            output::line(format!("{program}: {}, NOT TRUSTED", name(&found.hit)))?;
            output::line(format!("  {}", why(found)))?;
            output::line("  the wrapper refuses to run it")?;
            if let Some(instead) = instead {
                output::line(format!("  a trusted search gives {}", name(instead)))?;
            }
            let directory = found.hit.parent().unwrap_or(&found.hit);
            let word = shell_word(directory.as_os_str().as_bytes());
            output::line(format!(
                "  to trust it, add to resolver.trusted_dirs:  {word}"
            ))?;
        }
        Search::NotFound => {
            output::line(format!("{program}: not found"))?;
        }
    }
    Ok(())
}

fn show_examined(examined: &Examined) -> Result<(), Stop> {
    output::line(format!("  pvm exec: {}", exec::standing(examined)))?;
    if let Some(digest) = digest(examined) {
        output::line(format!("  sha256: {digest}"))?;
    }
    output::line("")?;
    output::line("who can change it:")?;
    for step in trust::chain(&examined.found.hit) {
        let path = name(&step.path);
        let owner = step.uid;
        // The mode of a link says nothing.
        output::line(match step.leads_to {
            Some(to) => format!("  {path} -> {}: uid {owner}", name(&to)),
            None => format!("  {path}: uid {owner}, mode {:04o}", step.mode),
        })?;
    }
    Ok(())
}

/// Returns the SHA-256 of a program that a grant would have to name.
fn digest(examined: &Examined) -> Option<String> {
    let Standing::Changeable = examined.standing else {
        return None;
    };
    let bound = BoundProgram::read(&examined.found.program).ok()?;
    Some(data_encoding::HEXLOWER.encode(&bound.digest()))
}

fn exec_json(examined: &Examined) -> Value {
    let path = |path: &Path| output::bytes(path.as_os_str().as_bytes());
    let chain = trust::chain(&examined.found.hit);
    let chain = chain.into_iter().map(|step| {
        json!({
            "path": path(&step.path),
            "leads_to": step.leads_to.as_deref().map(path),
            "uid": step.uid,
            "mode": format!("{:04o}", step.mode),
        })
    });
    json!({
        "verdict": exec::verdict(examined),
        "program": path(&examined.found.program),
        "why": examined.found.distrust.as_ref().map(ToString::to_string),
        "interpreter": examined.interpreter.as_deref().map(path),
        "program_sha256": digest(examined),
        "chain": chain.collect::<Vec<_>>(),
    })
}

fn show_search(
    program: &str,
    hits: &[Found],
    steps: &[Step],
    path_is_set: bool,
) -> Result<(), Stop> {
    if hits.len() > 1 {
        output::line("")?;
        output::line("also on PATH:")?;
    }
    for other in hits.iter().skip(1) {
        output::line(format!("  {}: {}", name(&other.hit), why(other)))?;
    }
    output::line("")?;
    output::line(if path_is_set {
        "search order, from PATH:"
    } else {
        "search order, PATH being unset or empty:"
    })?;
    for step in steps {
        let entry = match name(&step.entry) {
            empty if empty.is_empty() => "(empty)".to_owned(),
            entry => entry,
        };
        output::line(format!("  {entry}: {}", step.seen.explain(program)))?;
    }
    Ok(())
}

/// Returns the verdict on a hit; links that were followed are told.
fn why(found: &Found) -> String {
    let leads = if found.program == found.hit {
        String::new()
    } else {
        format!(" (leads to {})", name(&found.program))
    };
    match &found.distrust {
        Some(distrust) => format!(
            "not trusted: {}{leads}",
            shown(distrust.to_string().as_bytes())
        ),
        None => format!("trusted{leads}"),
    }
}

fn to_json(program: &str, verdict: &Search, hits: &[Found], steps: &[Step]) -> Value {
    let path = |path: &Path| output::bytes(path.as_os_str().as_bytes());
    let (chosen, instead) = match verdict {
        Search::Trusted(trusted) => (Some(path(trusted.path())), None),
        Search::Hijacked { instead, .. } => (None, instead.as_deref().map(path)),
        Search::NotFound => (None, None),
    };
    let verdict = match verdict {
        Search::Trusted(_) => "trusted",
        Search::Hijacked { .. } => "not_trusted",
        Search::NotFound => "not_found",
    };
    json!({
        "name": program,
        "verdict": verdict,
        "program": chosen,
        "trusted_instead": instead,
        "hits": hits.iter().map(|found| json!({
            "path": path(&found.hit),
            "program": path(&found.program),
            "trusted": found.distrust.is_none(),
            "why_not": found.distrust.as_ref().map(ToString::to_string),
        })).collect::<Vec<_>>(),
        "search_order": steps.iter().map(|step| json!({
            "directory": path(&step.entry),
            "found": step.seen.name(),
        })).collect::<Vec<_>>(),
    })
}
