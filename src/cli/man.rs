use std::io;
use std::path::PathBuf;

use clap::{Arg, Args, Command, CommandFactory};
use clap_mangen::roff::{Roff, bold, roman};

use super::Cli;
use super::output::{self, Stop};
use crate::failure::{ExitStatus, Failure};
use crate::sys::fs;
use crate::text::escape::shown;

/// When the text of a page last changed.
const DATE: &str = "2026-11-20";

/// Print the manual page of pvm, or write the pages of all its commands
///
/// The pages are made from the same definitions as --help. install.sh puts them where man looks.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pvm man | man -l -
  pvm man --dir man")]
pub(crate) struct Man {
    /// Write every page to a file in this directory instead
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self) -> Result<ExitStatus, Stop> {
        let pages = pages().map_err(Failure::internal)?;
        let Some(directory) = self.dir else {
            let first = pages.first().map(|page| page.text.as_str());
            output::raw(first.unwrap_or_default().as_bytes())?;
            return Ok(ExitStatus::Success);
        };
        for page in &pages {
            let path = directory.join(&page.file);
            fs::write_whole(&path, page.text.as_bytes(), 0o644, true).map_err(|error| {
                let name = shown(path.as_os_str().as_encoded_bytes());
                Failure::internal(format!("cannot write {name}: {error}"))
            })?;
        }
        output::line(format!("wrote {} pages", pages.len()))?;
        Ok(ExitStatus::Success)
    }
}

struct Page {
    file: String,
    text: String,
}

/// Returns the page of pvm, then those of its commands.
fn pages() -> io::Result<Vec<Page>> {
    let mut command = Cli::command();
    command.build();
    let mut pages = Vec::new();
    collect(&command, None, &mut pages)?;
    Ok(pages)
}

fn collect(command: &Command, above: Option<&str>, pages: &mut Vec<Page>) -> io::Result<()> {
    let name = display_name(command);
    pages.push(Page {
        file: format!("{name}.1"),
        text: page(command, &name, above)?,
    });
    for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        collect(below, Some(&name), pages)?;
    }
    Ok(())
}

fn display_name(command: &Command) -> String {
    let name = command.get_display_name();
    name.unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: &Command, name: &str, above: Option<&str>) -> io::Result<String> {
    let examples = command.get_after_help().map(ToString::to_string);
    let usage = synopsis(command);
    let page = clap_mangen::Man::new(reworded(command.clone()).override_usage(usage))
        .title(name)
        .date(DATE)
        .source(concat!("pvm ", env!("CARGO_PKG_VERSION")))
        .manual("pvm manual");
    let mut roff = Vec::new();
    page.render_title(&mut roff)?;
    page.render_name_section(&mut roff)?;
    page.render_synopsis_section(&mut roff)?;
    page.render_description_section(&mut roff)?;
    page.render_options_section(&mut roff)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut roff)?;
    }
    let mut rest = Roff::default();
    if above.is_none() {
        general_sections(&mut rest);
    }
    if let Some(examples) = examples {
        render_examples(&mut rest, &examples);
    }
    see_also(&mut rest, command, above);
    rest.to_writer(&mut roff)?;
    let text = String::from_utf8(roff).map_err(io::Error::other)?;
    Ok(without_preambles(&text))
}

/// Every section brings its own definition of the apostrophe, which mandoc has anyway.
fn without_preambles(text: &str) -> String {
    let definition = |line: &&str| line.starts_with(".ie \\n(.g") || line.starts_with(".el .ds Aq");
    let mut out = String::with_capacity(text.len());
    for line in text.lines().filter(|line| !definition(line)) {
        out.push_str(line.replace("\\*(Aq", "\\(aq").trim_end());
        out.push('\n');
    }
    out
}

/// Takes out what a page says elsewhere, and puts in what only `--help` would say.
fn reworded(command: Command) -> Command {
    let long = command.get_long_about().map(ToString::to_string);
    let command = command.subcommand_help_heading("COMMANDS");
    let command = match long.as_deref().and_then(|text| text.split_once("\n\n")) {
        Some((_, rest)) => command.long_about(rest.to_owned()),
        None => command,
    };
    command.mut_args(|argument| {
        let values: Vec<String> = argument
            .get_possible_values()
            .iter()
            .map(|value| value.get_name().to_owned())
            .collect();
        if values.is_empty() || !argument.get_action().takes_values() {
            return argument;
        }
        let help = argument.get_help().map(ToString::to_string);
        let help = format!("{}: {}", help.unwrap_or_default(), values.join(", "));
        argument.hide_possible_values(true).help(help)
    })
}

