use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::super::context::Context;
use super::super::output::Stop;
use super::filter::{Criteria, Filter};
use super::{cells, fields};
use crate::audit::entry::Record;
use crate::audit::pages;
use crate::failure::{ExitStatus, Failure};
use crate::sys::fs;
use crate::text::escape::shown;
use crate::vault::Vault;

/// Write all entries as JSON lines or CSV
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// How they are written
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    #[command(flatten)]
    filter: Filter,
    /// A file to make, closed to others; without it, standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// One JSON object a line
    Jsonl,
    /// A header and one line an entry, RFC 4180
    Csv,
}

impl Export {
    pub(crate) fn run(&self, context: &Context) -> Result<ExitStatus, Stop> {
        let broker = context.broker()?;
        let criteria = self.filter.resolve()?;
        let Some(path) = &self.output else {
            write(
                broker.vault(),
                &criteria,
                Sink::new(self.format, io::stdout()),
            )?;
            return Ok(ExitStatus::Success);
        };
        let file = create(path)?;
        let written = write(broker.vault(), &criteria, Sink::new(self.format, &file))
            .and_then(|()| Ok(file.sync_all()?));
        if written.is_err() {
            let _half_an_export = fs::remove_file(path);
        }
        written.map(|()| ExitStatus::Success)
    }
}

fn write<W: Write>(vault: &Vault, criteria: &Criteria, mut sink: Sink<W>) -> Result<(), Stop> {
    let end = pages::highest(vault)?;
    let mut last = None;
    sink.begin()?;
    while last.is_none_or(|last| last < end) {
        let page = pages::after(vault, last)?;
        let Some(newest) = page.last() else {
            break;
        };
        last = Some(newest.seq.min(end));
        for record in page.iter().filter(|record| record.seq <= end) {
            if criteria.want(record, vault)? {
                sink.write(record)?;
            }
        }
    }
    Ok(sink.flush()?)
}

fn create(path: &Path) -> Result<File, Failure> {
    fs::create_private_file(path).map_err(|error| {
        let name = shown(path.as_os_str().as_encoded_bytes());
        if error.kind() == io::ErrorKind::AlreadyExists {
            return Failure::usage(format!("{name} exists already"))
                .hint("choose another name, or remove it first");
        }
        Failure::internal(format!("cannot make {name}: {error}"))
    })
}

/// Where entries are written, in one of the formats.
enum Sink<W: Write> {
    Jsonl(BufWriter<W>),
    Csv(Box<csv::Writer<W>>),
}

impl<W: Write> Sink<W> {
    fn new(format: Format, out: W) -> Self {
        match format {
            Format::Jsonl => Self::Jsonl(BufWriter::new(out)),
            Format::Csv => {
                let mut builder = csv::WriterBuilder::new();
                Self::Csv(Box::new(
                    builder.terminator(csv::Terminator::CRLF).from_writer(out),
                ))
            }
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        match self {
            Self::Jsonl(_) => Ok(()),
            Self::Csv(out) => out.write_record(cells::header()).map_err(io_error),
        }
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        match self {
            Self::Jsonl(out) => writeln!(out, "{}", fields::object(record)),
            Self::Csv(out) => out.write_record(cells::row(record)).map_err(io_error),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Jsonl(out) => out.flush(),
            Self::Csv(out) => out.flush(),
        }
    }
}

/// The kind of the error says whether somebody still reads, and `csv` hides it.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
