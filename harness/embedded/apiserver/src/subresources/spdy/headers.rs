//! Header blocks of SPDY/3: names and values, compressed in one zlib stream per direction that begins with a dictionary.

use std::collections::HashMap;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// Words of the dictionary that are written with their lengths; the rest follows as it is (SPDY/3.1, 2.6.10.1).
const WORDS: &str = "options,head,post,put,delete,trace,accept,accept-charset,accept-encoding,accept-language,\
    accept-ranges,age,allow,authorization,cache-control,connection,content-base,content-encoding,\
    content-language,content-length,content-location,content-md5,content-range,content-type,date,etag,\
    expect,expires,from,host,if-match,if-modified-since,if-none-match,if-range,if-unmodified-since,\
    last-modified,location,max-forwards,pragma,proxy-authenticate,proxy-authorization,range,referer,\
    retry-after,server,te,trailer,transfer-encoding,upgrade,user-agent,vary,via,warning,\
    www-authenticate,method,get,status,200 OK,version,HTTP/1.1,url,public,set-cookie,keep-alive,origin";
const REST: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Au\
    thoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidd\
    en404 Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr Ma\
    y Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,imag\
    e/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicpri\
    vatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/// What deflate may refer back to.
const WINDOW: usize = 32 * 1024;
/// Larger header blocks are nothing that belongs here.
const LIMIT: usize = 64 * 1024;
/// Two bytes that say zlib, four that name the dictionary.
const ZLIB_HEADER: usize = 6;

fn dictionary() -> Vec<u8> {
    let mut dictionary = Vec::new();
    for word in WORDS.split(',') {
        dictionary.extend(u32::try_from(word.len()).unwrap_or(0).to_be_bytes());
        dictionary.extend(word.as_bytes());
    }
    dictionary.extend(REST.as_bytes());
    dictionary
}

/// The state of one direction's stream.
pub struct Decoder {
    inflater: Box<DecompressorOxide>,
    /// The last bytes that were decompressed, the dictionary before all others.
    window: Vec<u8>,
    at: usize,
    begun: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        let mut window = dictionary();
        let at = window.len();
        window.resize(WINDOW, 0);
        Self { inflater: Box::default(), window, at, begun: false }
    }
}

impl Decoder {
    /// The headers of the next block; `None` when it is broken.
    pub fn decode(&mut self, mut block: &[u8]) -> Option<HashMap<String, String>> {
        if !self.begun {
            block = block.get(ZLIB_HEADER..)?;
            self.begun = true;
        }
        pairs(&self.inflate(block)?)
    }

    fn inflate(&mut self, mut block: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            let flags = TINFL_FLAG_HAS_MORE_INPUT;
            let (status, read, written) = decompress(&mut self.inflater, block, &mut self.window, self.at, flags);
            out.extend(&self.window[self.at..self.at + written]);
            block = &block[read..];
            self.at = (self.at + written) % WINDOW;
            match status {
                TINFLStatus::HasMoreOutput if out.len() <= LIMIT => {}
                TINFLStatus::NeedsMoreInput => return Some(out),
                _ => return None,
            }
        }
    }
}

/// A count, and then lengths and bytes of names and values.
fn pairs(mut block: &[u8]) -> Option<HashMap<String, String>> {
    let count = number(&mut block)?;
    let mut headers = HashMap::new();
    for _ in 0..count {
        let name = text(&mut block)?;
        headers.insert(name.to_lowercase(), text(&mut block)?);
    }
    Some(headers)
}

fn number(block: &mut &[u8]) -> Option<usize> {
    let (number, rest) = block.split_first_chunk::<4>()?;
    *block = rest;
    usize::try_from(u32::from_be_bytes(*number)).ok()
}

fn text(block: &mut &[u8]) -> Option<String> {
    let length = number(block)?;
    let (text, rest) = block.split_at_checked(length)?;
    *block = rest;
    String::from_utf8(text.to_vec()).ok()
}

/// A block without headers. `first` is that of a connection, which begins the zlib stream.
///
/// It is stored, not compressed: zlib allows that, and there is nothing to gain. The empty block at the end makes the
/// reader hand out what it has, as a flush does.
pub fn empty_block(first: bool) -> Vec<u8> {
    const NO_DICTIONARY: [u8; 2] = [0x78, 0x01];
    const STORED: [u8; 5] = [0, 4, 0, 0xfb, 0xff];
    const COUNT: [u8; 4] = [0; 4];
    const FLUSH: [u8; 5] = [0, 0, 0, 0xff, 0xff];
    let begin: &[u8] = if first { &NO_DICTIONARY } else { &[] };
    [begin, &STORED, &COUNT, &FLUSH].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The dictionary's checksum stands at the start of every stream that uses it.
    #[test]
    fn the_dictionary_is_the_published_one() {
        let (mut a, mut b) = (1_u32, 0_u32);
        for byte in dictionary() {
            a = (a + u32::from(byte)) % 65521;
            b = (b + a) % 65521;
        }
        assert_eq!((dictionary().len(), b << 16 | a), (1423, 0xe3c6_a7c2));
    }

    /// Made with Python's zlib: `compressobj(zdict=...)`, flushed with `Z_SYNC_FLUSH` after each block.
    #[test]
    fn blocks_continue_one_stream() {
        let mut decoder = Decoder::default();
        let first = decoder.decode(FIRST).unwrap();
        assert_eq!((first["streamtype"].as_str(), first["port"].as_str()), ("error", "6379"));
        let second = decoder.decode(SECOND).unwrap();
        assert_eq!((second["streamtype"].as_str(), second["requestid"].as_str()), ("data", "0"));
        assert!(decoder.decode(b"\xff\xff").is_none());
    }

    #[test]
    fn empty_blocks_are_read_back() {
        let mut decoder = Decoder { begun: true, ..Decoder::default() };
        for first in [true, false] {
            let block = empty_block(first);
            let skipped = if first { 2 } else { 0 };
            assert_eq!(decoder.decode(&block[skipped..]), Some(HashMap::new()));
        }
    }

    const FIRST: &[u8] = &[
        120, 187, 227, 198, 167, 194, 2, 37, 58, 112, 58, 43, 41, 74, 77, 204, 133, 22, 37, 172, 169, 160, 128, 134,
        20, 203, 69, 224, 28, 96, 102, 108, 110, 9, 164, 57, 139, 32, 209, 152, 9, 74, 222, 140, 6, 0, 0, 0, 0, 255,
        255,
    ];
    const SECOND: &[u8] = &[194, 170, 25, 84, 14, 37, 18, 214, 11, 0, 0, 0, 255, 255];
}
