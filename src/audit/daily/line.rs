//! One entry as one line of the JSON log (docs/audit-format.md, "The JSON log").

use serde_json::Value;

use crate::audit::entry::Entry;
use crate::audit::event::{Field, Kind, Outcome};
use crate::text::escape::shown;
use crate::text::instant;

/// How many bytes the words of a command may take in a line. With what the other fields may take
/// a line stays below 64 KiB.
const ROOM_FOR_WORDS: usize = 32 * 1024;
const ROOM_FOR_TEXT: usize = 6 * 1024;

/// Returns an entry as a JSON object without a line break.
pub(super) fn bytes(entry: &Entry) -> Vec<u8> {
    let mut line = Line::default();
    line.put("timestamp", &quoted(&instant::rfc3339(entry.at)));
    line.put("entry", &entry.seq.to_string());
    line.put("event_type", &quoted(event_type(entry.kind, entry.outcome)));
    line.text("subject", Some(&subject(entry)));
    let decision = quoted(decision(entry.outcome));
    if entry.value(Field::Cached).is_none() {
        line.put("decision", &decision);
    } else {
        line.put("decision", "\"Cached\"");
        line.put("cached_decision", &decision);
    }
    line.text("reason", reason(entry).as_deref());
    line.text("resolved_path", entry.value(Field::Program));
    line.text("requested_by", Some(&requested_by(entry)));
    line.text("agent", Some(entry.agent.as_bytes()));
    line.text("grant_id", list(entry, Field::Grant, b",").as_deref());
    line.words("argv", entry);
    line.text("cwd", entry.value(Field::Cwd));
    let number = |value: &[u8]| std::str::from_utf8(value).ok()?.parse::<u64>().ok();
    if let Some(refusals) = entry.value(Field::Refusals).and_then(number) {
        line.put("refusals", &refusals.to_string());
    }
    line.finish()
}

/// Returns what the log calls an entry of the trail. Every command that was decided is an execution,
/// and its decision says how that came out.
const fn event_type(kind: Kind, outcome: Outcome) -> &'static str {
    match (kind, outcome) {
        (Kind::Execution, Outcome::Failed) => "CommandFailed",
        (Kind::Execution, Outcome::Result) => "CommandResult",
        (Kind::Execution | Kind::GrantCheck, _) => "CommandExecution",
        (Kind::Hijack, _) => "HijackDetected",
        (Kind::Request, _) => "GrantRequested",
        (Kind::Approval, _) => "GrantIssued",
        (Kind::Denial, _) => "GrantDenied",
        (Kind::Revocation, _) => "GrantRevoked",
        (Kind::Expiry, _) => "GrantExpired",
        (Kind::Config, _) => "ConfigChanged",
    }
}

const fn decision(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pending => "Prompted",
        Outcome::Granted | Outcome::Success | Outcome::Failed | Outcome::Result => "Allowed",
        Outcome::Denied | Outcome::Expired | Outcome::Revoked => "Denied",
    }
}

/// Returns the name of the command, or what else the entry is about.
fn subject(entry: &Entry) -> Vec<u8> {
    let named = |field| entry.value(field).map(shown);
    let scopes = || {
        let scopes: Vec<String> = entry.values(Field::Scope).map(shown).collect();
        scopes.join(" ")
    };
    if let Some(name) = entry.value(Field::Argv) {
        let last = name.rsplit(|byte| *byte == b'/').next();
        return last.unwrap_or(name).to_vec();
    }
    let text = match (named(Field::Actions), named(Field::Grant)) {
        (Some(ops), _) => format!("grant of {ops} on {}", scopes()),
        (None, Some(grant)) if entry.value(Field::Of).is_none() => {
            format!("grant {grant} on {}", scopes())
        }
        _ => match (named(Field::Of), named(Field::File)) {
            (Some(first), _) => format!("entry {first}"),
            (None, Some(file)) => file,
            (None, None) if entry.value(Field::Refusals).is_some() => "refusals".to_owned(),
            (None, None) if entry.value(Field::Request).is_some() => {
                format!("request on {}", scopes())
            }
            (None, None) => entry.action.clone().unwrap_or_default(),
        },
    };
    text.into_bytes()
}

fn reason(entry: &Entry) -> Option<Vec<u8>> {
    let status = || {
        let status = entry.value(Field::Status)?;
        Some([b"exit status ", status].concat())
    };
    list(entry, Field::Reason, b"; ")
        .or_else(|| list(entry, Field::Error, b"; "))
        .or_else(|| list(entry, Field::GrantReason, b"; "))
        .or_else(|| list(entry, Field::Rule, b"; "))
        .or_else(status)
        .or_else(|| list(entry, Field::Note, b"; "))
}

