//! Delay: what is to be late takes a detour through this process, which holds it for a while.
//!
//! - [`held`]: what is held, and until when (pure)
//! - `device`: the interface that packets leave the kernel by and come back through
//!
//! The rules of the fault mark packets where they enter the cluster's namespace, after the destinations of Services
//! were changed; a mark routes to the device of the fault. So packets are judged on their way out, by policies and other
//! faults, with the addresses that they always have. On their way back in they are known by the device they come from:
//! connections are not tracked again, and nobody judges or delays them a second time. Only what passes from pod to pod
//! can take a detour; what the namespace itself sends or receives (nodes, API server, DNS, hosts outside) does not pass.

mod device;
pub mod held;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::unix::{AsyncFd, AsyncFdRegisterError};
use tokio_util::sync::CancellationToken;

use crate::error::{Doing, Result};
use crate::netns::NetNs;
use device::Device;
use held::Held;

/// What the names of all devices begin with.
pub(crate) const PREFIX: &str = "delay";

/// Longer than any packet that an interface with an ordinary limit hands over.
const PACKET: usize = 1 << 16;

/// Packets that are taken in before it is looked again whether others are due.
const BATCH: usize = 64;

/// For how long packets are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub delay: Duration,
    /// Each packet waits up to this much more or less, but none overtakes one of its own conversation.
    pub jitter: Duration,
}

/// A detour that is open until it is closed or dropped.
pub(crate) struct Detour {
    number: u16,
    namespace: NetNs,
    counts: Arc<Counts>,
    closing: CancellationToken,
}

#[derive(Default)]
struct Counts {
    delayed: AtomicU64,
    dropped: AtomicU64,
}

impl Detour {
    /// `number` is one that no other detour of the namespace has, also none that was closed lately.
    pub async fn open(namespace: &NetNs, number: u16, wait: Wait) -> Result<Self> {
        let device = namespace.run(move || Device::make(number)).await?;
        let device = watched(device).map_err(io::Error::from).doing(|| "watch the interface of a delay")?;
        let (counts, closing) = (Arc::<Counts>::default(), CancellationToken::new());
        tokio::spawn(relay(device, Held::new(wait), counts.clone(), closing.clone()));
        Ok(Self { number, namespace: namespace.clone(), counts, closing })
    }

    /// Packets with this mark take it.
    pub fn mark(&self) -> u32 {
        device::mark(self.number)
    }

    pub fn device(&self) -> String {
        device::name(self.number)
    }

    /// Packets that were late, and those that were too many to be held.
    pub fn counts(&self) -> (u64, u64) {
        (self.counts.delayed.load(Ordering::Relaxed), self.counts.dropped.load(Ordering::Relaxed))
    }

    /// Nothing takes the detour any more. What is on it arrives when it is due.
    pub async fn close(self) -> Result<()> {
        self.closing.cancel();
        let number = self.number;
        self.namespace.run(move || device::unroute(number)).await
    }
}

impl Drop for Detour {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

#[allow(unsafe_code)]
fn watched(device: Device) -> Result<AsyncFd<Device>, AsyncFdRegisterError<Device>> {
    // SAFETY: a device owns its descriptor, and neither closes nor replaces it as long as it lives.
    unsafe { AsyncFd::register(device) }
}

/// Holds packets until `closing`, and then until none is held any more.
async fn relay(device: AsyncFd<Device>, mut held: Held, counts: Arc<Counts>, closing: CancellationToken) {
    let mut buffer = vec![0; PACKET];
    loop {
        while let Some(packet) = held.due(Instant::now()) {
            // One that the kernel does not take back is lost, as packets are.
            let count = if device.get_ref().write(&packet).is_ok() { &counts.delayed } else { &counts.dropped };
            count.fetch_add(1, Ordering::Relaxed);
        }
        let next = held.next_due();
        if next.is_none() && closing.is_cancelled() {
            return;
        }
        let due = async {
            match next {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = closing.cancelled(), if !closing.is_cancelled() => {}
            ready = device.readable() => {
                let Ok(mut ready) = ready else { return };
                for _ in 0..BATCH {
                    match ready.try_io(|device| device.get_ref().read(&mut buffer)) {
                        Ok(Ok(length)) => {
                            if !held.hold(&buffer[..length], Instant::now(), rand::random()) {
                                counts.dropped.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                        // The namespace is gone.
                        Ok(Err(_)) => return,
                        Err(_would_block) => break,
                    }
                }
            }
        }
    }
}
