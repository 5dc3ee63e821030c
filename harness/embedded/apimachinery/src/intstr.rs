//! `IntOrString`: a count, or a percentage of one.

use serde_json::Value;

/// Scales `value` (a number or `"n%"`) to `total`. `None` when it is neither.
///
/// Disruption budgets and `maxSurge` round percentages up, `maxUnavailable` of a rollout rounds down
/// (k8s.io/apimachinery/pkg/util/intstr, `GetScaledValueFromIntOrPercent`).
pub fn scaled(value: &Value, total: i64, round_up: bool) -> Option<i64> {
    if let Some(count) = value.as_i64() {
        return Some(count);
    }
    let percent: i64 = value.as_str()?.strip_suffix('%')?.parse().ok()?;
    let product = percent.saturating_mul(total);
    Some(if round_up { product.saturating_add(99).div_euclid(100) } else { product.div_euclid(100) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn percentages_round_as_asked() {
        for (value, total, up, expected) in [
            (json!(3), 7, true, Some(3)),
            (json!("50%"), 7, true, Some(4)),
            (json!("50%"), 7, false, Some(3)),
            (json!("0%"), 7, true, Some(0)),
            (json!("9223372036854775807%"), 7, true, Some(i64::MAX / 100)),
            (json!("x"), 7, true, None),
            (json!("5"), 7, true, None),
        ] {
            assert_eq!(scaled(&value, total, up), expected, "{value} of {total}");
        }
    }
}