/// Returns the usage with every option, those that must be given first.
fn synopsis(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut words = vec![name.to_owned()];
    let alternatives: Vec<&Arg> = command
        .get_groups()
        .filter(|group| group.is_required_set())
        .flat_map(clap::ArgGroup::get_args)
        .filter_map(|id| {
            command
                .get_arguments()
                .find(|argument| argument.get_id() == id)
        })
        .collect();
    if !alternatives.is_empty() {
        let words_of_each: Vec<String> = alternatives.iter().map(|a| word(a)).collect();
        words.push(format!("{{{}}}", words_of_each.join(" | ")));
    }
    let rest = command.get_arguments().filter(|argument| {
        !argument.is_hide_set()
            && !matches!(argument.get_id().as_str(), "help" | "version")
            && !alternatives
                .iter()
                .any(|known| known.get_id() == argument.get_id())
    });
    let (last, rest): (Vec<&Arg>, Vec<&Arg>) = rest.partition(|a| a.is_last_set());
    let (required, optional): (Vec<&Arg>, Vec<&Arg>) =
        rest.into_iter().partition(|a| a.is_required_set());
    words.extend(required.into_iter().map(word));
    words.extend(optional.into_iter().map(|a| format!("[{}]", word(a))));
    if command.has_subcommands() {
        let needed = command.is_subcommand_required_set();
        words.push(if needed { "COMMAND" } else { "[COMMAND]" }.to_owned());
    }
    // What stands behind the dashes takes everything that follows.
    words.extend(last.into_iter().map(|argument| {
        let words = format!("-- {} ...", word(argument));
        if argument.is_required_set() {
            words
        } else {
            format!("[{words}]")
        }
    }));
    words.join(" ")
}

fn word(argument: &Arg) -> String {
    let value = argument
        .get_value_names()
        .filter(|_| argument.get_action().takes_values())
        .map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
    let value = value.map(|names| names.join(" "));
    match (argument.get_long(), value) {
        (Some(long), Some(value)) => format!("--{long} {value}"),
        (Some(long), None) => format!("--{long}"),
        (None, value) => value.unwrap_or_default(),
    }
}

const STATUSES: [(&str, &str); 6] = [
    ("0", "Done; or the answer to the question is yes."),
    (
        "1",
        "Refused; or the answer is no: nothing is granted, a configuration cannot be used, the doctor found something wrong.",
    ),
    ("2", "Wrong usage; or the trail is broken."),
    (
        "3",
        "The trail is intact, but not anchored where that was required.",
    ),
    ("125", "pvm itself failed, and changed nothing."),
    (
        "126, 127",
        "A program was found and is not trusted; was not found.",
    ),
];

const FILES: [(&str, &str); 5] = [
    ("/etc/pvm/pvm.toml", "The configuration of the machine."),
    (
        "~/.config/pvm/pvm.toml",
        "The configuration of a person, where the machine has none. pvm.toml(5) has the whole search order.",
    ),
    (
        "~/.local/share/pvm/vault.db",
        "The vault: grants, and the trail.",
    ),
    (
        "~/.local/share/pvm/audit/permissions-YYYY-MM-DD.log",
        "The JSON log of a day, a copy of the trail for programs that follow files.",
    ),
    (
        "PREFIX/libexec/pvm/agent-bin",
        "Links to put first on the PATH of an agent.",
    ),
];

/// What holds for every command stands in the page of pvm.
fn general_sections(roff: &mut Roff) {
    roff.control("SH", ["EXIT STATUS"]);
    definitions(roff, &STATUSES);
    roff.control("SH", ["FILES"]);
    definitions(roff, &FILES);
    roff.control("SH", ["ENVIRONMENT"]);
    roff.text([roman(
        "Nothing in the environment chooses the configuration, the vault or the policy.",
    )]);
    let color = ("NO_COLOR", "When it is set, no colour is used.");
    let agent = (
        "PVM_AGENT_ID",
        "The name of an agent for the wrappers. Where it is set, pvm takes its caller for an agent.",
    );
    definitions(roff, &[agent, color]);
}

fn definitions(roff: &mut Roff, list: &[(&str, &str)]) {
    for (term, meaning) in list {
        roff.control("TP", []);
        roff.text([bold(*term)]);
        roff.text([roman(*meaning)]);
    }
}

fn render_examples(roff: &mut Roff, text: &str) {
    roff.control("SH", ["EXAMPLES"]);
    roff.control("nf", []);
    let lines = text.lines().filter(|line| *line != "Examples:");
    for line in lines {
        roff.text([roman(line.trim_start())]);
    }
    roff.control("fi", []);
}

fn see_also(roff: &mut Roff, command: &Command, above: Option<&str>) {
    let mut pages: Vec<String> = vec!["pvm.toml(5)".to_owned(), "safe-rm(1)".to_owned()];
    if above.is_some() {
        pages.push("pvm(1)".to_owned());
    }
    pages.extend(
        above
            .filter(|name| *name != "pvm")
            .map(|name| format!("{name}(1)")),
    );
    let below = command.get_subcommands().filter(|c| !c.is_hide_set());
    pages.extend(below.map(|below| format!("{}(1)", display_name(below))));
    pages.sort();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(pages.join(", "))]);
}
