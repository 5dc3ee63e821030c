//! Short hashes for names and labels: stable for equal content, safe inside names.

use serde_json::Value;

/// The letters and digits that make no words (k8s.io/apimachinery/pkg/util/rand).
const SAFE: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A hash of a JSON value that does not depend on the order of its keys. `collisions` makes another one of the same
/// value.
pub fn of(value: &Value, collisions: i64) -> String {
    let mut hash = Fnv1a::default();
    feed(value, &mut hash);
    if collisions > 0 {
        hash.write(&collisions.to_le_bytes());
    }
    safe(&hash.0.to_string())
}

fn safe(text: &str) -> String {
    text.bytes().map(|b| char::from(SAFE[usize::from(b) % SAFE.len()])).collect()
}

struct Fnv1a(u32);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Fnv1a {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }
}

fn feed(value: &Value, hash: &mut Fnv1a) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            hash.write(b"{");
            for key in keys {
                hash.write(key.as_bytes());
                hash.write(b":");
                feed(&map[key], hash);
            }
            hash.write(b"}");
        }
        Value::Array(list) => {
            hash.write(b"[");
            for element in list {
                feed(element, hash);
                hash.write(b",");
            }
            hash.write(b"]");
        }
        scalar => hash.write(scalar.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_matter_but_everything_else_does() {
        let one = of(&json!({"a": 1, "b": [1, 2]}), 0);
        assert_eq!(one, of(&json!({"b": [1, 2], "a": 1}), 0));
        assert_ne!(one, of(&json!({"a": 1, "b": [2, 1]}), 0));
        assert_ne!(one, of(&json!({"a": 1, "b": [1, 2]}), 1));
        assert!(one.bytes().all(|b| SAFE.contains(&b)), "{one}");
    }
}
