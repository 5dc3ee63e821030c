//! Resource quantities such as `100m`, `128Mi` and `20Gi`.
//!
//! Amounts are whole milli-units in an `i128`: exact for everything that Kubernetes objects carry here. Sub-milli
//! amounts round up, as the API server does when it stores them.

use std::fmt;

/// An amount together with the format it was written in, which its canonical text keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    milli: i128,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    DecimalSi,
    BinarySi,
    Exponent,
}

const BINARY: [(&str, u32); 6] = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];
const DECIMAL: [(&str, i32); 7] = [("E", 18), ("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3), ("", 0)];

impl Quantity {
    pub const ZERO: Self = Self { milli: 0, format: Format::DecimalSi };

    /// A count of whole units, written in decimal.
    pub fn whole(units: i64) -> Self {
        Self { milli: i128::from(units) * 1000, format: Format::DecimalSi }
    }

    /// Reads a quantity; `None` when the text is none.
    pub fn parse(text: &str) -> Option<Self> {
        let split = text.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c))).unwrap_or(text.len());
        let (number, suffix) = text.split_at(split);
        if let Some((_, bits)) = BINARY.iter().find(|(s, _)| *s == suffix) {
            return Some(Self { milli: scale(number, 3, 1_i128 << bits)?, format: Format::BinarySi });
        }
        let decimal = |exponent: i32| scale(number, 3 + exponent, 1);
        if let Some((_, exponent)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
            return Some(Self { milli: decimal(*exponent)?, format: Format::DecimalSi });
        }
        match suffix {
            "m" => return Some(Self { milli: decimal(-3)?, format: Format::DecimalSi }),
            "u" => return Some(Self { milli: decimal(-6)?, format: Format::DecimalSi }),
            "n" => return Some(Self { milli: decimal(-9)?, format: Format::DecimalSi }),
            _ => {}
        }
        let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
        (exponent.abs() <= 18).then_some(())?;
        Some(Self { milli: decimal(exponent)?, format: Format::Exponent })
    }

    /// Thousandths of the unit: milli-CPU for CPU.
    pub fn milli(&self) -> i128 {
        self.milli
    }

    /// Whole units, rounded up: bytes for memory.
    pub fn value(&self) -> i128 {
        self.milli.div_euclid(1000) + i128::from(self.milli.rem_euclid(1000) != 0)
    }

    /// The format of the left side is kept, unless that is zero.
    pub fn plus(self, other: Self) -> Self {
        let format = if self.milli == 0 { other.format } else { self.format };
        Self { milli: self.milli + other.milli, format }
    }

    pub fn minus(self, other: Self) -> Self {
        self.plus(Self { milli: -other.milli, format: other.format })
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.milli.partial_cmp(&other.milli)
    }
}

/// `number` × 10^`exponent` × `factor`, rounded away from zero.
fn scale(number: &str, exponent: i32, factor: i128) -> Option<i128> {
    let (sign, digits) = match number.as_bytes().first()? {
        b'-' => (-1, &number[1..]),
        b'+' => (1, &number[1..]),
        _ => (1, number),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digits_only = whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    if !digits_only || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let exponent = exponent - i32::try_from(fraction.len()).ok()?;
    let mantissa = mantissa.checked_mul(factor)?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let scaled =
        if exponent >= 0 { mantissa.checked_mul(power)? } else { mantissa / power + i128::from(mantissa % power != 0) };
    // As in Kubernetes, nothing is larger than what 64 bits hold; so sums of quantities cannot overflow.
    Some(sign * scaled.min(i128::from(i64::MAX) * 1000))
}

/// The canonical form: the largest suffix that leaves a whole number.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.milli == 0 {
            return f.write_str("0");
        }
        if self.milli % 1000 != 0 {
            return write!(f, "{}m", self.milli);
        }
        let units = self.milli / 1000;
        if self.format == Format::BinarySi
            && let Some((suffix, bits)) = BINARY.iter().find(|(_, bits)| units % (1_i128 << bits) == 0)
        {
            return write!(f, "{}{suffix}", units >> bits);
        }
        if self.format == Format::BinarySi {
            return write!(f, "{units}");
        }
        for (suffix, exponent) in DECIMAL {
            let power = 10_i128.pow(exponent.unsigned_abs());
            if units % power == 0 {
                return match (self.format, exponent) {
                    (Format::Exponent, 1..) => write!(f, "{}e{exponent}", units / power),
                    _ => write!(f, "{}{suffix}", units / power),
                };
            }
        }
        write!(f, "{units}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_canonical() {
        for (text, canonical) in [
            ("100m", "100m"),
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("1000", "1k"),
            ("1e3", "1e3"),
            ("0", "0"),
            ("0.0001", "1m"),
            ("1500k", "1500k"),
            ("123Ki", "123Ki"),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "x", "1x", "1.2.3", "Mi", "--1", "1e99"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn absurd_amounts_are_capped() {
        let most = Quantity::parse("9999999E").unwrap();
        assert_eq!(most.value(), i128::from(i64::MAX));
        assert_eq!(most.plus(most).milli(), 2000 * i128::from(i64::MAX));
    }

    #[test]
    fn sums_are_exact_and_keep_the_format() {
        let sum = Quantity::parse("64Mi").unwrap().plus(Quantity::parse("64Mi").unwrap());
        assert_eq!(sum.to_string(), "128Mi");
        assert_eq!(sum.value(), 128 << 20);
    }
}
