//! The safety kernel and its client: one gRPC method that allows or denies a job by its topic.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anyhow::{Context, Result};
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{NamedService, UnaryService};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::common::{Common, env};
use super::config::{self, Decision, Policy};
use super::grpc;
use super::metrics::Metrics;

const EVALUATE: &str = "/cordum.safety.v1.SafetyKernel/Evaluate";

#[derive(Clone, PartialEq, prost::Message)]
pub struct EvaluateRequest {
    #[prost(string, tag = "1")]
    pub job: String,
    #[prost(string, tag = "2")]
    pub topic: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct EvaluateReply {
    #[prost(bool, tag = "1")]
    pub allowed: bool,
    #[prost(string, tag = "2")]
    pub reason: String,
}

/// Runs the safety kernel until TERM.
///
/// # Errors
/// A malformed policy, Redis or NATS out of reach, a port that is taken.
pub async fn run(common: &Common) -> Result<()> {
    let policy: Policy = config::read("SAFETY_FILE", "safety.yaml")?;
    let _redis = common.redis().await?;
    let _nats = common.jetstream("cordum-safety-kernel").await?;
    let kernel = Kernel { policy: Arc::new(policy), metrics: common.metrics.clone() };
    let address = common.address("GRPC_ADDR", 50051)?;
    grpc::serve(common, address, |routes| routes.add_service(kernel)).await
}

#[derive(Clone)]
struct Kernel {
    policy: Arc<Policy>,
    metrics: Arc<Metrics>,
}

impl Kernel {
    fn evaluate(&self, request: &EvaluateRequest) -> EvaluateReply {
        let (decision, reason) = self.policy.decide(&request.topic);
        let allowed = decision == Decision::Allow;
        self.metrics.count("cordum_safety_evaluations_total", &[("decision", if allowed { "allow" } else { "deny" })]);
        EvaluateReply { allowed, reason }
    }
}

impl NamedService for Kernel {
    const NAME: &'static str = "cordum.safety.v1.SafetyKernel";
}

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl UnaryService<EvaluateRequest> for Kernel {
    type Response = EvaluateReply;
    type Future = Pending<Result<Response<EvaluateReply>, Status>>;

    fn call(&mut self, request: Request<EvaluateRequest>) -> Self::Future {
        let reply = self.evaluate(request.get_ref());
        Box::pin(async move { Ok(Response::new(reply)) })
    }
}

impl Service<http::Request<Body>> for Kernel {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pending<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let kernel = self.clone();
        Box::pin(async move {
            if request.uri().path() != EVALUATE {
                return Ok(Status::unimplemented("the safety kernel knows Evaluate only").into_http());
            }
            let codec = ProstCodec::<EvaluateReply, EvaluateRequest>::default();
            Ok(tonic::server::Grpc::new(codec).unary(kernel, request).await)
        })
    }
}

/// Asks the safety kernel. The connection is made when first needed and again when it broke.
#[derive(Clone)]
pub struct SafetyClient {
    channel: Channel,
}

impl SafetyClient {
    /// For the address in `SAFETY_KERNEL_ADDR`.
    ///
    /// # Errors
    /// It is no address.
    pub fn from_env() -> Result<Self> {
        let address = env("SAFETY_KERNEL_ADDR").unwrap_or_else(|| "cordum-safety-kernel:50051".into());
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .with_context(|| format!("SAFETY_KERNEL_ADDR is {address:?}, not host:port"))?
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(3));
        Ok(Self { channel: endpoint.connect_lazy() })
    }

    /// # Errors
    /// The kernel cannot be reached or refuses to answer; nothing was decided.
    pub async fn evaluate(&self, job: &str, topic: &str) -> Result<EvaluateReply> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready().await.context("the safety kernel cannot be reached")?;
        let request = Request::new(EvaluateRequest { job: job.into(), topic: topic.into() });
        let codec = ProstCodec::<EvaluateRequest, EvaluateReply>::default();
        let reply = grpc.unary(request, PathAndQuery::from_static(EVALUATE), codec).await;
        match reply {
            Ok(reply) => Ok(reply.into_inner()),
            Err(status) => anyhow::bail!("the safety kernel did not decide: {:?} {}", status.code(), status.message()),
        }
    }
}
