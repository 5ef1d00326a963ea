//! The commands of a script, played on a cluster.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Bytes;
use synod_raft::{Config, FetchError, LogId, Membership, NodeId, Raft, Role, Snapshot, Term};

use crate::arguments::Arguments;
use crate::harness::cluster::{Cluster, Packet};
use crate::notation::{id_text, parse_id, parse_message};
use crate::selector::{Selector, parse_link};
use crate::story::{Story, Surroundings};

#[derive(Debug, Default)]
pub(crate) struct Stage {
    cluster: Option<Cluster>,
    /// Messages that were taken off the network, to arrive later.
    pub(crate) held: Vec<Packet>,
    /// Why a node is not up.
    pub(crate) down: BTreeMap<u64, &'static str>,
    story: Story,
}

impl Stage {
    /// What happens, in lines, and why it cannot go on: the command makes no sense, or something
    /// does not hold.
    pub(crate) fn play(&mut self, command: &str) -> (Vec<String>, Result<(), String>) {
        let played = catch_unwind(AssertUnwindSafe(|| self.command(command)));
        let words = |panic: Box<dyn Any + Send>| {
            let text = panic.downcast::<String>().map(|text| *text);
            text.or_else(|panic| panic.downcast::<&str>().map(|text| (*text).to_owned()))
        };
        let result = played.unwrap_or_else(|panic| {
            self.tell();
            Err(words(panic).unwrap_or_else(|_| "a panic without words".to_owned()))
        });
        (self.story.end(), result)
    }

    fn command(&mut self, text: &str) -> Result<(), String> {
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        if name == "expect" {
            return self.expect(rest);
        }
        if name == "say" {
            return self.say(rest);
        }
        let mut arguments = Arguments::parse(rest);
        self.story.quiet = arguments.flag("quietly");
        match name {
            "add-nodes" => self.add_nodes(&mut arguments),
            "deliver" | "settle" | "release" | "drop" | "hold" => {
                self.network(name, &mut arguments)
            }
            "cut" | "heal" | "isolate" => self.links(name, &mut arguments),
            "campaign" | "elect" | "heartbeat" | "heartbeats" | "timeout" | "pass" | "run" => {
                self.time(name, &mut arguments)
            }
            "full-disk" | "roomy-disk" | "disk-pace" => self.health(name, &mut arguments),
            "slow-disk" | "sound-disk" | "persist" | "fail-disk" | "slow-reads" | "serve"
            | "fail-read" => self.disk(name, &mut arguments),
            "crash" | "restart" | "lose-vote" | "lose-tail" | "replace-snapshot" => {
                self.life(name, &mut arguments)
            }
            "snapshot" | "slow-pulls" | "pull" | "fail-pull" | "install" => {
                self.snapshots(name, &mut arguments)
            }
            "propose" => self.propose(&mut arguments),
            "read" => self.read(&mut arguments),
            "status" => self.status(&mut arguments),
            _ => return Err(format!("there is no command `{name}`")),
        }?;
        arguments.end()
    }

    pub(crate) fn cluster(&mut self) -> Result<&mut Cluster, String> {
        self.cluster
            .as_mut()
            .ok_or_else(|| "no nodes were added".to_owned())
    }

    fn add_nodes(&mut self, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let size = arguments.number()?;
        let on = |value: Option<&str>| match value {
            None | Some("on") => Ok(true),
            Some("off") => Ok(false),
            Some(other) => Err(format!("`{other}` is neither on nor off")),
        };
        let pre_vote = on(arguments.option("pre-vote"))?;
        let check_quorum = on(arguments.option("check-quorum"))?;
        let cache = arguments.number_option("cache")?;
        let append = arguments.number_option("append-bytes")?;
        let stall = arguments
            .option("write-stall")
            .map(parse_duration)
            .transpose()?;
        let tweak = |config: &mut Config| {
            (config.pre_vote, config.check_quorum) = (pre_vote, check_quorum);
            config.cache_bytes_max = cache.unwrap_or(config.cache_bytes_max);
            config.append_bytes_max = append.unwrap_or(config.append_bytes_max);
            config.write_stall_max = stall.unwrap_or(config.write_stall_max);
        };
        let term = arguments.number_option("term")?;
        let mut cluster = Cluster::in_term(size, Term(term.unwrap_or(0)), tweak);
        cluster.watch.made_up = arguments.flag("made-up");
        cluster
            .nodes
            .values_mut()
            .for_each(|node| node.journal = Some(Vec::new()));
        self.cluster = Some(cluster);
        self.held.clear();
        self.down.clear();
        Ok(())
    }

