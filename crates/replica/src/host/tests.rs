//! The order of the loop's steps, observed by a group that records its calls.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use synod_transport::{Lane, Parcel};
use synod_wal::{Lsn, Options, Wal};
use tokio::task::JoinSet;

use super::*;
use crate::members::Members;
use crate::sim::SimDisk;

/// When frames came, and what the clock showed when a group was given them.
type Moments = Arc<Mutex<Vec<(tokio::time::Instant, Option<Instant>)>>>;

/// A transport whose frames are all there from the beginning.
struct Here(VecDeque<Bytes>, Moments);

impl Transport for Here {
    fn send(&mut self, _: NodeId, _: Lane, _: Parcel) {}

    fn flush(&mut self) {}

    fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>> {
        match self.0.pop_front() {
            Some(frame) => {
                let came = (tokio::time::Instant::now(), None);
                self.1.lock().unwrap().push(came);
                Poll::Ready(Some((NodeId(2), frame)))
            }
            None => Poll::Pending,
        }
    }
}

/// A group whose deadline has passed, and is postponed by one of the frames, as a follower's is.
struct Follower {
    heard: Arc<Mutex<Vec<&'static str>>>,
    moments: Moments,
    /// The number of frames after which the deadline is postponed.
    put_off_after: usize,
    deadline: Option<Instant>,
}

impl Drive for Follower {
    fn handle_frame(&mut self, now: Instant, _: NodeId, _: Option<u64>, _: Bytes) {
        let mut heard = self.heard.lock().unwrap();
        heard.push("frame");
        if let Some((_, given)) = self.moments.lock().unwrap().last_mut() {
            *given = Some(now);
        }
        if heard.len() > self.put_off_after {
            self.deadline = Some(now + Duration::from_secs(3600));
        }
    }

    fn handle_timeout(&mut self, _: Instant) {
        self.heard.lock().unwrap().push("silence");
        self.deadline = None;
    }

    fn handle_durable(&mut self, _: Instant, _: Lsn) {}

    fn turn(
        &mut self,
        _: Instant,
        _: &mut Budget,
        _: &mut dyn Log,
        _: &mut dyn Transport,
    ) -> Result<bool, Stopped> {
        Ok(false)
    }

    fn has_jobs(&self) -> bool {
        false
    }

    fn set_disk(&mut self, _: Instant, _: DiskHealth) {}

    fn leave(&mut self, _now: Instant) -> bool {
        true
    }

    fn close(&mut self, _: &Closed) {}

    fn abandon(&mut self, _: &Closed) {}

    fn publish(&mut self, _: &Around) {}

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn members(&self) -> Vec<Arc<Members>> {
        Vec::new()
    }

    fn snapshots(&self) -> u64 {
        0
    }

    fn take_tasks(&mut self) -> JoinSet<()> {
        JoinSet::new()
    }
}

/// The first `enough` calls that a follower gets which has frames waiting and a deadline that has
/// passed, which a frame after the first few postpones.
async fn told(frames: usize, put_off_after: usize, enough: usize) -> Vec<&'static str> {
    play(frames, put_off_after, enough).await.0
}

/// The same, and when each frame came and was given on.
async fn play(
    frames: usize,
    put_off_after: usize,
    enough: usize,
) -> (Vec<&'static str>, Vec<(Instant, Instant)>) {
    let mut options = Options::default();
    (options.segment_bytes, options.record_bytes_max) = (64 << 10, 16 << 10);
    options.reserve_bytes = 0;
    let wal = Wal::open(SimDisk::new(1), options).unwrap();
    let id = GroupId(1);
    let mut frame = id.0.to_le_bytes().to_vec();
    frame.push(0);
    let moments = Moments::default();
    let transport = Here(vec![Bytes::from(frame); frames].into(), moments.clone());
    let (controls, requests) = mpsc::channel(1);
    let config = NodeConfig::default();
    let mut host = Host::new(
        &config,
        NodeId(1),
        None,
        Box::new(wal),
        Box::new(transport),
        requests,
    );
    let clock = host.clock;
    let heard: Arc<Mutex<Vec<_>>> = Arc::default();
    let follower = Follower {
        heard: heard.clone(),
        moments: moments.clone(),
        put_off_after,
        deadline: Some(Instant::default()),
    };
    host.groups.insert(id, Box::new(follower));
    let (end, ended) = oneshot::channel();
    let run = tokio::spawn(host.run());
    // The loop reads controls first, so it must be told to stop only after all calls have come.
    while heard.lock().unwrap().len() < enough {
        tokio::task::yield_now().await;
    }
    controls.send(Control::Shutdown(end)).await.ok().unwrap();
    ended.await.unwrap();
    run.await.unwrap();
    let heard = heard.lock().unwrap().clone();
    let begun = clock.at(Instant::default());
    let moments = moments.lock().unwrap();
    let given = moments
        .iter()
        .filter_map(|(came, given)| Some((Instant(came.duration_since(begun)), (*given)?)));
    (heard, given.collect())
}

/// A promise to a leader lasts from the moment that a group is given with its frame.
#[tokio::test]
async fn the_clock_is_read_after_a_frame_has_come() {
    let frames = 2 * FRAMES_A_TURN;
    let (_, moments) = play(frames, frames - 1, frames).await;
    assert_eq!(moments.len(), frames);
    for (came, given) in moments {
        assert!(given >= came, "{given:?} for a frame that came at {came:?}");
    }
}

#[tokio::test]
async fn what_peers_have_said_is_heard_before_their_silence_is_judged() {
    for (frames, what) in [(1, "frame"), (3 * FRAMES_A_TURN, "frame"), (0, "silence")] {
        let mut heard = told(frames, frames.saturating_sub(1), frames.max(1)).await;
        heard.dedup();
        assert_eq!(heard, [what], "of {frames} frames");
    }
}

/// A flood of frames from one peer must not hide that others have fallen silent.
#[tokio::test]
async fn a_flood_puts_deadlines_off_for_some_turns_and_not_for_ever() {
    let turns = BEHIND_MAX as usize;
    let frames = 4 * turns * FRAMES_A_TURN;
    let heard = told(frames, usize::MAX, frames + 1).await;
    let before = heard.iter().position(|what| *what == "silence");
    let before = before.expect("a deadline is met once");
    // A turn begins with one frame and takes more.
    let most = turns * (FRAMES_A_TURN + 1);
    assert!(
        (FRAMES_A_TURN..=most).contains(&before),
        "{before} frames went before a deadline"
    );
}
