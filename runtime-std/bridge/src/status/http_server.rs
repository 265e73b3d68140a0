//! The status page (HTTP): `/status` as JSON, `/metrics` for Prometheus. It answers one request per
//! connection and limits its size and time.
//!
//! The caller provides the numbers; their types are in `counters.rs`.

use std::future::Future;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use httparse::{EMPTY_HEADER, Request};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Timer, future};

use super::BridgeStatus;
use super::prometheus::metrics;
use flamingo_runtime_std::socket::acceptor::{Acceptor, Allow};

/// Connections at the same time.
const MAX_CONNECTIONS: usize = 16;
/// The time limit from the first byte of a request to the last byte of the response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest request, in bytes, and the most headers in it.
const MAX_BYTES: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
/// Bytes after a request that are read and ignored, so that they do not reset the connection and
/// destroy the response.
const MAX_IGNORED: usize = 64 * 1024;

/// Answers requests until the future is dropped, which ends all connections. `read_status` returns
/// the status, or `None` while the bridge stops.
pub(crate) async fn serve<S, F>(listener: Async<TcpListener>, allow: Allow, read_status: S)
where
    S: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<BridgeStatus>> + Send + 'static,
{
    let acceptor = Acceptor::new("status", listener, allow, MAX_CONNECTIONS);
    let serve = |stream: Async<TcpStream>, address| {
        let read_status = read_status.clone();
        async move {
            if let Err(error) = within(REQUEST_TIMEOUT, answer(&stream, read_status)).await {
                tracing::debug!(%address, %error, "a request for the status was not answered");
            }
        }
    };
    acceptor.run(serve).await;
}

async fn within<T>(timeout: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let too_late = async {
        Timer::after(timeout).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    future::or(work, too_late).await
}

async fn answer<S, F>(mut stream: &Async<TcpStream>, read_status: S) -> io::Result<()>
where
    S: Fn() -> F,
    F: Future<Output = Option<BridgeStatus>>,
{
    let request = match read_request(stream).await? {
        Ok(request) => request,
        Err(error) => StatusRequest { page: Err(error), is_head: false },
    };
    let response = match request.page {
        Ok(page) => match read_status().await {
            Some(status) => page.render(&status),
            None => HttpResponse::error(RequestError::Stopping),
        },
        Err(error) => HttpResponse::error(error),
    };
    stream.write_all(&response.encode(request.is_head)).await?;
    stream.get_ref().shutdown(std::net::Shutdown::Write)?;
    // Closing with unread bytes would reset the connection, and the answer with it.
    let mut rest = [0; 1024];
    let mut ignored = 0;
    while ignored < MAX_IGNORED {
        match stream.read(&mut rest).await? {
            0 => break,
            count => ignored += count,
        }
    }
    Ok(())
}

/// The pages of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Json,
    Metrics,
}

impl Page {
    fn render(self, status: &BridgeStatus) -> HttpResponse {
        match self {
            Self::Json => match serde_json::to_string(status) {
                Ok(json) => HttpResponse::new("200 OK", "application/json", json + "\n"),
                Err(error) => {
                    HttpResponse::new("500 Internal Server Error", TEXT, format!("{error}\n"))
                }
            },
            Self::Metrics => HttpResponse::new(
                "200 OK",
                "text/plain; version=0.0.4; charset=utf-8",
                metrics(status),
            ),
        }
    }
}

/// Why a response holds no status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestError {
    NotHttp,
    TooLarge,
    UnknownPath,
    Method,
    Stopping,
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
struct StatusRequest {
    page: Result<Page, RequestError>,
    /// The method is HEAD: the response has no body.
    is_head: bool,
}

/// Reads up to the end of a request's headers.
async fn read_request(
    mut stream: &Async<TcpStream>,
) -> io::Result<Result<StatusRequest, RequestError>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        match stream.read(&mut chunk).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
        match parse(&bytes) {
            Ok(None) if bytes.len() >= MAX_BYTES => return Ok(Err(RequestError::TooLarge)),
            Ok(None) => {}
            Ok(Some(request)) => return Ok(Ok(request)),
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// Returns `None` while the request is incomplete.
fn parse(bytes: &[u8]) -> Result<Option<StatusRequest>, RequestError> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(RequestError::TooLarge),
        Err(_) => return Err(RequestError::NotHttp),
    }
    let is_head = request.method == Some("HEAD");
    let path = request.path.unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let page = match (path, request.method) {
        ("/status", Some("GET" | "HEAD")) => Ok(Page::Json),
        ("/metrics", Some("GET" | "HEAD")) => Ok(Page::Metrics),
        ("/status" | "/metrics", _) => Err(RequestError::Method),
        _ => Err(RequestError::UnknownPath),
    };
    Ok(Some(StatusRequest { page, is_head }))
}

const TEXT: &str = "text/plain; charset=utf-8";