    /// A node of the cluster.
    fn node(&mut self, arguments: &mut Arguments<'_>) -> Result<u64, String> {
        let id = arguments.number()?;
        let known = self.cluster()?.nodes.contains_key(&NodeId(id));
        if known {
            Ok(id)
        } else {
            Err(format!("there is no node {id}"))
        }
    }

    fn up(&mut self, arguments: &mut Arguments<'_>) -> Result<u64, String> {
        let id = self.node(arguments)?;
        match self.cluster()?.node(id).is_up() {
            true => Ok(id),
            false => Err(format!("{id} is not up")),
        }
    }

    pub(crate) fn tell_line(&mut self, line: String) {
        self.story.line(line);
    }

    /// Tells what nodes did since it was last told.
    fn tell(&mut self) {
        let Some(cluster) = &mut self.cluster else {
            return;
        };
        for (id, node) in &mut cluster.nodes {
            let disk_is_slow = cluster.slow_disks.contains(id);
            let around = Surroundings {
                cut: &cluster.cut,
                disk_is_slow,
                log_is_slow: disk_is_slow || cluster.slow_reads.contains(id),
            };
            for deed in node.journal.iter_mut().flat_map(std::mem::take) {
                self.story.deed(*id, &deed, &around);
            }
        }
    }

    // The network.

    fn network(&mut self, name: &str, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let ways = Ways::parse(arguments)?;
        let keep = arguments.flag("keep");
        let wanted = arguments.positional().map(Selector::parse).transpose()?;
        let wanted = |packet: &Packet| wanted.as_ref().is_none_or(|wanted| wanted.matches(packet));
        match name {
            "settle" => self.settle(&ways),
            "release" => {
                let held = std::mem::take(&mut self.held);
                let (released, left): (Vec<Packet>, _) = held.into_iter().partition(wanted);
                self.held = left;
                if keep {
                    self.held.extend(released.iter().cloned());
                }
                self.carry(released, &Ways::default())
            }
            "deliver" => {
                let packets = self.cluster()?.take(wanted);
                self.carry(packets, &ways)
            }
            _ => {
                let all = Selector::parse("*->*")?;
                let ways = if name == "drop" {
                    Ways {
                        drop: all,
                        ..Ways::default()
                    }
                } else {
                    Ways {
                        hold: all,
                        ..Ways::default()
                    }
                };
                let packets = self.cluster()?.take(wanted);
                self.carry(packets, &ways)
            }
        }
    }

    fn carry(&mut self, packets: Vec<Packet>, ways: &Ways) -> Result<(), String> {
        if packets.is_empty() {
            return Err("there is no such message".to_owned());
        }
        packets
            .into_iter()
            .try_for_each(|packet| self.carry_one(packet, ways))
    }

    fn carry_one(&mut self, packet: Packet, ways: &Ways) -> Result<(), String> {
        if ways.drop.matches(&packet) {
            self.story.taken(&packet, "lost");
        } else if ways.hold.matches(&packet) {
            self.story.taken(&packet, "held");
            self.held.push(packet);
        } else {
            let up = self.cluster()?.node(packet.to.0).is_up();
            self.story
                .arrives(&packet, if up { "" } else { " (not up)" });
            self.cluster()?.receive(packet);
            self.tell();
        }
        Ok(())
    }

    fn settle(&mut self, ways: &Ways) -> Result<(), String> {
        for _ in 0..ROUNDS_MAX {
            let packets = self.cluster()?.take(|_| true);
            if packets.is_empty() {
                return Ok(());
            }
            self.carry(packets, ways)?;
        }
        Err("a storm of messages".to_owned())
    }