fn requested_by(entry: &Entry) -> Vec<u8> {
    match entry.value(Field::For) {
        Some(whom) => whom.to_vec(),
        None => format!("{} of uid {}", entry.agent, entry.uid).into_bytes(),
    }
}

fn list(entry: &Entry, field: Field, between: &[u8]) -> Option<Vec<u8>> {
    let values: Vec<&[u8]> = entry.values(field).collect();
    (!values.is_empty()).then(|| values.join(between))
}

/// A JSON object as it grows. A map from names to values would ask the kernel for random numbers,
/// and end the process where there are none.
#[derive(Default)]
struct Line {
    text: String,
    cut: Vec<&'static str>,
}

impl Line {
    /// Adds a field whose value is JSON already.
    fn put(&mut self, name: &'static str, json: &str) {
        self.text.push(if self.text.is_empty() { '{' } else { ',' });
        self.text.push_str(&quoted(name));
        self.text.push(':');
        self.text.push_str(json);
    }

    fn text(&mut self, name: &'static str, value: Option<&[u8]>) {
        let Some(whole) = value else {
            return self.put(name, "null");
        };
        let start = start_that_fits(whole, ROOM_FOR_TEXT);
        if start.len() < whole.len() {
            self.cut.push(name);
        }
        self.put(name, &value_of(start));
    }

    /// Adds the words of the command as far as they fit; none of them is cut.
    fn words(&mut self, name: &'static str, entry: &Entry) {
        let mut words = entry.values(Field::Argv).peekable();
        if words.peek().is_none() {
            return self.put(name, "null");
        }
        let mut whole = !entry
            .values(Field::Truncated)
            .any(|note| note.starts_with(b"argv "));
        let mut kept = String::new();
        for word in words {
            let room = ROOM_FOR_WORDS.saturating_sub(kept.len());
            if start_that_fits(word, room).len() < word.len() {
                whole = false;
                break;
            }
            kept.push(if kept.is_empty() { '[' } else { ',' });
            kept.push_str(&value_of(word));
        }
        if kept.is_empty() {
            kept.push('[');
        }
        kept.push(']');
        if !whole {
            self.cut.push(name);
        }
        self.put(name, &kept);
    }

    fn finish(mut self) -> Vec<u8> {
        if !self.cut.is_empty() {
            let names: Vec<String> = self.cut.iter().map(|name| quoted(name)).collect();
            self.put("truncated", &format!("[{}]", names.join(",")));
        }
        self.text.push('}');
        self.text.into_bytes()
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Returns bytes as the JSON of the trail has them, too.
fn value_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => quoted(text),
        Err(_) => format!("{{\"base64\":\"{}\"}}", data_encoding::BASE64.encode(bytes)),
    }
}

