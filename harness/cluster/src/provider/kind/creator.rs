//! Who creates a cluster: kind, and the clients of Docker that it starts. All of them hold one lock, so that it tells
//! whether anybody still creates, whoever of them and of the run has died since.
//!
//! What a client has asked the engine for is made also when that client is killed, and appears when nobody expects it any
//! more. So kind alone is ended, which then asks for nothing new, and its clients are let to come to their end.

use gauntlet_core::Trouble;
use gauntlet_core::span::Span;
use gauntlet_core::trouble::OrTrouble;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// How long clients may take for what they have asked for. A node is there in seconds; who pulls an image may take
/// minutes, and makes nothing that would be left.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// How long processes may take to end that are killed.
const KILLED_WITHIN: Duration = Duration::from_secs(30);

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How those who create came to their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By themselves: what they asked for is there.
    Done,
    /// They were killed: what they asked for may still come.
    BrokenOff,
}

/// Ends who creates a cluster, by the lock that they hold.
///
/// # Errors
/// The lock cannot be looked at, or somebody does not end.
pub async fn end(lock: &Path) -> Result<Ending, Trouble> {
    end_within(lock, ENDS_WITHIN).await
}

async fn end_within(lock: &Path, patience: Duration) -> Result<Ending, Trouble> {
    let file = match File::open(lock) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Ending::Done),
        file => file.or_trouble(|| format!("cannot look at {}", lock.display()))?,
    };
    // kind leads a process group of its own; its clients are in that.
    holders(lock)?.into_iter().filter(|holder| getpgid(Some(*holder)) == Ok(*holder)).for_each(end_one);
    if is_free_within(&file, lock, patience).await? {
        return Ok(Ending::Done);
    }
    holders(lock)?.into_iter().for_each(end_one);
    if is_free_within(&file, lock, KILLED_WITHIN).await? {
        return Ok(Ending::BrokenOff);
    }
    let left: Vec<String> = holders(lock)?.iter().map(Pid::to_string).collect();
    let left = left.join(" ");
    Err(Trouble::harness(format!("who creates the cluster did not end within {}: {left}", Span(KILLED_WITHIN)))
        .hint(format!("see what keeps these processes: `ps -fp {left}`")))
}

fn end_one(holder: Pid) {
    // It may end by itself in this very moment.
    let _ = kill(holder, Signal::SIGKILL);
}

async fn is_free_within(file: &File, lock: &Path, patience: Duration) -> Result<bool, Trouble> {
    let until = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return Ok(false),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK_EVERY).await,
            Err(TryLockError::Error(error)) => {
                return Err(error).or_trouble(|| format!("cannot look at {}", lock.display()));
            }
        }
    }
}

/// The processes that have the file open, but this one. A number on record could mean a stranger by now.
fn holders(file: &Path) -> Result<Vec<Pid>, Trouble> {
    let doing = || format!("cannot look for who holds {}", file.display());
    let file = file.canonicalize().or_trouble(doing)?;
    let own = Pid::this();
    let processes = std::fs::read_dir("/proc").or_trouble(doing)?.flatten();
    let processes = processes.filter_map(|entry| Some(Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)));
    Ok(processes.filter(|process| *process != own && has_open(*process, &file)).collect())
}

/// Whether a process has a file open. Of one that is over or somebody else's nothing is seen.
fn has_open(process: Pid, file: &Path) -> bool {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    open.into_iter().any(|open| std::fs::read_link(open.path()).is_ok_and(|target| target == file))
}

#[cfg(test)]
mod tests {
    use super::super::command::Call;
    use super::*;
    use std::path::PathBuf;

    /// Long enough for what is waited for to come, whatever else this machine does.
    const LONG: Duration = Duration::from_secs(600);

    /// A program that creates, by a client of its own that it waits for. It is given up as soon as the client is there.
    struct Creating {
        folder: tempfile::TempDir,
    }

    impl Creating {
        async fn start(client: &str) -> Self {
            let creating = Self { folder: tempfile::tempdir().unwrap() };
            let script =
                "echo \"$$\" > leader; sh -c 'echo \"$$\" > client; '\"$0\" < /dev/null > /dev/null 2>&1 & wait";
            let script = format!("cd {}; {script}", creating.folder.path().display());
            let file = File::create(creating.lock()).unwrap();
            file.try_lock().unwrap();
            let call = Call::new(Path::new("/bin/sh"), ["-c", &script, client], LONG).holding(file);
            let call = tokio::spawn(call.run());
            while creating.read("client").is_empty() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            call.abort();
            let _ = call.await;
            creating
        }

        fn lock(&self) -> PathBuf {
            self.folder.path().join("lock")
        }

        fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default().trim().to_owned()
        }

        fn runs(&self, who: &str) -> bool {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", self.read(who))).unwrap_or_default();
            !matches!(status.rsplit(") ").next().and_then(|rest| rest.chars().next()), None | Some('Z' | 'X'))
        }
    }

    #[tokio::test]
    async fn nobody_creates_where_nobody_began() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(end(&folder.path().join("lock")).await.unwrap(), Ending::Done);
    }

    #[tokio::test]
    async fn clients_come_to_their_end_and_who_started_them_does_not() {
        let creating = Creating::start("until [ -e go ]; do sleep 0.05; done; echo made > made").await;
        assert!(creating.runs("leader") && creating.runs("client"), "they end with the call");
        let lock = creating.lock();
        let ending = tokio::spawn(async move { end_within(&lock, LONG).await });
        while creating.runs("leader") {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        assert!(creating.runs("client"));
        std::fs::write(creating.folder.path().join("go"), "").unwrap();
        assert_eq!(ending.await.unwrap().unwrap(), Ending::Done);
        assert_eq!(creating.read("made"), "made");
    }

    #[tokio::test]
    async fn clients_that_do_not_end_are_ended() {
        let creating = Creating::start("exec sleep 600").await;
        assert_eq!(end_within(&creating.lock(), Duration::ZERO).await.unwrap(), Ending::BrokenOff);
        assert!(!creating.runs("leader") && !creating.runs("client"));
    }
}
