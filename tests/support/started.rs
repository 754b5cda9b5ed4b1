use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use serde_json::Value;

use super::Ran;

/// How the recording stand-in found its process.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) argv: Vec<OsString>,
    pub(crate) environment: BTreeMap<String, OsString>,
    record: Value,
}

impl Started {
    /// Reads what the stand-in printed. A variable that came twice is a failure.
    #[track_caller]
    pub(crate) fn read(ran: &Ran) -> Self {
        let record = ran.exited(0).json();
        let words = record["argv_hex"].as_array().unwrap();
        let pairs = record["env_hex"].as_array().unwrap();
        let environment: BTreeMap<_, _> = pairs
            .iter()
            .map(|pair| (pair[0].as_str().unwrap().to_owned(), unhex(&pair[1])))
            .collect();
        assert_eq!(environment.len(), pairs.len(), "{record}");
        Self {
            argv: words.iter().map(unhex).collect(),
            environment,
            record,
        }
    }

    pub(crate) fn field(&self, name: &str) -> &Value {
        assert!(!self.record[name].is_null(), "no {name} in {}", self.record);
        &self.record[name]
    }
}

fn unhex(value: &Value) -> OsString {
    let bytes = data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes());
    OsString::from_vec(bytes.unwrap())
}