/// Returns the longest start of a text that takes at most so many bytes as JSON, quotes not
/// counted. What is no text takes four bytes for three.
fn start_that_fits(bytes: &[u8], room: usize) -> &[u8] {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let fits = (room / 4).saturating_mul(3);
        return bytes.get(..fits).unwrap_or(bytes);
    };
    // The longest escape has six bytes.
    if bytes.len() <= room / 6 {
        return bytes;
    }
    let mut left = room;
    let end = text.char_indices().find_map(|(at, character)| {
        let size = match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            control if control < ' ' => 6,
            other => other.len_utf8(),
        };
        match left.checked_sub(size) {
            Some(rest) => {
                left = rest;
                None
            }
            None => Some(at),
        }
    });
    end.and_then(|end| bytes.get(..end)).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::audit::event::Event;
    use crate::model::agent::{Agent, AgentName};
    use crate::vault::entries::StoredEntry;

    const LONGEST_LINE: usize = 64 * 1024;

    fn event(kind: Kind, outcome: Outcome) -> Event {
        let agent = Agent {
            name: AgentName::parse("claude").unwrap(),
            uid: 1000,
            pid: 7,
        };
        Event::new(kind, outcome, &agent)
    }

    fn entry(event: &Event) -> Entry {
        Entry::try_from(StoredEntry {
            seq: 3,
            at: 1_793_491_200_123,
            uptime: 1,
            kind: event.kind.name().into(),
            decision: event.outcome.name().into(),
            agent: event.agent.name.as_str().into(),
            uid: event.agent.uid.into(),
            pid: event.agent.pid.into(),
            action: event.action.map(|action| action.name().into()),
            detail: event.detail().to_vec(),
            hash: vec![0; 32],
        })
        .unwrap()
    }

    fn object(event: &Event) -> Value {
        serde_json::from_slice(&bytes(&entry(event))).unwrap()
    }

    fn words(words: &[&[u8]]) -> Vec<OsString> {
        words
            .iter()
            .map(|word| OsString::from_vec(word.to_vec()))
            .collect()
    }

    #[test]
    fn a_refused_command_has_every_field_of_the_contract() {
        let event = event(Kind::GrantCheck, Outcome::Denied)
            .words(Field::Argv, &words(&[b"/bin/safe-rm", b"a\nb", b"\xff"]))
            .path(Field::Cwd, "/w")
            .path(Field::Program, "/usr/bin/rm")
            .text(Field::Reason, "no active grant covers it");
        let line = bytes(&entry(&event));
        assert!(!line.contains(&b'\n'));
        let read: Value = serde_json::from_slice(&line).unwrap();
        let expected = json!({
            "timestamp": "2026-11-01T00:00:00.123Z",
            "entry": 3,
            "event_type": "CommandExecution",
            "subject": "safe-rm",
            "decision": "Denied",
            "reason": "no active grant covers it",
            "resolved_path": "/usr/bin/rm",
            "requested_by": "claude of uid 1000",
            "agent": "claude",
            "grant_id": null,
            "argv": ["/bin/safe-rm", "a\nb", { "base64": "/w==" }],
            "cwd": "/w",
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn v_d8_a_decision_from_the_cache_says_which_one_it_was() {
        for (outcome, name) in [(Outcome::Success, "Allowed"), (Outcome::Denied, "Denied")] {
            let kind = match outcome {
                Outcome::Success => Kind::Execution,
                _ => Kind::GrantCheck,
            };
            let object = object(&event(kind, outcome).text(Field::Cached, "yes"));
            assert_eq!(object["decision"], "Cached");
            assert_eq!(object["cached_decision"], name);
        }
        let object = object(&event(Kind::Execution, Outcome::Success));
        assert_eq!(object.get("cached_decision"), None);
    }

    #[test]
    fn every_kind_and_decision_is_documented_under_its_name() {
        let page = include_str!("../../../docs/audit-format.md");
        for kind in Kind::ALL {
            for outcome in Outcome::ALL {
                for name in [event_type(kind, outcome), decision(outcome)] {
                    assert!(page.contains(&format!("`{name}`")), "{name}");
                }
            }
        }
    }

    #[test]
    fn aud_09_what_is_cut_is_named_and_a_line_stays_below_64_kib() {
        let control = vec![b'\x01'; 4096];
        let long: Vec<OsString> = (0..20)
            .map(|_| OsString::from_vec(control.clone()))
            .collect();
        let path = String::from_utf8(control).unwrap();
        let event = event(Kind::Execution, Outcome::Success)
            .words(Field::Argv, &long)
            .path(Field::Cwd, &path)
            .path(Field::Program, &path)
            .text(Field::Reason, &path)
            .text(Field::For, &path)
            .text(Field::Grant, &path);
        let line = bytes(&entry(&event));
        assert!(line.len() < LONGEST_LINE, "{}", line.len());
        let read: Value = serde_json::from_slice(&line).unwrap();
        let fields = [
            "subject",
            "reason",
            "resolved_path",
            "requested_by",
            "grant_id",
            "argv",
            "cwd",
        ];
        assert_eq!(read["truncated"], json!(fields));
        assert_eq!(read["argv"].as_array().unwrap().len(), 1);
        assert_eq!(read["cwd"].as_str().unwrap().len(), 1024);
    }

    proptest! {
        #[test]
        fn aud_08_any_bytes_make_a_line_that_reads_back(word in prop::collection::vec(any::<u8>(), 1..60)) {
            let event = event(Kind::GrantCheck, Outcome::Denied)
                .words(Field::Argv, &words(&[b"safe-rm", &word, b""]))
                .bytes(Field::Cwd, &word);
            let line = bytes(&entry(&event));
            prop_assert!(!line.contains(&b'\n'));
            let read: Value = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(&read["argv"][1], &crate::text::json::bytes(&word));
            prop_assert_eq!(&read["cwd"], &crate::text::json::bytes(&word));
            prop_assert_eq!(read["argv"].as_array().unwrap().len(), 3);
        }

        #[test]
        fn a_start_is_the_longest_that_fits(bytes in prop::collection::vec(any::<u8>(), 0..90),
                                            room in 0_usize..120) {
            let start = start_that_fits(&bytes, room);
            prop_assert!(bytes.starts_with(start));
            if let Ok(text) = std::str::from_utf8(&bytes) {
                let encoded = |text: &str| Value::from(text).to_string().len() - 2;
                let start = std::str::from_utf8(start).unwrap();
                prop_assert!(encoded(start) <= room);
                let next = text.chars().take(start.chars().count() + 1).collect::<String>();
                prop_assert!(start == text || encoded(&next) > room);
            }
        }
    }
}
