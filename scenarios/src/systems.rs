//! Where systems under test are found: the bundled ones by name, anybody's own by the folder of their contract.

use gauntlet_core::{Contract, Trouble, suggest};
use std::path::{Path, PathBuf};

/// The file that makes a folder a system.
pub const CONTRACT: &str = "system.yaml";

/// A system under test and where it lies.
#[derive(Debug)]
pub struct Found {
    pub contract: Contract,
    pub folder: PathBuf,
}

/// Names another folder of systems than the one that this program was built from.
pub const FOLDER_VARIABLE: &str = "GAUNTLET_SYSTEMS";

/// The folder of the bundled systems.
pub fn folder() -> PathBuf {
    std::env::var_os(FOLDER_VARIABLE)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("systems"), PathBuf::from)
}

/// Names of the bundled systems.
pub fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().join(CONTRACT).is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Loads a system: a bundled one by its name, or the one whose contract lies in a folder.
///
/// # Errors
/// There is no such system, or its contract is wrong: every mistake with its position.
pub fn load(system: &str) -> Result<Found, Trouble> {
    let bundled = folder().join(system);
    let own = PathBuf::from(system);
    let is_name = !system.contains('/') && !system.is_empty();
    let folder = match () {
        () if is_name && bundled.join(CONTRACT).is_file() => bundled,
        () if own.join(CONTRACT).is_file() => own,
        () => return Err(unknown(system)),
    };
    let file = folder.join(CONTRACT);
    let text = std::fs::read_to_string(&file)
        .map_err(|error| Trouble::input(format!("cannot read {}: {error}", file.display())))?;
    let contract = Contract::parse(&file.display().to_string(), &text)
        .map_err(|problems| Trouble::input(format!("the contract cannot be used:\n{problems}")))?;
    Ok(Found { contract, folder })
}

fn unknown(system: &str) -> Trouble {
    let names = names();
    let trouble =
        Trouble::input(format!("no system is called `{system}`, and no folder of that name has a {CONTRACT}"));
    suggest::sentence(system, names.iter().map(String::as_str)).into_iter().fold(trouble, Trouble::hint)
}

/// Every mutant of a system: the scenario that must catch it, and its name.
pub fn mutants(folder: &Path) -> Vec<(String, String)> {
    let list = |path: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    };
    let root = folder.join("mutants");
    let of = |scenario: String| list(&root.join(&scenario)).into_iter().map(move |mutant| (scenario.clone(), mutant));
    list(&root).into_iter().flat_map(of).collect()
}

/// A system's overlay, broken in one way on purpose: a kustomization to deploy in its place. Its name is
/// `scenario/mutant`.
///
/// # Errors
/// There is no such mutant.
pub fn mutant(folder: &Path, name: &str) -> Result<PathBuf, Trouble> {
    let path = folder.join("mutants").join(name);
    if !name.contains("..") && path.join("kustomization.yaml").is_file() {
        return Ok(path);
    }
    let names: Vec<String> =
        mutants(folder).into_iter().map(|(scenario, mutant)| format!("{scenario}/{mutant}")).collect();
    let trouble = Trouble::input(format!("no mutant is called `{name}`"));
    Err(suggest::sentence(name, names.iter().map(String::as_str)).into_iter().fold(trouble, Trouble::hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bundled_system_has_a_contract_that_holds() {
        assert!(!names().is_empty());
        for name in names() {
            let found = load(&name).unwrap_or_else(|trouble| panic!("{trouble}"));
            assert_eq!(found.contract.name.value, name, "a system's folder has its name");
        }
    }

    #[test]
    fn a_slip_of_the_finger_gets_the_name_that_was_meant() {
        let trouble = load("cordun").unwrap_err();
        assert_eq!(trouble.hints, ["did you mean `cordum`?"]);
    }
}
