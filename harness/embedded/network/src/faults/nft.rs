//! The nftables table of a fault.

use std::fmt::Write;

use super::{Effect, Fault, Sides};
use crate::nft::{replace_table, set};
use crate::policies::addresses::Addresses;

/// A burst that a limited rate lets pass, in kilobytes: the kernel hands packets over in bundles of up to 64.
const BURST: u32 = 128;

/// The table that belongs to a fault.
pub fn table(name: &str) -> String {
    format!("fault-{name}")
}

/// Everything of the table, replacing what is there when it is loaded.
pub fn render(name: &str, fault: &Fault, sides: &Sides) -> String {
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
    rules(&mut text, fault, "ip saddr @from ip daddr @to", "there");
    if fault.both_ways {
        rules(&mut text, fault, "ip saddr @to ip daddr @from", "back");
    }
    text.push_str("\t}\n");
    for hook in ["forward", "input", "output"] {
        // After destinations are changed, before connections are told apart.
        let _ = writeln!(text, "\tchain {hook} {{\n\t\ttype filter hook {hook} priority -50\n\t\tjump judge\n\t}}");
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

fn rules(text: &mut String, fault: &Fault, parties: &str, limit: &str) {
    let effect = match fault.effect {
        Effect::Cut => String::new(),
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
        let text = render("x", &fault, &Sides { from: one(2), to: one(3) });
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
    fn parties_are_replaced_without_the_counters() {
        let from = std::iter::once(Ipv4Addr::new(10, 244, 1, 2)).collect();
        let text = update("x", &Sides { from, to: Addresses::default() });
        let lines =
            ["flush set ip fault-x from", "add element ip fault-x from { 10.244.1.2 }", "flush set ip fault-x to"];
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    }
}
