//! Requests off the wire: the limits that stand in front of the codec.
//!
//! The codec (`redis-protocol`) decodes any RESP2 frame: it nests arrays as deep as the sender
//! likes, on the stack, and starts anew on each call, so that a large request that arrives in small
//! pieces costs the square of its length. A request, though, is always one array of bulk strings.
//! [`Framer`] walks the headers of that one shape as the bytes come, refuses what is over a limit
//! as soon as its header is read, and calls the codec once for each request, when all of it is
//! there.
//!
//! ```text
//! *3\r\n  $3\r\nSET\r\n  $1\r\nk\r\n  $5\r\nhello\r\n
//! └ args  └ header, body, header, body ...
//! ```
//!
//! Inline commands (a line of words, for telnet) are not served: the codec does not know them, and
//! a server that takes lines takes HTTP requests from a browser too.

use bytes::{Buf, Bytes, BytesMut};
use redis_protocol::resp2::{decode::decode_bytes, types::BytesFrame};

/// What one request may weigh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Of one argument, in bytes.
    pub bulk_bytes_max: usize,
    /// Arguments of one request, the command's name included.
    pub args_max: usize,
    /// Of the whole request as it stands on the wire, in bytes.
    pub request_bytes_max: usize,
}

/// Cuts a stream of bytes into requests.
///
/// Invariants:
/// - `at` is the end of the headers and bodies that were checked, or of the body that is to come:
///   nothing before it is looked at twice.
/// - `at <= request_bytes_max` of the limits.
#[derive(Debug)]
pub struct Framer {
    limits: RequestLimits,
    at: usize,
    /// Arguments still to come; `None` before the array's header.
    args_left: Option<usize>,
}

/// The stream is no RESP2 request, or one over a limit. There is no way to find the next one, so
/// the connection ends. The texts are those of Redis where Redis has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// The first byte is no array's.
    #[error("expected '*', got '{}'", .0.escape_ascii())]
    NoArray(u8),
    /// An argument is no bulk string.
    #[error("expected '$', got '{}'", .0.escape_ascii())]
    NoBulk(u8),
    /// The number of arguments is none, or over the limit.
    #[error("invalid multibulk length")]
    ArrayLength,
    /// The length of an argument is none, or over the limit.
    #[error("invalid bulk length")]
    BulkLength,
    /// The whole request is over the limit.
    #[error("too big request")]
    RequestLength,
    /// A bulk string does not end where its length says.
    #[error("expected CRLF after bulk string")]
    NoLineEnd,
    /// The codec disagrees with the checks in front of it.
    #[error("invalid request")]
    Codec,
}

impl Framer {
    /// Nothing read yet.
    #[must_use]
    pub fn new(limits: RequestLimits) -> Self {
        Self {
            limits,
            at: 0,
            args_left: None,
        }
    }

    /// Takes as much as this from the next request on.
    pub(crate) fn set_limits(&mut self, limits: RequestLimits) {
        self.limits = limits;
    }

    /// Takes the next whole request from the front of `input`: its arguments, at least one. `None`
    /// when more bytes must come first; call again with the same buffer, grown.
    ///
    /// # Errors
    /// [`FramingError`]; the stream is of no use after it.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Vec<Bytes>>, FramingError> {
        loop {
            let Some(args_left) = self.args_left else {
                if !self.array_header(input)? {
                    return Ok(None);
                }
                continue;
            };
            if args_left > 0 {
                if !self.bulk(input)? {
                    return Ok(None);
                }
                continue;
            }
            // A copy, as a slice would keep all of the buffer for as long as any part of the request is
            // of use, and nobody could say how much that is.
            let request = Bytes::copy_from_slice(&input[..self.at]);
            input.advance(self.at);
            (self.at, self.args_left) = (0, None);
            return arguments(&request).map(Some);
        }
    }

    /// Whether the header was there.
    fn array_header(&mut self, input: &mut BytesMut) -> Result<bool, FramingError> {
        let Some((args, header)) = number(
            input,
            b'*',
            FramingError::NoArray,
            FramingError::ArrayLength,
        )?
        else {
            return Ok(false);
        };
        if args <= 0 {
            // An empty request asks for nothing and gets no answer, as in Redis.
            input.advance(header);
            return Ok(true);
        }
        if args > self.limits.args_max as i64 {
            return Err(FramingError::ArrayLength);
        }
        (self.at, self.args_left) = (header, Some(args as usize));
        Ok(true)
    }

    /// Whether the whole argument was there.
    fn bulk(&mut self, input: &BytesMut) -> Result<bool, FramingError> {
        let rest = &input[self.at..];
        let Some((len, header)) =
            number(rest, b'$', FramingError::NoBulk, FramingError::BulkLength)?
        else {
            return Ok(false);
        };
        if !(0..=self.limits.bulk_bytes_max as i64).contains(&len) {
            return Err(FramingError::BulkLength);
        }
        let end = header + len as usize;
        if self.at + end + LINE_END.len() > self.limits.request_bytes_max {
            return Err(FramingError::RequestLength);
        }
        let Some(line_end) = rest.get(end..end + LINE_END.len()) else {
            return Ok(false);
        };
        if line_end != LINE_END {
            return Err(FramingError::NoLineEnd);
        }
        self.at += end + LINE_END.len();
        self.args_left = self.args_left.map(|left| left - 1);
        Ok(true)
    }
}

