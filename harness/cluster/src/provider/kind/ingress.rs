//! How an ingress controller is reached from this machine: its node has ports here, which the engine has chosen.

use super::containers;
use gauntlet_core::Trouble;
use std::path::Path;

/// Where an ingress controller would be reached, where a node has such ports.
pub async fn remark(docker: &Path, cluster: &str) -> Result<Option<String>, Trouble> {
    Ok(told(&containers::ports(docker, cluster).await?))
}

/// Of lines such as `NODE 127.0.0.1:32768->80/tcp, 127.0.0.1:32769->443/tcp`.
fn told(ports: &str) -> Option<String> {
    ports.lines().find_map(|line| {
        let (node, ports) = line.trim().split_once(' ')?;
        let (http, https) = (published(ports, "80/tcp"), published(ports, "443/tcp"));
        let urls: Vec<String> = [http.map(|at| format!("http://{at}")), https.map(|at| format!("https://{at}"))]
            .into_iter()
            .flatten()
            .collect();
        (!urls.is_empty()).then(|| {
            format!("an ingress controller on {node} (ingress-ready=true) is reached at {}", urls.join(" and "))
        })
    })
}

fn published<'a>(ports: &'a str, container_port: &str) -> Option<&'a str> {
    ports
        .split(", ")
        .find_map(|port| port.trim().split_once("->").filter(|(_, to)| *to == container_port))
        .map(|it| it.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_are_told_that_lead_to_an_ingress_controller() {
        let control = "g-control-plane 127.0.0.1:41000->6443/tcp";
        let worker = "g-worker 127.0.0.1:32768->80/tcp, 127.0.0.1:32769->443/tcp";
        let at = "an ingress controller on g-worker (ingress-ready=true) is reached at";
        for (ports, expected) in [
            (
                format!("{control}\ng-worker2 \n{worker}\n"),
                Some(format!("{at} http://127.0.0.1:32768 and https://127.0.0.1:32769")),
            ),
            ("g-worker 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp".to_owned(), Some(format!("{at} http://0.0.0.0:8080"))),
            // Other ports lead elsewhere, and what is not published leads nowhere.
            (format!("{control}\ng-worker 80/tcp, 127.0.0.1:1->8080/tcp\n"), None),
            (String::new(), None),
        ] {
            assert_eq!(told(&ports), expected, "{ports}");
        }
    }
}
