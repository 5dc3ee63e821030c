//! Services, endpoints, ingresses and network policies.

use chrono::{DateTime, Utc};
use embedded_apimachinery::object;
use serde_json::Value;

use super::Printer;
use super::column::{AGE, Column, NAME, NONE, age, int, map_text, name, selector_text, text_or};

/// More than this many addresses, ports or hosts are counted, not listed.
const LISTED: usize = 3;

pub const SERVICES: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Type", "How the Service is exposed."),
        Column::text("Cluster-IP", "The address of the Service inside the cluster."),
        Column::text("External-IP", "Addresses outside of the cluster."),
        Column::text("Port(s)", "The ports that are exposed."),
        AGE,
        Column::text("Selector", "Labels of the pods that traffic is routed to.").wide(),
    ],
    cells: |o, now| {
        let ports: Vec<String> = object::list_at(o, "/spec/ports").iter().map(port).collect();
        vec![
            name(o),
            object::str_at(o, "/spec/type").into(),
            text_or(o, "/spec/clusterIP", NONE).into(),
            external(o).into(),
            if ports.is_empty() { NONE.into() } else { ports.join(",").into() },
            age(o, now),
            map_text(o.pointer("/spec/selector")).into(),
        ]
    },
};

fn port(port: &Value) -> String {
    let (number, protocol) = (int(port, "/port"), object::str_at(port, "/protocol"));
    match int(port, "/nodePort") {
        0 => format!("{number}/{protocol}"),
        node => format!("{number}:{node}/{protocol}"),
    }
}

fn external(service: &Value) -> String {
    let stated = object::list_at(service, "/spec/externalIPs").iter().filter_map(Value::as_str);
    let given =
        object::list_at(service, "/status/loadBalancer/ingress").iter().map(|i| match object::str_at(i, "/ip") {
            "" => object::str_at(i, "/hostname"),
            ip => ip,
        });
    match object::str_at(service, "/spec/type") {
        "ExternalName" => object::str_at(service, "/spec/externalName").to_owned(),
        "LoadBalancer" => {
            let all: Vec<&str> = given.chain(stated).collect();
            if all.is_empty() { "<pending>".to_owned() } else { all.join(",") }
        }
        _ => {
            let all: Vec<&str> = stated.collect();
            if all.is_empty() { NONE.to_owned() } else { all.join(",") }
        }
    }
}

pub const ENDPOINTS: Printer = Printer {
    columns: &[NAME, Column::text("Endpoints", "Addresses and ports."), AGE],
    cells: |o, now| {
        let mut found = Vec::new();
        for subset in object::list_at(o, "/subsets") {
            for address in object::list_at(subset, "/addresses") {
                let ip = object::str_at(address, "/ip");
                match object::list_at(subset, "/ports") {
                    [] => found.push(ip.to_owned()),
                    ports => found.extend(ports.iter().map(|p| format!("{ip}:{}", int(p, "/port")))),
                }
            }
        }
        vec![name(o), listed(&found).into(), age(o, now)]
    },
};

pub const ENDPOINT_SLICES: Printer = Printer {
    columns: &[
        NAME,
        Column::text("AddressType", "The type of the addresses."),
        Column::text("Ports", "The ports of every endpoint."),
        Column::text("Endpoints", "The addresses."),
        AGE,
    ],
    cells: |o, now| {
        let ports: Vec<String> = object::list_at(o, "/ports")
            .iter()
            .map(|p| object::int_at(p, "/port").map_or_else(|| "*".to_owned(), |n| n.to_string()))
            .collect();
        let addresses: Vec<String> = object::list_at(o, "/endpoints")
            .iter()
            .flat_map(|e| object::list_at(e, "/addresses"))
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let or_unset = |list: &[String]| if list.is_empty() { "<unset>".to_owned() } else { listed(list) };
        vec![
            name(o),
            object::str_at(o, "/addressType").into(),
            or_unset(&ports).into(),
            or_unset(&addresses).into(),
            age(o, now),
        ]
    },
};

fn listed(all: &[String]) -> String {
    match all.len() {
        0 => NONE.to_owned(),
        count if count > LISTED => format!("{} + {} more...", all[..LISTED].join(","), count - LISTED),
        _ => all.join(","),
    }
}

pub const INGRESSES: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Class", "The class that serves the ingress."),
        Column::text("Hosts", "Host names that it answers to."),
        Column::text("Address", "Where it is reached."),
        Column::text("Ports", "Ports that it listens on."),
        AGE,
    ],
    cells: ingress,
};

fn ingress(o: &Value, now: DateTime<Utc>) -> Vec<Value> {
    let hosts: Vec<String> =
        object::list_at(o, "/spec/rules").iter().map(|r| text_or(r, "/host", "*").to_owned()).collect();
    let addresses: Vec<&str> = object::list_at(o, "/status/loadBalancer/ingress")
        .iter()
        .map(|i| text_or(i, "/ip", object::str_at(i, "/hostname")))
        .collect();
    let ports = if object::list_at(o, "/spec/tls").is_empty() { "80" } else { "80, 443" };
    vec![
        name(o),
        text_or(o, "/spec/ingressClassName", NONE).into(),
        if hosts.is_empty() { "*".into() } else { listed(&hosts).into() },
        addresses.join(",").into(),
        ports.into(),
        age(o, now),
    ]
}

pub const INGRESS_CLASSES: Printer = Printer {
    columns: &[
        NAME,
        Column::text("Controller", "The controller of the class."),
        Column::text("Parameters", "An object with more settings."),
        AGE,
    ],
    cells: |o, now| {
        let parameters = o.pointer("/spec/parameters").map_or_else(
            || NONE.to_owned(),
            |p| {
                let group = object::str_at(p, "/apiGroup");
                let kind = object::str_at(p, "/kind");
                let full = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
                format!("{full}/{}", object::str_at(p, "/name"))
            },
        );
        vec![name(o), object::str_at(o, "/spec/controller").into(), parameters.into(), age(o, now)]
    },
};

pub const NETWORK_POLICIES: Printer = Printer {
    columns: &[NAME, Column::text("Pod-Selector", "The pods that the policy is for."), AGE],
    cells: |o, now| vec![name(o), selector_text(o.pointer("/spec/podSelector")).into(), age(o, now)],
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ports_show_their_node_port() {
        assert_eq!(port(&json!({"port": 80, "protocol": "TCP"})), "80/TCP");
        assert_eq!(port(&json!({"port": 80, "nodePort": 30001, "protocol": "TCP"})), "80:30001/TCP");
    }

    #[test]
    fn long_lists_are_cut() {
        let all: Vec<String> = (1..=5).map(|n| n.to_string()).collect();
        assert_eq!(listed(&all), "1,2,3 + 2 more...");
    }
}
