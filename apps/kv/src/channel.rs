//! A client's connection: plain, or encrypted.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

#[derive(Debug)]
pub(crate) enum Channel {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Channel {
    /// What a connection becomes whose client shakes hands in time, if there is TLS.
    pub(crate) async fn accept(
        stream: TcpStream,
        tls: Option<Arc<ServerConfig>>,
        patience: Duration,
    ) -> io::Result<Self> {
        let Some(config) = tls else {
            return Ok(Self::Plain(stream));
        };
        let shaken = TlsAcceptor::from(config).accept_with(stream, |connection| {
            connection.set_buffer_limit(Some(SEALED_BYTES_MAX));
        });
        match timeout(patience, shaken).await {
            Ok(shaken) => Ok(Self::Tls(shaken?.into())),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Writes of this what goes at once.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) {
        // Whoever does not take it does without.
        match self {
            Self::Plain(stream) => {
                let _untaken = stream.try_write(bytes);
            }
            Self::Tls(stream) => {
                let mut context = Context::from_waker(Waker::noop());
                let _untaken = Pin::new(stream).poll_write(&mut context, bytes);
            }
        }
    }

    /// Whether what was written may still wait here, and must be flushed.
    pub(crate) fn holds_back(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            // Whoever hangs up without a word has ended all the same: requests tell their own length.
            Self::Tls(stream) => match Pin::new(stream).poll_read(cx, into) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(()))
                }
                read => read,
            },
        }
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// What of its answers may be sealed and wait for a client: about a record.
const SEALED_BYTES_MAX: usize = 16 * 1_024;
