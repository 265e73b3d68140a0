//! A request for the status page: what it asks for, and whether a web page of another site may have
//! caused it. It has no sockets.
//!
//! A site can give its own name the address of this machine (DNS rebinding). The browser then sends
//! that name as `Host`. So a host must be an address, `localhost`, or a name from the settings.

use std::net::{Ipv4Addr, Ipv6Addr};

use httparse::{EMPTY_HEADER, Header, Request};

/// The most headers in a request.
pub(super) const MAX_HEADERS: usize = 64;

/// The pages of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Json,
    Metrics,
}

/// Why a response holds no status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestError {
    NotHttp,
    TooLarge,
    /// Not exactly one host.
    Host,
    /// The host is neither an address, nor `localhost`, nor a name from the settings.
    OtherHost,
    /// A page of another site or port caused the request.
    OtherPage,
    UnknownPath,
    Method,
    Stopping,
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StatusRequest {
    pub(super) page: Result<Page, RequestError>,
    /// The method is HEAD: the response has no body.
    pub(super) is_head: bool,
}

impl StatusRequest {
    pub(super) const fn refused(error: RequestError) -> Self {
        Self { page: Err(error), is_head: false }
    }
}

/// Returns `None` while the request is incomplete. `hosts` are the names from the settings.
pub(super) fn parse(bytes: &[u8], hosts: &[String]) -> Result<Option<StatusRequest>, RequestError> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(RequestError::TooLarge),
        Err(_) => return Err(RequestError::NotHttp),
    }
    let is_head = request.method == Some("HEAD");
    let page = check_source(&request, hosts).and_then(|()| page(&request));
    Ok(Some(StatusRequest { page, is_head }))
}

fn page(request: &Request<'_, '_>) -> Result<Page, RequestError> {
    let (_, path) = split_target(request.path.unwrap_or_default());
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    match (path, request.method) {
        ("/status", Some("GET" | "HEAD")) => Ok(Page::Json),
        ("/metrics", Some("GET" | "HEAD")) => Ok(Page::Metrics),
        ("/status" | "/metrics", _) => Err(RequestError::Method),
        _ => Err(RequestError::UnknownPath),
    }
}

/// Splits `http://host:port/path` into the host with its port, and the path. A path alone has no host.
fn split_target(target: &str) -> (Option<&str>, &str) {
    const SCHEME: &str = "http://";
    let Some(scheme) = target.get(..SCHEME.len()) else { return (None, target) };
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return (None, target);
    }
    let rest = &target[SCHEME.len()..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    (Some(host), path)
}

/// Refuses what a page of another site may have caused.
fn check_source(request: &Request<'_, '_>, hosts: &[String]) -> Result<(), RequestError> {
    let mut named = values(request.headers, "host");
    let host = match (named.next(), named.next()) {
        (Some(host), None) => Some(host?),
        (None, _) if request.version == Some(0) => None, // HTTP/1.0, which browsers do not use
        _ => return Err(RequestError::Host),
    };
    let (target, _) = split_target(request.path.unwrap_or_default());
    for host in target.into_iter().chain(host) {
        if host.is_empty() {
            return Err(RequestError::Host);
        }
        if !is_known_host(host, hosts) {
            return Err(RequestError::OtherHost);
        }
    }
    for origin in values(request.headers, "origin") {
        let address = origin.ok().and_then(|origin| origin.strip_prefix("http://"));
        let is_own = |host: &str| address.is_some_and(|address| same_address(address, host));
        if !target.or(host).is_some_and(is_own) {
            return Err(RequestError::OtherPage);
        }
    }
    for site in values(request.headers, "sec-fetch-site") {
        if !matches!(site, Ok("none" | "same-origin")) {
            return Err(RequestError::OtherPage);
        }
    }
    Ok(())
}

/// The values of all headers with this name. A value that is not text is an error.
fn values<'a>(
    headers: &'a [Header<'a>],
    name: &'static str,
) -> impl Iterator<Item = Result<&'a str, RequestError>> {
    let named = headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| {
        str::from_utf8(header.value).map(str::trim).map_err(|_| RequestError::NotHttp)
    })
}

/// Whether `host`, with any port, is an address, `localhost` or one of these names.
fn is_known_host(host: &str, names: &[String]) -> bool {
    let Some((host, port)) = split_port(host) else { return false };
    if !port.is_empty() && port.parse::<u16>().is_err() {
        return false;
    }
    if let Some(v6) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return v6.parse::<Ipv6Addr>().is_ok();
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    host.parse::<Ipv4Addr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || names.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// Splits the port off; it is empty if there is none. `None`: a colon is not followed by a port.
fn split_port(host: &str) -> Option<(&str, &str)> {
    let end = host.find(']').map_or(0, |bracket| bracket + 1);
    match host.get(end..)?.split_once(':') {
        None => Some((host, "")),
        Some((name, port)) => {
            let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| (&host[..end + name.len()], port))
        }
    }
}

