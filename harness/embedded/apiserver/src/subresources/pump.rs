//! One forwarded port: bytes from the client to the pod and back.

use bytes::Bytes;
use embedded_apimachinery::Result;
use embedded_apimachinery::kubelet::Duplex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Chunks that may wait in either direction before the sender has to.
pub const BACKLOG: usize = 16;
const BUFFER: usize = 16 * 1024;

/// What the pod's side of a port has to say.
#[derive(Debug, PartialEq, Eq)]
pub enum FromPod {
    Data(Bytes),
    /// The port could not be reached; nothing else comes.
    Failed(String),
    End,
}

/// Moves bytes until the pod's side ends. `key` tells the receiver which port it is.
pub async fn pump<K: Copy>(
    connection: Result<Box<dyn Duplex>>,
    key: K,
    received: mpsc::Receiver<Bytes>,
    sender: mpsc::Sender<(K, FromPod)>,
) {
    let last = match connection {
        Ok(connection) => {
            carry(connection, key, received, &sender).await;
            FromPod::End
        }
        Err(status) => FromPod::Failed(status.message),
    };
    // A client that is gone needs no goodbye.
    let _ = sender.send((key, last)).await;
}

async fn carry<K: Copy>(
    connection: Box<dyn Duplex>,
    key: K,
    mut received: mpsc::Receiver<Bytes>,
    sender: &mpsc::Sender<(K, FromPod)>,
) {
    let (mut reader, mut writer) = tokio::io::split(connection);
    let to_pod = async {
        while let Some(bytes) = received.recv().await {
            if writer.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = writer.shutdown().await;
        // The pod may still answer what it was sent.
        std::future::pending::<()>().await;
    };
    let from_pod = async {
        let mut buffer = vec![0; BUFFER];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            let data = FromPod::Data(Bytes::copy_from_slice(&buffer[..count]));
            if sender.send((key, data)).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = to_pod => {}
        () = from_pod => {}
    }
}
