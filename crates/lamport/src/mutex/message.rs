use crate::{LamportTime, Stamp};

/// What one process tells another: what it asks for, as of `time` of its clock.
///
/// ```
/// use synod_lamport::LamportTime;
/// use synod_lamport::mutex::Message;
///
/// let time = LamportTime::new(3);
/// assert_eq!(Message::Request { time, request: time }.request(), Some(time));
/// assert_eq!(Message::Release { time }.request(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Message {
    /// The sender asks for the resource, and for an answer.
    Request {
        /// When the message was sent; later than `request` if it is sent again.
        time: LamportTime,
        /// When the sender asked for the resource.
        request: LamportTime,
    },
    /// The answer: whatever the sender asks for from now on is later.
    Acknowledge {
        /// When the message was sent.
        time: LamportTime,
        /// What the sender itself asks for or holds.
        request: Option<LamportTime>,
    },
    /// The sender has given back what it held.
    Release {
        /// When the message was sent.
        time: LamportTime,
    },
}

impl Message {
    /// When the message was sent, by its sender's clock.
    ///
    /// ```
    /// # use synod_lamport::LamportTime;
    /// # use synod_lamport::mutex::Message;
    /// let time = LamportTime::new(3);
    /// assert_eq!(Message::Release { time }.time(), time);
    /// ```
    #[must_use]
    pub const fn time(&self) -> LamportTime {
        match self {
            Self::Request { time, .. }
            | Self::Acknowledge { time, .. }
            | Self::Release { time } => *time,
        }
    }

    /// The time of the sender's request, if it asks for the resource or holds it.
    ///
    /// ```
    /// # use synod_lamport::LamportTime;
    /// # use synod_lamport::mutex::Message;
    /// let (time, request) = (LamportTime::new(3), LamportTime::new(2));
    /// assert_eq!(Message::Request { time, request }.request(), Some(request));
    /// ```
    #[must_use]
    pub const fn request(&self) -> Option<LamportTime> {
        match self {
            Self::Request { request, .. } => Some(*request),
            Self::Acknowledge { request, .. } => *request,
            Self::Release { .. } => None,
        }
    }
}

/// What the driver of a [`MutualExclusion`](super::MutualExclusion) does next. Exhaustive on
/// purpose: a new kind must not be overlooked.
///
/// ```
/// use synod_lamport::mutex::{MutualExclusion, Output};
/// use synod_lamport::{LamportTime, Stamp};
///
/// let mut alone = MutualExclusion::new(1, [], LamportTime::ZERO)?;
/// alone.request()?;
/// let entered = Output::Entered(Stamp::new(LamportTime::new(1), 1));
/// assert_eq!(alone.poll_output(), Some(entered));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Output<N> {
    /// Send this message.
    Send {
        /// Whom to.
        to: N,
        /// What.
        message: Message,
    },
    /// The resource is held, by the request of this stamp, until
    /// [`release`](super::MutualExclusion::release). Later holders have greater stamps.
    Entered(Stamp<N>),
}