struct HttpResponse {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl HttpResponse {
    fn new(status: &'static str, kind: &'static str, body: impl Into<String>) -> Self {
        Self { status, kind, body: body.into() }
    }

    fn error(error: RequestError) -> Self {
        let (status, body) = match error {
            RequestError::NotHttp => ("400 Bad Request", "expected an HTTP/1.1 request\n"),
            RequestError::TooLarge => {
                ("431 Request Header Fields Too Large", "expected a request of at most 8 KiB\n")
            }
            RequestError::UnknownPath => ("404 Not Found", "the pages are /status and /metrics\n"),
            RequestError::Method => ("405 Method Not Allowed", "expected GET or HEAD\n"),
            RequestError::Stopping => ("503 Service Unavailable", "the bridge is stopping\n"),
        };
        Self::new(status, TEXT, body)
    }

    fn encode(&self, is_head: bool) -> Vec<u8> {
        let Self { status, kind, body } = self;
        let length = body.len();
        let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
        let body = if is_head { "" } else { body };
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
    use crate::status::{StatusError, fetch_status};
    use flamingo_runtime_testkit::loopback::{allow_all, connect, listen};

    fn with_server<T: Future<Output = ()>>(
        status: Option<BridgeStatus>,
        test: impl FnOnce(SocketAddr) -> T,
    ) {
        let (listener, address) = listen();
        let read_status = move || future::ready(status.clone());
        let server = serve(listener, allow_all(), read_status);
        smol::block_on(future::or(server, test(address)));
    }

    /// Sends these bytes and returns the headers and the body of the response.
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

    fn status() -> BridgeStatus {
        BridgeStatus { version: "7.8".into(), uptime_s: 2.5, ..BridgeStatus::default() }
    }

    #[test]
    fn the_status_is_served_as_json_and_as_metrics() {
        with_server(Some(status()), |address| async move {
            let (head, body) = exchange(address, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains("Content-Type: application/json\r\n"), "{head}");
            assert_eq!(serde_json::from_str::<BridgeStatus>(&body).unwrap(), status());
            let (head, body) = exchange(address, "GET /metrics?x=1 HTTP/1.0\r\n\r\n").await;
            assert!(head.contains("text/plain; version=0.0.4"), "{head}");
            assert_eq!(body, metrics(&status()));
        });
    }

    #[test]
    fn head_returns_the_headers_of_get_and_no_body() {
        with_server(Some(status()), |address| async move {
            let (get, _) = exchange(address, "GET /status HTTP/1.1\r\n\r\n").await;
            let (head, body) = exchange(address, "HEAD /status HTTP/1.1\r\n\r\n").await;
            assert_eq!((head, body.as_str()), (get, ""));
        });
    }

    #[test]
    fn bad_requests_are_refused_with_the_reason() {
        let large = format!("GET /status HTTP/1.1\r\nX: {}", "x".repeat(MAX_BYTES));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(MAX_HEADERS + 1));
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
    fn a_request_in_single_bytes_is_the_same_request() {
        let request = b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        for length in 0..request.len() {
            assert_eq!(parse(&request[..length]), Ok(None), "{length} bytes");
        }
        let expected = StatusRequest { page: Ok(Page::Metrics), is_head: true };
        assert_eq!(parse(request), Ok(Some(expected)));
    }

    #[test]
    fn a_stopping_bridge_answers_with_503() {
        with_server(None, |address| async move {
            let (head, _) = exchange(address, "GET /status HTTP/1.1\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
            let error =
                fetch_status(&address.to_string(), Duration::from_secs(20)).await.unwrap_err();
            assert!(matches!(error, StatusError::NotBridge { .. }), "{error}");
            assert_eq!(error.exit_code(), 6);
        });
    }

    #[test]
    fn the_fetched_status_is_the_served_one() {
        with_server(Some(status()), |address| async move {
            let fetched = fetch_status(&address.to_string(), Duration::from_secs(20)).await;
            assert_eq!(fetched.unwrap(), status());
        });
    }

    #[test]
    fn half_a_request_times_out_and_delays_nobody() {
        with_server(Some(status()), |address| async move {
            let mut slow = connect(address).await;
            slow.write_all(b"GET /sta").unwrap();
            let fetched = fetch_status(&address.to_string(), Duration::from_secs(20)).await;
            assert!(fetched.is_ok());
        });
        let never = future::pending::<io::Result<()>>();
        let ended = smol::block_on(within(Duration::from_millis(1), never)).unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_connection_above_the_limit_is_closed_at_once() {
        with_server(Some(status()), |address| async move {
            let mut inside = Vec::new();
            for _ in 0..MAX_CONNECTIONS {
                inside.push(connect(address).await);
            }
            let mut one_too_many = connect(address).await;
            let read = smol::unblock(move || one_too_many.read(&mut [0])).await;
            assert!(matches!(read, Ok(0)), "{read:?}");
        });
    }
}