/// `<kind><decimal>\r\n`: the number and the header's length, `None` when its end is not there yet.
fn number(
    input: &[u8],
    kind: u8,
    other: fn(u8) -> FramingError,
    bad: FramingError,
) -> Result<Option<(i64, usize)>, FramingError> {
    let Some((&first, rest)) = input.split_first() else {
        return Ok(None);
    };
    if first != kind {
        return Err(other(first));
    }
    let window = &rest[..rest.len().min(NUMBER_BYTES_MAX + LINE_END.len())];
    let Some(digits) = window.windows(2).position(|pair| pair == LINE_END) else {
        return if window.len() < NUMBER_BYTES_MAX + LINE_END.len() {
            Ok(None)
        } else {
            Err(bad)
        };
    };
    let number = crate::machine::integer(&window[..digits]).ok_or(bad)?;
    Ok(Some((number, 1 + digits + LINE_END.len())))
}

fn arguments(request: &Bytes) -> Result<Vec<Bytes>, FramingError> {
    let Ok(Some((BytesFrame::Array(frames), len))) = decode_bytes(request) else {
        return Err(FramingError::Codec);
    };
    if len != request.len() {
        return Err(FramingError::Codec);
    }
    let argument = |frame| match frame {
        BytesFrame::BulkString(bytes) => Ok(bytes),
        _ => Err(FramingError::Codec),
    };
    frames.into_iter().map(argument).collect()
}

const LINE_END: &[u8] = b"\r\n";
/// Of a 64-bit integer with its sign.
const NUMBER_BYTES_MAX: usize = 20;

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            bulk_bytes_max: 512 * 1_024,
            args_max: 16_384,
            request_bytes_max: 768 * 1_024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RequestLimits = RequestLimits {
        bulk_bytes_max: 100,
        args_max: 10,
        request_bytes_max: 200,
    };

    fn all(bytes: &[u8]) -> Result<Vec<Vec<Bytes>>, FramingError> {
        let (mut framer, mut input) = (Framer::new(LIMITS), BytesMut::from(bytes));
        let mut requests = Vec::new();
        while let Some(request) = framer.next(&mut input)? {
            requests.push(request);
        }
        Ok(requests)
    }

    #[test]
    fn requests_come_out_whole_however_the_bytes_arrive() {
        let stream = b"*0\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n*-1\r\n*1\r\n$4\r\nP\r\nG\r\n";
        let expected: Vec<Vec<Bytes>> = vec![vec!["GET".into(), "".into()], vec!["P\r\nG".into()]];
        assert_eq!(all(stream), Ok(expected.clone()));
        let (mut framer, mut input) = (Framer::new(LIMITS), BytesMut::new());
        let mut requests = Vec::new();
        for byte in stream {
            input.extend_from_slice(&[*byte]);
            requests.extend(framer.next(&mut input).unwrap());
        }
        assert_eq!(requests, expected);
    }

    #[test]
    fn what_is_over_a_limit_is_refused_at_its_header() {
        for (stream, error) in [
            (&b"*1000000000\r\n"[..], FramingError::ArrayLength),
            (b"*11\r\n", FramingError::ArrayLength),
            (b"*99999999999999999999999", FramingError::ArrayLength),
            (b"*1\r\n$1000000000\r\n", FramingError::BulkLength),
            (b"*1\r\n$101\r\n", FramingError::BulkLength),
            (b"*1\r\n$-1\r\n", FramingError::BulkLength),
            (b"*1\r\n$+1\r\n", FramingError::BulkLength),
            (b"*1\r\n*1\r\n", FramingError::NoBulk(b'*')),
            (b"*1\r\n$1\r\nxyz", FramingError::NoLineEnd),
            (b"GET / HTTP/1.1\r\n", FramingError::NoArray(b'G')),
        ] {
            assert_eq!(all(stream), Err(error), "{}", stream.escape_ascii());
        }
        let long = [b"*3\r\n$100\r\n".as_slice(), &[b'x'; 100], b"\r\n$100\r\n"].concat();
        assert_eq!(all(&long), Err(FramingError::RequestLength));
    }
}
