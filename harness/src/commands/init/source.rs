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

/// The files that make a folder a chart of Helm.
const CHARTS: [&str; 1] = ["Chart.yaml"];

const RENDER: &str = "templates of Helm are rendered first: helm template NAME CHART > all.yaml, and name that file";

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

/// Every manifest of a folder and of those in it, in the order of their paths.
fn manifests_in(folder: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let found = files_in(folder)?;
    let named = |names: &[&str]| {
        let is_named = |path: &&PathBuf| path.file_name().is_some_and(|name| names.iter().any(|known| name == *known));
        found.iter().find(is_named)
    };
    if let Some(chart) = named(&CHARTS) {
        return Err(
            Trouble::input(format!("{} belongs to a Helm chart, not to manifests", chart.display())).hint(RENDER)
        );
    }
    if let Some(overlay) = named(&KUSTOMIZATIONS).and_then(|file| file.parent()) {
        return Err(Trouble::input(format!("{} has overlays below it and is none", folder.display()))
            .hint(format!("name one of them: {} is the first", overlay.display())));
    }
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let files: Vec<PathBuf> = found.into_iter().filter(is_yaml).collect();
    match files.is_empty() {
        true => Err(Trouble::input(format!("{} has no kustomization.yaml and no manifests", folder.display()))
            .hint("name the folder of an overlay, or render it into a file and name that")),
        false => Ok(files),
    }
}

/// Files of a folder and of those below it, without hidden ones. Links to folders are not followed, as they may lead back.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let doing = || format!("cannot read {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).or_trouble(doing)? {
        let entry = entry.or_trouble(doing)?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        match entry.file_type().or_trouble(doing)?.is_dir() {
            true => files.extend(files_in(&entry.path())?),
            false => files.extend(Some(entry.path()).filter(|path| path.is_file())),
        }
    }
    files.sort();
    Ok(files)
}

async fn file(path: &Path, into: &Path) -> Result<Vec<Manifest>, Trouble> {
    let shown = relative(path, into);
    let objects = render::render(path, None).await.map_err(|trouble| match is_template(path) {
        true => trouble.hint(RENDER),
        false => trouble,
    })?;
    Ok(objects.objects.into_iter().map(|object| Manifest { object, file: shown.clone() }).collect())
}

/// Whether a file that cannot be read may be what Helm makes manifests from.
fn is_template(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains("{{"))
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
    fn manifests_are_found_in_nested_folders_in_a_stable_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["z.yml", "chart/templates/b.yaml", "chart/templates/a.yaml", ".git/c.yaml", "chart/notes.txt"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("chart/back")).unwrap();
        let found: Vec<String> =
            manifests_in(folder.path()).unwrap().iter().map(|path| relative(path, folder.path())).collect();
        assert_eq!(found, ["chart/templates/a.yaml", "chart/templates/b.yaml", "z.yml"]);
    }

    #[test]
    fn a_tree_of_overlays_or_a_chart_is_no_folder_of_manifests() {
        for (name, hint) in
            [("live/kustomization.yaml", "name one of them: "), ("Chart.yaml", "helm template NAME CHART")]
        {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
            let trouble = manifests_in(folder.path()).unwrap_err();
            assert!(trouble.hints[0].contains(hint), "{trouble}");
        }
    }

    #[tokio::test]
    async fn a_template_is_to_be_rendered_first() {
        let folder = tempfile::tempdir().unwrap();
        for (text, hints) in [("metadata:\n  name: {{ .Release.Name }}\n", 1), ("metadata: [\n", 0)] {
            let path = folder.path().join("a.yaml");
            std::fs::write(&path, text).unwrap();
            let trouble = file(&path, folder.path()).await.map(|_| ()).unwrap_err();
            assert_eq!(trouble.hints.iter().filter(|hint| hint.contains("helm template")).count(), hints, "{trouble}");
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
