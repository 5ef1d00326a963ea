//! Peers: exchanges over UDP, one datagram there and one back.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use synod_truetime::source::PeerSource;
use synod_truetime::source::peer::{Reply, Request};
use synod_truetime::{Clocks, Drift, Reading, Sample, Source, SourceError, SystemClocks};

use crate::panel::Agreed;

/// Another one of these, somewhere else.
pub(crate) struct Remote {
    socket: UdpSocket,
    peer: PeerSource<SystemClocks>,
    nonce: AtomicU64,
}

impl Remote {
    pub(crate) fn connect(address: SocketAddr, drift: Drift) -> io::Result<Self> {
        let any = SocketAddr::new(
            match address {
                SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
            },
            0,
        );
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let clocks = SystemClocks::new();
        Ok(Self {
            socket,
            peer: PeerSource::new(clocks, drift, Duration::from_secs(10)),
            nonce: AtomicU64::new(clocks.local().as_nanos()),
        })
    }

    fn exchange(&self) -> io::Result<()> {
        let request = self.peer.ask(self.nonce.fetch_add(1, Ordering::Relaxed));
        self.socket.send(&request.encode())?;
        let mut bytes = [0; Reply::BYTES];
        // A late answer to an earlier request is not the one.
        for _ in 0..3 {
            let taken = self.socket.recv(&mut bytes)? == Reply::BYTES
                && Reply::decode(&bytes).is_ok_and(|reply| self.peer.handle_reply(&reply).is_ok());
            if taken {
                break;
            }
        }
        Ok(())
    }
}

impl Source for Remote {
    fn sample(&self) -> Result<Sample, SourceError> {
        // What it said a while ago stays right, and grows.
        match (self.exchange(), self.peer.sample()) {
            (Err(error), Err(_)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Err(SourceError::Unavailable)
            }
            (_, sample) => sample,
        }
    }
}

/// Tells whoever asks what was agreed on, as it is by now; nothing while there is no agreement.
pub(crate) fn serve(address: SocketAddr, agreed: Agreed, drift: Drift) -> io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    let now = move || -> Option<Reading> {
        let sample = agreed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .copied()?;
        let age_nanos = SystemClocks::new().local().nanos_since(sample.at);
        let fresh = Duration::from_nanos(age_nanos) <= sample.valid_for;
        fresh.then(|| Reading {
            stratum: sample.stratum,
            ..Reading::synchronized(drift.extrapolate(sample.interval, age_nanos))
        })
    };
    std::thread::spawn(move || {
        let mut bytes = [0; Request::BYTES];
        loop {
            let Ok((Request::BYTES, from)) = socket.recv_from(&mut bytes) else {
                continue;
            };
            if let (Some(received), Some(sent)) = (now(), now()) {
                let reply = Request::decode(bytes).reply(&received, &sent);
                // Who has gone does not need it.
                let _ = socket.send_to(&reply.encode(), from);
            }
        }
    });
    Ok(())
}
