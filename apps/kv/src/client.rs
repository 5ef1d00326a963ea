//! A small RESP2 client: what the demo, the load generator and the tests speak through.

use std::io;

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::{decode::decode_bytes, types::BytesFrame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, ToSocketAddrs},
};

use crate::channel::Channel;

/// One connection. Requests may be pipelined: [`queue`](Self::queue) several,
/// [`flush`](Self::flush) once, [`receive`](Self::receive) as many answers, in the same order.
#[derive(Debug)]
pub struct Client {
    stream: Channel,
    output: Vec<u8>,
    input: BytesMut,
    scanner: Scanner,
}

/// Why there is no answer. The connection is of no use afterwards.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The connection broke, or the server closed it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came back is no RESP2, or more of it than a client should take.
    #[error("the server's answer is not RESP2, nested too deep, or too long")]
    Protocol,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Those of the socket.
    pub async fn connect(address: impl ToSocketAddrs) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(Channel::Plain(stream)))
    }

    /// Over a connection that was made.
    pub(crate) fn over(stream: Channel) -> Self {
        Self {
            stream,
            output: Vec::new(),
            input: BytesMut::new(),
            scanner: Scanner::default(),
        }
    }

    /// Puts a request behind those that wait to be sent.
    pub fn queue(&mut self, args: &[&[u8]]) {
        write_header(&mut self.output, b'*', args.len());
        for arg in args {
            write_header(&mut self.output, b'$', arg.len());
            self.output.extend_from_slice(arg);
            self.output.extend_from_slice(LINE_END);
        }
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// Those of the socket; a part may have been sent.
    pub async fn flush(&mut self) -> io::Result<()> {
        let sent = self.stream.write_all(&self.output).await;
        self.output.clear();
        sent?;
        // What is sealed may wait.
        self.stream.flush().await
    }

    /// Waits for the next answer. An error that the server answers is an answer:
    /// `Ok(BytesFrame::Error(_))`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn receive(&mut self) -> Result<BytesFrame, ClientError> {
        loop {
            if let Some(len) = self.scanner.next(&self.input)? {
                let answer = self.input.split_to(len).freeze();
                return match decode_bytes(&answer) {
                    Ok(Some((frame, _))) => Ok(frame),
                    _ => Err(ClientError::Protocol),
                };
            }
            self.input.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// One request and its answer.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn call(&mut self, args: &[&[u8]]) -> Result<BytesFrame, ClientError> {
        self.queue(args);
        self.flush().await?;
        self.receive().await
    }

    /// The text of `INFO`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn info(&mut self) -> Result<String, ClientError> {
        match self.call(&[b"INFO"]).await? {
            BytesFrame::BulkString(text) => Ok(String::from_utf8_lossy(&text).into_owned()),
            _ => Err(ClientError::Protocol),
        }
    }
}

/// Finds the end of an answer, header by header, before the codec sees it: the codec would recurse
/// as deep as the sender likes and start anew after each read.
#[derive(Debug, Default)]
struct Scanner {
    at: usize,
    /// Elements still to come, for each array that is open.
    open: Vec<usize>,
}

impl Scanner {
    /// The length of the answer at the front of `input`, once all of it is there.
    fn next(&mut self, input: &[u8]) -> Result<Option<usize>, ClientError> {
        loop {
            let rest = &input[self.at..];
            let window = &rest[..rest.len().min(LINE_BYTES_MAX)];
            let Some(line) = window.windows(2).position(|pair| pair == LINE_END) else {
                return if window.len() < LINE_BYTES_MAX {
                    Ok(None)
                } else {
                    Err(ClientError::Protocol)
                };
            };
            let header = line + LINE_END.len();
            let (kind, digits) = rest[..line].split_first().ok_or(ClientError::Protocol)?;
            let mut len = header;
            match (kind, length(digits)) {
                (b'+' | b'-' | b':', _) => {}
                (b'$' | b'*', Some(None)) => {}
                (b'$', Some(Some(bytes))) => len += bytes + LINE_END.len(),
                (b'*', Some(Some(elements))) if self.open.len() < DEPTH_MAX => {
                    self.open.push(elements + 1);
                }
                _ => return Err(ClientError::Protocol),
            }
            if self.at + len > ANSWER_BYTES_MAX {
                return Err(ClientError::Protocol);
            }
            if rest.len() < len {
                return Ok(None);
            }
            self.at += len;
            while let Some(elements) = self.open.last_mut() {
                *elements -= 1;
                if *elements > 0 {
                    break;
                }
                self.open.pop();
            }
            if self.open.is_empty() {
                return Ok(Some(std::mem::take(&mut self.at)));
            }
        }
    }
}

