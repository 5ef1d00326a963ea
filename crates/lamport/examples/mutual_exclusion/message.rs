use synod_lamport::{LamportTime, Stamp};

/// A message between processes: the state of the sender's request as of `time` of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Message {
    /// The sender requests the resource, and an answer.
    Request {
        /// When the message was sent; later than `request` if it is sent again.
        time: LamportTime,
        /// When the sender requested the resource.
        request: LamportTime,
    },
    /// The answer: any later request of the sender has a later time.
    Acknowledge {
        /// When the message was sent.
        time: LamportTime,
        /// The sender's own request, waiting or granted.
        request: Option<LamportTime>,
    },
    /// The sender has released the resource.
    Release {
        /// When the message was sent.
        time: LamportTime,
    },
}

impl Message {
    /// When the message was sent, by its sender's clock.
    #[must_use]
    pub(crate) const fn time(&self) -> LamportTime {
        match self {
            Self::Request { time, .. }
            | Self::Acknowledge { time, .. }
            | Self::Release { time } => *time,
        }
    }

    /// The time of the sender's request, if it waits for the resource or holds it.
    #[must_use]
    pub(crate) const fn request(&self) -> Option<LamportTime> {
        match self {
            Self::Request { request, .. } => Some(*request),
            Self::Acknowledge { request, .. } => *request,
            Self::Release { .. } => None,
        }
    }
}

/// What the driver of a [`MutualExclusion`](super::MutualExclusion) does next. Exhaustive on
/// purpose: a new kind must not be overlooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Output<N> {
    /// Send this message.
    Send {
        /// The receiver.
        to: N,
        /// The message to send.
        message: Message,
    },
    /// The resource is held, by the request of this stamp, until
    /// [`release`](super::MutualExclusion::release). Later holders have greater stamps.
    Entered(Stamp<N>),
}
