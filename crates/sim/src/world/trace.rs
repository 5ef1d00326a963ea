//! The log of a world's events: the last ones to read, and a fingerprint of all.

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::world::fault::Fault;
use crate::world::process::NodeId;

/// A bounded log whose fingerprint covers every event, also those that it has dropped.
#[derive(Debug)]
pub(super) struct Trace<M> {
    last: VecDeque<Noted<M>>,
    kept_max: usize,
    digest: Digest,
}

/// An event of the log. Messages are stored unformatted and formatted only when printed.
#[derive(Debug)]
pub(super) struct Noted<M> {
    pub(super) at: Duration,
    pub(super) node: NodeId,
    pub(super) what: Happening<M>,
}

#[derive(Clone, Debug, Hash)]
pub(super) enum Happening<M> {
    Start {
        incarnation: u64,
    },
    Delivered {
        from: NodeId,
        message: M,
    },
    Dropped {
        to: NodeId,
        message: M,
        why: Why,
    },
    Timer,
    SyncDone,
    Input {
        text: String,
        dropped: bool,
    },
    Crash {
        power: bool,
        how: How,
        unsent: usize,
    },
    Error(String),
    Cut {
        to: NodeId,
    },
    Healed {
        to: NodeId,
    },
    Struck(Fault),
    Ended(Ending),
    CoreHealed(Vec<NodeId>),
    FaultsStop,
}

/// A fault that ends by itself.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Ending {
    Pause(NodeId),
    Partition,
    Clog { from: NodeId, to: NodeId },
    Freeze(NodeId),
    Stall(NodeId),
    Full(NodeId),
}

#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Why {
    Lost,
    Cut,
    Down,
    Full,
}

#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum How {
    BetweenSteps,
    InStep,
    ByError,
    AtStart,
}

impl<M: Clone + Debug + Hash> Trace<M> {
    pub(super) fn new(kept_max: usize) -> Self {
        Self {
            last: VecDeque::new(),
            kept_max,
            digest: Digest::default(),
        }
    }

    pub(super) fn note(&mut self, at: Duration, node: NodeId, what: Happening<M>) {
        (at, node, &what).hash(&mut self.digest);
        self.keep(at, node, what);
    }

    /// The most frequent event, whose message is cloned only to be kept.
    pub(super) fn note_delivered(&mut self, at: Duration, node: NodeId, from: NodeId, message: &M) {
        (at, node, from, message).hash(&mut self.digest);
        if self.keeps() {
            let message = message.clone();
            self.keep(at, node, Happening::Delivered { from, message });
        }
    }

    /// An input, which is text already.
    pub(super) fn note_input(&mut self, at: Duration, node: NodeId, text: &str, dropped: bool) {
        (at, node, text, dropped).hash(&mut self.digest);
        if self.keeps() {
            let text = text.to_owned();
            self.keep(at, node, Happening::Input { text, dropped });
        }
    }

    fn keep(&mut self, at: Duration, node: NodeId, what: Happening<M>) {
        if self.keeps() {
            if self.last.len() == self.kept_max {
                self.last.pop_front();
            }
            self.last.push_back(Noted { at, node, what });
        }
    }

    fn keeps(&self) -> bool {
        self.kept_max > 0
    }

    /// What is kept, oldest first.
    pub(super) fn events(&self) -> impl Iterator<Item = &Noted<M>> {
        self.last.iter()
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest.clone()
    }
}

impl<M: Debug> fmt::Display for Noted<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = match self.node {
            EVERYWHERE => "all".to_owned(),
            node => node.to_string(),
        };
        write!(f, "{:>14.6} ms {node:>4} ", self.at.as_secs_f64() * 1e3)?;
        write!(f, "{}", self.what)
    }
}

impl<M: Debug> fmt::Display for Happening<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { incarnation } => write!(f, "starts, incarnation {incarnation}"),
            Self::Delivered { from, message } => write!(f, "<- {from} {}", Brief(message)),
            Self::Dropped { to, message, why } => {
                write!(f, "-x {to} {} ({why})", Brief(message))
            }
            Self::Timer => write!(f, "timer"),
            Self::SyncDone => write!(f, "sync done"),
            Self::Input { text, dropped } => match dropped {
                false => write!(f, "input {text}"),
                true => write!(f, "is down, input {text} is dropped"),
            },
            Self::Crash { power, how, unsent } => {
                let kind = if *power { "loses power" } else { "is killed" };
                let how = match how {
                    How::BetweenSteps => "between two steps",
                    How::InStep => "in a step",
                    How::ByError => "by an error",
                    How::AtStart => "while it starts",
                };
                write!(f, "{kind} {how}, {unsent} messages unsent")
            }
            Self::Error(error) => write!(f, "fails: {error}"),
            Self::Cut { to } => write!(f, "-/- {to} link cut"),
            Self::Healed { to } => write!(f, "--- {to} link healed"),
            Self::Struck(fault) => write!(f, "fault: {fault}"),
            Self::Ended(ending) => write!(f, "{ending}"),
            Self::CoreHealed(core) => {
                write!(f, "a core is healed:")?;
                core.iter().try_for_each(|node| write!(f, " {node}"))
            }
            Self::FaultsStop => write!(f, "faults stop"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Cut => "cut off",
            Self::Down => "nobody there",
            Self::Full => "link full",
        })
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause(_) => write!(f, "goes on"),
            Self::Partition => write!(f, "the partition ends"),
            Self::Clog { from, to } => write!(f, "{from}>{to} is no longer clogged"),
            Self::Freeze(_) => write!(f, "the clock goes on"),
            Self::Stall(_) => write!(f, "the disk syncs again"),
            Self::Full(_) => write!(f, "the disk has space again"),
        }
    }
}

/// The beginning of a message's text.
struct Brief<'a, M>(&'a M);

impl<M: Debug> fmt::Display for Brief<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:?}", self.0);
        match text.char_indices().nth(MESSAGE_CHARS_MAX) {
            Some((end, _)) => write!(f, "{}..", &text[..end]),
            None => f.write_str(&text),
        }
    }
}

/// A hash of 128 bits that is the same in every run: two lanes of multiply and rotate, not for
/// cryptography.
#[derive(Clone, Debug)]
pub(super) struct Digest {
    lanes: [u64; 2],
}

impl Digest {
    pub(super) fn value(&self) -> u128 {
        let [a, b] = self.lanes.map(finalize);
        u128::from(a) << 64 | u128::from(b)
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self {
            lanes: [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344],
        }
    }
}

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        finalize(self.lanes[0])
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last));
        self.write_u64(bytes.len() as u64);
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        let [a, b] = &mut self.lanes;
        *a = (*a ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
        *b = (*b ^ word)
            .wrapping_mul(0xd6e8_feb8_6659_fd93)
            .rotate_left(31);
    }
}

fn finalize(mut lane: u64) -> u64 {
    lane = (lane ^ (lane >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    lane = (lane ^ (lane >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    lane ^ (lane >> 32)
}

/// The pseudo-node of events of the whole world.
pub(super) const EVERYWHERE: NodeId = NodeId(0);

const MESSAGE_CHARS_MAX: usize = 100;
