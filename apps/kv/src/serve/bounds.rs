//! What a node may hold and how long it may take, as its command line says it.

use std::time::Duration;

use synod_replica::NodeConfig;

use crate::{
    framing::RequestLimits,
    limits::{MemoryLimits, bound_log, bound_node},
    options::ServeOptions,
    server::ServerLimits,
};

pub(super) fn node_config(options: &ServeOptions) -> NodeConfig {
    let mut config = NodeConfig::default();
    bound_node(&mut config);
    config.request_timeout = Duration::from_millis(options.timeout_ms);
    config.bounds.snapshot_log_bytes = options.snapshot_log_bytes;
    config.bounds.kept_log_bytes_max = KEPT_LOGS_MAX.saturating_mul(options.snapshot_log_bytes);
    // A command takes no more than the request it came in, beside its name in the log.
    config.bounds.body_bytes_max = config
        .bounds
        .body_bytes_max
        .max(options.request_bytes_max as usize + NAME_BYTES_MAX);
    config
}

pub(super) fn log_options(options: &ServeOptions) -> synod_wal::Options {
    let mut bounds = bound_log();
    if let Some(bytes) = options.segment_bytes {
        bounds.segment_bytes = bytes.next_multiple_of(BLOCK_BYTES);
        let longest = (bounds.segment_bytes / 2 - BLOCK_BYTES) as usize;
        bounds.record_bytes_max = bounds.record_bytes_max.min(longest);
    }
    bounds
}

pub(super) fn server_limits(options: &ServeOptions, peers: usize) -> ServerLimits {
    let request_bytes_max = options.request_bytes_max as usize;
    let usual = RequestLimits::default();
    ServerLimits {
        request: RequestLimits {
            bulk_bytes_max: request_bytes_max,
            request_bytes_max,
            ..usual
        },
        clients_max: options.clients_max,
        clients_bytes_max: options.clients_bytes_max,
        address_clients_max: options.clients_per_address_max.unwrap_or(usize::MAX),
        inflight_max: options.inflight_max.max(1),
        stall_max: Duration::from_millis(options.client_stall_ms),
        idle_max: options.client_idle_ms.map(Duration::from_millis),
        memory: MemoryLimits::of(
            peers,
            options.clients_bytes_max,
            options.power_loss || options.skip_sync,
        ),
    }
}

/// What is kept of the log for a peer that reads a snapshot, in intervals between two of them.
const KEPT_LOGS_MAX: u64 = 4;
/// Of which a segment has a whole number.
const BLOCK_BYTES: u64 = 4_096;
const NAME_BYTES_MAX: usize = 1_024;
