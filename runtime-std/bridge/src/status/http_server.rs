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

use super::prometheus::metrics;
use crate::status::counters::Status;
use flamingo_runtime_std::socket::acceptor::{Acceptor, Allow};

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
    let acceptor = Acceptor { listener, allow, limit: CONNECTIONS, name: "status" };
    let serve = |stream: Async<TcpStream>, address| {
        let ask = ask.clone();
        async move {
            if let Err(error) = within(PATIENCE, answer(&stream, ask)).await {
                tracing::debug!(%address, %error, "no answer to a question for the status");
            }
        }
    };
    acceptor.run(serve).await;
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::SocketAddr;

    use super::*;
    use crate::status::http_client::{FetchError, fetch};
    use flamingo_runtime_testkit::loopback::{connect, everybody, listen};

    fn with_server<T: Future<Output = ()>>(
        status: Option<Status>,
        test: impl FnOnce(SocketAddr) -> T,
    ) {
        let (listener, address) = listen();
        let ask = move || future::ready(status.clone());
        let server = serve(listener, everybody(), ask);
        smol::block_on(future::or(server, test(address)));
    }

    /// What comes back when these bytes are sent: the headers and the body.
    async fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> (String, String) {
        let request = request.as_ref().to_vec();
        let mut stream = connect(address).await;
        let answer = smol::unblock(move || {
            stream.write_all(&request).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = answer.await;
        let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
        let length = format!("Content-Length: {}\r\n", body.len());
        assert!(body.is_empty() || head.contains(&length), "{answer}");
        (head.into(), body.into())
    }

    fn status() -> Status {
        Status { version: "7.8".into(), uptime_s: 2.5, ..Status::default() }
    }

    #[test]
    fn the_status_is_given_as_json_and_as_metrics() {
        with_server(Some(status()), |address| async move {
            let (head, body) = exchange(address, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains("Content-Type: application/json\r\n"), "{head}");
            assert_eq!(serde_json::from_str::<Status>(&body).unwrap(), status());
            let (head, body) = exchange(address, "GET /metrics?x=1 HTTP/1.0\r\n\r\n").await;
            assert!(head.contains("text/plain; version=0.0.4"), "{head}");
            assert_eq!(body, metrics(&status()));
        });
    }

    #[test]
    fn head_gives_the_headers_of_get_and_no_body() {
        with_server(Some(status()), |address| async move {
            let (get, _) = exchange(address, "GET /status HTTP/1.1\r\n\r\n").await;
            let (head, body) = exchange(address, "HEAD /status HTTP/1.1\r\n\r\n").await;
            assert_eq!((head, body.as_str()), (get, ""));
        });
    }

    #[test]
    fn what_is_not_there_or_not_http_is_refused_with_the_reason() {
        let large = format!("GET /status HTTP/1.1\r\nX: {}", "x".repeat(MOST_BYTES));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(MOST_HEADERS + 1));
        let cases = [
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), "404"),
            ("GET /statuses HTTP/1.1\r\n\r\n".to_owned(), "404"),
            ("POST /status HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc".to_owned(), "405"),
            ("DELETE /metrics HTTP/1.1\r\n\r\n".to_owned(), "405"),
            ("\u{1}\u{2}\u{3}\r\n\r\n".to_owned(), "400"),
            ("GET /status SPDY/9\r\n\r\n".to_owned(), "400"),
            (large, "431"),
            (many, "431"),
        ];
        with_server(Some(status()), |address| async move {
            for (request, code) in cases {
                let (head, body) = exchange(address, &request).await;
                assert!(head.starts_with(&format!("HTTP/1.1 {code} ")), "{request}: {head}");
                assert_eq!(head.contains("\r\nAllow: GET, HEAD\r\n"), code == "405", "{head}");
                assert!(body.ends_with('\n'), "{body}");
            }
        });
    }

    #[test]
    fn a_request_in_single_bytes_is_read_as_the_same_request() {
        let request = b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        for length in 0..request.len() {
            assert_eq!(parse(&request[..length]), Ok(None), "{length} bytes");
        }
        let wanted = Wanted { what: Ok(What::Metrics), head: true };
        assert_eq!(parse(request), Ok(Some(wanted)));
    }

    #[test]
    fn a_bridge_that_is_ending_says_so() {
        with_server(None, |address| async move {
            let (head, _) = exchange(address, "GET /status HTTP/1.1\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
            let error = fetch(&address.to_string(), Duration::from_secs(20)).await.unwrap_err();
            assert!(matches!(error, FetchError::NotBridge { .. }), "{error}");
            assert_eq!(error.exit_code(), 6);
        });
    }

    #[test]
    fn what_is_fetched_is_what_was_served() {
        with_server(Some(status()), |address| async move {
            let fetched = fetch(&address.to_string(), Duration::from_secs(20)).await;
            assert_eq!(fetched.unwrap(), status());
        });
    }

    #[test]
    fn whoever_sends_half_a_request_is_cut_off_in_time_and_harms_nobody() {
        with_server(Some(status()), |address| async move {
            let mut slow = connect(address).await;
            slow.write_all(b"GET /sta").unwrap();
            let fetched = fetch(&address.to_string(), Duration::from_secs(20)).await;
            assert!(fetched.is_ok());
        });
        let never = future::pending::<io::Result<()>>();
        let ended = smol::block_on(within(Duration::from_millis(1), never)).unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn more_connections_than_there_is_room_for_are_closed_at_once() {
        with_server(Some(status()), |address| async move {
            let mut inside = Vec::new();
            for _ in 0..CONNECTIONS {
                inside.push(connect(address).await);
            }
            let mut one_too_many = connect(address).await;
            let read = smol::unblock(move || one_too_many.read(&mut [0])).await;
            assert!(matches!(read, Ok(0)), "{read:?}");
        });
    }
}
