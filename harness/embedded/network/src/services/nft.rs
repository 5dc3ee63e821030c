//! The nftables ruleset for a set of frontends.
//!
//! New connections to a cluster address and port, or to a node port on a node's address, go through a verdict map to
//! the chain of their Service, which picks an endpoint at random, or by the client's address where the Service is
//! sticky. A pod that reaches itself through a Service gets its node's address as source, so that its answer passes
//! here again. What is left for the service network after that is refused if the address is a Service's (a port
//! without endpoints, or no port of the Service), and dropped otherwise, as kube-proxy does.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::frontends::Frontend;
use crate::address::{NODE_CIDR, NodeIndex, SERVICE_CIDR};
use crate::nft::{replace_table, set};

/// The table that belongs to Services; policies and faults keep to tables of their own.
pub const TABLE: &str = "services";

/// nft refuses longer comments.
const COMMENT_LIMIT: usize = 120;

/// Everything of [`TABLE`], replacing what is there when it is loaded.
pub fn render(frontends: &[Frontend]) -> String {
    let open: Vec<&Frontend> = frontends.iter().filter(|frontend| !frontend.backends.is_empty()).collect();
    let mut text = replace_table(TABLE);
    render_sets(&mut text, frontends, &open);
    for frontend in open {
        render_chain(&mut text, frontend);
    }
    text.push_str(&hooks());
    text.push_str("}\n");
    text
}

fn render_sets(text: &mut String, all: &[Frontend], open: &[&Frontend]) {
    let cluster_ports = open.iter().flat_map(|f| {
        let key = move |ip: &Ipv4Addr| format!("{ip} . {} . {} : goto {}", f.protocol, f.port, chain(f));
        f.cluster_ips.iter().map(key)
    });
    set(text, "map cluster-ports", "ipv4_addr . inet_proto . inet_service : verdict", cluster_ports);
    let node_ports =
        open.iter().filter_map(|f| f.node_port.map(|port| format!("{} . {port} : goto {}", f.protocol, chain(f))));
    set(text, "map node-ports", "inet_proto . inet_service : verdict", node_ports);
    let cluster_ips = all.iter().flat_map(|f| &f.cluster_ips).map(Ipv4Addr::to_string);
    set(text, "set cluster-ips", "ipv4_addr", cluster_ips);
    let hairpins = open.iter().flat_map(|f| &f.backends).filter_map(|backend| {
        let ip = backend.address;
        Some(format!("{ip} . {ip} : {}", NodeIndex::of_pod(ip)?.address()))
    });
    set(text, "map hairpins", "ipv4_addr . ipv4_addr : ipv4_addr", hairpins);
}

/// The chain of a frontend. Cluster addresses are unique, so its first one names it.
fn chain(frontend: &Frontend) -> String {
    let address = frontend.cluster_ips.first().copied().unwrap_or(Ipv4Addr::UNSPECIFIED);
    format!("svc-{address}-{}-{}", frontend.protocol, frontend.port)
}

fn render_chain(text: &mut String, frontend: &Frontend) {
    let _ = writeln!(text, "\tchain {} {{", chain(frontend));
    let count = frontend.backends.len();
    let choice = if frontend.sticky { "jhash ip saddr" } else { "numgen random" };
    let targets = frontend.backends.iter().enumerate().map(|(n, b)| format!("{n} : {} . {}", b.address, b.port));
    let targets: Vec<String> = targets.collect();
    let mut comment = frontend.name.clone();
    comment.truncate(COMMENT_LIMIT);
    let _ = writeln!(
        text,
        "\t\tmeta l4proto {} dnat ip to {choice} mod {count} map {{ {} }} comment \"{comment}\"\n\t}}",
        frontend.protocol,
        targets.join(", "),
    );
}

fn hooks() -> String {
    format!(
        "\tchain dispatch {{
\t\tip daddr . meta l4proto . th dport vmap @cluster-ports
\t\tip daddr {NODE_CIDR} meta l4proto . th dport vmap @node-ports
\t}}
\tchain prerouting {{
\t\ttype nat hook prerouting priority -100
\t\tjump dispatch
\t}}
\tchain output {{
\t\ttype nat hook output priority -100
\t\tjump dispatch
\t}}
\tchain postrouting {{
\t\ttype nat hook postrouting priority 100
\t\tct status dnat snat to ip saddr . ip daddr map @hairpins
\t}}
\tchain unserved {{
\t\tip daddr @cluster-ips reject
\t\tip daddr {SERVICE_CIDR} drop
\t}}
\tchain unserved-forward {{
\t\ttype filter hook forward priority 0
\t\tct state new jump unserved
\t}}
\tchain unserved-output {{
\t\ttype filter hook output priority 0
\t\tct state new jump unserved
\t}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::frontends::Backend;

    fn frontend(backends: &[(u8, u16)]) -> Frontend {
        let backend = |(host, port): &(u8, u16)| Backend { address: Ipv4Addr::new(10, 244, 2, *host), port: *port };
        Frontend {
            name: "ns/web:80".into(),
            cluster_ips: vec![Ipv4Addr::new(10, 96, 0, 20)],
            protocol: "tcp",
            port: 80,
            node_port: Some(30080),
            sticky: false,
            backends: backends.iter().map(backend).collect(),
        }
    }

    #[test]
    fn a_service_leads_to_each_of_its_endpoints() {
        let text = render(&[frontend(&[(2, 8080), (3, 8080)])]);
        for line in [
            "elements = { 10.96.0.20 . tcp . 80 : goto svc-10.96.0.20-tcp-80 }",
            "elements = { tcp . 30080 : goto svc-10.96.0.20-tcp-80 }",
            "dnat ip to numgen random mod 2 map { 0 : 10.244.2.2 . 8080, 1 : 10.244.2.3 . 8080 } comment \"ns/web:80\"",
            "10.244.2.2 . 10.244.2.2 : 10.200.0.2",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_service_without_endpoints_is_refused() {
        let text = render(&[frontend(&[])]);
        assert!(!text.contains("svc-"), "{text}");
        assert!(text.contains("elements = { 10.96.0.20 }"), "{text}");
    }

    #[test]
    fn sticky_services_choose_by_the_clients_address() {
        let text = render(&[Frontend { sticky: true, ..frontend(&[(2, 80), (3, 80)]) }]);
        assert!(text.contains("dnat ip to jhash ip saddr mod 2 map"), "{text}");
    }
}
