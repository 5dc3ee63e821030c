//! The order of a merged list: elements of the patch in the patch's order, the others where the live list suggests.

use serde_json::Value;

/// What tells the elements of a list apart: the value of a key, or the element itself.
#[derive(Clone, Copy)]
pub struct Identity<'a>(pub Option<&'a str>);

impl Identity<'_> {
    pub fn of<'v>(&self, element: &'v Value) -> Option<&'v Value> {
        match self.0 {
            Some(key) => element.get(key),
            None => Some(element),
        }
    }

    pub fn same(&self, left: &Value, right: &Value) -> bool {
        self.of(left).is_some() && self.of(left) == self.of(right)
    }

    pub fn position(&self, list: &[Value], element: &Value) -> Option<usize> {
        list.iter().position(|other| self.same(other, element))
    }
}

/// Arranges `merged`: what `patch_order` names comes in its order; the rest keep the order of `live` and are put before
/// the first element of the patch that they precede in `live`.
pub fn arrange(merged: Vec<Value>, patch_order: &[Value], live: &[Value], identity: Identity<'_>) -> Vec<Value> {
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) =
        merged.into_iter().partition(|element| identity.position(patch_order, element).is_some());
    ours.sort_by_key(|element| identity.position(patch_order, element));
    theirs.sort_by_key(|element| identity.position(live, element).unwrap_or(usize::MAX));
    let precedes = |left: &Value, right: &Value| matches!((identity.position(live, left), identity.position(live, right)), (Some(l), Some(r)) if l < r);
    let mut arranged = Vec::with_capacity(ours.len() + theirs.len());
    let mut theirs = theirs.into_iter().peekable();
    for element in ours {
        while let Some(other) = theirs.next_if(|other| precedes(other, &element)) {
            arranged.push(other);
        }
        arranged.push(element);
    }
    arranged.extend(theirs);
    arranged
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_of_the_live_list_are_woven_into_the_patch() {
        for (live, patch, expected) in
            [("ab", "n", "nab"), ("EF", "FG", "EFG"), ("abc", "ca", "bca"), ("ab", "", "ab"), ("", "xy", "xy")]
        {
            let list = |text: &str| text.chars().map(|c| json!(c.to_string())).collect::<Vec<_>>();
            let mut merged = list(live);
            merged.extend(list(patch).into_iter().filter(|p| !live.contains(p.as_str().unwrap_or_default())));
            let arranged = arrange(merged, &list(patch), &list(live), Identity(None));
            assert_eq!(arranged, list(expected), "{live} with {patch}");
        }
    }
}
