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

/// Names a folder of systems in place of the one that belongs to this program.
pub const FOLDER_VARIABLE: &str = "GAUNTLET_SYSTEMS";

/// Where bundled systems may lie, the likeliest first.
fn places() -> Vec<PathBuf> {
    match std::env::var_os(FOLDER_VARIABLE) {
        Some(folder) => vec![folder.into()],
        None => places_of(&std::env::current_exe().unwrap_or_default()),
    }
}

/// Beside the program as a release unpacks it, where packages put what programs share, and where it was built.
fn places_of(program: &Path) -> Vec<PathBuf> {
    let mut places = Vec::new();
    if let Some(folder) = program.parent() {
        places.push(folder.join("systems"));
        places.extend(folder.parent().map(|prefix| prefix.join("share/gauntlet/systems")));
    }
    places.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("systems"));
    places
}

/// The folder of the bundled systems: the first of these places that has one.
fn folder_of(places: &[PathBuf]) -> Option<&PathBuf> {
    places.iter().find(|place| !names_in(place).is_empty())
}

/// Names of the bundled systems.
pub fn names() -> Vec<String> {
    folder_of(&places()).map(|folder| names_in(folder)).unwrap_or_default()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
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
    let places = places();
    let is_name = !system.contains('/') && !system.is_empty();
    let bundled = folder_of(&places).filter(|_| is_name).map(|folder| folder.join(system));
    let mut folders = bundled.into_iter().chain([PathBuf::from(system)]);
    let Some(folder) = folders.find(|folder| folder.join(CONTRACT).is_file()) else {
        return Err(unknown(system, &places));
    };
    let file = folder.join(CONTRACT);
    let text = std::fs::read_to_string(&file)
        .map_err(|error| Trouble::input(format!("cannot read {}: {error}", file.display())))?;
    let contract = Contract::parse(&file.display().to_string(), &text)
        .map_err(|problems| Trouble::input(format!("the contract cannot be used:\n{problems}")))?;
    Ok(Found { contract, folder })
}

fn unknown(system: &str, places: &[PathBuf]) -> Trouble {
    let trouble =
        Trouble::input(format!("no system is called `{system}`, and no folder of that name has a {CONTRACT}"));
    let Some(folder) = folder_of(places) else {
        let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        return trouble
            .hint(format!("there are no bundled systems: looked in {}", places.join(", ")))
            .hint(format!("{FOLDER_VARIABLE} names their folder; a release has it beside the program"));
    };
    let names = names_in(folder);
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
    fn what_lies_beside_the_program_comes_before_what_it_was_built_from() {
        let root = tempfile::tempdir().unwrap();
        let places = places_of(&root.path().join("bin/gauntlet"));
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("systems");
        assert_eq!(folder_of(&places), Some(&built));
        for nearer in ["share/gauntlet/systems", "bin/systems"] {
            let folder = root.path().join(nearer);
            // A folder of that name that has no system is none of ours.
            std::fs::create_dir_all(folder.join("shop")).unwrap();
            assert_ne!(folder_of(&places), Some(&folder));
            std::fs::write(folder.join("shop").join(CONTRACT), "").unwrap();
            assert_eq!(folder_of(&places), Some(&folder));
        }
    }

    #[test]
    fn where_there_are_no_systems_the_places_are_named() {
        let trouble = unknown("cordum", &["/no/systems".into(), "/none/either".into()]);
        assert_eq!(trouble.hints[0], "there are no bundled systems: looked in /no/systems, /none/either");
    }

    #[test]
    fn a_slip_of_the_finger_gets_the_name_that_was_meant() {
        let trouble = load("cordun").unwrap_err();
        assert_eq!(trouble.hints, ["did you mean `cordum`?"]);
    }
}
