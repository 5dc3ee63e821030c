//! Network namespaces: made on a thread of their own, kept by a bind mount, entered by further threads.
//!
//! `unshare` and `setns` change the calling thread only. A thread that changed its namespace is never given back to a
//! pool: it does its work and ends.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::oneshot;

use crate::error::{Doing, Result};

/// A network namespace that lives as long as its file is mounted or a process is in it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NetNs {
    path: PathBuf,
    file: Arc<File>,
}

impl NetNs {
    /// Makes a namespace, runs `set_up` in it and mounts it at `path`. Blocks for some milliseconds.
    ///
    /// Nothing is left behind when `set_up` fails.
    pub fn create<T: Send>(path: &Path, set_up: impl FnOnce() -> Result<T> + Send) -> Result<(Self, T)> {
        on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).doing(|| "make a network namespace (this needs root)")?;
            let done = set_up()?;
            File::create_new(path).doing(|| format!("create {}", path.display()))?;
            let mounted = mount(Some("/proc/thread-self/ns/net"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .doing(|| format!("mount a network namespace at {}", path.display()));
            if let Err(error) = mounted {
                // The mount's error is the one to report.
                let _ = fs::remove_file(path);
                return Err(error);
            }
            Ok((Self::open(path)?, done))
        })
    }

    /// A namespace made earlier.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).doing(|| format!("open network namespace {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file: Arc::new(file) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Runs `work` inside the namespace and waits for it.
    pub fn run_blocking<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        on_thread(|| {
            self.enter()?;
            work()
        })
    }

    /// Runs `work`, which may block, inside the namespace.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let namespace = self.clone();
        thread::Builder::new()
            .name("netns".into())
            // The receiver is gone when nobody waits any more: then nobody wants the result.
            .spawn(move || sender.send(namespace.enter().and_then(|()| work())).is_ok())
            .doing(|| "start a thread")?;
        receiver.await.map_err(io::Error::other).doing(|| format!("work inside {}", self.path.display()))?
    }

    fn enter(&self) -> Result<()> {
        setns(&self.file, CloneFlags::CLONE_NEWNET).doing(|| format!("enter network namespace {}", self.path.display()))
    }

    /// A connection from inside the namespace. The caller sets the deadline.
    pub async fn connect(&self, to: SocketAddr) -> Result<TcpStream> {
        let socket = self.run(|| TcpSocket::new_v4().doing(|| "open a TCP socket")).await?;
        socket.connect(to).await.doing(|| format!("connect to {to}"))
    }

    /// A listener inside the namespace.
    pub async fn listen(&self, at: SocketAddr) -> Result<TcpListener> {
        let socket = self.run(|| TcpSocket::new_v4().doing(|| "open a TCP socket")).await?;
        let listening = socket.set_reuseaddr(true).and_then(|()| socket.bind(at)).and_then(|()| socket.listen(1024));
        listening.doing(|| format!("listen on {at}/tcp"))
    }

    /// A UDP socket bound inside the namespace.
    pub async fn bind_udp(&self, at: SocketAddr) -> Result<UdpSocket> {
        let bind = move || {
            let socket = std::net::UdpSocket::bind(at).doing(|| format!("bind {at}/udp"))?;
            socket.set_nonblocking(true).doing(|| "make a socket non-blocking")?;
            Ok(socket)
        };
        UdpSocket::from_std(self.run(bind).await?).doing(|| format!("register {at}/udp"))
    }
}

/// Unmounts and removes the file of a namespace. One that is gone is no error.
///
/// The namespace itself vanishes with its last process and open file.
pub fn remove(path: &Path) -> Result<()> {
    match umount2(path, MntFlags::MNT_DETACH) {
        // EINVAL: the file is there, but nothing is mounted on it.
        Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => {}
        Err(error) => return Err(error).doing(|| format!("unmount {}", path.display())),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).doing(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Runs `work` on a thread that ends afterwards.
fn on_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".into()).spawn_scoped(scope, work);
        let joined = thread.doing(|| "start a thread")?.join();
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
