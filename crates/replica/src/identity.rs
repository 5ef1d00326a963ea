//! Who a data directory is: a node of a cluster, which incarnation of it this is, what its groups are founded
//! on, how far its log has come, and the disks and incarnations its peers were met in.
//!
//! Beside the file `identity` lies `identity.part`, of the same length: the next one is written into it,
//! and takes its place. So a node whose log has filled the disk can still be started.
//!
//! A node that comes back with an empty disk, or with one as it was a while ago, has forgotten votes and
//! acknowledgements; under its old name it could vote a second time (torture list D14). What of this can be
//! known is checked here and at each peer:
//!
//! - *Emptied, or another one*: each peer that has met the old one refuses it ([`Refused::Disk`]); a peer that
//!   never met it does not know.
//! - *Put back to an earlier incarnation*: each peer that has met a later one refuses it ([`Refused::Stale`]; where it
//!   counts like the one that was met, [`Refused::Twin`]). Each that finds it at the node's own address notes
//!   that for good, and refuses its later incarnations too ([`Refused::Doubted`]) until it is told to
//!   [forget] it. A peer that did not meet such an incarnation before the node had caught up, since it was down or cut
//!   off, notices nothing.
//! - *Copied, and both run*: each peer that met one of them in an incarnation that counts the same refuses the other
//!   ([`Refused::Twin`]). One that counts higher is refused as long as the other shows on its connections that
//!   it lives, and where it is not at the node's own address, always ([`Refused::Unconfirmed`]). Where both get
//!   through, their commands have names of their own, and those of one are refused
//!   ([`Reason::NameUsed`](crate::Reason::NameUsed)).
//! - *Put back within its incarnation*: nobody notices by the identity. Raft does, by
//!   [`Divergence::Forgot`](crate::Divergence::Forgot), unless every disk of a quorum was put back.
//! - *Log files removed, or emptied at the end*: the log does not open, see [`Identity::log`]. What was appended
//!   since the last mark (at each segment, each snapshot and each end of an incarnation) is not missed, if its segment
//!   reads as one that was never written.
//! - *A whole cluster put back, disk by disk*: nobody can notice, and that is not supported.

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
mod state;

pub use forget::{ForgetError, Forgotten, forget};

use file::{BYTES_MAX, FILE, PART, Written, read, store};
use state::{FOUNDING_BYTES_MAX, IncarnationId, Meeting, Pin, State, unreadable};

/// The identity of the data directory a node runs on, open for this one incarnation of the node. Clones are
/// handles to the same one.
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
    /// What the file holds. Whoever changes the state holds this meanwhile, and so waits for the disk.
    written: Mutex<Written>,
    /// Held for moments: whoever only looks does not wait for the disk.
    state: Mutex<Known>,
}

struct Known {
    state: State,
    /// Of this incarnation alone: neither stored nor told to anybody.
    secret: u64,
    /// The incarnation of this node was given out.
    is_lived: bool,
    /// Groups that it was opened with, and not born with or founded on since.
    unfounded: BTreeSet<GroupId>,
}

/// Why a data directory does not serve as this node's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// It belongs to another node.
    #[error("the data directory belongs to node {}, and this is node {}", found.0, asked.0)]
    Node {
        /// Whose it is.
        found: NodeId,
        /// Whose it was to be.
        asked: NodeId,
    },
    /// It belongs to another cluster.
    #[error("the data directory belongs to cluster {found}, and this is a node of cluster {asked}")]
    Cluster {
        /// Which it belongs to.
        found: ClusterId,
        /// Which it was to belong to.
        asked: ClusterId,
    },
    /// It was founded on another protocol, other voters, quorums or formats.
    #[error(
        "the data directory was founded as [{found}], and is to be opened as [{asked}]: open it as what it \
         was founded as (on an empty one this node would begin without its votes and without what it has \
         acknowledged)"
    )]
    Founding {
        /// What it was founded as.
        found: String,
        /// What it was to be opened as.
        asked: String,
    },
    /// What it is to be founded as takes more bytes than the file has for it.
    #[error("a founding of {bytes} bytes is above the bound of {bytes_max}")]
    TooManyGroups {
        /// Its length as text.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// There are other files, but no identity: part of the directory is lost, and votes may be with
    /// it.
    #[error(
        "the data directory holds {file}, and not the file `identity` that was there before it: what is gone with \
         that may be votes"
    )]
    Missing {
        /// One of the files that are there.
        file: String,
    },
    /// The file has the format of another version.
    #[error(
        "the identity file has format version {found}, not {known}: another version of the program wrote it"
    )]
    Version {
        /// Which it says.
        found: u8,
        /// The one that is read here.
        known: u8,
    },
    /// The file is damaged.
    #[error("the identity file is damaged")]
    Damaged,
    /// The last of all incarnations there can be was lived.
    #[error("the data directory has lived the last of its incarnations")]
    LastIncarnation,
    /// The medium failed.
    #[error("the identity cannot be read or stored")]
    Io(#[from] io::Error),
}

