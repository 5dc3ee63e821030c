//! Cuts a file on a claim in half until healed, as a copy that broke off leaves it.

use crate::disturbance::Disturbance;
use crate::fault::{Fault, Scene};
use async_trait::async_trait;
use gauntlet_cluster::claims::{Claim, MOUNT};
use gauntlet_core::trouble::OrTrouble;
use gauntlet_core::{Evidence, Trouble};
use serde::Deserialize;

/// A file as it is read back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Content {
    pub file: String,
    /// Bytes.
    pub size: u64,
    pub digest: String,
}

pub struct CutFile {
    claim: Claim,
    /// Below the claim; of a folder, its largest file is cut.
    path: String,
    whole: Option<Content>,
}

impl CutFile {
    pub fn new(claim: Claim, path: impl Into<String>) -> Self {
        Self { claim, path: path.into(), whole: None }
    }

    async fn read(&self, scene: &Scene) -> Result<Content, Trouble> {
        let told = self.claim.keep(scene.cluster.access(), &["digest", MOUNT, &self.path]).await?;
        serde_json::from_str(&told).or_trouble(|| format!("cannot tell what is in {}", self.path))
    }

    async fn shown(&self, scene: &Scene, judge: fn(&Content, &Content) -> Result<String, String>) -> Evidence {
        let Some(whole) = &self.whole else { return Evidence::Missing("the whole file was never read".to_owned()) };
        let now = self.read(scene).await.map_err(|trouble| trouble.message);
        now.and_then(|now| judge(whole, &now)).map_or_else(Evidence::Missing, Evidence::Shown)
    }
}

#[async_trait]
impl Fault for CutFile {
    fn disturbance(&self) -> Disturbance {
        Disturbance::CutFile { claim: Box::new(self.claim.clone()), path: self.path.clone() }
    }

    async fn act(&mut self, scene: &Scene) -> Result<(), Trouble> {
        self.whole = Some(self.read(scene).await?);
        self.claim.keep(scene.cluster.access(), &["cut", MOUNT, &self.path]).await.map(drop)
    }

    async fn took_effect(&self, scene: &Scene) -> Evidence {
        self.shown(scene, is_cut).await
    }

    async fn is_healed(&self, scene: &Scene) -> Evidence {
        self.shown(scene, is_whole).await
    }
}

fn is_cut(whole: &Content, now: &Content) -> Result<String, String> {
    if now.file == whole.file && now.size < whole.size {
        return Ok(format!("{} has {} of {} bytes", now.file, now.size, whole.size));
    }
    Err(format!("{} has {} bytes, {} had {}", now.file, now.size, whole.file, whole.size))
}

fn is_whole(whole: &Content, now: &Content) -> Result<String, String> {
    if now == whole {
        return Ok(format!("{} has its {} bytes again", now.file, now.size));
    }
    Err(format!("{} has {} bytes and is not what {} was", now.file, now.size, whole.file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(size: u64, digest: &str) -> Content {
        Content { file: "f".into(), size, digest: digest.into() }
    }

    #[test]
    fn only_fewer_bytes_of_the_same_file_are_a_cut_and_only_the_same_bytes_are_whole() {
        let whole = content(10, "a");
        for (now, cut, healed) in [
            (content(5, "b"), true, false),
            (content(10, "a"), false, true),
            (content(10, "b"), false, false),
            (Content { file: "other".into(), ..content(5, "b") }, false, false),
        ] {
            assert_eq!((is_cut(&whole, &now).is_ok(), is_whole(&whole, &now).is_ok()), (cut, healed), "{now:?}");
        }
    }
}
