//! Where a proposal comes from: a kustomization, a folder of manifests, or one file of them; each object with its file.

use gauntlet_cluster::render;
use gauntlet_core::proposal::Manifest;
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Trouble, yaml};
use serde_json::Value;
use std::path::{Component, Path, PathBuf};

/// What was read.
pub struct Read {
    pub manifests: Vec<Manifest>,
    /// What the overlay is to be called.
    pub overlay: String,
    /// What a run renders, relative to the contract.
    pub path: String,
    /// Files that this needs beside the contract, relative to it.
    pub further: Vec<(PathBuf, String)>,
}

/// The files that make a folder a kustomization.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Where kustomize tells of an object's file.
const ORIGIN: &str = "config.kubernetes.io/origin";

/// Reads manifests for a contract in the folder `into`, which need not exist.
///
/// # Errors
/// There are none, or they cannot be read or rendered.
pub async fn read(from: &Path, into: &Path) -> Result<Read, Trouble> {
    let found = from.canonicalize().map_err(|error| {
        Trouble::input(format!("cannot read {}: {error}", from.display()))
            .hint("name a folder with a kustomization.yaml or with manifests, or one file of manifests")
    })?;
    let name = found.file_stem().and_then(|name| name.to_str()).unwrap_or("base").to_owned();
    let path = relative(&found, into);
    let read = |manifests, path, further| Ok(Read { manifests, overlay: name.clone(), path, further });
    if found.is_file() {
        return read(file(&found, into).await?, path, vec![]);
    }
    if KUSTOMIZATIONS.iter().any(|name| found.join(name).is_file()) {
        return read(kustomization(&found, into).await?, path, vec![]);
    }
    let files = manifests_in(&found)?;
    let mut manifests = Vec::new();
    for path in &files {
        manifests.extend(file(path, into).await?);
    }
    let beside = Path::new("deploy").join(&name);
    let resources = files.iter().map(|file| format!("  - {}\n", Value::from(relative(file, &into.join(&beside)))));
    let text = format!("resources:\n{}", resources.collect::<String>());
    let path = beside.display().to_string();
    read(manifests, path, vec![(beside.join(KUSTOMIZATIONS[0]), text)])
}

fn manifests_in(folder: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let entries = std::fs::read_dir(folder).or_trouble(|| format!("cannot read {}", folder.display()))?;
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_yaml).collect();
    files.sort();
    match files.is_empty() {
        true => Err(Trouble::input(format!("{} has no kustomization.yaml and no manifests", folder.display()))
            .hint("name the folder of an overlay, or render it into a file and name that")),
        false => Ok(files),
    }
}

async fn file(path: &Path, into: &Path) -> Result<Vec<Manifest>, Trouble> {
    let shown = relative(path, into);
    let objects = render::render(path, None).await?.objects;
    Ok(objects.into_iter().map(|object| Manifest { object, file: shown.clone() }).collect())
}

/// Renders a kustomization, asking for the file that each object comes from.
async fn kustomization(folder: &Path, into: &Path) -> Result<Vec<Manifest>, Trouble> {
    // In its own words, where it does not render.
    let plain = render::render(folder, None).await?.objects;
    let asking = std::env::temp_dir().join(format!("gauntlet-init-{}", uuid::Uuid::new_v4()));
    let told = origins(folder, &asking).await;
    let _ = std::fs::remove_dir_all(&asking);
    let shown = relative(folder, into);
    let Ok(told) = told else {
        return Ok(plain.into_iter().map(|object| Manifest { object, file: shown.clone() }).collect());
    };
    let manifest = |mut object: Value| {
        let file = taken_origin(&mut object).map_or_else(|| shown.clone(), |path| relative(&told.0.join(path), into));
        Manifest { object, file }
    };
    Ok(told.1.into_iter().map(manifest).collect())
}

/// The objects of a kustomization with their origins, and the folder that these are relative to.
async fn origins(folder: &Path, asking: &Path) -> Result<(PathBuf, Vec<Value>), Trouble> {
    let doing = || format!("cannot use {}", asking.display());
    std::fs::create_dir_all(asking).or_trouble(doing)?;
    let asking = asking.canonicalize().or_trouble(doing)?;
    let resource = Value::from(relative(folder, &asking));
    let text = format!("resources:\n  - {resource}\nbuildMetadata: [originAnnotations]\n");
    std::fs::write(asking.join(KUSTOMIZATIONS[0]), text).or_trouble(doing)?;
    let objects = render::render(&asking, None).await?.objects;
    Ok((asking, objects))
}

/// Takes the note of its origin out of an object. What was generated comes from the kustomization that says so.
fn taken_origin(object: &mut Value) -> Option<String> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let origin = annotations.remove(ORIGIN)?;
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    let origin: Value = yaml::parse("origin", origin.as_str()?).ok()?;
    let local = origin["repo"].is_null();
    ["path", "configuredIn"].iter().find_map(|key| origin[*key].as_str()).filter(|_| local).map(str::to_owned)
}

/// A path as seen from a folder; both are absolute.
fn relative(path: &Path, from: &Path) -> String {
    let (path, from) = (plain(path), plain(from));
    let shared = path.components().zip(from.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| "..".as_ref());
    let down = path.components().skip(shared).map(Component::as_os_str);
    let path: PathBuf = up.chain(down).collect();
    if path.as_os_str().is_empty() { ".".to_owned() } else { path.display().to_string() }
}

/// The same path without `.` and `..`.
pub fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn overlays_are_found_from_the_contract() {
        for (path, from, expected) in [
            ("/a/deploy/base", "/a/gauntlet", "../deploy/base"),
            ("/a/gauntlet/base", "/a/gauntlet", "base"),
            ("/b", "/a/c", "../../b"),
            ("/tmp/x/../../a/base/all.yaml", "/a/gauntlet", "../base/all.yaml"),
            ("/a", "/a", "."),
        ] {
            assert_eq!(relative(Path::new(path), Path::new(from)), expected);
        }
    }

    #[test]
    fn the_note_of_its_origin_is_taken_out_of_an_object() {
        for (origin, expected) in [
            ("path: ../base/all.yaml\n", Some("../base/all.yaml")),
            (
                "configuredIn: ../base/kustomization.yaml\nconfiguredBy:\n  kind: ConfigMapGenerator\n",
                Some("../base/kustomization.yaml"),
            ),
            ("path: all.yaml\nrepo: https://example.com/shop\n", None),
        ] {
            let mut object = json!({"metadata": {"name": "n", "annotations": {ORIGIN: origin, "kept": "k"}}});
            assert_eq!(taken_origin(&mut object).as_deref(), expected);
            assert_eq!(object, json!({"metadata": {"name": "n", "annotations": {"kept": "k"}}}));
        }
        let mut bare = json!({"metadata": {"annotations": {ORIGIN: "path: a\n"}}});
        assert_eq!(taken_origin(&mut bare).as_deref(), Some("a"));
        assert_eq!(bare, json!({"metadata": {}}));
    }
}