impl<D: Disk> Identity<D> {
    /// Opens the identity of a directory and durably raises its boot counter; an empty directory gets
    /// that of `birth`. What is random is drawn by `draw`: it must not be guessed by others, and no two
    /// lives may draw the same.
    ///
    /// # Errors
    /// When the directory is not this node's, or not whole.
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
        // No node gets to the last boot by counting; and there is none behind it, so no incarnation may begin.
        let boot = state.incarnation.boot;
        state.incarnation = IncarnationId {
            boot: boot.checked_add(1).ok_or(IdentityError::LastIncarnation)?,
            nonce: draw(),
        };
        // What an earlier incarnation has left half done may have filled the disk.
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

    /// The incarnation that was begun with this, to start a [`Node`](crate::Node) with; `None` when it was given
    /// out before.
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

    /// What this node says of itself to its peers.
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

    /// What the log must hold, for [`Options::least`](synod_wal::Options::least); `None` when none was begun.
    #[must_use]
    pub fn log(&self) -> Option<Mark> {
        self.lock().state.log
    }

    /// Notes durably how far the log has come. A node that is started with the [`incarnation`](Self::incarnation) of
    /// this does it with each segment, at each snapshot and when it stops.
    ///
    /// Waits for the disk.
    ///
    /// # Errors
    /// When it cannot be stored; what was noted before still counts.
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

    /// Makes durable that the directory is founded on a group that it was opened with: its log holds nothing
    /// of it. Waits for the disk.
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

    /// The last incarnations that peers were met in, by which a transport tells who is new to it.
    #[must_use]
    pub fn met(&self) -> BTreeMap<NodeId, LastIncarnation> {
        let known = self.lock();
        let pins = known.state.peers.iter();
        pins.map(|(node, pin)| (*node, pin.last_life())).collect()
    }

    /// Whether a peer stands on the disk it was first met on, in no earlier incarnation than it was met in, and is
    /// founded as this node is. A first meeting is made durable, and so is a later incarnation: then it waits for the
    /// disk.
    ///
    /// So whoever asks must know of an incarnation that was not [`met`](Self::met) that the peer itself lives it, not
    /// somebody who says so: a [`Tcp`](synod_transport::Tcp) asks at the address that the peer is known by.
    ///
    /// # Errors
    /// - [`Refused::Founding`] when its groups are founded otherwise, or by a decision: no group's founding
    ///   is changed by any yet;
    /// - [`Refused::Disk`] when it stands on another disk, [`Refused::Stale`] in an earlier incarnation, and
    ///   [`Refused::Twin`] in one that was met and is another: of two copies of one disk;
    /// - [`Refused::Doubted`] for a later incarnation of a disk that is in [doubt](Self::doubt);
    /// - when the first meeting cannot be stored, [`Refused::Full`] for want of space, else
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
        // Another may have come while this one waited.
        let meeting = with.judge(hello.node, &pin)?;
        if meeting == Meeting::Again {
            return Ok(());
        }
        with.peers.insert(hello.node, pin);
        match self.store(&mut written, &with) {
            Ok(()) => self.lock().state = with,
            // Its disk is known. That this incarnation of it is not is no reason to do without it.
            Err(_) if meeting == Meeting::LaterIncarnation => {}
            Err(refused) => return Err(refused),
        }
        Ok(())
    }

    /// Notes durably that a peer was put back: that at its own address it runs in an incarnation that
    /// [`admit`](Self::admit) refuses as [`Refused::Stale`] or [`Refused::Twin`], after the later incarnation, or the
    /// other that counts alike, was met. What it acknowledged after it was copied is gone there, and its
    /// next incarnation would count higher than any that was met: so none of that disk is admitted any more
    /// ([`Refused::Doubted`]), but the one that was met last, until the peer is [forgotten](forget). Waits for
    /// the disk; what cannot be stored counts for this incarnation.
    pub fn doubt(&self, hello: &Hello) {
        let mut written = self.written();
        let mut with = self.lock().state.clone();
        let refused = with.judge(hello.node, &Pin::of(hello));
        let Some(pin) = with.peers.get_mut(&hello.node) else {
            return;
        };
        let is_put_back = matches!(refused, Err(Refused::Stale | Refused::Twin));
        if is_put_back && !std::mem::replace(&mut pin.is_doubted, true) {
            // Told by the store.
            let _stored = self.store(&mut written, &with);
            self.lock().state = with;
        }
    }

    fn store(&self, written: &mut Written, with: &State) -> Result<(), Refused> {
        // Longer, it would be refused by the next incarnation.
        if with.encode().len() > BYTES_MAX {
            return Err(Refused::Unstored);
        }
        written.replace(&self.0.disk, with).map_err(|error| {
            // A peer tries again and again; that it is refused, and why, is told by whoever asks,
            // now and then.
            tracing::debug!(%error, "what was met of a peer cannot be stored");
            if synod_wal::is_full(&error) {
                Refused::Full
            } else {
                Refused::Unstored
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // The state is replaced as a whole, so it is whole even if a holder panicked.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before the state is locked.
    fn written(&self) -> MutexGuard<'_, Written> {
        // Each change of it is one of what may lie there.
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

/// What an empty directory is before its first incarnation.
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

/// Whether the directory is that of `birth`, and which groups of that it was not founded on yet.
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
mod doubt;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod words;
