//! The nftables table of a fault.

use std::fmt::Write;

use super::delay::{Detour, PREFIX};
use super::{Effect, Fault, Sides};
use crate::address::POD_CIDR;
use crate::nft::{replace_table, set};
use crate::policies::addresses::Addresses;

/// A burst that a limited rate lets pass, in kilobytes: the kernel hands packets over in bundles of up to 64.
const BURST: u32 = 128;

/// The table that belongs to a fault.
pub fn table(name: &str) -> String {
    format!("fault-{name}")
}

/// Passes what comes back from a detour: it was judged on its way there.
pub(crate) fn pass_returning() -> String {
    format!("iifname \"{PREFIX}*\" accept")
}

/// Everything of the table, replacing what is there when it is loaded. `detour` is that of a delay.
pub(crate) fn render(name: &str, fault: &Fault, sides: &Sides, detour: Option<&Detour>) -> String {
    let way = detour.map(|detour| Way { device: detour.device(), mark: detour.mark() });
    table_of(name, fault, sides, way.as_ref())
}

/// The way of delayed packets out of the kernel.
struct Way {
    device: String,
    mark: u32,
}

fn table_of(name: &str, fault: &Fault, sides: &Sides, way: Option<&Way>) -> String {
    let mut text = replace_table(&table(name));
    for (name, addresses) in [("from", &sides.from), ("to", &sides.to)] {
        set(&mut text, &format!("set {name}"), "ipv4_addr\n\t\tflags interval", addresses.texts());
    }
    text.push_str("\tcounter seen {\n\t}\n\tcounter dropped {\n\t}\n");
    if let Effect::Rate { kilobytes_per_second } = fault.effect {
        for name in ["there", "back"] {
            let _ = writeln!(
                text,
                "\tlimit {name} {{\n\t\trate over {kilobytes_per_second} kbytes/second burst {BURST} kbytes\n\t}}"
            );
        }
    }
    text.push_str("\tchain judge {\n");
    rules(&mut text, fault, "ip saddr @from ip daddr @to", "there", way);
    if fault.both_ways {
        rules(&mut text, fault, "ip saddr @to ip daddr @from", "back", way);
    }
    text.push_str("\t}\n");
    // After destinations are changed, before connections are told apart; a delay also before a route is chosen.
    let hooks: &[&str] = if way.is_some() { &["prerouting"] } else { &["forward", "input", "output"] };
    for hook in hooks {
        let pass = if *hook == "output" { String::new() } else { format!("\t\t{}\n", pass_returning()) };
        let _ =
            writeln!(text, "\tchain {hook} {{\n\t\ttype filter hook {hook} priority -50\n{pass}\t\tjump judge\n\t}}");
    }
    if let Some(Way { device, .. }) = way {
        let _ = writeln!(text, "\tchain returning {{\n\t\ttype filter hook prerouting priority -300");
        let _ = writeln!(text, "\t\tiifname \"{device}\" notrack\n\t}}");
    }
    text.push_str("}\n");
    text
}

/// Replaces the parties of a fault; its counters go on.
pub fn update(name: &str, sides: &Sides) -> String {
    let table = table(name);
    let mut text = String::new();
    let mut replace = |set: &str, addresses: &Addresses| {
        let _ = writeln!(text, "flush set ip {table} {set}");
        if !addresses.is_empty() {
            let elements: Vec<String> = addresses.texts().collect();
            let _ = writeln!(text, "add element ip {table} {set} {{ {} }}", elements.join(", "));
        }
    };
    replace("from", &sides.from);
    replace("to", &sides.to);
    text
}

/// Removes the table, whether it is there or not.
pub fn remove(name: &str) -> String {
    let table = table(name);
    format!("table ip {table} {{\n}}\ndelete table ip {table}\n")
}

fn rules(text: &mut String, fault: &Fault, parties: &str, limit: &str, way: Option<&Way>) {
    if let Some(Way { mark, .. }) = way {
        let pods = format!("ip saddr {POD_CIDR} ip daddr {POD_CIDR}");
        for ports in ports(fault) {
            let _ = writeln!(text, "\t\t{parties} {pods} {ports}counter name \"seen\" meta mark set {mark:#x}");
        }
        return;
    }
    let effect = match fault.effect {
        Effect::Cut | Effect::Delay(_) => String::new(),
        // In steps of a hundredth of a percent.
        Effect::Loss { percent } => format!("numgen random mod 10000 < {:.0} ", (percent * 100.0).max(1.0)),
        Effect::Rate { .. } => format!("limit name \"{limit}\" "),
    };
    for ports in ports(fault) {
        let _ = writeln!(text, "\t\t{parties} {ports}counter name \"seen\" {effect}counter name \"dropped\" drop");
    }
}

