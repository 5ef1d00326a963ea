//! The identity of a data directory: which node of which cluster it is, the current incarnation,
//! what its groups were founded on, the mark of its log, and the disk and last incarnation of each
//! peer that it has met.
//!
//! Beside the file `identity` lies `identity.part`, of the same length. The next version is written
//! into it and renamed over the old one, so a node whose log has filled the disk can still be
//! started.
//!
//! A node that comes back with an empty or an older disk has forgotten votes and acknowledgements;
//! under its old name it could vote a second time (torture list D14). This node and each of its
//! peers check what can be known of that:
//!
//! - *Emptied or replaced*: each peer that has met the old disk refuses the node
//!   ([`Refused::Disk`]). A peer that never met it cannot notice.
//! - *Rolled back to an earlier incarnation*: each peer that has met a later one refuses the node
//!   ([`Refused::Stale`], or [`Refused::Twin`] if its number equals that of the last one met). Each
//!   peer that finds it at the node's own address records that, and refuses its later incarnations
//!   too ([`Refused::RolledBack`]) until it is told to [forget] the node. A peer that was down or cut
//!   off until the node's number had caught up notices nothing.
//! - *Copied, with both copies running*: each peer that has met one of them refuses the other while
//!   their numbers are equal ([`Refused::Twin`]). A copy with a higher number is refused as long as
//!   the other one's connections show that it is alive, and always unless it is at the node's own
//!   address ([`Refused::Unconfirmed`]). If both get through, their commands have different names,
//!   and those of one are rejected ([`Reason::NameUsed`](crate::Reason::NameUsed)).
//! - *Rolled back within its incarnation*: the identity cannot show it. Raft notices, by
//!   [`Divergence::Forgot`](crate::Divergence::Forgot), unless every disk of a quorum was rolled
//!   back.
//! - *Log files removed, or emptied at the end*: the log does not open, see [`Identity::log`]. What
//!   was appended since the last mark (recorded at each segment, each snapshot and each shutdown)
//!   is not missed if its segment reads as never written.
//! - *A whole cluster rolled back, disk by disk*: no node can notice, and this is not supported.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synod_transport::{ClusterId, DiskId, Hello, LastIncarnation, NodeId, Refused};
use synod_wal::{Disk, GroupId, Mark};

use crate::birth::Birth;
use crate::incarnation::{Born, Incarnation};

mod file;
mod forget;
mod open;
mod owner;
mod state;

pub use forget::{ForgetError, Forgotten, forget};
pub(crate) use owner::{LogOfError, log_of};
pub use owner::{Owner, owner};

use file::{BYTES_MAX, FILE, PART, Written, read, store};
use state::{FOUNDING_BYTES_MAX, IncarnationId, Meeting, Pin, State, unreadable};

/// The identity of a node's data directory, opened for one incarnation of the node. Clones are
/// handles to the same identity.
///
/// ```
/// use synod_replica::{Birth, Identity, NodeId, sim::SimDisk};
/// use synod_transport::ClusterId;
///
/// let (disk, birth) = (SimDisk::new(1), Birth::new(ClusterId(7), NodeId(1)));
/// let mut random = 41..;
/// let mut draw = || random.next().unwrap_or_default();
/// let first = Identity::load(disk.clone(), &birth, &mut draw)?;
/// let second = Identity::load(disk, &birth, &mut draw)?;
/// assert_eq!((first.hello().boot, second.hello().boot), (1, 2));
/// assert_eq!(first.hello().disk, second.hello().disk);
/// assert_eq!(second.incarnation().map(|incarnation| incarnation.number()), Some(2));
/// assert!(second.incarnation().is_none());
/// # Ok::<(), synod_replica::IdentityError>(())
/// ```
pub struct Identity<D: Disk>(Arc<Shared<D>>);

struct Shared<D> {
    disk: D,
    birth: Birth,
    /// The contents of the file. Held while the state is changed, and so while the disk is written.
    written: Mutex<Written>,
    /// Held only for moments, so that reading it never waits for the disk.
    state: Mutex<Known>,
}

struct Known {
    state: State,
    /// Drawn for this incarnation alone; neither stored nor sent.
    secret: u64,
    /// Whether the incarnation was given out.
    is_lived: bool,
    /// Groups that it was opened with but that the directory is not founded on yet.
    unfounded: BTreeSet<GroupId>,
}

