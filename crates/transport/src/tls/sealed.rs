//! The TLS state between a send queue and a socket, independent of both.
//!
//! ```text
//!  queue ── pieces ──> seal ── one record ──> socket          no second one before the first has left
//!  owner <── plain ── fill ── what has come ── socket
//! ```

use bytes::BytesMut;
use rustls::{Connection, Error};
use std::fmt;
use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};

/// One end of a TLS connection.
///
/// Invariant: at most one encrypted record is not yet written, so that more urgent data can be encrypted next.
pub(crate) struct Sealed {
    tls: Connection,
    /// Received bytes not yet passed to TLS are at `at..end`.
    incoming: Box<[u8]>,
    at: usize,
    end: usize,
    /// The first TLS error, which is permanent.
    failed: Option<Error>,
}

/// An error of the socket or of TLS.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error of the socket, including [`WouldBlock`](ErrorKind::WouldBlock).
    Io(io::Error),
    /// The other end violated the protocol or is not trusted.
    Tls(Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Sealed {
    pub(crate) fn new(tls: Connection) -> Self {
        Self {
            tls,
            incoming: vec![0; HANDSHAKE_READ_BYTES].into(),
            at: 0,
            end: 0,
            failed: None,
        }
    }

    /// Sets the size of reads.
    pub(crate) fn read_by(&mut self, bytes: usize) {
        let mut incoming = vec![0; bytes.max(self.end)];
        incoming[..self.end].copy_from_slice(&self.incoming[..self.end]);
        self.incoming = incoming.into();
    }

    pub(crate) fn tls(&self) -> &Connection {
        &self.tls
    }

    /// Writes the pending encrypted record.
    pub(crate) fn flush(&mut self, to: &mut impl Write) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(to) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Encrypts up to one record of these pieces and writes as much of it as possible. Returns the number of
    /// plaintext bytes.
    ///
    /// # Errors
    /// Those of the socket: [`WouldBlock`](ErrorKind::WouldBlock) when the previous record is not fully
    /// written.
    pub(crate) fn seal(
        &mut self,
        pieces: &[IoSlice<'_>],
        to: &mut impl Write,
    ) -> io::Result<usize> {
        self.flush(to)?;
        let mut record = [IoSlice::new(&[]); PIECES_MAX];
        let mut room = RECORD_BYTES_MAX;
        let mut used = 0;
        for (piece, place) in pieces.iter().zip(&mut record) {
            let taken = piece.len().min(room);
            *place = IoSlice::new(&piece[..taken]);
            room -= taken;
            used += 1;
            if room == 0 {
                break;
            }
        }
        let sealed = self.tls.writer().write_vectored(&record[..used])?;
        match self.flush(to) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(sealed),
        }
    }

    /// Sends the close notification.
    pub(crate) fn end(&mut self, to: &mut impl Write) -> io::Result<()> {
        self.tls.send_close_notify();
        self.flush(to)
    }

    /// Reads until there is plaintext to [take](Self::take). `false`: the stream has ended. The number of reads is
    /// limited, because a peer may send empty records as fast as they are read and the caller has other connections
    /// to serve.
    pub(crate) fn fill(&mut self, socket: &mut (impl Read + Write)) -> Result<bool, Failure> {
        let mut looks = 0;
        loop {
            match self.tls.reader().fill_buf() {
                Ok(plain) => return Ok(!plain.is_empty()),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                Err(nothing) if self.at == self.end && looks == LOOKS_MAX => {
                    return Err(nothing.into());
                }
                Err(_) => {
                    looks += u32::from(self.at == self.end);
                    self.step(socket)?;
                }
            }
        }
    }

    /// Passes received bytes to TLS, after one read from the socket if there are none.
    pub(crate) fn step(&mut self, socket: &mut (impl Read + Write)) -> Result<(), Failure> {
        if let Some(error) = &self.failed {
            return Err(Failure::Tls(error.clone()));
        }
        if self.at == self.end {
            let read = socket.read(&mut self.incoming)?;
            (self.at, self.end) = (0, read);
            if read == 0 {
                if self.tls.is_handshaking() {
                    return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
                }
                self.tls.read_tls(&mut io::empty())?;
            }
        }
        while self.at < self.end {
            let mut come = &self.incoming[self.at..self.end];
            match self.tls.read_tls(&mut come)? {
                // TLS has received the close notification and reads no more.
                0 => self.at = self.end,
                given => self.at += given,
            }
            let processed = self.tls.process_new_packets();
            // A response or an alert. If the socket does not accept it now, it is sent with the next record.
            let _later = self.flush(socket);
            let processed = processed.map_err(|error| {
                self.failed = Some(error.clone());
                Failure::Tls(error)
            })?;
            if processed.plaintext_bytes_to_read() > 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes available plaintext, as far as there is room.
    pub(crate) fn take(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.tls.reader().read(into)
    }

    /// The same, into the spare capacity of a buffer.
    pub(crate) fn take_into(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        let mut reader = self.tls.reader();
        let plain = reader.fill_buf()?;
        let taken = plain.len().min(into.capacity() - into.len());
        into.extend_from_slice(&plain[..taken]);
        reader.consume(taken);
        Ok(taken)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").finish_non_exhaustive()
    }
}

/// The most plaintext of a record.
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// The most pieces of one record, the same as of one vectored write.
const PIECES_MAX: usize = 64;
/// The read buffer of an unauthenticated connection.
const HANDSHAKE_READ_BYTES: usize = 4 * 1024;

/// The most reads for one call of [`fill`](Sealed::fill); the longest record takes five.
const LOOKS_MAX: u32 = 8;

#[cfg(all(test, feature = "ring"))]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
    use std::collections::VecDeque;
    use std::sync::Arc;

    /// A socket: bytes to read, bytes written, and how many more it accepts.
    #[derive(Default)]
    struct Pipe {
        come: VecDeque<u8>,
        /// Returns one byte per read, and counts the reads.
        trickles: bool,
        looks: u32,
        left: Vec<u8>,
        room: usize,
    }

    impl Read for Pipe {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.looks += 1;
            let room = if self.trickles { 1 } else { into.len() };
            match self.come.read(&mut into[..room])? {
                0 => Err(ErrorKind::WouldBlock.into()),
                read => Ok(read),
            }
        }
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match bytes.len().min(self.room) {
                0 => Err(ErrorKind::WouldBlock.into()),
                taken => {
                    self.room -= taken;
                    self.left.write(&bytes[..taken])
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Two ends after the handshake, and their sockets, which accept nothing more.
    fn pair() -> [(Sealed, Pipe); 2] {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("signs itself");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("there is 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("there is 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("its own key");
        server.send_tls13_tickets = 0;
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::new(client), name).expect("a connection");
        let server = ServerConnection::new(Arc::new(server)).expect("a connection");
        let open = || Pipe {
            room: usize::MAX,
            ..Pipe::default()
        };
        let mut one = (Sealed::new(Connection::Client(client)), open());
        let mut two = (Sealed::new(Connection::Server(server)), open());
        while one.0.tls().is_handshaking() || two.0.tls().is_handshaking() {
            one.0.flush(&mut one.1).expect("takes all");
            two.1.come.extend(one.1.left.drain(..));
            let _nothing_yet = two.0.step(&mut two.1);
            two.0.flush(&mut two.1).expect("takes all");
            one.1.come.extend(two.1.left.drain(..));
            let _nothing_yet = one.0.step(&mut one.1);
        }
        (one.1.room, two.1.room) = (0, 0);
        [one, two]
    }

    /// An encrypted record cannot be overtaken. For a socket that accepts nothing, one record is encrypted, and it
    /// is written before there is a second.
    #[test]
    fn no_second_record_is_sealed_before_the_first_has_left() {
        let [(mut one, mut socket), (mut two, mut far)] = pair();
        let piece = [7; 100_000];
        let bulk = [IoSlice::new(&piece), IoSlice::new(&piece)];
        let sealed = one.seal(&bulk, &mut socket).expect("the first record");
        assert_eq!(sealed, RECORD_BYTES_MAX);
        for room in [0, 1, 10_000] {
            socket.room = room;
            let again = one.seal(&bulk, &mut socket).map_err(|error| error.kind());
            assert_eq!(again, Err(ErrorKind::WouldBlock), "{room} bytes of room");
        }
        // Now it accepts everything: the more urgent data is encrypted next.
        socket.room = usize::MAX;
        let urgent = one.seal(&[IoSlice::new(b"urgent")], &mut socket);
        assert_eq!(urgent.expect("there is room"), 6);
        far.come.extend(socket.left.drain(..));
        let mut plain = BytesMut::with_capacity(1 << 20);
        while two.fill(&mut far).is_ok_and(|more| more) {
            two.take_into(&mut plain).expect("it is there");
        }
        assert_eq!(plain.len(), RECORD_BYTES_MAX + 6);
        assert!(plain.ends_with(b"urgent"));
    }

    /// Each read finds one more byte, and no record is ever complete. The reader returns after a few reads even
    /// though none would block.
    #[test]
    fn a_socket_is_looked_at_a_few_times() {
        let [(mut one, mut socket), (mut two, mut far)] = pair();
        socket.room = usize::MAX;
        one.seal(&[IoSlice::new(&[7; 1_000])], &mut socket)
            .expect("sealed");
        far.come.extend(socket.left.drain(..));
        (far.trickles, far.looks) = (true, 0);
        let sealed = far.come.len();
        let filled = two.fill(&mut far);
        assert!(
            matches!(&filled, Err(Failure::Io(error)) if error.kind() == ErrorKind::WouldBlock),
            "{filled:?}"
        );
        assert_eq!(far.looks, LOOKS_MAX);
        assert_eq!(far.come.len(), sealed - LOOKS_MAX as usize);
        // Nothing of it is lost.
        while !matches!(two.fill(&mut far), Ok(true)) {
            assert!(!far.come.is_empty(), "it has come whole");
        }
        let mut plain = BytesMut::with_capacity(1_001);
        two.take_into(&mut plain).expect("it is there");
        assert_eq!(&*plain, &[7; 1_000]);
    }

    /// The error is permanent: a later read returns it too.
    #[test]
    fn what_was_changed_on_the_way_ends_the_stream() {
        let [(mut one, mut socket), (mut two, mut far)] = pair();
        socket.room = usize::MAX;
        one.seal(&[IoSlice::new(b"words")], &mut socket)
            .expect("sealed");
        let last = socket.left.last_mut().expect("a record");
        *last ^= 1;
        far.come.extend(socket.left.drain(..));
        for _ in 0..2 {
            let failure = two.fill(&mut far).expect_err("it was changed");
            assert!(
                matches!(failure, Failure::Tls(Error::DecryptError)),
                "{failure:?}"
            );
        }
    }
}