    /// A message that no node sent: of a liar, or of the past.
    fn say(&mut self, text: &str) -> Result<(), String> {
        let parts = text.split_once(' ');
        let (link, message) = parts.ok_or("say 2->1 Message(..)")?;
        let (Some(from), Some(to)) = parse_link(link)? else {
            return Err("from one node to one node".to_owned());
        };
        let voters = self.cluster()?.nodes.keys().copied();
        let message = parse_message(message, &Membership::of_voters(voters))?;
        let (from, to) = (NodeId(from), NodeId(to));
        if !self.cluster()?.nodes.contains_key(&to) {
            return Err(format!("there is no node {}", to.0));
        }
        self.carry_one(Packet { from, to, message }, &Ways::default())
    }

    fn links(&mut self, name: &str, arguments: &mut Arguments<'_>) -> Result<(), String> {
        if name == "isolate" {
            let id = self.node(arguments)?;
            self.cluster()?.isolate(id);
            return Ok(());
        }
        let Some(first) = arguments.positional() else {
            self.cluster()?.heal();
            return Ok(());
        };
        let mut links = Some(first);
        while let Some(link) = links {
            let both = link.split_once("--");
            let ends = |from: &str, to: &str| parse_link(&format!("{from}->{to}"));
            let ways = match both {
                Some((from, to)) => vec![ends(from, to)?, ends(to, from)?],
                None => vec![parse_link(link)?],
            };
            for (from, to) in ways {
                self.switch(name == "cut", from, to)?;
            }
            links = arguments.positional();
        }
        Ok(())
    }

    fn switch(&mut self, cut: bool, from: Option<u64>, to: Option<u64>) -> Result<(), String> {
        let cluster = self.cluster()?;
        let ids: Vec<NodeId> = cluster.nodes.keys().copied().collect();
        for a in ids.iter().filter(|id| from.is_none_or(|from| from == id.0)) {
            for b in ids.iter().filter(|id| to.is_none_or(|to| to == id.0)) {
                if a != b && cut {
                    cluster.cut.insert((*a, *b));
                } else {
                    cluster.cut.remove(&(*a, *b));
                }
            }
        }
        Ok(())
    }

    // Time.

    fn time(&mut self, name: &str, arguments: &mut Arguments<'_>) -> Result<(), String> {
        if name == "pass" || name == "run" {
            let passes = parse_duration(arguments.positional().ok_or("how long?")?)?;
            self.story.quiet |= name == "run";
            let ways = (name == "run")
                .then(|| Ways::parse(arguments))
                .transpose()?;
            return self.pass(passes, ways.as_ref());
        }
        let id = self.up(arguments)?;
        let ways = Ways::parse(arguments)?;
        match name {
            "campaign" => self.cluster()?.campaign(id),
            "heartbeat" => self.cluster()?.heartbeat(id),
            "timeout" => {
                let cluster = self.cluster()?;
                let deadline = cluster.node(id).raft().poll_timeout();
                cluster.now = cluster.now.max(deadline.unwrap_or(cluster.now));
                cluster.step(id, Raft::handle_timeout);
            }
            "heartbeats" => {
                self.story.quiet = true;
                for _ in 0..arguments.number()? {
                    self.cluster()?.heartbeat(id);
                    self.tell();
                    self.settle(&ways)?;
                }
            }
            _ => {
                self.story.quiet = true;
                self.cluster()?.campaign(id);
                self.tell();
                self.settle(&ways)?;
                if self.cluster()?.status(id).role != Role::Leader {
                    return Err(format!("{id} is not elected"));
                }
            }
        }
        self.tell();
        Ok(())
    }

