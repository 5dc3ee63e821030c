//! What a request asks for: the path taken apart (k8s.io/apiserver/pkg/endpoints/request).

/// A request for a resource, or for anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// The verb of authorization: `get`, `list`, `watch`, ..., or the HTTP method in lower case.
    pub verb: String,
    pub is_resource: bool,
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub resource: String,
    pub subresource: String,
    pub name: String,
    /// What follows the subresource in the path, for proxies.
    pub rest: String,
    pub path: String,
}

impl RequestInfo {
    /// `query` tells lists from watches.
    pub fn parse(method: &str, path: &str, query: &str) -> Self {
        let mut info = Self { verb: method.to_lowercase(), path: path.to_owned(), ..Self::default() };
        let decoded: Vec<String> = path.split('/').filter(|p| !p.is_empty()).map(decode).collect();
        let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
        let rest = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => {
                info.version = (*version).into();
                rest
            }
            ["apis", group, version, rest @ ..] if !rest.is_empty() => {
                info.group = (*group).into();
                info.version = (*version).into();
                rest
            }
            _ => return info,
        };
        info.is_resource = true;
        info.verb = match method {
            "POST" => "create",
            "GET" | "HEAD" => "get",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "",
        }
        .into();
        info.take_resource(rest, query);
        info
    }

    fn take_resource(&mut self, mut rest: &[&str], query: &str) {
        if let ["watch", after @ ..] = rest {
            self.verb = "watch".into();
            rest = after;
        }
        match rest {
            ["namespaces", namespace, resource, after @ ..] if !["status", "finalize"].contains(resource) => {
                self.namespace = (*namespace).into();
                self.resource = (*resource).into();
                self.take_name(after);
            }
            ["namespaces", namespace, after @ ..] => {
                self.resource = "namespaces".into();
                self.namespace = (*namespace).into();
                self.name = (*namespace).into();
                self.subresource = after.first().copied().unwrap_or_default().into();
            }
            [resource, after @ ..] => {
                self.resource = (*resource).into();
                self.take_name(after);
            }
            [] => {}
        }
        if self.name.is_empty() && self.verb == "get" {
            self.verb = if wants_watch(query) { "watch" } else { "list" }.into();
        }
        if self.name.is_empty() && self.verb == "delete" {
            self.verb = "deletecollection".into();
        }
    }

    fn take_name(&mut self, after: &[&str]) {
        if let Some(name) = after.first() {
            self.name = (*name).into();
        }
        if let Some(subresource) = after.get(1) {
            self.subresource = (*subresource).into();
            self.rest = after[2..].join("/");
        }
    }
}

fn wants_watch(query: &str) -> bool {
    form_pairs(query).any(|(key, value)| key == "watch" && is_true(&value))
}

/// Booleans of query parameters: everything but `false` and `0`.
pub fn is_true(value: &str) -> bool {
    !matches!(value.to_lowercase().as_str(), "false" | "0")
}

/// Decoded pairs of a query string.
pub fn form_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query.split('&').filter(|p| !p.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
    })
}

/// Percent decoding; malformed escapes stay as they are.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(method: &str, path: &str, query: &str) -> String {
        let i = RequestInfo::parse(method, path, query);
        [&i.verb, &i.group, &i.version, &i.namespace, &i.resource, &i.name, &i.subresource]
            .map(String::as_str)
            .join("|")
    }

    #[test]
    fn paths_are_taken_apart() {
        for (method, path, query, expected) in [
            ("GET", "/api/v1/pods", "", "list||v1||pods||"),
            ("GET", "/api/v1/pods", "watch=1", "watch||v1||pods||"),
            ("GET", "/api/v1/namespaces/a/pods/p", "watch=true", "get||v1|a|pods|p|"),
            ("GET", "/api/v1/watch/namespaces/a/pods/p", "", "watch||v1|a|pods|p|"),
            ("POST", "/api/v1/namespaces/a/pods/p/eviction", "", "create||v1|a|pods|p|eviction"),
            ("GET", "/api/v1/namespaces", "", "list||v1||namespaces||"),
            ("GET", "/api/v1/namespaces/a", "", "get||v1|a|namespaces|a|"),
            ("PUT", "/api/v1/namespaces/a/finalize", "", "update||v1|a|namespaces|a|finalize"),
            ("DELETE", "/apis/apps/v1/namespaces/a/deployments", "", "deletecollection|apps|v1|a|deployments||"),
            ("GET", "/version", "", "get||||||"),
            ("GET", "/apis/apps/v1", "", "get||||||"),
        ] {
            assert_eq!(summary(method, path, query), expected, "{method} {path}");
        }
    }

    #[test]
    fn escapes_are_decoded() {
        let pairs: Vec<_> = form_pairs("a=b%20c&d=e+f&g").collect();
        let expected = [("a", "b c"), ("d", "e f"), ("g", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(pairs, expected);
        assert_eq!(decode("100%"), "100%");
    }
}
