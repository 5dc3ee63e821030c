//! The routing netlink verbs that we need, one request at a time.
//!
//! A socket belongs to the namespace it was opened in, whichever thread uses it later: so it is opened once, on a
//! thread inside the namespace, and kept.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::link::{InfoData, InfoKind, InfoVeth};
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use rtnetlink::packet_route::route::{RouteMessage, RouteScope};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage as Message};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rtnetlink::{AddressMessageBuilder, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder};

use crate::error::{Doing, Result};

/// The loopback interface's index in every namespace.
pub(crate) const LOOPBACK: u32 = 1;

/// One end of a veth pair.
pub(crate) struct VethEnd<'a> {
    pub name: &'a str,
    pub index: u32,
    pub mac: [u8; 6],
}

/// A routing netlink socket.
pub(crate) struct RouteSocket {
    socket: Socket,
    sequence: u32,
}

impl RouteSocket {
    /// A socket in the namespace of the calling thread.
    pub fn open() -> Result<Self> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok::<_, io::Error>(socket)
        };
        Ok(Self { socket: open().doing(|| "open a netlink socket")?, sequence: 0 })
    }

    pub fn set_up(&mut self, index: u32) -> Result<()> {
        let message = LinkMessageBuilder::<LinkUnspec>::new().index(index).up().build();
        self.request(Message::NewLink(message), 0).doing(|| format!("set interface {index} up"))
    }

    /// Makes a veth pair: one end here, up, and its peer in the namespace that `peer_ns` refers to, down.
    pub fn add_veth(&mut self, here: &VethEnd<'_>, peer: &VethEnd<'_>, peer_ns: BorrowedFd<'_>) -> Result<()> {
        let peer_message = end(peer, LinkMessageBuilder::default()).setns_by_fd(peer_ns.as_raw_fd()).build();
        let message = end(here, LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Veth))
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer_message)))
            .up()
            .build();
        self.request(Message::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
            .doing(|| format!("make the veth pair {} and {}", here.name, peer.name))
    }

    /// Gives an interface an address of its own (`/32`).
    pub fn add_address(&mut self, index: u32, address: Ipv4Addr) -> Result<()> {
        let message = AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(address, 32).build();
        self.request(Message::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
            .doing(|| format!("add address {address}"))
    }

    /// A route to a network that is directly reachable through an interface.
    pub fn add_link_route(&mut self, to: (Ipv4Addr, u8), index: u32, source: Ipv4Addr) -> Result<()> {
        let message = link_route(to, index).pref_source(source).build();
        self.add_route(message).doing(|| format!("add a route to {}/{}", to.0, to.1))
    }

    /// Removes such a route; one that is gone, also with its interface, is no error.
    pub fn delete_link_route(&mut self, to: (Ipv4Addr, u8), index: u32) -> Result<()> {
        match self.request(Message::DelRoute(link_route(to, index).build()), 0) {
            Err(error)
                if [Errno::ESRCH, Errno::ENODEV].map(|errno| Some(errno as i32)).contains(&error.raw_os_error()) =>
            {
                Ok(())
            }
            other => other.doing(|| format!("remove the route to {}/{}", to.0, to.1)),
        }
    }

    /// A default route through a gateway that is on no network of ours.
    pub fn add_default_route(&mut self, gateway: Ipv4Addr, index: u32) -> Result<()> {
        let message = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).output_interface(index).onlink().build();
        self.add_route(message).doing(|| format!("add the default route through {gateway}"))
    }

    /// In a routing table of its own, everything leaves by one interface.
    pub fn route_all(&mut self, index: u32, table: u32) -> Result<()> {
        let all = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(Ipv4Addr::UNSPECIFIED, 0)
            .output_interface(index)
            .scope(RouteScope::Link)
            .table_id(table);
        self.add_route(all.build()).doing(|| format!("route everything to interface {index}"))
    }

    /// Packets with a mark follow a routing table of their own. Those to addresses of the namespace itself do not.
    pub fn route_marked(&mut self, mark: u32, table: u32) -> Result<()> {
        self.request(Message::NewRule(mark_rule(mark, table)), NLM_F_CREATE | NLM_F_EXCL)
            .doing(|| format!("route packets with mark {mark:#x}"))
    }

    /// Ends that.
    pub fn unroute_marked(&mut self, mark: u32, table: u32) -> Result<()> {
        self.request(Message::DelRule(mark_rule(mark, table)), 0)
            .doing(|| format!("route packets with mark {mark:#x} as others"))
    }

    fn add_route(&mut self, message: RouteMessage) -> io::Result<()> {
        self.request(Message::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// A neighbour whose link address is known, so that nobody asks for it.
    pub fn add_neighbour(&mut self, index: u32, address: Ipv4Addr, mac: [u8; 6]) -> Result<()> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.ifindex = index;
        message.header.state = NeighbourState::Permanent;
        message.attributes = vec![
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)),
            NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
        ];
        self.request(Message::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
            .doing(|| format!("add neighbour {address}"))
    }

    /// Sends a request and waits for the kernel's answer to it.
    fn request(&mut self, message: Message, flags: u16) -> io::Result<()> {
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        header.sequence_number = self.sequence;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
        packet.finalize();
        let mut buffer = vec![0; packet.buffer_len()];
        packet.serialize(&mut buffer);
        self.socket.send(&buffer, 0)?;
        loop {
            let (answer, _) = self.socket.recv_from_full()?;
            let answer = NetlinkMessage::<Message>::deserialize(&answer).map_err(io::Error::other)?;
            match answer.payload {
                NetlinkPayload::Error(error) if answer.header.sequence_number == self.sequence => {
                    return error.code.map_or(Ok(()), |_| Err(error.to_io()));
                }
                _ => {}
            }
        }
    }
}

fn mark_rule(mark: u32, table: u32) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.action = RuleAction::ToTable;
    message.attributes = vec![RuleAttribute::FwMark(mark), RuleAttribute::Table(table)];
    message
}

fn link_route(to: (Ipv4Addr, u8), index: u32) -> RouteMessageBuilder<Ipv4Addr> {
    RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(to.0, to.1)
        .output_interface(index)
        .scope(RouteScope::Link)
}

fn end(end: &VethEnd<'_>, message: LinkMessageBuilder<LinkUnspec>) -> LinkMessageBuilder<LinkUnspec> {
    message.name(end.name).index(end.index).address(end.mac.to_vec())
}
