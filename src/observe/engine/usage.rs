//! What a container uses.

use std::pin::pin;

use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptionsBuilder;
use futures::StreamExt;

use super::{Engine, EngineError, READ_TIMEOUT, check_id};

/// What a container uses now, and what it has used since it started. None where the engine does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Memory in bytes, without the pages of files that the kernel can drop: what `docker stats` shows.
    pub memory: Option<u64>,
    /// Processor time since the start, in nanoseconds.
    pub processor: Option<u64>,
    /// Bytes that came over its networks since the start.
    pub received: Option<u64>,
    /// Bytes that it sent.
    pub sent: Option<u64>,
    /// Bytes that it read from disks.
    pub read: Option<u64>,
    /// Bytes that it wrote to them.
    pub written: Option<u64>,
}

impl Engine {
    /// What a container uses. One look: the engine does not wait for a second one.
    ///
    /// # Errors
    /// Any [`EngineError`] of a call that reads.
    pub async fn usage(&self, id: &str) -> Result<Usage, EngineError> {
        check_id(id)?;
        let client = self.client().await?;
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let looked = async {
            let mut answers = pin!(client.stats(id, Some(options)));
            answers.next().await.transpose()
        };
        let stats = self.within(READ_TIMEOUT, looked).await?;
        Ok(stats.as_ref().map(usage).unwrap_or_default())
    }
}

fn usage(stats: &ContainerStatsResponse) -> Usage {
    let memory = stats.memory_stats.as_ref();
    let cache = memory.and_then(|m| m.stats.as_ref()).map_or(0, |detail| {
        // The first is what cgroup version 2 calls it, the second version 1.
        ["inactive_file", "total_inactive_file"].iter().find_map(|name| detail.get(*name)).copied().unwrap_or(0)
    });
    let networks = stats.networks.as_ref().filter(|n| !n.is_empty());
    let disks = stats.blkio_stats.as_ref().and_then(|b| b.io_service_bytes_recursive.as_ref());
    let disk = |operation: &str| {
        let entries = disks?.iter().filter(|e| e.op.as_deref().is_some_and(|op| op.eq_ignore_ascii_case(operation)));
        Some(entries.filter_map(|e| e.value).sum())
    };
    Usage {
        memory: memory.and_then(|m| m.usage).map(|bytes| bytes.saturating_sub(cache)),
        processor: stats.cpu_stats.as_ref().and_then(|c| c.cpu_usage.as_ref()).and_then(|u| u.total_usage),
        received: networks.map(|n| n.values().filter_map(|n| n.rx_bytes).sum()),
        sent: networks.map(|n| n.values().filter_map(|n| n.tx_bytes).sum()),
        read: disk("read"),
        written: disk("write"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_engine_says_is_read_in_both_versions_of_cgroups() {
        for (cache, memory) in
            [(json!({"inactive_file": 300}), 700), (json!({"total_inactive_file": 400}), 600), (json!({}), 1000)]
        {
            let stats = json!({
                "memory_stats": {"usage": 1000, "stats": cache},
                "cpu_stats": {"cpu_usage": {"total_usage": 5_000_000_000_u64}},
                "networks": {"eth0": {"rx_bytes": 10, "tx_bytes": 1}, "eth1": {"rx_bytes": 20, "tx_bytes": 2}},
                "blkio_stats": {"io_service_bytes_recursive": [
                    {"op": "read", "value": 4}, {"op": "Write", "value": 5}, {"op": "read", "value": 6}]},
            });
            let expected = Usage {
                memory: Some(memory),
                processor: Some(5_000_000_000),
                received: Some(30),
                sent: Some(3),
                read: Some(10),
                written: Some(5),
            };
            assert_eq!(usage(&serde_json::from_value(stats).unwrap()), expected);
        }
    }

    #[test]
    fn what_the_engine_does_not_say_is_not_made_up() {
        assert_eq!(usage(&serde_json::from_value(json!({"networks": {}})).unwrap()), Usage::default());
    }
}
