//! Shared by the commands that send requests: connecting, and checking the status of an answer.

use flamingo_protocol_core::wire::Status;
use std::future::Future;
use std::time::Duration;

use flamingo_runtime_std::{Answer, Client, Error, Options};
use smol::Timer;

use crate::failure::{CommandResult, Failure, REFUSED};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.exit_code(), error.to_string())
    }
}

/// Connects. `timeout` limits each answer, including the first one.
pub(crate) async fn connect(address: &str, timeout: Duration) -> CommandResult<Client> {
    let mut options = Options::new(address);
    options.timeout = timeout;
    tracing::info!(address, ?timeout, "connecting");
    let client = Client::connect(options).await?;
    tracing::info!(state = client.state_at_connect().frame.selector(), "connected");
    Ok(client)
}

/// The address of the live port: `port` on the host of `control`, or the port after the control
/// port. `None` if the control port is the last one.
pub(crate) fn live_address(control: &str, port: Option<u16>) -> Option<String> {
    match (port, control.rsplit_once(':')) {
        (Some(port), Some((host, _))) => Some(format!("{host}:{port}")),
        _ => flamingo_runtime_std::socket::instrument_ports::image_port(control, 1),
    }
}

/// The failure of `what`.
pub(crate) fn failure(error: &Error, what: &str) -> Failure {
    Failure::new(error.exit_code(), format!("{what}: {error}"))
}

/// Returns the answer unless its status is 0 (failure). Instruments also send statuses other than 0
/// and 1; they are no failure. `what` names the command and its object.
pub(crate) fn succeeded(answer: Answer, what: &str) -> CommandResult<Answer> {
    if answer.frame.outcome() != Status::Failed {
        return Ok(answer);
    }
    let text = String::from_utf8_lossy(answer.frame.buffer_bytes()).into_owned();
    let reason = if text.is_empty() { String::new() } else { format!(": {text:?}") };
    Err(Failure::new(
        REFUSED,
        format!(
            "{what}: the instrument answered {} with failure (status 0){reason}",
            answer.frame.code
        ),
    ))
}

/// The result of `work`, or `None` if it takes longer than `limit`.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let expired = async {
        Timer::after(limit).await;
        None
    };
    smol::future::or(async { Some(work.await) }, expired).await
}
