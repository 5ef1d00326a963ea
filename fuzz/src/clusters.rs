//! Honest nodes and a schedule that the fuzzer makes: who hears what and when, whose disk is slow, who crashes. The
//! checkers of the two protocols look at every step.
//!
//! Nodes, disks and network are the test harness of each protocol, so that a schedule found here is soon a test there.

/// The run, which is the same for both harnesses: they differ in the names of their cores and positions.
macro_rules! schedule {
    () => {
        use std::time::Duration;

        use bytes::Bytes;
        use harness::cluster::{Cluster, Packet};

        use crate::script::Script;

        /// First bytes: the group and its bounds. Then a step for every few bytes, and in some runs an end in peace,
        /// in which everybody must get on.
        pub(crate) fn run(data: &[u8]) {
            let mut script = Script::new(data);
            let peace = script.one_in(4);
            let mut run = Run::new(&mut script);
            while !run.script.is_over() {
                run.step();
            }
            if peace {
                run.recover();
            }
        }

        /// Schedules drawn at random: most of what happens in them happens often.
        pub(crate) fn seeds() -> Vec<Vec<u8>> {
            (1..=8)
                .map(|seed| crate::script::noise(seed, 400 * seed as usize))
                .collect()
        }

        struct Run<'a, 'b> {
            script: &'b mut Script<'a>,
            cluster: Cluster,
            size: u64,
            read: u64,
        }

        impl Run<'_, '_> {
            fn step(&mut self) {
                let id = 1 + self.script.below(self.size);
                if !self.cluster.node(id).is_up() {
                    return self.cluster.restart(id);
                }
                match self.script.below(32) {
                    0..12 => self.deliver(),
                    12..19 => self.finish(id),
                    19..23 => self.pass_time(),
                    23..26 => drop(self.propose(id)),
                    26 => self.read(id),
                    27 => self.cluster.take_snapshot(id),
                    28 => self.cut(id),
                    29 => self.crash(id),
                    _ => self.cluster.persist(id),
                }
                self.cluster.answers.clear();
                let stopped = self.cluster.nodes.values().find_map(|node| node.stopped);
                assert!(stopped.is_none(), "an honest group, and {stopped:?}");
            }

            fn deliver(&mut self) {
                let choice = self.script.byte();
                if self.cluster.net.is_empty() {
                    return;
                }
                let at = usize::from(choice & 31) % self.cluster.net.len();
                let packet: Packet = self.cluster.net.remove(at);
                let (repeat, lose) = (choice & 32 != 0, choice >> 6 == 3);
                if repeat {
                    self.cluster.net.push(packet.clone());
                }
                if !lose {
                    self.cluster.receive(packet);
                }
                self.cluster.net.truncate(PACKETS_MAX);
            }

            /// Work of the disk, of the log's reader or of a transfer ends.
            fn finish(&mut self, id: u64) {
                let node = self.cluster.node(id);
                if !node.fetches.is_empty() {
                    return self.cluster.serve_fetch(id);
                } else if !node.pulls.is_empty() {
                    self.cluster.serve_pull(NodeId(id));
                } else {
                    return self.cluster.persist(id);
                }
                self.cluster.pump(NodeId(id));
            }

            fn pass_time(&mut self) {
                let passed = Duration::from_millis(2 * self.script.below(256));
                self.cluster.now = self.cluster.now.plus(passed);
                self.cluster.fire_timers();
            }

            fn propose(&mut self, id: u64) -> Option<Proposed> {
                let body = vec![b'x'; self.script.below(60) as usize];
                let proposed = self
                    .cluster
                    .step(id, |core, now| core.propose(now, Bytes::from(body)));
                proposed.ok()
            }

            fn read(&mut self, id: u64) {
                self.read += 1;
                // Who does not lead refuses.
                let _refused = self.cluster.read(id, self.read);
            }

            fn cut(&mut self, id: u64) {
                match self.script.below(4) {
                    0 => self.cluster.isolate(id),
                    1 => {
                        let other = 1 + self.script.below(self.size);
                        self.cluster.cut.insert((NodeId(id), NodeId(other)));
                    }
                    _ => self.cluster.heal(),
                }
            }

            /// What was being written, or pulled, may have reached the disk without the core knowing.
            fn crash(&mut self, id: u64) {
                let now = self.cluster.now;
                let (store, stored) = (self.script.flag(), self.script.flag());
                let pulled = self.cluster.node(id).pulls.pop();
                let file =
                    pulled.and_then(|(from, _)| self.cluster.nodes[&from].disk.snapshot.clone());
                let node = self.cluster.node(id);
                if store {
                    node.store_untold();
                }
                if let Some(file) = file.filter(|_| stored) {
                    node.finish_pull(now, file, false);
                }
                self.cluster.crash(id);
            }

            fn finish_all(&mut self, id: u64) {
                self.cluster.persist(id);
                while !self.cluster.node(id).fetches.is_empty() {
                    self.cluster.serve_fetch(id);
                }
                while !self.cluster.node(id).pulls.is_empty() {
                    self.cluster.serve_pull(NodeId(id));
                    self.cluster.pump(NodeId(id));
                }
            }

            /// Faults stop. Within some election timeouts what a leader is given is applied everywhere.
            fn recover(&mut self) {
                self.cluster.heal();
                for id in 1..=self.size {
                    if !self.cluster.node(id).is_up() {
                        self.cluster.restart(id);
                    }
                }
                let mut wanted = None;
                for _ in 0..RECOVERY_STEPS_MAX {
                    self.cluster.now = self.cluster.now.plus(Duration::from_millis(5));
                    self.cluster.deliver(|_| true);
                    (1..=self.size).for_each(|id| self.finish_all(id));
                    self.cluster.fire_timers();
                    self.cluster.answers.clear();
                    let applied = wanted.is_some_and(|wanted| self.is_applied(wanted));
                    if applied && self.is_even() {
                        return;
                    }
                    let leader = (1..=self.size).find(|id| self.leads(*id));
                    // A proposal of an earlier leader may be lost with it.
                    if let Some(leader) = leader.filter(|leader| {
                        wanted.is_none_or(|at| !applied && self.is_older(at, *leader))
                    }) {
                        wanted = self.propose(leader);
                    }
                }
                let all: Vec<_> = (1..=self.size).map(|id| self.cluster.status(id)).collect();
                panic!("no progress without faults: wanted {wanted:?}, {all:?}");
            }
        }

        const PACKETS_MAX: usize = 100;
        /// Ten of the longest election timeouts and more: split votes, each followed by a round of messages.
        const RECOVERY_STEPS_MAX: u64 = 1_000;
    };
}

pub(crate) mod paxos;
pub(crate) mod raft;
