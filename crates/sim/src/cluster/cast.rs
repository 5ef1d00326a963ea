//! What scripts have to know of nodes beside: what their commands read.

use std::time::Duration;

use super::core::{File, PacketOf, Protocol};
use super::group::Cluster;
use super::node::Node;
use crate::script::Arguments;

/// Cores that play in scripts.
///
/// What `say`, `install` and `expect` read is written as stories write it.
pub trait Cast: Protocol {
    /// The names of all messages.
    const MESSAGES: &'static [&'static str];
    /// Commands of the protocol's own, each for a node that is down.
    const TAMPERINGS: &'static [&'static str];
    /// After so long nobody is heard any more.
    const SILENCE: Duration;
    /// From one heartbeat to the next.
    const HEARTBEAT: Duration;

    /// A group as `add-nodes` describes it; the inner error is told, and is no mistake of the script.
    ///
    /// # Errors
    /// If the command makes no sense.
    fn cast(arguments: &mut Arguments<'_>) -> Result<Result<Cluster<Self>, String>, String>;

    /// The message of that text, among these nodes.
    ///
    /// # Errors
    /// What is wrong with it.
    fn parse_message(text: &str, ids: &[Self::Id]) -> Result<Self::Message, String>;
    /// The entry of that name.
    ///
    /// # Errors
    /// If it is none.
    fn parse_mark(text: &str) -> Result<Self::Mark, String>;
    /// A snapshot up to an entry, among these nodes.
    fn parse_snapshot(last: Self::Mark, ids: &[Self::Id]) -> Self::Snapshot;

    /// Does one of the [`TAMPERINGS`](Self::TAMPERINGS).
    ///
    /// # Errors
    /// If the command makes no sense.
    fn tamper(
        node: &mut Node<Self>,
        name: &str,
        arguments: &mut Arguments<'_>,
    ) -> Result<(), String>;
    /// The disk has room, or not.
    fn set_room(health: &mut Self::Health, has_room: bool);
    /// A sync takes so long.
    fn set_sync_time(health: &mut Self::Health, time: Duration);

    /// How it starts: "starts in term 3".
    fn start_text(core: &Self::Core) -> String;
    /// What `status` tells beside, and a line for each other node that it knows of.
    fn status_text(core: &Self::Core, applied: usize) -> (String, Vec<String>);
    /// A value that `expect` asks for and that also a node has that is down, beside those that the
    /// cluster counts.
    fn stored_value(node: &Node<Self>, name: &str) -> Option<String>;
    /// A value that `expect` asks for; `detail` is what stands behind the node.
    ///
    /// # Errors
    /// If there is no such value.
    fn live_value(core: &Self::Core, name: &str, detail: &str) -> Result<String, String>;
    /// Why it stopped, in a word.
    fn stop_text(stop: Self::Stop) -> &'static str;
}

/// The number of a packet's sender, that of its receiver, and its text.
pub(super) fn packet_text<P: Cast>(packet: &PacketOf<P>) -> (u64, u64, String) {
    let (from, to) = (P::number(packet.from), P::number(packet.to));
    (from, to, P::message_text(&packet.message))
}

/// A snapshot file of a machine that was given this; `None` if that is nothing.
pub(super) fn parse_file<P: Cast>(
    words: &[&str],
    ids: &[P::Id],
) -> Result<Option<File<P>>, String> {
    let machine = words.iter().map(|word| P::parse_mark(word));
    let machine: Vec<P::Mark> = machine.collect::<Result<_, _>>()?;
    let last = machine.last().copied();
    Ok(last.map(|last| (P::parse_snapshot(last, ids), machine)))
}
