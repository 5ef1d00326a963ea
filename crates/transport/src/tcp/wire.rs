//! A connection as a byte stream, encrypted or plain.

use super::guard::Seal;
use crate::Untrusted;
use bytes::BytesMut;
use std::io::{self, ErrorKind, IoSlice};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;

/// A connection. Encrypted reads and writes happen under the lock of its TLS state, which is never held across
/// an await.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: TcpStream,
    /// The TLS state; `None` for a plain connection.
    seal: Option<Seal>,
}

impl Wire {
    pub(crate) fn new(socket: TcpStream, seal: Option<Seal>) -> Self {
        Self { socket, seal }
    }

    pub(crate) fn seal(&self) -> Option<&Seal> {
        self.seal.as_ref()
    }

    /// Switches to large reads once the other end is authenticated.
    pub(crate) fn read_much(&self) {
        if let Some(seal) = &self.seal {
            seal.read_much();
        }
    }

    /// Writes as much of these pieces as the socket accepts now. An encrypted connection encrypts the next
    /// record once the previous one is fully written.
    ///
    /// # Errors
    /// [`WouldBlock`](ErrorKind::WouldBlock) when it accepts nothing; others when it is broken.
    pub(crate) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.seal {
            None => self.socket.try_write_vectored(pieces),
            Some(seal) => seal.try_write(&self.socket, pieces),
        }
    }

    /// Writes the pending encrypted record, as [`try_write`](Self::try_write) does first.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        match &self.seal {
            None => Ok(()),
            Some(seal) => seal.try_flush(&self.socket),
        }
    }

    /// Waits until the socket may accept more.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Waits for bytes and reads as many as there is room for. 0: the stream has ended.
    pub(crate) async fn read_buf(&self, into: &mut BytesMut) -> io::Result<usize> {
        loop {
            // Yields to other tasks, even if the peer sends without pause.
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

    /// As [`read_buf`](Self::read_buf). Cancel-safe.
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

    /// Waits until `into` is filled.
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

    /// Writes all bytes, and waits until the socket has accepted them.
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

    /// Closes the connection so that the last bytes written still arrive: with unread bytes the system
    /// would reset it and discard them.
    pub(crate) async fn part(&mut self) -> io::Result<()> {
        if let Some(seal) = &self.seal {
            // Best effort: everything important was written before.
            let _unsaid = seal.try_end(&self.socket);
        }
        self.socket.shutdown().await?;
        let mut unread = (&mut self.socket).take(PARTING_BYTES_MAX);
        tokio::io::copy(&mut unread, &mut tokio::io::sink()).await?;
        Ok(())
    }
}

/// Why the other end is not trusted, if that is the cause of the error.
pub(crate) fn reason_of(error: &io::Error) -> Option<Untrusted> {
    error.get_ref()?.downcast_ref().copied()
}

/// The reason as an I/O error.
pub(crate) fn broken(reason: Untrusted) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

/// The most bytes read from a refused node before its connection is closed anyway.
const PARTING_BYTES_MAX: u64 = 4 * 1024;
