//! A connection as both of its ends see it: bytes in and bytes out, encrypted or not.

use super::guard::Seal;
use crate::Untrusted;
use bytes::BytesMut;
use std::io::{self, ErrorKind, IoSlice};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;

/// A connection on which each end may speak. What is written or read at once is for whoever has the lock of its
/// seal; nobody holds that across a wait.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: TcpStream,
    /// `None`: it is plain.
    seal: Option<Seal>,
}

impl Wire {
    pub(crate) fn new(socket: TcpStream, seal: Option<Seal>) -> Self {
        Self { socket, seal }
    }

    pub(crate) fn seal(&self) -> Option<&Seal> {
        self.seal.as_ref()
    }

    /// The other end has shown who it is, and may send much.
    pub(crate) fn read_much(&self) {
        if let Some(seal) = &self.seal {
            seal.read_much();
        }
    }

    /// Writes from the front of these pieces what the socket takes now; or, of an encrypted connection, seals
    /// it, when all that was sealed before has left.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock) when it takes nothing; others when it is broken.
    pub(crate) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.seal {
            None => self.socket.try_write_vectored(pieces),
            Some(seal) => seal.try_write(&self.socket, pieces),
        }
    }

    /// Writes what was sealed. [`try_write`](Self::try_write) does so as well.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        match &self.seal {
            None => Ok(()),
            Some(seal) => seal.try_flush(&self.socket),
        }
    }

    /// Waits until the socket may take more.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Waits for bytes, and takes of them what there is room for. 0: there will be no more.
    pub(crate) async fn read_buf(&self, into: &mut BytesMut) -> io::Result<usize> {
        loop {
            // Whoever sends without end leaves the others their turns.
            consume_budget().await;
            let read = match &self.seal {
                None => self.socket.try_read_buf(into),
                Some(seal) => seal.try_read_buf(&self.socket, into),
            };
            match read {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.socket.readable().await?;
                }
                read => return read,
            }
        }
    }

    /// As [`read_buf`](Self::read_buf). Nothing is lost when it is given up.
    pub(crate) async fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            consume_budget().await;
            let read = match &self.seal {
                None => self.socket.try_read(into),
                Some(seal) => seal.try_read(&self.socket, into),
            };
            match read {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.socket.readable().await?;
                }
                read => return read,
            }
        }
    }

    /// Waits for as many bytes.
    pub(crate) async fn read_exact(&self, into: &mut [u8]) -> io::Result<()> {
        let mut at = 0;
        while at < into.len() {
            match self.read(&mut into[at..]).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => at += read,
            }
        }
        Ok(())
    }

    /// Writes all of it, and waits until the socket has taken it.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let progress = match bytes {
                [] => self.try_flush().map(|()| 0),
                bytes => self.try_write(&[IoSlice::new(bytes)]),
            };
            match progress {
                Ok(0) if bytes.is_empty() => return Ok(()),
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(wrote) => bytes = &bytes[wrote..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Closes so that what was written last arrives: with bytes left unread the system would reset the
    /// connection and drop it.
    pub(crate) async fn part(&mut self) -> io::Result<()> {
        if let Some(seal) = &self.seal {
            // Politeness: what must arrive was written before.
            let _unsaid = seal.try_end(&self.socket);
        }
        self.socket.shutdown().await?;
        let mut unread = (&mut self.socket).take(PARTING_BYTES_MAX);
        tokio::io::copy(&mut unread, &mut tokio::io::sink()).await?;
        Ok(())
    }
}

/// Why the other end is not believed, where that is what broke the connection.
pub(crate) fn reason_of(error: &io::Error) -> Option<Untrusted> {
    error.get_ref()?.downcast_ref().copied()
}

/// As the error of a connection.
pub(crate) fn broken(reason: Untrusted) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

/// What is read from a refused node before its connection is closed all the same.
const PARTING_BYTES_MAX: u64 = 4 * 1024;
