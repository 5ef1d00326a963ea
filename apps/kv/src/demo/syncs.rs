//! How often the nodes' logs were synced, across restarts.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use tokio::time::{sleep, timeout};

use crate::{client::Client, info::info_field};

/// The counters of all processes that were ever seen. A process counts from zero; one that is
/// killed loses what it counted since it was last asked, a tenth of a second at the most.
#[derive(Debug, Default)]
pub(crate) struct Syncs {
    /// First and last count of each (node, process).
    seen: BTreeMap<(u64, u64), (u64, u64)>,
}

impl Syncs {
    /// Asks every node, again and again, for as long as it is polled.
    pub(crate) async fn follow(&mut self, addresses: &BTreeMap<u64, SocketAddr>) {
        let mut connections = BTreeMap::new();
        loop {
            self.ask(addresses, &mut connections).await;
            sleep(EVERY).await;
        }
    }

    /// Asks every node once: at the start, where the counts are what the load did not cause, and at
    /// the end.
    pub(crate) async fn ask(
        &mut self,
        addresses: &BTreeMap<u64, SocketAddr>,
        connections: &mut BTreeMap<u64, Client>,
    ) {
        let first = self.seen.is_empty();
        for (id, address) in addresses {
            if !connections.contains_key(id)
                && let Ok(Ok(client)) = timeout(TIMEOUT, Client::connect(address)).await
            {
                connections.insert(*id, client);
            }
            let Some(client) = connections.get_mut(id) else {
                continue;
            };
            match timeout(TIMEOUT, client.info()).await {
                Ok(Ok(text)) => self.note(*id, &text, first),
                _ => drop(connections.remove(id)),
            }
        }
    }

    /// Syncs since the first time a node was asked, and all of those of processes that came later.
    pub(crate) fn total(&self) -> u64 {
        self.seen.values().map(|(first, last)| last - first).sum()
    }

    fn note(&mut self, id: u64, text: &str, first: bool) {
        let field = |name| info_field(text, name)?.parse::<u64>().ok();
        if let (Some(process), Some(syncs)) = (field("process_id"), field("log_syncs")) {
            let (_, last) = self
                .seen
                .entry((id, process))
                .or_insert((if first { syncs } else { 0 }, syncs));
            *last = syncs.max(*last);
        }
    }
}

const EVERY: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_counts_from_zero() {
        let mut syncs = Syncs::default();
        let info = |process, count| format!("process_id:{process}\r\nlog_syncs:{count}\r\n");
        syncs.note(1, &info(10, 100), true);
        syncs.note(1, &info(10, 150), false);
        syncs.note(1, &info(11, 30), false);
        syncs.note(1, &info(11, 40), false);
        assert_eq!(syncs.total(), 50 + 40);
    }
}