/// Why a data directory cannot be used for this node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The directory belongs to another node.
    #[error("the data directory belongs to node {}, and this is node {}", found.0, asked.0)]
    Node {
        /// The node it belongs to.
        found: NodeId,
        /// The node it was opened for.
        asked: NodeId,
    },
    /// The directory belongs to another cluster.
    #[error("the data directory belongs to cluster {found}, and this is a node of cluster {asked}")]
    Cluster {
        /// The cluster it belongs to.
        found: ClusterId,
        /// The cluster it was opened for.
        asked: ClusterId,
    },
    /// The directory was founded on another protocol, or on other voters, quorums or formats.
    #[error(
        "the data directory was founded as [{found}], and is to be opened as [{asked}]: open it as what it \
        was founded as (with an empty directory this node would start without its votes and without what it has \
         acknowledged)"
    )]
    Founding {
        /// The founding stored in the directory.
        found: String,
        /// The founding it was opened with.
        asked: String,
    },
    /// The founding is longer than the identity file allows.
    #[error("a founding of {bytes} bytes is above the bound of {bytes_max}")]
    TooManyGroups {
        /// Its length as text, in bytes.
        bytes: usize,
        /// The bound, in bytes.
        bytes_max: usize,
    },
    /// There are other files but no identity: part of the directory is lost, possibly including
    /// votes.
    #[error(
        "the data directory holds {file}, and not the file `identity` that was there before it: lost with that file \
         may be votes"
    )]
    Missing {
        /// One of the files found.
        file: String,
    },
    /// The file has another format version.
    #[error(
        "the identity file has format version {found}, not {known}: another version of the program wrote it"
    )]
    Version {
        /// The version in the file.
        found: u8,
        /// The version that this program reads and writes.
        known: u8,
    },
    /// The file is damaged.
    #[error("the identity file is damaged")]
    Damaged,
    /// The boot counter is exhausted, so no further incarnation can begin.
    #[error("the data directory has no incarnations left: its boot counter is exhausted")]
    LastIncarnation,
    /// Reading or writing the disk failed.
    #[error("the identity cannot be read or stored")]
    Io(#[from] io::Error),
}

impl<D: Disk> Identity<D> {
    /// Opens the identity of a directory and durably raises its boot counter; an empty directory
    /// gets the identity given by `birth`. Random numbers are taken from `draw`: they must not be
    /// predictable, and no two incarnations may draw the same.
    ///
    /// # Errors
    /// If the directory is not this node's, or not complete.
    pub fn load(
        disk: D,
        birth: &Birth,
        mut draw: impl FnMut() -> u64,
    ) -> Result<Self, IdentityError> {
        let names = disk.list()?;
        let mut state = if names.iter().any(|name| name == FILE) {
            let bytes = read(&disk)?;
            State::decode(&bytes).ok_or_else(|| unreadable(&bytes))?
        } else if let Some(file) = names.into_iter().find(|name| name != PART) {
            return Err(IdentityError::Missing { file });
        } else {
            unborn(birth, &mut draw)?
        };
        let unfounded = check(&state, birth)?;
        // Counting never reaches the last number; after it no incarnation may begin.
        let boot = state.incarnation.boot;
        state.incarnation = IncarnationId {
            boot: boot.checked_add(1).ok_or(IdentityError::LastIncarnation)?,
            nonce: draw(),
        };
        // Unfinished files of an earlier incarnation may have filled the disk.
        synod_wal::remove_unfinished(&disk)?;
        store(&disk, &state)?;
        let written = Written::new(state.clone());
        let state = Known {
            state,
            secret: draw(),
            is_lived: false,
            unfounded,
        };
        Ok(Self(Arc::new(Shared {
            disk,
            birth: birth.clone(),
            written: Mutex::new(written),
            state: Mutex::new(state),
        })))
    }

