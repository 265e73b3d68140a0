//! What the bridge says of itself over HTTP: `/status` as JSON, `/metrics` for Prometheus. One
//! request per connection, small, and soon.
//!
//! Where the numbers come from is the caller's business; `counters.rs` has their form.

use std::future::Future;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use httparse::{EMPTY_HEADER, Request};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Timer, future};

use super::counters::Status;
use super::door::{Allow, Door};
use super::metrics::metrics;

/// Who may ask at the same time.
const CONNECTIONS: usize = 16;
/// From the first byte of a request to the last of its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a request and lines in it.
const MOST_BYTES: usize = 8 * 1024;
const MOST_HEADERS: usize = 64;
/// Bytes behind a request that are thrown away, so that its answer is not lost with them.
const MOST_REST: usize = 64 * 1024;

/// Answers for ever. `ask` gives the status, or `None` when the bridge is ending. Dropping this
/// future ends all connections.
pub(crate) async fn serve<S, F>(listener: Async<TcpListener>, allow: Allow, ask: S)
where
    S: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<Status>> + Send + 'static,
{
    let door = Door { listener, allow, limit: CONNECTIONS, name: "status" };
    let serve = |stream: Async<TcpStream>, address| {
        let ask = ask.clone();
        async move {
            if let Err(error) = within(PATIENCE, answer(&stream, ask)).await {
                tracing::debug!(%address, %error, "no answer to a question for the status");
            }
        }
    };
    door.run(serve).await;
}

async fn within<T>(patience: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let too_late = async {
        Timer::after(patience).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    future::or(work, too_late).await
}

async fn answer<S, F>(mut stream: &Async<TcpStream>, ask: S) -> io::Result<()>
where
    S: Fn() -> F,
    F: Future<Output = Option<Status>>,
{
    let wanted = match read_request(stream).await? {
        Ok(wanted) => wanted,
        Err(refusal) => Wanted { what: Err(refusal), head: false },
    };
    let reply = match wanted.what {
        Ok(what) => ask().await.map_or(Reply::refusal(Refusal::Ending), |status| what.of(&status)),
        Err(refusal) => Reply::refusal(refusal),
    };
    stream.write_all(&reply.bytes(wanted.head)).await?;
    stream.get_ref().shutdown(std::net::Shutdown::Write)?;
    // Closing with unread bytes would reset the connection, and the answer with it.
    let mut rest = [0; 1024];
    let mut thrown_away = 0;
    while thrown_away < MOST_REST {
        match stream.read(&mut rest).await? {
            0 => break,
            count => thrown_away += count,
        }
    }
    Ok(())
}

/// What there is to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Json,
    Metrics,
}

impl What {
    fn of(self, status: &Status) -> Reply {
        match self {
            Self::Json => match serde_json::to_string(status) {
                Ok(json) => Reply::new("200 OK", "application/json", json + "\n"),
                Err(error) => Reply::new("500 Internal Server Error", TEXT, format!("{error}\n")),
            },
            Self::Metrics => {
                Reply::new("200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics(status))
            }
        }
    }
}

/// Why there is no status in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    NotHttp,
    TooLarge,
    Unknown,
    Method,
    Ending,
}

/// A request, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    what: Result<What, Refusal>,
    /// It was HEAD: the answer has no body.
    head: bool,
}

/// Reads up to the end of a request's headers.
async fn read_request(mut stream: &Async<TcpStream>) -> io::Result<Result<Wanted, Refusal>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        match stream.read(&mut chunk).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
        match parse(&bytes) {
            Ok(None) if bytes.len() >= MOST_BYTES => return Ok(Err(Refusal::TooLarge)),
            Ok(None) => {}
            Ok(Some(wanted)) => return Ok(Ok(wanted)),
            Err(refusal) => return Ok(Err(refusal)),
        }
    }
}

/// `None`: it is not whole yet.
fn parse(bytes: &[u8]) -> Result<Option<Wanted>, Refusal> {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut request = Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLarge),
        Err(_) => return Err(Refusal::NotHttp),
    }
    let head = request.method == Some("HEAD");
    let path = request.path.unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let what = match (path, request.method) {
        ("/status", Some("GET" | "HEAD")) => Ok(What::Json),
        ("/metrics", Some("GET" | "HEAD")) => Ok(What::Metrics),
        ("/status" | "/metrics", _) => Err(Refusal::Method),
        _ => Err(Refusal::Unknown),
    };
    Ok(Some(Wanted { what, head }))
}

const TEXT: &str = "text/plain; charset=utf-8";

struct Reply {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Reply {
    fn new(status: &'static str, kind: &'static str, body: impl Into<String>) -> Self {
        Self { status, kind, body: body.into() }
    }

    fn refusal(refusal: Refusal) -> Self {
        let (status, body) = match refusal {
            Refusal::NotHttp => ("400 Bad Request", "expected an HTTP/1.1 request\n"),
            Refusal::TooLarge => {
                ("431 Request Header Fields Too Large", "expected a request of at most 8 KiB\n")
            }
            Refusal::Unknown => ("404 Not Found", "there are /status and /metrics\n"),
            Refusal::Method => ("405 Method Not Allowed", "expected GET or HEAD\n"),
            Refusal::Ending => ("503 Service Unavailable", "the bridge is ending\n"),
        };
        Self::new(status, TEXT, body)
    }

    fn bytes(&self, head: bool) -> Vec<u8> {
        let Self { status, kind, body } = self;
        let length = body.len();
        let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
        let body = if head { "" } else { body };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             {allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}
