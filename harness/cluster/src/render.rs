//! From an overlay to objects: kustomize, kubectl's kustomize, or the rendered copy in the repository.

use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Trouble, yaml};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// The first kustomize that knows all that today's overlays use; kubectl has it since 1.27.
const OLDEST_KUSTOMIZE: (u32, u32) = (5, 0);
pub(crate) const OLDEST_KUBECTL: (u32, u32) = (1, 27);

/// What rendered an overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renderer {
    Kustomize {
        version: String,
    },
    Kubectl {
        version: String,
    },
    /// A manifest that needs no rendering, or the copy in the repository.
    File(PathBuf),
}

impl std::fmt::Display for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kustomize { version } => write!(f, "kustomize {version}"),
            Self::Kubectl { version } => write!(f, "kubectl kustomize {version}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// An overlay as objects.
#[derive(Debug)]
pub struct Rendered {
    pub objects: Vec<Value>,
    pub by: Renderer,
}

/// Renders a kustomization folder or reads a manifest. `copy` is used where no program can render.
///
/// # Errors
/// The overlay does not render (the program's own words), is not YAML, or neither a program nor a copy is there.
pub async fn render(overlay: &Path, copy: Option<&Path>) -> Result<Rendered, Trouble> {
    if !overlay.exists() {
        return Err(Trouble::input(format!("the overlay {} does not exist", overlay.display())));
    }
    if overlay.is_file() {
        return read(overlay);
    }
    match find_renderer().await {
        Ok(renderer) => build(overlay, renderer).await,
        Err(why) => match copy.filter(|path| path.is_file()) {
            Some(copy) => read(copy),
            None => Err(Trouble::input(format!("cannot render {}: {why}", overlay.display()))
                .hint(format!("install kustomize {}.{} or later", OLDEST_KUSTOMIZE.0, OLDEST_KUSTOMIZE.1))),
        },
    }
}

fn read(path: &Path) -> Result<Rendered, Trouble> {
    let text = std::fs::read_to_string(path).or_trouble(|| format!("cannot read {}", path.display()))?;
    Ok(Rendered { objects: parse(&path.display().to_string(), &text)?, by: Renderer::File(path.to_owned()) })
}

fn parse(name: &str, text: &str) -> Result<Vec<Value>, Trouble> {
    let objects = yaml::parse_all(name, text).map_err(|problem| Trouble::input(problem.to_string()))?;
    match objects.iter().position(|object| object["kind"].as_str().is_none() || object["apiVersion"].as_str().is_none())
    {
        Some(n) => Err(Trouble::input(format!("{name}: document {} is no Kubernetes object", n + 1))
            .hint("every object has apiVersion and kind")),
        None => Ok(objects),
    }
}

/// The program that renders on this machine.
///
/// # Errors
/// Why neither program will do.
pub async fn find_renderer() -> Result<Renderer, String> {
    let kustomize = output("kustomize", &["version"]).await;
    if let Some(version) = kustomize.as_deref().and_then(version_in)
        && (version.0, version.1) >= OLDEST_KUSTOMIZE
    {
        return Ok(Renderer::Kustomize { version: dotted(version) });
    }
    let kubectl = output("kubectl", &["version", "--client", "--output=json"]).await;
    let kubectl_version = kubectl.as_deref().and_then(|text| {
        let json: Value = serde_json::from_str(text).ok()?;
        version_in(json["clientVersion"]["gitVersion"].as_str()?)
    });
    match kubectl_version {
        Some(version) if (version.0, version.1) >= OLDEST_KUBECTL => Ok(Renderer::Kubectl { version: dotted(version) }),
        Some(version) => Err(format!("kubectl {} is too old to render, and kustomize is not there", dotted(version))),
        None => Err("neither kustomize nor kubectl is there".to_owned()),
    }
}

pub(crate) fn dotted(version: (u32, u32, u32)) -> String {
    format!("{}.{}.{}", version.0, version.1, version.2)
}

/// The first `1.2.3` in a text.
pub(crate) fn version_in(text: &str) -> Option<(u32, u32, u32)> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
        let mut numbers = word.split('.').map(|n| n.parse().ok());
        Some((numbers.next()??, numbers.next()??, numbers.next()??))
    })
}

async fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).kill_on_drop(true).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn build(overlay: &Path, renderer: Renderer) -> Result<Rendered, Trouble> {
    // The documented layout has overlays that refer to files above their own folder.
    const UNRESTRICTED: &str = "--load-restrictor=LoadRestrictionsNone";
    let (program, verb) = match renderer {
        Renderer::Kustomize { .. } => ("kustomize", "build"),
        _ => ("kubectl", "kustomize"),
    };
    let output = Command::new(program)
        .args([verb, UNRESTRICTED])
        .arg(overlay)
        .kill_on_drop(true)
        .output()
        .await
        .or_trouble(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Trouble::input(format!("{} does not render: {}", overlay.display(), said.trim()))
            .hint(format!("see it for yourself: {program} {verb} {UNRESTRICTED} {}", overlay.display())));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(Rendered { objects: parse(&overlay.display().to_string(), &text)?, by: renderer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        for (text, version) in [
            ("v5.4.2\n", Some((5, 4, 2))),
            ("{Version:kustomize/v4.5.7 GitCommit:abc}", Some((4, 5, 7))),
            ("v1.32.0", Some((1, 32, 0))),
            ("unknown", None),
        ] {
            assert_eq!(version_in(text), version, "{text}");
        }
    }

    #[tokio::test]
    async fn an_overlay_that_is_not_there_is_bad_input() {
        let trouble = render(Path::new("/nonexistent/overlay"), None).await.unwrap_err();
        assert_eq!(trouble.message, "the overlay /nonexistent/overlay does not exist");
        assert_eq!(trouble.exit_code(), gauntlet_core::ExitCode::BadInput);
    }

    #[tokio::test]
    async fn a_document_that_is_no_object_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "apiVersion: v1\nkind: ConfigMap\n---\nfoo: 1\n").unwrap();
        let trouble = render(file.path(), None).await.unwrap_err();
        assert!(trouble.message.ends_with("document 2 is no Kubernetes object"), "{trouble}");
    }
}
