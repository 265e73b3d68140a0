//! Fetches the status of a running bridge from its status page (HTTP).

use std::net::TcpStream;
use std::time::Duration;

use httparse::{EMPTY_HEADER, Response};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Timer, future};
use thiserror::Error;

use super::BridgeStatus;
use flamingo_runtime_std::{Error, socket};

/// The longest response that is read; it has room for tens of thousands of clients.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
const MAX_HEADERS: usize = 64;
/// The characters of a reason that are shown.
const MAX_REASON: usize = 300;

/// The status of a bridge could not be fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StatusError {
    /// The connection was not accepted.
    #[error(transparent)]
    Connect(#[from] Error),
    /// The response did not arrive in time.
    #[error("{address} accepts, but sent no status within {after:?}; is it the status port?")]
    TimedOut {
        /// The address of the status page.
        address: String,
        /// The time limit.
        after: Duration,
    },
    /// The connection ended before the response was complete.
    #[error("connection to {address} lost before the status was complete: {source}; try again")]
    Lost {
        /// The address of the status page.
        address: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The response is not the status of a bridge.
    #[error("{address} does not send the status of a bridge: {problem}; is it the status port?")]
    NotBridge {
        /// The address of the status page.
        address: String,
        /// What was expected and what was received.
        problem: String,
    },
}

impl StatusError {
    /// The exit code of the program for this error; it never changes.
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

/// Fetches the status of the bridge whose status page is at `address` (`HOST:PORT`).
///
/// # Errors
/// [`StatusError`]. Connecting and receiving take at most `timeout` each.
///
/// ```
/// use std::time::Duration;
///
/// use flamingo_bridge::{Bridge, BridgeSettings, status::fetch_status};
/// use flamingo_simulator::{Simulator, SimulatorOptions};
///
/// # smol::block_on(async {
/// let instrument = Simulator::start(SimulatorOptions::default()).await?;
/// let mut settings = BridgeSettings::new(instrument.control().to_string());
/// settings.listen.control = "127.0.0.1:0".parse()?;
/// settings.listen.status = Some("127.0.0.1:0".parse()?);
/// let bridge = Bridge::start(&settings).await?;
/// bridge.until_connected().await;
///
/// let page = bridge.status_address().expect("the settings switch it on");
/// let status = fetch_status(&page.to_string(), Duration::from_secs(3)).await?;
/// assert!(status.upstream.connected);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub async fn fetch_status(address: &str, timeout: Duration) -> Result<BridgeStatus, StatusError> {
    let stream = socket::connect(address, timeout).await?;
    let too_late = async {
        Timer::after(timeout).await;
        Err(StatusError::TimedOut { address: address.into(), after: timeout })
    };
    let response = async {
        let lost = |source| StatusError::Lost { address: address.into(), source };
        exchange(&stream, address).await.map_err(lost)
    };
    let response = future::or(response, too_late).await?;
    parse_response(&response).map_err(|error| match error {
        ResponseError::Incomplete => StatusError::Lost {
            address: address.into(),
            source: std::io::ErrorKind::UnexpectedEof.into(),
        },
        ResponseError::Other(problem) => {
            StatusError::NotBridge { address: address.into(), problem }
        }
    })
}

/// Sends the request and reads the whole response, up to the end of the connection.
async fn exchange(mut stream: &Async<TcpStream>, address: &str) -> std::io::Result<Vec<u8>> {
    let request = format!(
        "GET /status HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut response).await?;
    Ok(response)
}

#[derive(Debug, PartialEq, Eq)]
enum ResponseError {
    Incomplete,
    /// What was expected and what was received.
    Other(String),
}

fn parse_response(bytes: &[u8]) -> Result<BridgeStatus, ResponseError> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut response = Response::new(&mut headers);
    let start = match response.parse(bytes) {
        Ok(httparse::Status::Complete(start)) => start,
        Ok(httparse::Status::Partial) => return Err(ResponseError::Incomplete),
        Err(error) => return Err(ResponseError::Other(format!("expected HTTP/1.1, {error}"))),
    };
    let code = response.code.unwrap_or_default();
    if code != 200 {
        let reason = response.reason.unwrap_or_default();
        let mut problem = format!("expected 200, found {code} {reason}");
        // The text that the bridge sends with it says what to do.
        let text = str::from_utf8(bytes.get(start..).unwrap_or_default()).unwrap_or_default();
        if let Some(line) = text.lines().next().filter(|line| !line.is_empty()) {
            let line = line.chars().filter(|c| !c.is_control()).take(MAX_REASON);
            problem.extend([": "].into_iter().map(String::from).chain(line.map(String::from)));
        }
        return Err(ResponseError::Other(problem));
    }
    let body = &bytes[start..];
    let length =
        response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| str::from_utf8(header.value).ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > body.len()) {
        return Err(ResponseError::Incomplete);
    }
    serde_json::from_slice(body)
        .map_err(|error| ResponseError::Other(format!("unexpected JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_that_is_cut_anywhere_is_incomplete() {
        let body = r#"{"version": "1"}"#;
        let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(parse_response(whole.as_bytes()).unwrap().version, "1");
        for length in 0..whole.len() {
            let cut = parse_response(&whole.as_bytes()[..length]);
            assert_eq!(cut, Err(ResponseError::Incomplete), "{length} bytes");
        }
    }

    #[test]
    fn a_response_that_is_not_a_status_is_named() {
        for (response, expected) in [
            ("\u{21}\u{e6}hello world, how do you do\r\n\r\n", "expected HTTP/1.1"),
            ("HTTP/1.1 404 Not Found\r\n\r\n", "expected 200, found 404 Not Found"),
            (
                "HTTP/1.1 421 Misdirected Request\r\n\r\nadd the name\u{7}\n",
                "expected 200, found 421 Misdirected Request: add the name",
            ),
            ("HTTP/1.1 200 OK\r\n\r\n<html>", "unexpected JSON"),
        ] {
            let Err(ResponseError::Other(problem)) = parse_response(response.as_bytes()) else {
                panic!("{response}")
            };
            assert!(problem.starts_with(expected), "{problem}");
        }
    }
}
