//! Frames of SPDY/3.1, as far as port-forwarding needs them.

use bytes::{Buf, BufMut, Bytes, BytesMut};

const CONTROL: u16 = 0x8003;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const FIN: u8 = 1;
const HEADER: usize = 8;
const STREAM_ID: u32 = 0x7fff_ffff;

/// What the client sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Open {
        stream: u32,
        headers: Bytes,
        fin: bool,
    },
    Data {
        stream: u32,
        bytes: Bytes,
        fin: bool,
    },
    Reset {
        stream: u32,
    },
    Ping {
        id: u32,
    },
    GoAway,
    /// Windows, settings and other frames that need no answer.
    Other,
}

/// The next whole frame of a buffer, taken out of it.
pub fn take(buffer: &mut BytesMut) -> Option<Frame> {
    let length = usize::from(*buffer.get(5)?) << 16 | usize::from(*buffer.get(6)?) << 8 | usize::from(*buffer.get(7)?);
    if buffer.len() < HEADER + length {
        return None;
    }
    let mut head = buffer.split_to(HEADER);
    let mut body = buffer.split_to(length).freeze();
    let fin = head[4] & FIN != 0;
    if head[0] & 0x80 == 0 {
        return Some(Frame::Data { stream: head.get_u32() & STREAM_ID, bytes: body, fin });
    }
    head.advance(2);
    let kind = head.get_u16();
    let first = body.get(..4).map_or(0, |mut bytes| bytes.get_u32());
    Some(match kind {
        SYN_STREAM if body.len() >= 10 => {
            body.advance(10);
            Frame::Open { stream: first & STREAM_ID, headers: body, fin }
        }
        RST_STREAM => Frame::Reset { stream: first & STREAM_ID },
        PING => Frame::Ping { id: first },
        GOAWAY => Frame::GoAway,
        _ => Frame::Other,
    })
}

fn control(kind: u16, body: &[&[u8]]) -> Bytes {
    let length = body.iter().map(|part| part.len()).sum::<usize>();
    let mut out = BytesMut::with_capacity(HEADER + length);
    out.put_u16(CONTROL);
    out.put_u16(kind);
    out.put_u32(u32::try_from(length).unwrap_or(0));
    body.iter().for_each(|part| out.put_slice(part));
    out.freeze()
}

pub fn reply(stream: u32, headers: &[u8]) -> Bytes {
    control(SYN_REPLY, &[&stream.to_be_bytes(), headers])
}

pub fn ping(id: u32) -> Bytes {
    control(PING, &[&id.to_be_bytes()])
}

pub fn data(stream: u32, bytes: &[u8], fin: bool) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER + bytes.len());
    out.put_u32(stream & STREAM_ID);
    out.put_u32(u32::from(fin) << 24 | u32::try_from(bytes.len()).unwrap_or(0));
    out.put_slice(bytes);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_when_they_are_whole() {
        let whole = data(3, b"hello", true);
        let mut buffer = BytesMut::from(&whole[..9]);
        assert_eq!(take(&mut buffer), None);
        buffer.extend_from_slice(&whole[9..]);
        buffer.extend_from_slice(&ping(7));
        assert_eq!(take(&mut buffer), Some(Frame::Data { stream: 3, bytes: Bytes::from("hello"), fin: true }));
        assert_eq!(take(&mut buffer), Some(Frame::Ping { id: 7 }));
        assert_eq!(take(&mut buffer), None);
    }

    #[test]
    fn streams_open_with_their_headers() {
        let body = [&5_u32.to_be_bytes()[..], &[0; 4], &[0; 2], b"block"].concat();
        let mut buffer = BytesMut::from(&control(SYN_STREAM, &[&body])[..]);
        let expected = Frame::Open { stream: 5, headers: Bytes::from("block"), fin: false };
        assert_eq!(take(&mut buffer), Some(expected));
    }
}
