//! Commands inside a running container.
//!
//! A runtime program's own `exec` takes 70 to 200 ms of CPU, too much for probes every second. So a command is our own
//! child, see [`enter`]; here are its streams and its end.

mod enter;

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use embedded_apimachinery::Status;
use embedded_apimachinery::kubelet::{ExecOptions, ExecOutput, ExecSession};
use nix::pty::{OpenptyResult, Winsize, openpty};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};

pub use enter::Place;

/// How much output may wait for a slow reader.
const CHUNKS: usize = 32;

/// How long the output of a command that has ended may stay open.
const DRAIN: Duration = Duration::from_secs(1);

/// Starts a command. That it could not be started is told by the session's exit, as container runtimes do it.
pub async fn start(place: Place, options: &ExecOptions) -> ExecSession {
    let (sender, output) = mpsc::channel(CHUNKS);
    let (exited, exit) = oneshot::channel();
    let mut session = ExecSession { stdin: None, output, resize: None, exit };
    let started = match options.tty {
        true => with_terminal(place, options, &sender, &mut session).await,
        false => with_pipes(place, options, &sender, &mut session).await,
    };
    match started {
        Ok((child, pumps)) => drop(tokio::spawn(supervise(child, exited, sender, pumps))),
        Err(refusal) => drop(exited.send(Err(Status::internal(refusal)))),
    }
    session
}

type Pumps = Vec<tokio::task::JoinHandle<()>>;
type Started = Result<(Child, Pumps), String>;

async fn with_pipes(
    place: Place,
    options: &ExecOptions,
    sender: &mpsc::Sender<ExecOutput>,
    session: &mut ExecSession,
) -> Started {
    let stdin = if options.stdin { Stdio::piped() } else { Stdio::null() };
    let mut child = enter::spawn(place, &options.command, [stdin, Stdio::piped(), Stdio::piped()], false).await?;
    session.stdin = child.stdin.take().map(feed);
    let out = child.stdout.take().map(|from| tokio::spawn(pump(from, sender.clone(), ExecOutput::Stdout)));
    let err = child.stderr.take().map(|from| tokio::spawn(pump(from, sender.clone(), ExecOutput::Stderr)));
    Ok((child, [out, err].into_iter().flatten().collect()))
}

async fn with_terminal(
    place: Place,
    options: &ExecOptions,
    sender: &mpsc::Sender<ExecOutput>,
    session: &mut ExecSession,
) -> Started {
    let failed = |error: std::io::Error| format!("opening a terminal: {error}");
    let OpenptyResult { master, slave } = openpty(None, None).map_err(|errno| failed(errno.into()))?;
    for fd in [&master, &slave] {
        // Another command's process that held a copy would keep this terminal open.
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
    }
    let ours = |fd: &OwnedFd| fd.try_clone().map(|fd| File::from_std(fd.into())).map_err(failed);
    let theirs = || slave.try_clone().map(Stdio::from).map_err(failed);
    let child = enter::spawn(place, &options.command, [theirs()?, theirs()?, theirs()?], true).await?;
    // The command keeps the terminal's other end: what remains of it here would keep reading from ending.
    drop(slave);
    if options.stdin {
        session.stdin = Some(feed(ours(&master)?));
    }
    let out = tokio::spawn(pump(ours(&master)?, sender.clone(), ExecOutput::Stdout));
    let (resize, mut sizes) = mpsc::channel::<(u16, u16)>(4);
    session.resize = Some(resize);
    tokio::spawn(async move {
        while let Some((columns, rows)) = sizes.recv().await {
            set_size(&master, columns, rows);
        }
    });
    Ok((child, vec![out]))
}

nix::ioctl_write_ptr_bad!(set_window_size, nix::libc::TIOCSWINSZ, Winsize);

#[allow(unsafe_code)]
fn set_size(terminal: &OwnedFd, columns: u16, rows: u16) {
    use std::os::fd::AsRawFd;
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open for as long as it is borrowed, and the kernel only reads `size`.
    let _ = unsafe { set_window_size(terminal.as_raw_fd(), &size) };
}

fn feed(mut to: impl tokio::io::AsyncWrite + Send + Unpin + 'static) -> mpsc::Sender<Bytes> {
    let (sender, mut chunks) = mpsc::channel::<Bytes>(CHUNKS);
    tokio::spawn(async move {
        while let Some(chunk) = chunks.recv().await {
            if to.write_all(&chunk).await.is_err() || to.flush().await.is_err() {
                return;
            }
        }
    });
    sender
}

/// Copies until the stream ends or nobody listens any more. A terminal ends with an error, which means the same.
async fn pump(mut from: impl AsyncRead + Unpin, to: mpsc::Sender<ExecOutput>, wrap: impl Fn(Bytes) -> ExecOutput) {
    let mut buffer = BytesMut::with_capacity(8192);
    while let Ok(count @ 1..) = from.read_buf(&mut buffer).await {
        if to.send(wrap(buffer.split_to(count).freeze())).await.is_err() {
            return;
        }
        buffer.reserve(8192);
    }
}

/// Waits for the command and its output; ends the command when nobody listens any more.
async fn supervise(
    mut child: Child,
    mut exited: oneshot::Sender<Result<i32, Status>>,
    listener: mpsc::Sender<ExecOutput>,
    pumps: Pumps,
) {
    let status = tokio::select! {
        status = child.wait() => status,
        () = exited.closed() => return drop(child.kill().await),
        () = listener.closed() => {
            let _ = child.kill().await;
            return drop(exited.send(Err(Status::internal("the command was abandoned"))));
        }
    };
    drop(listener);
    // What the command printed comes before its end is told. What it left behind may hold its output open for ever.
    let drained = async {
        for pump in pumps {
            let _ = pump.await;
        }
    };
    let _ = tokio::time::timeout(DRAIN, drained).await;
    let _ = exited.send(status.map(code).map_err(Status::internal));
}

fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
