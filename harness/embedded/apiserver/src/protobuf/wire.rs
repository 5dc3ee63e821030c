//! The wire format of protobuf: tagged values, one after the other.

/// One value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Wire<'a> {
    pub fn number(&self) -> Result<u64, &'static str> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Bytes(_) => Err("bytes stand where a number belongs"),
        }
    }

    pub fn bytes(&self) -> Result<&'a [u8], &'static str> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err("a number stands where bytes belong"),
        }
    }

    pub fn text(&self) -> Result<&'a str, &'static str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "a text is not UTF-8")
    }
}

/// Reads values until the end of a message.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next field number and its value.
    pub fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, &'static str> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| "a field number is too large")?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Number(self.fixed::<8>()?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| TRUNCATED)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Number(self.fixed::<4>()?),
            _ => return Err("a field has an unknown wire type"),
        };
        Ok(Some((number, wire)))
    }

    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number is too long")
    }

    fn fixed<const N: usize>(&mut self) -> Result<u64, &'static str> {
        let bytes = self.take(N)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(TRUNCATED)?;
        self.0 = rest;
        Ok(taken)
    }
}

const TRUNCATED: &str = "it ends in the middle of a value";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_turn() {
        let mut reader = Reader::new(&[0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 1, 0, 0, 0]);
        assert_eq!(reader.next(), Ok(Some((1, Wire::Number(150)))));
        assert_eq!(reader.next(), Ok(Some((2, Wire::Bytes(b"hi")))));
        assert_eq!(reader.next(), Ok(Some((3, Wire::Number(1)))));
        assert_eq!(reader.next(), Ok(None));
    }

    #[test]
    fn truncated_values_are_errors() {
        for bytes in [&[0x12, 5, b'x'][..], &[0x08, 0x80], &[0x08]] {
            assert_eq!(Reader::new(bytes).next(), Err(TRUNCATED), "{bytes:?}");
        }
    }
}