fn ports(fault: &Fault) -> Vec<String> {
    if fault.ports.is_empty() {
        return vec![String::new()];
    }
    let ports: Vec<String> = fault.ports.iter().map(u16::to_string).collect();
    let ends: &[&str] = if fault.both_ways { &["dport", "sport"] } else { &["dport"] };
    ends.iter().map(|end| format!("meta l4proto {{ tcp, udp, sctp }} th {end} {{ {} }} ", ports.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn rendered(both_ways: bool, ports: &[u16], effect: Effect) -> Vec<String> {
        let fault = Fault { from: vec![], to: vec![], both_ways, ports: ports.to_vec(), effect };
        let one = |host| std::iter::once(Ipv4Addr::new(10, 244, 1, host)).collect();
        let text = table_of("x", &fault, &Sides { from: one(2), to: one(3) }, None);
        assert!(text.contains("table ip fault-x {"), "{text}");
        let rules = text.lines().filter(|line| line.contains("ip saddr"));
        rules.map(|rule| rule.trim().trim_end_matches("counter name \"dropped\" drop").trim().to_owned()).collect()
    }

    #[test]
    fn each_effect_has_its_rules() {
        let (there, back) = ("ip saddr @from ip daddr @to", "ip saddr @to ip daddr @from");
        let seen = "counter name \"seen\"";
        let l4 = "meta l4proto { tcp, udp, sctp }";
        for (got, expected) in [
            (rendered(false, &[], Effect::Cut), vec![format!("{there} {seen}")]),
            (rendered(true, &[], Effect::Cut), vec![format!("{there} {seen}"), format!("{back} {seen}")]),
            (rendered(false, &[80, 81], Effect::Cut), vec![format!("{there} {l4} th dport {{ 80, 81 }} {seen}")]),
            (
                rendered(true, &[80], Effect::Cut),
                vec![
                    format!("{there} {l4} th dport {{ 80 }} {seen}"),
                    format!("{there} {l4} th sport {{ 80 }} {seen}"),
                    format!("{back} {l4} th dport {{ 80 }} {seen}"),
                    format!("{back} {l4} th sport {{ 80 }} {seen}"),
                ],
            ),
            (
                rendered(false, &[], Effect::Loss { percent: 12.5 }),
                vec![format!("{there} {seen} numgen random mod 10000 < 1250")],
            ),
            (
                rendered(true, &[], Effect::Rate { kilobytes_per_second: 100 }),
                vec![format!("{there} {seen} limit name \"there\""), format!("{back} {seen} limit name \"back\"")],
            ),
        ] {
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn delayed_packets_are_marked_on_their_way_out_and_left_alone_on_their_way_back() {
        let wait =
            super::super::delay::Wait { delay: std::time::Duration::from_millis(9), jitter: std::time::Duration::ZERO };
        let fault = Fault { from: vec![], to: vec![], both_ways: false, ports: vec![80], effect: Effect::Delay(wait) };
        let text = table_of("x", &fault, &Sides::default(), Some(&Way { device: "delay7".into(), mark: 0x4400_0007 }));
        let pods = "ip saddr 10.244.0.0/16 ip daddr 10.244.0.0/16";
        let ports = "meta l4proto { tcp, udp, sctp } th dport { 80 }";
        for expected in [
            format!("ip saddr @from ip daddr @to {pods} {ports} counter name \"seen\" meta mark set 0x44000007"),
            "type filter hook prerouting priority -50\n\t\tiifname \"delay*\" accept\n\t\tjump judge".into(),
            "iifname \"delay7\" notrack".into(),
        ] {
            assert!(text.contains(&expected), "{expected} is not in {text}");
        }
        assert!(!text.contains("forward"), "{text}");
    }

    #[test]
    fn parties_are_replaced_without_the_counters() {
        let from = std::iter::once(Ipv4Addr::new(10, 244, 1, 2)).collect();
        let text = update("x", &Sides { from, to: Addresses::default() });
        let lines =
            ["flush set ip fault-x from", "add element ip fault-x from { 10.244.1.2 }", "flush set ip fault-x to"];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }
}
