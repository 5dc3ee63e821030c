//! The zone over UDP and TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use embedded_apimachinery::Api;
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Edns, Header, HeaderCounts, Metadata, OpCode, ResponseCode};
use hickory_server::proto::rr::rdata::{A, CNAME, NS, PTR, SOA, SRV};
use hickory_server::proto::rr::{Name, RData, Record};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio_util::sync::CancellationToken;

use super::zone::{self, Data};
use crate::address::CLUSTER_DOMAIN;
use crate::error::{Doing, Result};
use crate::netns::NetNs;

/// How long clients may keep an answer, in seconds: CoreDNS's default for clusters, and for names that do not exist.
const TTL: u32 = 5;

/// Idle TCP connections are closed after this time.
const TCP_IDLE: Duration = Duration::from_secs(30);
const TCP_BUFFER: usize = 64;

/// The port of DNS.
pub const PORT: u16 = 53;

/// Answers DNS queries at `address` in `namespace` until `shutdown`. The sockets are bound when this returns, and the
/// returned future does the work.
pub async fn serve(
    api: Arc<dyn Api>,
    namespace: &NetNs,
    address: SocketAddr,
    shutdown: CancellationToken,
) -> Result<impl Future<Output = Result<()>> + use<>> {
    let udp = namespace.bind_udp(address).await?;
    let tcp = namespace.listen(address).await?;
    Ok(async move {
        let mut server = Server::new(Handler { api });
        server.register_socket(udp);
        server.register_listener(tcp, TCP_IDLE, TCP_BUFFER);
        tokio::select! {
            () = shutdown.cancelled() => {}
            ended = server.block_until_done() => return ended.map_err(io::Error::other).doing(|| "serve DNS"),
        }
        server.shutdown_gracefully().await.map_err(io::Error::other).doing(|| "stop serving DNS")
    })
}

struct Handler {
    api: Arc<dyn Api>,
}

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut send: R) -> ResponseInfo {
        let reply = self.reply(request);
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = reply.code;
        metadata.authoritative = reply.code != ResponseCode::NotImp;
        metadata.recursion_available = true;
        let mut builder = MessageResponseBuilder::from_message_request(request);
        let mut edns = Edns::new();
        if request.edns.is_some() {
            edns.set_max_payload(request.max_payload().max(512)).set_version(0);
            builder.edns(&edns);
        }
        let none: &[Record] = &[];
        let response = builder.build(metadata, &reply.answers, none, &reply.authority, &reply.additionals);
        send.send_response(response).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "a DNS answer could not be sent");
            ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
        })
    }
}

struct Reply {
    code: ResponseCode,
    answers: Vec<Record>,
    /// The zone's start of authority, which says how long an absence may be remembered.
    authority: Vec<Record>,
    additionals: Vec<Record>,
}

impl Reply {
    fn error(code: ResponseCode) -> Self {
        Self { code, answers: Vec::new(), authority: Vec::new(), additionals: Vec::new() }
    }
}

impl Handler {
    fn reply(&self, request: &Request) -> Reply {
        if request.metadata.op_code != OpCode::Query {
            return Reply::error(ResponseCode::NotImp);
        }
        let Ok(info) = request.request_info() else { return Reply::error(ResponseCode::FormErr) };
        let asked = info.query.original().name();
        let name = asked.to_lowercase().to_ascii();
        let answer = zone::resolve(self.api.as_ref(), name.trim_end_matches('.'), info.query.query_type());
        // The asked name is repeated as it was spelled: some clients check.
        let spelled = |record: &zone::Record| {
            let owner = if record.name == name.trim_end_matches('.') { asked.clone() } else { absolute(&record.name)? };
            Some(Record::from_rdata(owner, TTL, rdata(&record.data)?))
        };
        let mut answers: Vec<Record> = answer.answers.iter().filter_map(spelled).collect();
        spread(&mut answers, request.metadata.id);
        let authority = if answers.is_empty() { start_of_authority() } else { None };
        Reply {
            code: if answer.exists { ResponseCode::NoError } else { ResponseCode::NXDomain },
            answers,
            authority: authority.into_iter().collect(),
            additionals: answer.additionals.iter().filter_map(spelled).collect(),
        }
    }
}

/// Starts the addresses at another one for every query, since clients tend to take the first.
fn spread(answers: &mut [Record], query: u16) {
    if !answers.is_empty() && answers.iter().all(|record| matches!(record.data, RData::A(_))) {
        let start = usize::from(query) % answers.len();
        answers.rotate_left(start);
    }
}

fn start_of_authority() -> Option<Record> {
    Some(Record::from_rdata(absolute(CLUSTER_DOMAIN)?, TTL, rdata(&Data::Soa)?))
}

/// `None` for what cannot be written in DNS, such as an external name that is too long.
fn rdata(data: &Data) -> Option<RData> {
    Some(match data {
        Data::A(address) => RData::A(A(*address)),
        Data::Srv { port, target } => RData::SRV(SRV::new(0, 100, *port, absolute(target)?)),
        Data::Ptr(name) => RData::PTR(PTR(absolute(name)?)),
        Data::Cname(name) => RData::CNAME(CNAME(absolute(name)?)),
        Data::Ns(name) => RData::NS(NS(absolute(name)?)),
        Data::Soa => {
            let server = absolute(&format!("ns.dns.{CLUSTER_DOMAIN}"))?;
            let contact = absolute(&format!("hostmaster.{CLUSTER_DOMAIN}"))?;
            RData::SOA(SOA::new(server, contact, 1, 7200, 1800, 86400, TTL))
        }
    })
}

fn absolute(name: &str) -> Option<Name> {
    Name::from_ascii(format!("{name}.")).ok()
}