    /// The incarnation that was begun by opening this, with which to start a [`Node`](crate::Node);
    /// `None` if it was given out before.
    #[must_use]
    pub fn incarnation(&self) -> Option<Incarnation> {
        let mut known = self.lock();
        if std::mem::replace(&mut known.is_lived, true) {
            return None;
        }
        let IncarnationId { boot, nonce } = known.state.incarnation;
        let (secret, log) = (known.secret, known.state.log);
        drop(known);
        let [keeper, founder, founded] = [(); 3].map(|()| self.clone());
        Some(Incarnation {
            node: self.0.birth.node,
            number: boot,
            nonce,
            secret,
            born: Some(Born {
                birth: self.0.birth.clone(),
                hello: self.hello(),
                log,
                keep: Arc::new(move |mark| keeper.note_log(mark)),
                is_founded: Arc::new(move |group| !founded.lock().unfounded.contains(&group)),
                found: Arc::new(move |group| founder.found(group)),
            }),
        })
    }

    /// The hello that this node sends to its peers.
    #[must_use]
    pub fn hello(&self) -> Hello {
        let known = self.lock();
        let State {
            cluster,
            node,
            disk,
            incarnation,
            ..
        } = known.state;
        Hello {
            cluster,
            node,
            disk,
            boot: incarnation.boot,
            nonce: incarnation.nonce,
            founding: self.0.birth.digest(),
        }
    }

    /// The mark that the log must have reached, for [`Options::least`](synod_wal::Options::least);
    /// `None` if no log was begun.
    #[must_use]
    pub fn log(&self) -> Option<Mark> {
        self.lock().state.log
    }

    /// Durably records the log's mark. A node that was started with the
    /// [`incarnation`](Self::incarnation) of this identity does it with each segment, at each
    /// snapshot and when it stops.
    ///
    /// Blocks on the disk.
    ///
    /// # Errors
    /// If it cannot be stored; the mark recorded before remains in force.
    pub fn note_log(&self, mark: Mark) -> io::Result<()> {
        let mut written = self.written();
        let mut with = self.lock().state.clone();
        if mark.generation == 0 || with.log == Some(mark) {
            return Ok(());
        }
        with.log = Some(mark);
        written.replace(&self.0.disk, &with)?;
        self.lock().state = with;
        Ok(())
    }

    /// Durably founds the directory on a group that it was opened with and of which its log holds
    /// nothing. Blocks on the disk.
    fn found(&self, group: GroupId) -> io::Result<()> {
        let mut written = self.written();
        let (mut with, mut unfounded) = {
            let known = self.lock();
            (known.state.clone(), known.unfounded.clone())
        };
        if !unfounded.remove(&group) {
            return Ok(());
        }
        with.founding = self.0.birth.founding_without(&unfounded);
        written.replace(&self.0.disk, &with)?;
        let mut known = self.lock();
        (known.state, known.unfounded) = (with, unfounded);
        drop(known);
        Ok(())
    }

    /// The last incarnation that each peer was met in, by which a transport recognizes new ones.
    #[must_use]
    pub fn met(&self) -> BTreeMap<NodeId, LastIncarnation> {
        let known = self.lock();
        let pins = known.state.peers.iter();
        pins.map(|(node, pin)| (*node, pin.last_life())).collect()
    }

    /// Checks that a peer is on the disk it was first met on, in no earlier incarnation than it was
    /// last met in, and has the same founding as this node. A first meeting and a later incarnation
    /// are stored durably, which blocks on the disk.
    ///
    /// The caller must have verified an incarnation that was not [`met`](Self::met) with the peer
    /// itself: a [`Tcp`](synod_transport::Tcp) asks at the address that the peer is known by.
    ///
    /// # Errors
    /// - [`Refused::Founding`] if its groups are founded differently, or changed by a decision: no
    ///   decision changes a founding yet;
    /// - [`Refused::Disk`] on another disk, [`Refused::Stale`] in an earlier incarnation, and
    ///   [`Refused::Twin`] in a different incarnation of the same number, from one of two copies of
    ///   a disk;
    /// - [`Refused::RolledBack`] in a later incarnation of a disk that [was rolled back](Self::note_rollback);
    /// - [`Refused::Full`] if the first meeting cannot be stored for want of space, and otherwise
    ///   [`Refused::Unstored`]; a later meeting may then be the first.
    ///   [`Refused::Unstored`]; a later meeting may be the first.
    pub fn admit(&self, hello: &Hello) -> Result<(), Refused> {
        if hello.founding != self.0.birth.digest() {
            return Err(Refused::Founding);
        }
        let pin = Pin::of(hello);
        if self.lock().state.judge(hello.node, &pin)? == Meeting::Again {
            return Ok(());
        }
        let mut written = self.written();
        let mut with = self.lock().state.clone();
        // Another thread may have admitted it while this one waited.
        let meeting = with.judge(hello.node, &pin)?;
        if meeting == Meeting::Again {
            return Ok(());
        }
        with.peers.insert(hello.node, pin);
        match self.store(&mut written, &with) {
            Ok(()) => self.lock().state = with,
            // Its disk is known. Failing to store a later incarnation is no reason to refuse the
            // peer.
            Err(_) if meeting == Meeting::LaterIncarnation => {}
            Err(refused) => return Err(refused),
        }
        Ok(())
    }

