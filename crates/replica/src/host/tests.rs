//! The order in which the loop does things, with a group that only notes what it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use synod_transport::{Lane, Parcel};
use synod_wal::{Lsn, Options, Wal};
use tokio::task::JoinSet;

use super::*;
use crate::sim::SimDisk;

/// A transport that has all its frames from the beginning.
struct Here(VecDeque<Bytes>);

impl Transport for Here {
    fn send(&mut self, _: NodeId, _: Lane, _: Parcel) {}

    fn flush(&mut self) {}

    fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>> {
        match self.0.pop_front() {
            Some(frame) => Poll::Ready(Some((NodeId(2), frame))),
            None => Poll::Pending,
        }
    }
}

/// A group whose deadline has passed, and is put off by the last frame: a follower.
struct Follower {
    heard: Arc<Mutex<Vec<&'static str>>>,
    frames: usize,
    deadline: Option<Instant>,
}

impl Drive for Follower {
    fn handle_frame(&mut self, now: Instant, _: NodeId, _: Option<u64>, _: Bytes) {
        self.heard.lock().unwrap().push("frame");
        self.frames -= 1;
        if self.frames == 0 {
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

    fn close(&mut self, _: &Closed) {}

    fn abandon(&mut self, _: &Closed) {}

    fn publish(&mut self, _: &Around) {}

    fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    fn snapshots(&self) -> u64 {
        0
    }

    fn take_tasks(&mut self) -> JoinSet<()> {
        JoinSet::new()
    }
}

/// What a follower is told first that has frames waiting and a deadline behind it.
async fn told(frames: usize) -> Vec<&'static str> {
    let mut options = Options::default();
    (options.segment_bytes, options.record_bytes_max) = (64 << 10, 16 << 10);
    options.reserve_bytes = 0;
    let wal = Wal::open(SimDisk::new(1), options).unwrap();
    let id = GroupId(1);
    let frame = |_| {
        let mut bytes = id.0.to_le_bytes().to_vec();
        bytes.push(0);
        Bytes::from(bytes)
    };
    let transport = Here((0..frames).map(frame).collect());
    let (controls, requests) = mpsc::channel(1);
    let config = NodeConfig::default();
    let mut host = Host::new(&config, None, Box::new(wal), Box::new(transport), requests);
    let heard: Arc<Mutex<Vec<_>>> = Arc::default();
    let follower = Follower {
        heard: heard.clone(),
        frames,
        deadline: Some(Instant::default()),
    };
    host.groups.insert(id, Box::new(follower));
    let (end, ended) = oneshot::channel();
    let run = tokio::spawn(host.run());
    // The loop looks at controls first, so it is to be told of its end when all has been said.
    while heard.lock().unwrap().len() < frames.max(1) {
        tokio::task::yield_now().await;
    }
    controls.send(Control::Shutdown(end)).await.ok().unwrap();
    ended.await.unwrap();
    run.await.unwrap();
    let mut heard = heard.lock().unwrap().clone();
    heard.dedup();
    heard
}

#[tokio::test]
async fn what_peers_have_said_is_heard_before_their_silence_is_judged() {
    assert_eq!(told(1).await, ["frame"]);
    assert_eq!(told(3 * FRAMES_A_TURN).await, ["frame"]);
    assert_eq!(told(0).await, ["silence"], "nobody has said anything");
}
