//! Removes what a cluster's network left on the host: the mounted files of its namespaces.
//!
//! Interfaces, routes, rules and sockets live in the namespaces, which vanish when nothing refers to them any more:
//! processes must be ended before, by whoever started them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Doing, Error};
use crate::netns;

/// Unmounts and removes every namespace file in `directory`, and the directory; goes on after errors and returns them
/// all. A directory that is gone is no error.
pub fn sweep(directory: &Path) -> Vec<Error> {
    let mut errors = Vec::new();
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return errors,
        Err(error) => return vec![Error { doing: format!("list {}", directory.display()), source: error }],
    };
    for entry in entries {
        let removed = entry.doing(|| format!("list {}", directory.display())).and_then(|e| netns::remove(&e.path()));
        errors.extend(removed.err());
    }
    errors.extend(fs::remove_dir(directory).doing(|| format!("remove {}", directory.display())).err());
    errors
}
