//! Image recipes: an image name stands for programs that the host already has.
//!
//! A recipe gives what an image's configuration gives (entrypoint, arguments, environment, user, directory) and which
//! files of the host a container sees besides the system's own programs. An image that no recipe matches does not exist.

mod builtin;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What an image name stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ImageRecipe {
    /// Image names with an optional `*` for the tag, as in `redis:*`; Docker's defaults (`docker.io/library/`, `:latest`)
    /// are understood on both sides.
    pub images: Vec<String>,
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub env: Vec<(String, String)>,
    /// `uid`, `uid:gid`, or empty for root.
    pub user: String,
    pub working_dir: PathBuf,
    /// Files and directories of the host that appear in the container, read-only.
    pub files: Vec<RecipeFile>,
    /// Programs that the host must have for containers of this image to start.
    pub requires: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecipeFile {
    pub host: PathBuf,
    pub container: PathBuf,
}

/// The images of a cluster: its own recipes before the built-in ones.
#[derive(Clone, Debug)]
pub struct Catalogue {
    recipes: Vec<ImageRecipe>,
}

impl Catalogue {
    /// `recipes` come before the built-in ones.
    pub fn new(mut recipes: Vec<ImageRecipe>) -> Self {
        recipes.extend(builtin::recipes());
        Self { recipes }
    }

    /// What `status.images` of a node shows: the full names, with `*` for any tag.
    pub fn names(&self) -> Vec<String> {
        self.recipes.iter().flat_map(|recipe| &recipe.images).map(|name| normalise(name)).collect()
    }

    /// The recipe of an image, if it exists here.
    pub fn find(&self, image: &str) -> Option<&ImageRecipe> {
        let wanted = normalise(image);
        self.recipes.iter().find(|recipe| recipe.images.iter().any(|pattern| matches(&normalise(pattern), &wanted)))
    }
}

/// Docker's full form of an image name: registry, path and tag. A digest is left out: recipes have none.
pub fn normalise(image: &str) -> String {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    let (path, tag) = match image.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, tag),
        _ => (image, "latest"),
    };
    let first = path.split('/').next().unwrap_or_default();
    let has_registry = path.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    match (has_registry, path.contains('/')) {
        (true, _) => format!("{path}:{tag}"),
        (false, true) => format!("docker.io/{path}:{tag}"),
        (false, false) => format!("docker.io/library/{path}:{tag}"),
    }
}

fn matches(pattern: &str, image: &str) -> bool {
    match pattern.strip_suffix(":*") {
        Some(path) => image.rsplit_once(':').is_some_and(|(image_path, _)| image_path == path),
        None => pattern == image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_dockers_defaults() {
        for (image, full) in [
            ("redis", "docker.io/library/redis:latest"),
            ("redis:7", "docker.io/library/redis:7"),
            ("natsio/nats-box:0.14", "docker.io/natsio/nats-box:0.14"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("redis:7@sha256:0123", "docker.io/library/redis:7"),
        ] {
            assert_eq!(normalise(image), full);
        }
    }

    #[test]
    fn own_recipes_come_before_the_built_in_ones() {
        let own = ImageRecipe { images: vec!["redis:7".into()], user: "own".into(), ..ImageRecipe::default() };
        let catalogue = Catalogue::new(vec![own]);
        assert_eq!(catalogue.find("redis:7").unwrap().user, "own");
        assert_eq!(catalogue.find("redis:6").unwrap().user, "");
        assert!(catalogue.find("registry.k8s.io/pause:3.10").is_some());
    }

    #[test]
    fn any_tag_matches_a_star_and_other_images_do_not() {
        let recipe = ImageRecipe { images: vec!["redis:*".into()], ..ImageRecipe::default() };
        let catalogue = Catalogue::new(vec![recipe]);
        assert!(catalogue.find("docker.io/library/redis:7.2").is_some());
        assert!(catalogue.find("redis").is_some());
        assert!(catalogue.find("example.invalid/redis:7").is_none());
    }
}