    /// Durably records that a peer was rolled back: that at its own address it runs in an
    /// incarnation that [`admit`](Self::admit) refuses as [`Refused::Stale`] or [`Refused::Twin`],
    /// after a later or different one was met. What it acknowledged since the copy was made is gone
    /// there, and its next incarnation would have a higher number than any that was met. So no
    /// incarnation of that disk is admitted any more ([`Refused::RolledBack`]), except the one met
    /// last, until the peer is [forgotten](forget). Blocks on the disk; what cannot be stored holds
    /// for this incarnation only.
    pub fn note_rollback(&self, hello: &Hello) {
        let mut written = self.written();
        let mut with = self.lock().state.clone();
        let refused = with.judge(hello.node, &Pin::of(hello));
        let Some(pin) = with.peers.get_mut(&hello.node) else {
            return;
        };
        let is_put_back = matches!(refused, Err(Refused::Stale | Refused::Twin));
        if is_put_back && !std::mem::replace(&mut pin.is_rolled_back, true) {
            // A failure to store was logged there.
            let _stored = self.store(&mut written, &with);
            self.lock().state = with;
        }
    }

    fn store(&self, written: &mut Written, with: &State) -> Result<(), Refused> {
        // The next incarnation would refuse a longer file.
        if with.encode().len() > BYTES_MAX {
            return Err(Refused::Unstored);
        }
        written.replace(&self.0.disk, with).map_err(|error| {
            // Peers retry again and again; the caller reports a refusal and its reason, at a
            // limited rate.
            tracing::debug!(%error, "cannot store the last meeting with a peer");
            if synod_wal::is_full(&error) {
                Refused::Full
            } else {
                Refused::Unstored
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // The state is replaced as a whole, so it is consistent even if a holder panicked.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Must be locked before the state is.
    fn written(&self) -> MutexGuard<'_, Written> {
        // After each of its changes it describes a possible content of the file.
        self.0
            .written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many(founding: &str) -> IdentityError {
    IdentityError::TooManyGroups {
        bytes: founding.len(),
        bytes_max: FOUNDING_BYTES_MAX,
    }
}

/// The state of an empty directory before its first incarnation.
fn unborn(birth: &Birth, draw: &mut impl FnMut() -> u64) -> Result<State, IdentityError> {
    let founding = birth.founding();
    if founding.len() > FOUNDING_BYTES_MAX {
        return Err(too_many(&founding));
    }
    Ok(State {
        cluster: birth.cluster,
        node: birth.node,
        disk: DiskId(u128::from(draw()) << 64 | u128::from(draw())),
        incarnation: IncarnationId { boot: 0, nonce: 0 },
        log: None,
        founding,
        peers: BTreeMap::new(),
    })
}

/// Checks that the directory is that of `birth`; returns the groups that it was not founded on yet.
fn check(state: &State, birth: &Birth) -> Result<BTreeSet<GroupId>, IdentityError> {
    let (found, asked) = (state.cluster, birth.cluster);
    if found != asked {
        return Err(IdentityError::Cluster { found, asked });
    }
    let (found, asked) = (state.node, birth.node);
    if found != asked {
        return Err(IdentityError::Node { found, asked });
    }
    let asked = birth.founding();
    let Some(unfounded) = birth.beyond(&state.founding) else {
        let found = state.founding.clone();
        return Err(IdentityError::Founding { found, asked });
    };
    if asked.len() > FOUNDING_BYTES_MAX {
        return Err(too_many(&asked));
    }
    Ok(unfounded)
}

impl<D: Disk> Clone for Identity<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: Disk> fmt::Debug for Identity<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("state", &self.lock().state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod rollback;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod words;
