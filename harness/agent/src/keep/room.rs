//! How much fits into a volume, and what somebody else has left on it in the end.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::files;
use crate::lifecycle;
use crate::output;

/// Bytes written at once: a page, which is what volumes in memory are counted in.
const PIECE: usize = 4096;

/// Writes until the volume takes no more, or has taken `at_most` bytes, takes that away again and prints how much it was
/// and what the refusal said.
pub fn measure(folder: &Path, at_most: u64) -> Result<()> {
    let path = folder.join(".gauntlet-room");
    let measured = fill(&path, at_most);
    fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
    let (fits, refusal) = measured?;
    output::line(json!({"fits": fits, "refusal": refusal}))
}

fn fill(path: &Path, at_most: u64) -> Result<(u64, Option<String>)> {
    let mut file = fs::File::create(path).with_context(|| format!("{} cannot be made", path.display()))?;
    let mut fits = 0;
    while fits < at_most {
        match file.write(&[1; PIECE]) {
            Ok(written) => fits += written as u64,
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                return Ok((fits, Some(error.to_string())));
            }
            Err(error) => bail!("the volume refuses for another reason than space: {error}"),
        }
    }
    Ok((fits, None))
}

/// Stays until told to end, and prints then what lies in the folder.
pub async fn watch(folder: &Path) -> Result<()> {
    lifecycle::shutdown_on_signal()?.cancelled().await;
    files::list(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_with_room_takes_what_is_asked_and_keeps_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        assert_eq!(fill(&path, 3 * 4096).unwrap(), (3 * 4096, None));
        fs::remove_file(path).unwrap();
        measure(folder.path(), 4096).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_full_device_is_told_by_its_refusal() {
        let (fits, refusal) = fill(Path::new("/dev/full"), 8192).unwrap();
        assert_eq!(fits, 0);
        assert!(refusal.unwrap().contains("No space left"));
    }
}
