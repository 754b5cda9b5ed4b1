//! Entries as JSON: one field of the trail, one field of the object (docs/audit-format.md).

use serde_json::{Map, Value};

use super::super::output;
use crate::audit::entry::{Entry, Record};
use crate::audit::event::Field;
use crate::text::instant;

/// Returns what stands under a number of the trail as an object.
pub(super) fn object(record: &Record) -> Value {
    let parts = match &record.entry {
        Ok(entry) => of_entry(entry),
        Err(why) => vec![
            ("entry", record.seq.into()),
            ("malformed", why.to_string().into()),
        ],
    };
    let named = parts
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Value::Object(named.collect::<Map<_, _>>())
}

fn of_entry(entry: &Entry) -> Vec<(&'static str, Value)> {
    let mut parts: Vec<(_, Value)> = vec![
        ("entry", entry.seq.into()),
        ("timestamp", instant::rfc3339(entry.at).into()),
        ("uptime_ms", entry.uptime.into()),
        ("event_type", entry.kind.name().into()),
        ("decision", entry.outcome.name().into()),
        ("agent", entry.agent.as_str().into()),
        ("uid", entry.uid.into()),
        ("pid", entry.pid.into()),
        ("op", entry.action.as_deref().into()),
    ];
    parts.extend(
        entry
            .fields()
            .map(|field| (field.name(), detail(entry, field))),
    );
    parts.push(("hash", data_encoding::HEXLOWER.encode(&entry.hash).into()));
    parts
}

/// A field that pvm writes once and that stands there several times all the same is shown whole.
fn detail(entry: &Entry, field: Field) -> Value {
    let mut values: Vec<Value> = entry.values(field).map(|value| one(field, value)).collect();
    match values.as_mut_slice() {
        [only] if !field.is_list() => only.take(),
        _ => values.into(),
    }
}

fn one(field: Field, value: &[u8]) -> Value {
    let number = || number(value);
    match field {
        Field::Ttl | Field::Uses | Field::Status | Field::Of | Field::Refusals => {
            number().map(Value::from)
        }
        Field::NotBefore => number().map(|at| instant::rfc3339(at).into()),
        Field::Actions => std::str::from_utf8(value)
            .ok()
            .map(|text| text.split(',').collect()),
        _ => None,
    }
    .unwrap_or_else(|| output::bytes(value))
}

/// Reads a number as pvm writes it, and as nothing else could be written.
pub(super) fn number(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    text.parse()
        .ok()
        .filter(|number: &i64| number.to_string() == text)
}