    /// By the millisecond: timers fire, and messages take one, if there are ways for them.
    fn pass(&mut self, passes: Duration, ways: Option<&Ways>) -> Result<(), String> {
        let end = self.cluster()?.now.plus(passes);
        while self.cluster()?.now < end {
            let step = Duration::from_millis(1);
            let now = self.cluster()?.now.plus(step).min(end);
            self.cluster()?.now = now;
            if let Some(ways) = ways {
                let packets = self.cluster()?.take(|_| true);
                for packet in packets {
                    self.carry_one(packet, ways)?;
                }
            }
            let ids: BTreeSet<NodeId> = self.cluster()?.nodes.keys().copied().collect();
            for id in ids {
                let node = self.cluster()?.node(id.0);
                let due = |raft: &Raft| raft.poll_timeout().is_some_and(|due| due <= now);
                if node.raft.as_ref().is_some_and(due) {
                    self.cluster()?.step(id.0, Raft::handle_timeout);
                    self.tell();
                }
            }
        }
        Ok(())
    }

    // Disks.

    fn disk(&mut self, name: &str, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let id = self.up(arguments)?;
        let node = NodeId(id);
        match name {
            "slow-disk" => drop(self.cluster()?.slow_disks.insert(node)),
            "slow-reads" => drop(self.cluster()?.slow_reads.insert(node)),
            "sound-disk" => {
                let cluster = self.cluster()?;
                cluster.slow_reads.remove(&node);
                cluster.slow_disks.remove(&node);
                cluster.pump(node);
            }
            "persist" => {
                self.writes(id)?;
                self.cluster()?.persist(id);
            }
            "fail-disk" => {
                self.writes(id)?;
                if arguments.flag("stored") {
                    self.cluster()?.node(id).store_untold();
                }
                self.cluster()?.crash(id);
                self.down.insert(id, "has halted");
                self.story.line(format!("{id} has halted: its disk failed"));
            }
            "serve" => {
                self.reads(id)?;
                self.cluster()?.serve_fetch(id);
            }
            _ => {
                self.reads(id)?;
                let fetch = self.cluster()?.node(id).fetches.remove(0);
                self.cluster()?.step(id, |raft, now| {
                    raft.handle_fetched(now, fetch, Err(FetchError::Unavailable));
                });
            }
        }
        self.tell();
        Ok(())
    }

    /// What the driver tells a core of its disk.
    fn health(&mut self, name: &str, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let id = self.up(arguments)?;
        let cluster = self.cluster()?;
        let mut disk = cluster.health.get(&NodeId(id)).copied().unwrap_or_default();
        match name {
            "disk-pace" => {
                let text = arguments.positional().ok_or("how long does a sync take?")?;
                disk.sync_time = parse_duration(text)?;
            }
            _ => disk.has_room = name == "roomy-disk",
        }
        let cluster = self.cluster()?;
        cluster.health.insert(NodeId(id), disk);
        cluster.step(id, |core, now| core.handle_disk(now, disk));
        self.tell();
        Ok(())
    }

    fn writes(&mut self, id: u64) -> Result<(), String> {
        let writes = self.cluster()?.node(id).write.is_some();
        if writes {
            Ok(())
        } else {
            Err(format!("{id} writes nothing"))
        }
    }

    fn reads(&mut self, id: u64) -> Result<(), String> {
        let idle = self.cluster()?.node(id).fetches.is_empty();
        if idle {
            Err(format!("{id} reads nothing from its log"))
        } else {
            Ok(())
        }
    }

    // The life of a node.

    fn life(&mut self, name: &str, arguments: &mut Arguments<'_>) -> Result<(), String> {
        if name == "crash" {
            let id = self.up(arguments)?;
            let what = if arguments.flag("stored") {
                self.writes(id)?;
                self.cluster()?.node(id).store_untold();
                ": its write was stored, and it did not hear of it"
            } else if self.cluster()?.node(id).write.is_some() {
                ": its write is lost"
            } else {
                ""
            };
            self.cluster()?.crash(id);
            self.down.insert(id, "is down");
            self.story.line(format!("{id} crashes{what}"));
            return Ok(());
        }
        let id = self.node(arguments)?;
        if self.cluster()?.node(id).is_up() {
            return Err(format!("{id} is up"));
        }
        match name {
            "lose-vote" => self.cluster()?.node(id).disk.vote = None,
            "lose-tail" => {
                let last = arguments.number()?;
                self.cluster()?.lose_tail(id, last);
            }
            "replace-snapshot" => {
                let file = self.file(arguments)?;
                self.cluster()?.node(id).disk.snapshot = file;
            }
            _ => match self.cluster()?.try_restart(id) {
                Ok(()) => {
                    self.down.remove(&id);
                    let term = self.cluster()?.status(id).term.0;
                    self.story.line(format!("{id} starts in term {term}"));
                }
                Err(error) => {
                    self.down.insert(id, "does not start");
                    self.story.line(format!("{id} does not start: {error}"));
                }
            },
        }
        self.tell();
        Ok(())
    }

