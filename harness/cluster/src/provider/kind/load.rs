//! Images on the nodes: the agent's, built here and now; the system's, where the local engine has them; archives.

use super::command::Call;
use super::programs::{Programs, Version};
use crate::access::RUN_LABEL;
use crate::images;
use gauntlet_core::Trouble;
use gauntlet_core::trouble::OrTrouble;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long building the agent's image may take; its base may have to be pulled.
const BUILT_WITHIN: Duration = Duration::from_secs(600);

/// How long an image may take to every node.
const LOADED_WITHIN: Duration = Duration::from_secs(600);

/// How long the engine may take to say what it has.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

const DOCKERFILE: &str = include_str!("../../../../../kind/Dockerfile");

/// Where the agent's image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agent {
    /// Built from this program on a base of a distribution, under a name that nobody else uses.
    Built { name: String, base: String },
    /// An image that the local engine has or that nodes can pull.
    Given(String),
}

impl Agent {
    pub fn name(&self) -> &str {
        match self {
            Self::Built { name, .. } | Self::Given(name) => name,
        }
    }
}

/// Builds the image of a program.
///
/// # Errors
/// What the engine said.
pub async fn build(
    docker: &Path,
    context: &Path,
    program: &Path,
    tag: &str,
    base: &str,
    run: &str,
) -> Result<(), Trouble> {
    let doing = || format!("cannot prepare the build of {tag} in {}", context.display());
    std::fs::create_dir_all(context).or_trouble(doing)?;
    std::fs::write(context.join("Dockerfile"), DOCKERFILE).or_trouble(doing)?;
    // A link where both are on one file system: the program is large.
    let copy = context.join("gauntlet");
    if std::fs::hard_link(program, &copy).is_err() {
        tokio::fs::copy(program, &copy).await.or_trouble(doing)?;
    }
    let (base_argument, run) = (format!("BASE={base}"), format!("RUN={run}"));
    let arguments = ["build", "--tag", tag, "--build-arg", &base_argument, "--build-arg", &run];
    let built = Call::new(docker, arguments, BUILT_WITHIN).with([context]).run().await;
    let removed = std::fs::remove_dir_all(context).or_trouble(doing);
    let hint = format!("--agent-base names another base than {base}, --agent-image an image that is there already");
    built.map_err(|trouble| trouble.doing("cannot build the agent's image").hint(hint))?;
    removed
}

/// Where images are loaded to.
pub struct Nodes<'a> {
    pub programs: &'a Programs,
    pub cluster: &'a str,
}

impl Nodes<'_> {
    /// Loads an image that the local engine has, by way of an archive that is removed again. `kind load docker-image`
    /// does not do: engines whose store is containerd's save the list of all platforms with the content of one, and
    /// kind asks nodes to import all that is listed.
    ///
    /// # Errors
    /// What the engine or kind said.
    pub async fn load_image(&self, image: &str, local: &Local, archive: &Path) -> Result<(), Trouble> {
        let save = saving(local, self.programs.docker_version);
        let save = Call::new(&self.programs.docker, save, LOADED_WITHIN).with(["--output"]).with([archive]);
        let loaded = match save.with([image]).run().await {
            Ok(_) => self.load_archive(archive).await,
            Err(trouble) => Err(trouble),
        };
        let removed = match std::fs::remove_file(archive) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        loaded.map_err(|trouble| trouble.doing(format!("cannot load {image}")))?;
        removed.or_trouble(|| format!("cannot remove {}", archive.display()))
    }

    /// # Errors
    /// What kind said.
    pub async fn load_archive(&self, archive: &Path) -> Result<(), Trouble> {
        let arguments = ["load", "image-archive"];
        let call = Call::new(&self.programs.kind, arguments, LOADED_WITHIN).with([archive]);
        call.with(["--name", self.cluster]).run().await.map(drop)
    }
}

/// The first engine that saves one platform of an image alone.
const SAVES_PLATFORMS: Version = (28, 0, 0);

/// How to have an image saved with nothing listed that is not there.
fn saving(local: &Local, engine: Version) -> Vec<&str> {
    let mut arguments = vec!["image", "save"];
    if engine >= SAVES_PLATFORMS && !local.platform.is_empty() {
        arguments.extend(["--platform", &local.platform]);
    }
    arguments
}

/// An image that the local engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Which of its platforms, as `linux/amd64`.
    platform: String,
}

/// What the local engine has of an image.
pub async fn local(docker: &Path, image: &str) -> Option<Local> {
    let format = "{{.Os}}/{{.Architecture}}{{with .Variant}}/{{.}}{{end}}";
    let answer = Call::new(docker, ["image", "inspect", "--format", format, image], ANSWERS_WITHIN).run().await;
    answer.ok().map(|platform| Local { platform: platform.trim().to_owned() })
}

/// Removes the images that were built for a run.
///
/// # Errors
/// What the engine said.
pub async fn remove_built(docker: &Path, run: &str) -> Result<(), Trouble> {
    let filter = format!("label={RUN_LABEL}={run}");
    let list = ["image", "ls", "--quiet", "--no-trunc", "--filter", &filter];
    let listed = Call::new(docker, list, ANSWERS_WITHIN).run().await?;
    let images: BTreeSet<&str> = listed.split_whitespace().collect();
    if images.is_empty() {
        return Ok(());
    }
    let remove = Call::new(docker, ["image", "rm", "--force"], ANSWERS_WITHIN);
    remove.with(images).run().await.map(drop)
}

/// The images that the objects' containers name, each once.
pub fn named(objects: &[Value]) -> BTreeSet<String> {
    let containers = objects.iter().flat_map(images::containers);
    containers.filter_map(|container| container["image"].as_str()).map(str::to_owned).collect()
}

/// # Errors
/// An archive that is not there.
pub fn check_archives(archives: &[PathBuf]) -> Result<(), Trouble> {
    let missing: Vec<String> =
        archives.iter().filter(|path| !path.is_file()).map(|path| path.display().to_string()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Trouble::input(format!("no such archive of images: {}", missing.join(", ")))
        .hint("make one with `docker save --output FILE IMAGE`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_platform_is_saved_alone_where_the_engine_can() {
        let local = Local { platform: "linux/arm64/v8".to_owned() };
        assert_eq!(saving(&local, (29, 1, 0)), ["image", "save", "--platform", "linux/arm64/v8"]);
        assert_eq!(saving(&local, (28, 0, 0)).len(), 4);
        assert_eq!(saving(&local, (27, 5, 1)), ["image", "save"]);
    }

    #[test]
    fn every_image_is_named_once() {
        let spec = json!({"initContainers": [{"image": "a:1"}], "containers": [{"image": "b:1"}, {"image": "a:1"}]});
        let deployment = json!({"kind": "Deployment", "spec": {"template": {"spec": spec.clone()}}});
        let cron = json!({"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}});
        assert_eq!(
            named(&[deployment, cron, json!({"kind": "Service"})]).into_iter().collect::<Vec<_>>(),
            ["a:1", "b:1"]
        );
    }
}
