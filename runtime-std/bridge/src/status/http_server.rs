//! The status page (HTTP): `/status` as JSON, `/metrics` for Prometheus. It answers one request per
//! connection and limits its size and time.
//!
//! `http_request.rs` decides what a request may have, and `holders.rs` which connection is closed if
//! there are too many. The caller provides the numbers; their types are in `counters.rs`.

use std::future::Future;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Timer, future};

use super::BridgeStatus;
use super::holders::{Holders, Phase, Place};
use super::http_request::{Page, RequestError, StatusRequest, parse};
use super::prometheus::metrics;
use flamingo_runtime_std::socket::acceptor::{Acceptor, Allow};

/// Connections at the same time. A new one closes an old one.
const MAX_CONNECTIONS: usize = 16;
/// Connections of which most are being closed: as many as may come at once.
const MAX_ACCEPTED: usize = 512;
/// The time limit for a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// The time limit for the response, up to the end of the connection.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(4);
/// The longest request, in bytes.
const MAX_BYTES: usize = 8 * 1024;
/// Bytes after a request that are read and ignored, so that they do not reset the connection and
/// destroy the response.
const MAX_IGNORED: usize = 64 * 1024;

/// Answers requests until the future is dropped, which ends all connections. `hosts` are the names by
/// which this machine may be called. `read_status` returns the status, or `None` while the bridge
/// stops.
pub(crate) async fn serve<S, F>(
    listener: Async<TcpListener>,
    allow: Allow,
    hosts: Vec<String>,
    read_status: S,
) where
    S: Fn() -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<BridgeStatus>> + Send + 'static,
{
    let acceptor = Acceptor::new("status", listener, allow, MAX_ACCEPTED);
    let (hosts, holders): (Arc<[String]>, _) = (hosts.into(), Holders::new(MAX_CONNECTIONS));
    let serve = |stream: Async<TcpStream>, address: std::net::SocketAddr| {
        let (read_status, hosts) = (read_status.clone(), Arc::clone(&hosts));
        let place = holders.enter(address.ip());
        async move {
            let answered = answer(&stream, &place, &hosts, read_status);
            let closed = async {
                place.is_closed().await;
                Err(io::Error::other("a newer connection took its place"))
            };
            if let Err(error) = future::or(answered, closed).await {
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

async fn answer<S, F>(
    stream: &Async<TcpStream>,
    place: &Place,
    hosts: &[String],
    read_status: S,
) -> io::Result<()>
where
    S: Fn() -> F,
    F: Future<Output = Option<BridgeStatus>>,
{
    let request = within(REQUEST_TIMEOUT, read_request(stream, hosts)).await?;
    place.set_phase(Phase::Response);
    within(RESPONSE_TIMEOUT, respond(stream, place, request, read_status)).await
}

async fn respond<S, F>(
    mut stream: &Async<TcpStream>,
    place: &Place,
    request: StatusRequest,
    read_status: S,
) -> io::Result<()>
where
    S: Fn() -> F,
    F: Future<Output = Option<BridgeStatus>>,
{
    let response = match request.page {
        Ok(page) => match read_status().await {
            Some(status) => HttpResponse::of_page(page, &status),
            None => HttpResponse::error(RequestError::Stopping),
        },
        Err(error) => HttpResponse::error(error),
    };
    stream.write_all(&response.encode(request.is_head)).await?;
    stream.get_ref().shutdown(std::net::Shutdown::Write)?;
    place.set_phase(Phase::Answered);
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

/// Reads up to the end of a request's headers.
async fn read_request(
    mut stream: &Async<TcpStream>,
    hosts: &[String],
) -> io::Result<StatusRequest> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        match stream.read(&mut chunk).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
        match parse(&bytes, hosts) {
            Ok(None) if bytes.len() >= MAX_BYTES => {
                return Ok(StatusRequest::refused(RequestError::TooLarge));
            }
            Ok(None) => {}
            Ok(Some(request)) => return Ok(request),
            Err(error) => return Ok(StatusRequest::refused(error)),
        }
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

/// In every response. No page of another site may read, embed or frame it; browsers take such a
/// permission from headers that this server never sends.
const PROTECTION: &str = "Cache-Control: no-store\r\n\
     X-Content-Type-Options: nosniff\r\n\
     X-Frame-Options: DENY\r\n\
     Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n\
     Cross-Origin-Resource-Policy: same-origin\r\n";

struct HttpResponse {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl HttpResponse {
    fn new(status: &'static str, kind: &'static str, body: impl Into<String>) -> Self {
        Self { status, kind, body: body.into() }
    }

    fn of_page(page: Page, status: &BridgeStatus) -> Self {
        match page {
            Page::Json => match serde_json::to_string(status) {
                Ok(json) => Self::new("200 OK", "application/json", json + "\n"),
                Err(error) => Self::new("500 Internal Server Error", TEXT, format!("{error}\n")),
            },
            Page::Metrics => {
                Self::new("200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics(status))
            }
        }
    }

    fn error(error: RequestError) -> Self {
        let (status, body) = match error {
            RequestError::NotHttp => ("400 Bad Request", "expected an HTTP/1.1 request\n"),
            RequestError::TooLarge => {
                ("431 Request Header Fields Too Large", "expected a request of at most 8 KiB\n")
            }
            RequestError::Host => ("400 Bad Request", "expected one Host header with a host\n"),
            RequestError::OtherHost => (
                "421 Misdirected Request",
                "expected an IP address or localhost as host, or a name in listen.status_hosts: \
                 use the IP address, or add the name to the settings of the bridge\n",
            ),
            RequestError::OtherPage => (
                "403 Forbidden",
                "a page of another site or port may not read the status: open the address itself\n",
            ),
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
             {allow}{PROTECTION}Connection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::SocketAddr;

    use super::super::http_request::MAX_HEADERS;
    use super::*;
    use crate::status::{StatusError, fetch_status};
    use flamingo_runtime_testkit::loopback::{allow_all, connect, listen};

    fn with_server<T: Future<Output = ()>>(
        status: Option<BridgeStatus>,
        test: impl FnOnce(SocketAddr) -> T,
    ) {
        let (listener, address) = listen();
        let read_status = move || future::ready(status.clone());
        let server = serve(listener, allow_all(), Vec::new(), read_status);
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
            let (head, body) =
                exchange(address, "GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
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
            let (get, _) = exchange(address, "GET /status HTTP/1.1\r\nHost: [::1]:1\r\n\r\n").await;
            let (head, body) =
                exchange(address, "HEAD /status HTTP/1.1\r\nHost: [::1]:1\r\n\r\n").await;
            assert_eq!((head, body.as_str()), (get, ""));
        });
    }

    #[test]
    fn bad_requests_are_refused_with_the_reason() {
        const HOST: &str = "Host: localhost\r\n";
        let large = format!("GET /status HTTP/1.1\r\nX: {}", "x".repeat(MAX_BYTES));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(MAX_HEADERS + 1));
        let cases = [
            (format!("GET / HTTP/1.1\r\n{HOST}\r\n"), "404"),
            (format!("GET /statuses HTTP/1.1\r\n{HOST}\r\n"), "404"),
            (format!("POST /status HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabc"), "405"),
            (format!("DELETE /metrics HTTP/1.1\r\n{HOST}\r\n"), "405"),
            ("\u{1}\u{2}\u{3}\r\n\r\n".to_owned(), "400"),
            (format!("GET /status SPDY/9\r\n{HOST}\r\n"), "400"),
            ("GET /status HTTP/1.1\r\n\r\n".to_owned(), "400"),
            ("GET /status HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), "421"),
            (format!("GET /status HTTP/1.1\r\n{HOST}Origin: null\r\n\r\n"), "403"),
            (large, "431"),
            (many, "431"),
        ];
        with_server(Some(status()), |address| async move {
            for (request, code) in cases {
                let (head, body) = exchange(address, &request).await;
                assert!(head.starts_with(&format!("HTTP/1.1 {code} ")), "{request}: {head}");
                assert_eq!(head.contains("\r\nAllow: GET, HEAD\r\n"), code == "405", "{head}");
                assert!(body.ends_with('\n') && !body.contains("7.8"), "{body}");
            }
        });
    }

    #[test]
    fn every_response_keeps_other_sites_out() {
        for response in [
            HttpResponse::of_page(Page::Json, &status()),
            HttpResponse::of_page(Page::Metrics, &status()),
            HttpResponse::error(RequestError::OtherHost),
            HttpResponse::error(RequestError::Method),
        ] {
            let text = String::from_utf8(response.encode(true)).unwrap();
            assert!(text.contains("\r\nX-Content-Type-Options: nosniff\r\n"), "{text}");
            assert!(text.contains("\r\nCross-Origin-Resource-Policy: same-origin\r\n"), "{text}");
            assert!(text.contains("\r\nX-Frame-Options: DENY\r\n"), "{text}");
            assert!(text.contains("frame-ancestors 'none'\r\n"), "{text}");
            assert!(!text.contains("Access-Control-"), "{text}");
        }
    }

    #[test]
    fn a_name_of_the_settings_is_a_host() {
        let (listener, address) = listen();
        let read_status = || future::ready(Some(status()));
        let server = serve(listener, allow_all(), vec!["scope.lab".into()], read_status);
        let request = "GET /status HTTP/1.1\r\nHost: scope.lab:53721\r\n\r\n";
        let test = async {
            let (head, _) = exchange(address, request).await;
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        };
        smol::block_on(future::or(server, test));
    }

    #[test]
    fn a_stopping_bridge_answers_with_503() {
        with_server(None, |address| async move {
            let (head, _) =
                exchange(address, "GET /status HTTP/1.1\r\nHost: [::1]:1\r\n\r\n").await;
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
    fn holders_of_connections_keep_no_request_out() {
        with_server(Some(status()), |address| async move {
            let mut holders = Vec::new();
            for number in 0..100 {
                let mut holder = connect(address).await;
                let begun: &[u8] = match number % 3 {
                    0 => b"",
                    1 => b"GET /sta",
                    _ => b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n",
                };
                holder.write_all(begun).unwrap();
                holders.push(holder);
            }
            for _ in 0..3 {
                let fetched = fetch_status(&address.to_string(), Duration::from_secs(20)).await;
                assert_eq!(fetched.unwrap(), status());
                holders.push(connect(address).await);
            }
            let mut oldest = holders.remove(0);
            let end = smol::unblock(move || oldest.read(&mut [0])).await;
            assert!(matches!(end, Ok(0)), "{end:?}");
        });
    }
}