/// Whether both are the same host and port. Without a port, it is that of HTTP.
fn same_address(one: &str, other: &str) -> bool {
    let parts = |address| {
        let (host, port) = split_port(address)?;
        Some((host.to_ascii_lowercase(), if port.is_empty() { "80" } else { port }))
    };
    parts(one).is_some_and(|one| Some(one) == parts(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        vec!["scope.lab".to_owned()]
    }

    fn ask(text: &str) -> Result<Page, RequestError> {
        let request = parse(text.as_bytes(), &names());
        request.and_then(|request| request.expect("a whole request").page)
    }

    fn with_headers(headers: &str) -> Result<Page, RequestError> {
        ask(&format!("GET /status HTTP/1.1\r\n{headers}\r\n"))
    }

    #[test]
    fn an_address_localhost_or_a_listed_name_is_a_host() {
        for host in [
            "127.0.0.1:53721",
            "127.0.0.1",
            "10.0.0.9:1",
            "[::1]:53721",
            "[::1]",
            "[2001:db8::1]:80",
            "localhost:53721",
            "LocalHost",
            "localhost.",
            "localhost.:53721",
            "localhost:",
            "scope.lab:53721",
            "SCOPE.lab.",
        ] {
            assert_eq!(with_headers(&format!("Host: {host}\r\n")), Ok(Page::Json), "{host}");
            let target = format!("GET http://{host}/status HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(ask(&target), Ok(Page::Json), "{host}");
        }
    }

    #[test]
    fn any_other_host_is_refused() {
        for host in [
            "evil.example",
            "evil.example:53721",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "evil.localhost",
            "notlocalhost",
            "localhost..",
            "localhost:x",
            "localhost:70000",
            "localhost:53721:53721",
            "localhost@evil.com",
            "user@localhost",
            "user:1@127.0.0.1",
            "localhost,evil.com",
            "localhost evil.com",
            "localhost/",
            "::1",
            "[::1",
            "[::1]evil.com",
            "[::1].",
            "[127.0.0.1]",
            "[localhost]",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "http://localhost",
            ".",
            ":53721",
            "scope",
            "lab",
        ] {
            let refused = Err(RequestError::OtherHost);
            assert_eq!(with_headers(&format!("Host: {host}\r\n")), refused, "{host}");
        }
    }

    #[test]
    fn exactly_one_host_is_required() {
        for headers in ["", "Host:\r\n", "Host: \t \r\n", "Host: localhost\r\nhost: localhost\r\n"]
        {
            assert_eq!(with_headers(headers), Err(RequestError::Host), "{headers:?}");
        }
        assert_eq!(ask("GET /status HTTP/1.0\r\n\r\n"), Ok(Page::Json));
        let other = "GET /status HTTP/1.0\r\nHost: evil.example\r\n\r\n";
        assert_eq!(ask(other), Err(RequestError::OtherHost));
        let not_text = b"GET /status HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n";
        let page = parse(not_text, &[]).map(|request| request.unwrap().page);
        assert_eq!(page, Ok(Err(RequestError::NotHttp)));
    }

    #[test]
    fn the_host_of_the_target_is_checked_too() {
        for (target, host, expected) in [
            ("http://evil.example/status", "localhost", Err(RequestError::OtherHost)),
            ("HTTP://evil.example/status", "localhost", Err(RequestError::OtherHost)),
            ("http://user@localhost/status", "localhost", Err(RequestError::OtherHost)),
            ("http:///status", "localhost", Err(RequestError::Host)),
            ("http://localhost/status", "evil.example", Err(RequestError::OtherHost)),
            ("http://localhost?/status", "localhost", Err(RequestError::UnknownPath)),
            ("https://localhost/status", "localhost", Err(RequestError::UnknownPath)),
            ("//evil.example/status", "localhost", Err(RequestError::UnknownPath)),
            ("*", "localhost", Err(RequestError::UnknownPath)),
            ("HTTP://LOCALHOST:1/metrics?x=1", "localhost", Ok(Page::Metrics)),
        ] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            assert_eq!(ask(&request), expected, "{request}");
        }
    }

    #[test]
    fn a_request_that_another_page_causes_is_refused() {
        let host = "Host: localhost:53721\r\n";
        for headers in [
            "Origin: http://evil.example\r\n",
            "Origin: https://localhost:53721\r\n",
            "Origin: http://localhost\r\n",
            "Origin: http://localhost:8000\r\n",
            "Origin: http://127.0.0.1:53721\r\n",
            "Origin: null\r\n",
            "Origin:\r\n",
            "Origin: http://localhost:53721\r\nOrigin: http://evil.example\r\n",
            "Origin: http://localhost:53721 http://evil.example\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            "Sec-Fetch-Site: same-site\r\n",
            "sec-fetch-site: CROSS-SITE\r\n",
            "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n",
        ] {
            let refused = with_headers(&format!("{host}{headers}"));
            assert_eq!(refused, Err(RequestError::OtherPage), "{headers}");
        }
        for headers in [
            "Origin: http://localhost:53721\r\n",
            "Origin: http://LOCALHOST:53721\r\n",
            "Sec-Fetch-Site: same-origin\r\n",
            "Sec-Fetch-Site: none\r\n",
        ] {
            assert_eq!(with_headers(&format!("{host}{headers}")), Ok(Page::Json), "{headers}");
        }
        assert_eq!(with_headers("Host: [::1]\r\nOrigin: http://[::1]:80\r\n"), Ok(Page::Json));
    }

    #[test]
    fn a_request_in_single_bytes_is_the_same_request() {
        let request = b"HEAD /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        for length in 0..request.len() {
            assert_eq!(parse(&request[..length], &[]), Ok(None), "{length} bytes");
        }
        let expected = StatusRequest { page: Ok(Page::Metrics), is_head: true };
        assert_eq!(parse(request, &[]), Ok(Some(expected)));
    }
}
