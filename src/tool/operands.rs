//! The operands of a command that removes what they name.

use std::ffi::{OsStr, OsString};

use crate::model::operation::{Target, TargetKind};
use crate::sys::path::{PathError, Pinned, Resolver};

/// The most operands that one command may have (ARG-37).
pub(crate) const MOST_OPERANDS: usize = 4096;

/// An operand and its place among the words after the program's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    pub(crate) position: usize,
    pub(crate) word: OsString,
}

impl From<(usize, &OsStr)> for Operand {
    fn from((position, word): (usize, &OsStr)) -> Self {
        Self {
            position,
            word: word.to_owned(),
        }
    }
}

/// Returns a target and what pins it for each operand, in order. The first that cannot be resolved
/// refuses all of them, and is returned with the reason.
///
/// `recursive` says whether the command takes a directory with all that is in it.
pub(super) fn resolve(
    mut resolver: Resolver,
    operands: &[Operand],
    recursive: bool,
) -> Result<(Vec<Target>, Vec<Pinned>), (OsString, PathError)> {
    let mut targets = Vec::with_capacity(operands.len());
    let mut pins = Vec::with_capacity(operands.len());
    for operand in operands {
        let pinned = resolver
            .resolve(&operand.word)
            .map_err(|reason| (operand.word.clone(), reason))?;
        targets.push(Target {
            operand: operand.word.clone(),
            // The words of argv begin with the program's name.
            position: operand.position + 1,
            scope: pinned.scope.clone(),
            kind: pinned.kind,
            identity: pinned.identity,
            lineage: pinned.parent.lineage(),
            recursive: recursive && pinned.kind == TargetKind::Directory,
        });
        pins.push(pinned);
    }
    Ok((targets, pins))
}