/// A length, or the -1 of an absent value.
fn length(digits: &[u8]) -> Option<Option<usize>> {
    match crate::machine::integer(digits)? {
        -1 => Some(None),
        len => Some(Some(
            usize::try_from(len)
                .ok()
                .filter(|len| *len <= ANSWER_BYTES_MAX)?,
        )),
    }
}

fn write_header(to: &mut Vec<u8>, kind: u8, len: usize) {
    to.push(kind);
    to.extend_from_slice(len.to_string().as_bytes());
    to.extend_from_slice(LINE_END);
}

/// The bytes of an answer that is a value.
#[must_use]
pub fn value_of(answer: BytesFrame) -> Option<Bytes> {
    match answer {
        BytesFrame::BulkString(value) => Some(value),
        _ => None,
    }
}

const LINE_END: &[u8] = b"\r\n";
const READ_BYTES: usize = 16 * 1_024;
/// Of a header, a status or an error.
const LINE_BYTES_MAX: usize = 64 * 1_024;
const ANSWER_BYTES_MAX: usize = 128 * 1_024 * 1_024;
const DEPTH_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The length of the first answer, when the bytes come one by one.
    fn scan(bytes: &[u8]) -> Result<Option<usize>, ClientError> {
        let mut scanner = Scanner::default();
        for end in 0..=bytes.len() {
            if let Some(len) = scanner.next(&bytes[..end])? {
                return Ok(Some(len));
            }
        }
        Ok(None)
    }

    #[test]
    fn an_answer_ends_where_the_codec_says_it_does() {
        for answer in [
            "+OK\r\n",
            "-ERR no\r\n",
            ":-7\r\n",
            "$-1\r\n",
            "$0\r\n\r\n",
            "$5\r\na\r\nbc\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*3\r\n:1\r\n*2\r\n$1\r\nx\r\n*0\r\n+a\r\n",
        ] {
            let whole = [answer.as_bytes(), b"+behind\r\n"].concat();
            assert_eq!(scan(&whole).ok(), Some(Some(answer.len())), "{answer:?}");
            let codec = decode_bytes(&Bytes::from(whole)).unwrap();
            assert_eq!(codec.map(|(_, len)| len), Some(answer.len()), "{answer:?}");
            assert!(
                matches!(scan(&answer.as_bytes()[..answer.len() - 1]), Ok(None)),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn what_is_too_much_is_refused_at_its_header() {
        for answer in [
            "$999999999999\r\n",
            "*999999999999\r\n",
            "$-2\r\n",
            "?\r\n",
            "\r\n",
            &"*1\r\n".repeat(9),
        ] {
            assert!(
                matches!(scan(answer.as_bytes()), Err(ClientError::Protocol)),
                "{answer:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_found_whole_is_read_to_the_same_end(pieces in prop::collection::vec(prop_oneof![
            prop::sample::select(vec!["*2\r\n", "$1\r\n", "$-1\r\n", ":1\r\n", "x\r\n", "*0\r\n"])
                .prop_map(|text| text.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..8),
        ], 0..12)) {
            let bytes = pieces.concat();
            if let Ok(Some(len)) = scan(&bytes) {
                // What passes here the codec reads to the same end, or refuses.
                if let Ok(answer) = decode_bytes(&Bytes::from(bytes)) {
                    prop_assert_eq!(answer.map(|(_, len)| len), Some(len));
                }
            }
        }
    }
}