    // Snapshots.

    fn snapshots(&mut self, name: &str, arguments: &mut Arguments<'_>) -> Result<(), String> {
        if name == "slow-pulls" {
            self.cluster()?.slow_pulls = true;
            return Ok(());
        }
        let id = self.up(arguments)?;
        let untold = arguments.flag("untold");
        match name {
            "snapshot" => {
                self.cluster()?.take_snapshot(id);
                let covered = self.cluster()?.node(id).disk.covered();
                self.story
                    .line(format!("{id} has a snapshot up to {}", id_text(covered)));
            }
            "install" => {
                let file = self
                    .file(arguments)?
                    .ok_or("a snapshot of which entries?")?;
                self.cluster()?.finish_pull(id, file, !untold);
            }
            _ => {
                let (from, snapshot) = self
                    .cluster()?
                    .node(id)
                    .pulls
                    .pop()
                    .ok_or_else(|| format!("{id} pulls nothing"))?;
                let file = self.cluster()?.node(from.0).disk.snapshot.clone();
                match file.filter(|(owned, _)| name == "pull" && *owned == snapshot) {
                    Some(file) => self.cluster()?.finish_pull(id, file, !untold),
                    None => {
                        self.story.line(format!("{id} cannot pull it"));
                        self.cluster()?.fail_pull(NodeId(id), &snapshot);
                    }
                }
            }
        }
        self.tell();
        Ok(())
    }

    /// A snapshot file of a machine that was given these entries.
    fn file(
        &mut self,
        arguments: &mut Arguments<'_>,
    ) -> Result<Option<(Snapshot, Vec<LogId>)>, String> {
        let mut machine = Vec::new();
        while let Some(entry) = arguments.positional() {
            machine.push(parse_id(entry)?);
        }
        let voters = self.cluster()?.nodes.keys().copied();
        let membership = Membership::of_voters(voters);
        Ok(machine
            .last()
            .copied()
            .map(|last| (Snapshot { last, membership }, machine)))
    }

    // Clients.

    fn propose(&mut self, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let id = self.up(arguments)?;
        let body = arguments.positional().ok_or("propose what?")?;
        let body = Bytes::copy_from_slice(body.as_bytes());
        let proposed = self
            .cluster()?
            .step(id, |raft, now| raft.propose(now, body));
        match proposed {
            Ok(entry) => self
                .story
                .line(format!("{id} takes it as {}", id_text(entry))),
            Err(error) => self.story.line(format!("{id} refuses: {error}")),
        }
        self.tell();
        Ok(())
    }

    fn read(&mut self, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let id = self.up(arguments)?;
        let read = arguments.number()?;
        if let Err(error) = self.cluster()?.read(id, read) {
            self.story
                .line(format!("{id} refuses read {read}: {error}"));
        }
        self.tell();
        Ok(())
    }
}

/// What becomes of messages on their way, besides arriving.
#[derive(Debug, Default)]
struct Ways {
    drop: Selector,
    hold: Selector,
}

impl Ways {
    fn parse(arguments: &mut Arguments<'_>) -> Result<Self, String> {
        let mut selector = |name| {
            let selector = arguments.option(name).map(Selector::parse).transpose()?;
            Ok::<_, String>(selector.unwrap_or_default())
        };
        let (drop, hold) = (selector("drop")?, selector("hold")?);
        Ok(Self { drop, hold })
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration like 40ms or 2s");
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, 1000),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::from_millis(number * unit))
}

const ROUNDS_MAX: usize = 10_000;
