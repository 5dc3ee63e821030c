//! The files of a system, by digest: what a repeated run is held against.

use gauntlet_core::Trouble;
use gauntlet_core::digest;
use gauntlet_core::trouble::OrTrouble;
use std::collections::BTreeMap;
use std::path::Path;

/// Deployments broken on purpose are no part of the system; the digest of what is rendered tells which one was used.
const MUTANTS: &str = "mutants";

/// The list of the files in a system's folder, in the form of `sha256sum`. Hidden files, mutants and folders of runs are
/// left out.
///
/// # Errors
/// The folder cannot be read.
pub fn of(system: &Path) -> Result<String, Trouble> {
    let mut files = BTreeMap::new();
    collect(system, "", &mut files)?;
    Ok(digest::listing(&files))
}

fn collect(folder: &Path, within: &str, files: &mut BTreeMap<String, String>) -> Result<(), Trouble> {
    let doing = || format!("cannot read {}", folder.display());
    for entry in std::fs::read_dir(folder).or_trouble(doing)? {
        let entry = entry.or_trouble(doing)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let (path, told) = (entry.path(), format!("{within}{name}"));
        if name.starts_with('.') || told == MUTANTS {
            continue;
        }
        let kind = entry.file_type().or_trouble(doing)?;
        if kind.is_dir() {
            if !path.join("events.jsonl").exists() {
                collect(&path, &format!("{told}/"), files)?;
            }
        } else if kind.is_symlink() && !path.is_file() {
            // A folder elsewhere, or nothing: what matters of it is in what is rendered.
            let target = std::fs::read_link(&path).or_trouble(|| format!("cannot read {}", path.display()))?;
            files.insert(told, digest::of_bytes(target.to_string_lossy().as_bytes()));
        } else if path.is_file() {
            let bytes = std::fs::read(&path).or_trouble(|| format!("cannot read {}", path.display()))?;
            files.insert(told, digest::of_bytes(&bytes));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_count_wherever_they_are_and_runs_mutants_and_hidden_files_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["deploy/production", "mutants/a", "reports/r1", ".git"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("system.yaml"), "a").unwrap();
        fs::write(at("deploy/production/kustomization.yaml"), "b").unwrap();
        std::os::unix::fs::symlink("nowhere", at("link")).unwrap();
        let before = of(folder.path()).unwrap();
        let names: Vec<&str> = before.lines().filter_map(|line| line.split("  ").nth(1)).collect();
        assert_eq!(names, ["deploy/production/kustomization.yaml", "link", "system.yaml"]);
        for name in ["mutants/a/kustomization.yaml", "reports/r1/events.jsonl", "reports/r1/index.html", ".git/HEAD"] {
            fs::write(at(name), "c").unwrap();
        }
        assert_eq!(of(folder.path()).unwrap(), before);
        fs::write(at("deploy/production/kustomization.yaml"), "c").unwrap();
        assert_ne!(of(folder.path()).unwrap(), before);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let trouble = of(Path::new("/no/such/system")).unwrap_err();
        assert!(trouble.message.contains("/no/such/system"), "{trouble}");
    }
}
