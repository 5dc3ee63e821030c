//! What containers print: one file per run of a container, every line with its time and stream.
//!
//! The format is CRI's: `2006-01-02T15:04:05.000000000Z stdout F text`, with `P` for a part of a line that is not its
//! end. A file that grows beyond [`FILE_LIMIT`] is put aside as `<file>.old`, and the one put aside before it goes.

mod line;
mod read;
mod write;

use std::path::{Path, PathBuf};

pub use read::read;
pub use write::Logs;

/// Bytes of a log file before it is put aside.
const FILE_LIMIT: u64 = 10 << 20;

/// Where a full log file goes.
fn put_aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    name.into()
}
