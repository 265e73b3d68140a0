//! Asks a running bridge for its status over HTTP.

use std::net::TcpStream;
use std::time::Duration;

use httparse::{EMPTY_HEADER, Response};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Timer, future};
use thiserror::Error;

use crate::status::counters::Status;
use flamingo_runtime_std::Error;
use flamingo_runtime_std::socket;

/// The largest answer that is read: tens of thousands of clients.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
const MOST_HEADERS: usize = 64;

/// Why there is no status.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Nobody accepted the connection.
    #[error(transparent)]
    Connect(#[from] Error),
    /// The answer did not come in time.
    #[error("{address} accepts, but gave no status within {after:?}; is it the status port?")]
    TimedOut {
        /// Who.
        address: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The connection ended before the answer was whole.
    #[error("connection to {address} lost before the status was whole: {source}; try again")]
    Lost {
        /// To whom.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is no bridge.
    #[error("{address} gives no status of a bridge: {what}; is it the status port?")]
    NotBridge {
        /// Who.
        address: String,
        /// What was expected and what came.
        what: String,
    },
}

impl FetchError {
    /// The exit code that scripts may rely on.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Connect(error) => error.exit_code(),
            Self::TimedOut { .. } => 4,
            Self::NotBridge { .. } => 6,
            Self::Lost { .. } => 7,
        }
    }
}

/// The status of the bridge whose status port is at `address` (`HOST:PORT`).
///
/// # Errors
/// [`FetchError`]; after `timeout` for connecting and again for the answer at the latest.
pub async fn fetch(address: &str, timeout: Duration) -> Result<Status, FetchError> {
    let stream = socket::connect(address, timeout).await?;
    let too_late = async {
        Timer::after(timeout).await;
        Err(FetchError::TimedOut { address: address.into(), after: timeout })
    };
    let answer = async {
        let lost = |source| FetchError::Lost { address: address.into(), source };
        exchange(&stream, address).await.map_err(lost)
    };
    let answer = future::or(answer, too_late).await?;
    read(&answer).map_err(|why| match why {
        Unread::Cut => FetchError::Lost {
            address: address.into(),
            source: std::io::ErrorKind::UnexpectedEof.into(),
        },
        Unread::Other(what) => FetchError::NotBridge { address: address.into(), what },
    })
}

/// The whole answer, up to the end of the connection.
async fn exchange(mut stream: &Async<TcpStream>, address: &str) -> std::io::Result<Vec<u8>> {
    let request = format!(
        "GET /status HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).await?;
    Ok(answer)
}

#[derive(Debug, PartialEq, Eq)]
enum Unread {
    Cut,
    /// What was expected and what came.
    Other(String),
}

fn read(answer: &[u8]) -> Result<Status, Unread> {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut response = Response::new(&mut headers);
    let start = match response.parse(answer) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) => return Err(Unread::Cut),
        Err(error) => return Err(Unread::Other(format!("expected HTTP/1.1, {error}"))),
    };
    let code = response.code.unwrap_or_default();
    if code != 200 {
        let reason = response.reason.unwrap_or_default();
        return Err(Unread::Other(format!("expected 200, found {code} {reason}")));
    }
    let body = &answer[start..];
    let declared =
        response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let declared = declared.and_then(|header| str::from_utf8(header.value).ok()?.parse().ok());
    if declared.is_some_and(|declared: usize| declared > body.len()) {
        return Err(Unread::Cut);
    }
    serde_json::from_slice(body).map_err(|error| Unread::Other(format!("no such JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_cut_anywhere_is_said_to_be_cut() {
        let body = r#"{"version": "1"}"#;
        let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(read(whole.as_bytes()).unwrap().version, "1");
        for length in 0..whole.len() {
            assert_eq!(read(&whole.as_bytes()[..length]), Err(Unread::Cut), "{length} bytes");
        }
    }

    #[test]
    fn what_is_no_status_is_named() {
        for (answer, expected) in [
            ("\u{21}\u{e6}hello world, how do you do\r\n\r\n", "expected HTTP/1.1"),
            ("HTTP/1.1 404 Not Found\r\n\r\n", "expected 200, found 404 Not Found"),
            ("HTTP/1.1 200 OK\r\n\r\n<html>", "no such JSON"),
        ] {
            let Err(Unread::Other(what)) = read(answer.as_bytes()) else { panic!("{answer}") };
            assert!(what.starts_with(expected), "{what}");
        }
    }
}
