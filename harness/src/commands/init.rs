//! `gauntlet init DIR`: proposes a contract for a deployment, for a person to confirm.

mod source;

use crate::cli::InitArgs;
use crate::console::say;
use gauntlet_core::proposal::{self, Manifest, Source, propose};
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Contract, ExitCode, Trouble};
use scenarios::systems::CONTRACT;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Definitions of kinds that are no part of Kubernetes, beside the contract.
const DEFINITIONS: &str = "crds/guessed.yaml";

/// # Errors
/// There is nothing to propose from, or a file is there already. Then nothing is written.
pub async fn init(arguments: &InitArgs) -> Result<ExitCode, Trouble> {
    let into = absolute(&arguments.into)?;
    let read = source::read(&arguments.manifests, &into).await?;
    if proposal::workloads(&read.manifests) == 0 {
        let (count, from) = (read.manifests.len(), arguments.manifests.display());
        let trouble = Trouble::input(format!("{from} has {count} objects and no workload among them"))
            .hint("Deployments, StatefulSets, DaemonSets, Jobs and CronJobs are what a contract is about");
        return Err(match read.manifests.iter().filter(|manifest| manifest.name().is_empty()).count() {
            0 => trouble,
            nameless => trouble.hint(format!("{nameless} of them have no `metadata.name` and are left out")),
        });
    }
    let name = arguments.name.clone().unwrap_or_else(|| system_name(&read.manifests, &read.overlay));
    let source = Source { name: &name, overlay: &read.overlay, path: &read.path, definitions: DEFINITIONS };
    let proposal = propose(source, &read.manifests);
    let contract = Contract::parse(CONTRACT, &proposal.text).map_err(|problems| {
        Trouble::harness(format!("what was proposed contradicts itself, and nothing was written:\n{problems}"))
            .hint("this is a mistake of gauntlet's: please report it with these manifests")
    })?;
    let mut files = vec![(into.join(CONTRACT), proposal.text)];
    if !proposal.definitions.is_empty() {
        files.push((into.join(DEFINITIONS), stream(&proposal.definitions)));
    }
    files.extend(read.further.into_iter().map(|(path, text)| (into.join(path), text)));
    write(&files, arguments.force)?;
    tell(arguments, &contract, &files, read.manifests.len());
    Ok(ExitCode::Passed)
}

fn stream(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("---\n{object:#}\n")).collect()
}

/// Writes all files or, where one is there already and may not be replaced, none.
fn write(files: &[(PathBuf, String)], force: bool) -> Result<(), Trouble> {
    if let Some((path, _)) = files.iter().find(|(path, _)| !force && path.exists()) {
        return Err(Trouble::input(format!("{} exists already, and nothing was written", path.display()))
            .hint("name another folder with --into, or add --force to replace it"));
    }
    for (path, text) in files {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).or_trouble(|| format!("cannot make {}", folder.display()))?;
        std::fs::write(path, text).or_trouble(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn tell(arguments: &InitArgs, contract: &Contract, files: &[(PathBuf, String)], objects: usize) {
    let into = match arguments.into.is_absolute() || arguments.into.starts_with(".") {
        true => arguments.into.display().to_string(),
        false => format!("./{}", arguments.into.display()),
    };
    for (path, _) in files {
        say(format!("wrote {}", path.display()));
    }
    let listeners = contract.images.len();
    say(format!(
        "read {objects} objects; proposed, all of it guessed: workloads {}, promises {}, images that stand-ins run for \
         {listeners}",
        contract.workloads.len(),
        contract.promises.len(),
    ));
    say(format!("  1. read {into}/{CONTRACT}: compare each entry with what your documentation promises"));
    say(format!("  2. gauntlet run --system {into}     looks at the guesses and judges none of them"));
    say("  3. delete `guessed: true` from what you do promise, and run again: that is judged");
}

/// The namespace in which the first workload lives is what people mostly call the system.
fn system_name(manifests: &[Manifest], folder: &str) -> String {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for namespace in manifests.iter().filter_map(|manifest| manifest.object["metadata"]["namespace"].as_str()) {
        *count.entry(namespace).or_default() += 1;
    }
    let most = count.into_iter().filter(|(name, _)| *name != "default").max_by_key(|(_, n)| *n);
    most.map_or_else(|| folder.to_owned(), |(name, _)| name.to_owned())
}

/// The path from the root, with links resolved as far as it exists.
fn absolute(path: &Path) -> Result<PathBuf, Trouble> {
    let whole = std::path::absolute(path).or_trouble(|| format!("cannot find {}", path.display()))?;
    let there = whole.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    let Some((ancestor, resolved)) = there else { return Ok(whole) };
    if !resolved.is_dir() {
        return Err(Trouble::input(format!(
            "{} is a file, so nothing can be put into {}",
            ancestor.display(),
            path.display()
        ))
        .hint("name a folder with --into"));
    }
    let rest = whole.strip_prefix(ancestor).unwrap_or(Path::new(""));
    Ok(source::plain(&resolved.join(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_system_is_called_after_the_namespace_of_most_of_it() {
        let manifest = |namespace: Option<&str>| Manifest {
            object: json!({"kind": "Deployment", "metadata": {"namespace": namespace}}),
            file: "f".into(),
        };
        for (namespaces, name) in
            [(vec![Some("shop"), Some("monitoring"), Some("shop")], "shop"), (vec![None, Some("default")], "base")]
        {
            let manifests: Vec<Manifest> = namespaces.into_iter().map(manifest).collect();
            assert_eq!(system_name(&manifests, "base"), name);
        }
    }

    #[test]
    fn nothing_is_written_where_one_file_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a", "b"].map(|name| (folder.path().join(name), "new".to_owned()));
        std::fs::write(folder.path().join("b"), "old").unwrap();
        let trouble = write(&files, false).unwrap_err();
        assert_eq!(trouble.exit_code(), ExitCode::BadInput);
        assert!(!folder.path().join("a").exists());
        write(&files, true).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("b")).unwrap(), "new");
    }
}
