//! The context engine: there, healthy, and in touch with Redis.

use anyhow::Result;

use super::common::Common;
use super::grpc;

/// Runs the context engine until TERM.
///
/// # Errors
/// Redis out of reach, or a port that is taken.
pub async fn run(common: &Common) -> Result<()> {
    let _redis = common.redis().await?;
    grpc::serve(common, common.address("GRPC_ADDR", 50070)?, |routes| routes).await
}
