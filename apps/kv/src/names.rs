//! Sessions as a client has them: a write is asked under its name until its end is known.

use redis_protocol::resp2::types::BytesFrame;
use synod_replica::{Heard, SessionClient, SessionId, SessionLimits, SessionName};

use crate::client::{Client, ClientError};

/// Opens a session through any node; `None` if the server refuses.
///
/// # Errors
/// [`ClientError`]; a session may have been opened, and expires unused.
pub(crate) async fn open(client: &mut Client) -> Result<Option<SessionClient>, ClientError> {
    let BytesFrame::Integer(id) = client.call(&[b"SESSION", b"NEW"]).await? else {
        return Ok(None);
    };
    let window = SessionLimits::default().window;
    Ok(Some(SessionClient::new(
        SessionId(id.cast_unsigned()),
        window,
    )))
}

/// The words in front of a write that has a name.
pub(crate) fn prefix(name: SessionName) -> [Vec<u8>; 3] {
    [
        b"SESSION".to_vec(),
        name.session.to_string().into_bytes(),
        name.sequence.0.to_string().into_bytes(),
    ]
}

/// What an answer says of the attempt.
pub(crate) fn heard(answer: &BytesFrame) -> Heard {
    let BytesFrame::Error(text) = answer else {
        return Heard::Answer;
    };
    match text.split(' ').next() {
        Some("UNKNOWN") => Heard::Unknown,
        Some("NOSESSION") => Heard::Expired,
        Some("NOREPLY") => Heard::ReplyGone,
        Some("BEHIND") => Heard::Behind,
        // Whatever else is wrong, this attempt had no effect.
        _ => Heard::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use synod_replica::{Reason, SessionRefusal};

    use super::*;
    use crate::{answer::Answer, response::Refusal, store::Failure};

    fn of(answer: Answer) -> Heard {
        match answer {
            Answer::Frame(frame) => heard(&frame),
            other => panic!("{other:?}"),
        }
    }

    /// By the very texts that the server answers.
    #[test]
    fn each_word_means_what_the_table_of_answers_says() {
        let (reason, leader) = (Reason::Busy, Some(2));
        for (failure, expected) in [
            (Failure::Unknown, Heard::Unknown),
            (Failure::Rejected { reason, leader }, Heard::Rejected),
        ] {
            assert_eq!(of(failure.into()), expected);
        }
        for (refusal, expected) in [
            (SessionRefusal::Expired, Heard::Expired),
            (SessionRefusal::ReplyGone, Heard::ReplyGone),
            (SessionRefusal::Behind, Heard::Behind),
            (SessionRefusal::Malformed, Heard::Rejected),
        ] {
            let response = crate::Response::Refused(Refusal::Session(refusal));
            assert_eq!(of(response.into()), expected, "{refusal:?}");
        }
        assert_eq!(of(Answer::simple("OK")), Heard::Answer);
    }
}
