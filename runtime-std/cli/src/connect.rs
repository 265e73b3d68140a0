//! What the client commands share: connecting, and judging an answer.

use std::future::Future;
use std::time::Duration;

use flamingo_runtime_std::{Answer, Client, Error, Options};
use smol::Timer;

use crate::failure::{Done, Failure, REFUSED};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.exit_code(), error.to_string())
    }
}

/// Connects; `timeout` is for each answer, the first one included.
pub(crate) async fn connect(address: &str, timeout: Duration) -> Done<Client> {
    let mut options = Options::new(address);
    options.timeout = timeout;
    tracing::info!(address, ?timeout, "connecting");
    let client = Client::connect(options).await?;
    tracing::info!(state = client.state_at_connect().frame.selector(), "connected");
    Ok(client)
}

/// The address of the live port: the one behind the control port, or another one of that host.
pub(crate) fn live_address(control: &str, port: Option<u16>) -> Option<String> {
    match (port, control.rsplit_once(':')) {
        (Some(port), Some((host, _))) => Some(format!("{host}:{port}")),
        _ => flamingo_runtime_std::socket::instrument_ports::image_port(control, 1),
    }
}

/// Why `what` failed.
pub(crate) fn failure(error: &Error, what: &str) -> Failure {
    Failure::new(error.exit_code(), format!("{what}: {error}"))
}

/// The answer, unless its status says failure. `what` names the command and its object. Other
/// statuses than 0 and 1 are seen, and are no failure.
pub(crate) fn succeeded(answer: Answer, what: &str) -> Done<Answer> {
    if answer.frame.status != 0 {
        return Ok(answer);
    }
    let text = String::from_utf8_lossy(answer.frame.buffer_bytes()).into_owned();
    let said = if text.is_empty() { String::new() } else { format!(", saying {text:?}") };
    Err(Failure::new(
        REFUSED,
        format!(
            "{what}: the instrument answered {} with failure (status 0){said}",
            answer.frame.code
        ),
    ))
}

/// What `work` gives, or nothing when it takes longer than `limit`.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let expired = async {
        Timer::after(limit).await;
        None
    };
    smol::future::or(async { Some(work.await) }, expired).await
}
