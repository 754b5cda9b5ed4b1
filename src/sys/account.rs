use std::path::PathBuf;

use nix::unistd::{Uid, User};

use super::path;
use crate::model::scope::PathScope;

/// Who a user is, by the password database and not by the environment (ENV-12).
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) name: String,
    pub(crate) home: PathBuf,
}

/// Why the calling user has no usable entry in the password database.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    #[error("cannot look up uid {0} in the password database: {1}")]
    Lookup(u32, nix::Error),
    #[error("uid {0} is not in the password database (/etc/passwd), which says where its home is")]
    Unknown(u32),
    #[error("the home directory of uid {0} is not an absolute path")]
    Home(u32),
}

/// Returns the account of the effective user.
pub(crate) fn own() -> Result<Account, AccountError> {
    let uid = Uid::effective();
    let user = User::from_uid(uid)
        .map_err(|error| AccountError::Lookup(uid.as_raw(), error))?
        .ok_or(AccountError::Unknown(uid.as_raw()))?;
    if !user.dir.is_absolute() {
        return Err(AccountError::Home(uid.as_raw()));
    }
    Ok(Account {
        uid: uid.as_raw(),
        name: user.name,
        home: user.dir,
    })
}

/// Returns every home directory in the password database that a person could have.
pub(crate) fn homes() -> Vec<PathBuf> {
    listed(|_| true)
}

/// Returns the home directories of root and of the people in the password database, which are those
/// with a uid from 1000 on (`UID_MIN` of login.defs(5)), without `nobody`.
pub(crate) fn homes_of_people() -> Vec<PathBuf> {
    listed(|uid| uid == 0 || (1000..65_534).contains(&uid))
}

/// Says whether a scope holds somebody's whole home directory.
pub(crate) fn holds_a_home(scope: &PathScope) -> bool {
    homes()
        .iter()
        .filter_map(|home| path::canonical(home).ok())
        .filter_map(|home| PathScope::new(&home).ok())
        .any(|home| scope.covers(&home))
}

fn listed(wanted: impl Fn(u32) -> bool) -> Vec<PathBuf> {
    let Ok(table) = std::fs::read_to_string("/etc/passwd") else {
        return Vec::new();
    };
    let home = |line: &str| {
        let mut fields = line.split(':').skip(2);
        let uid = fields.next()?.parse().ok()?;
        let home = PathBuf::from(fields.nth(2)?);
        (wanted(uid) && home.is_absolute()).then_some(home)
    };
    table.lines().filter_map(home).collect()
}
