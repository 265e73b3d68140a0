//! Shared by the commands that send requests: connecting, and checking the status of an answer.

use flamingo_microscope::field_words::failure_text;
use flamingo_protocol_core::wire::Status;
use std::future::Future;
use std::time::Duration;

use flamingo_microscope::SystemState;
use flamingo_runtime_std::{Answer, Client, Error};
use smol::Timer;

use crate::failure::{CommandResult, Failure, LOST, NO_ANSWER, REFUSED};
use crate::profile::PeerArgs;

/// SYSTEM_STATE_DISCONNECTED.
pub(crate) const DISCONNECTED: i32 = 0xA001;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.exit_code(), error.to_string())
    }
}

/// Connects. `timeout` limits each answer, including the first one.
pub(crate) async fn connect(
    peer: &PeerArgs,
    address: &str,
    timeout: Duration,
) -> CommandResult<Client> {
    let options = peer.options(address, timeout)?;
    tracing::info!(address, ?timeout, "connecting");
    let client = Client::connect(options).await?;
    tracing::info!(state = client.state_at_connect().frame.selector(), "connected");
    Ok(client)
}

/// Connects to an instrument, and not to a bridge that has lost it. Nothing would be answered then.
pub(crate) async fn connect_to_instrument(
    peer: &PeerArgs,
    address: &str,
    timeout: Duration,
) -> CommandResult<Client> {
    let client = connect(peer, address, timeout).await?;
    if client.state_at_connect().frame.selector() == DISCONNECTED {
        return Err(Failure::new(
            LOST,
            format!(
                "{address}: the state is DISCONNECTED: a bridge answers, but it has lost its \
                 instrument; nothing was sent; look at the bridge's log, or try flamingo doctor"
            ),
        ));
    }
    Ok(client)
}

/// Refuses a command that would change what a running workflow does. `what` names the command and its object.
pub(crate) fn not_while_running(client: &Client, what: &str) -> CommandResult {
    let state = SystemState::from_code(client.state_at_connect().frame.selector());
    if state == SystemState::WorkflowRunning {
        return Err(Failure::usage(format!(
            "{what}: expected no workflow, found the state {state}; nothing was sent; wait for its end, or: \
             flamingo send CAMERA_WORK_FLOW_STOP"
        )));
    }
    Ok(())
}

/// The address of an image port: `port` on the host of `control`, or the port `offset` above the control
/// port. `None` if there is no such port.
pub(crate) fn image_address(control: &str, offset: u16, port: Option<u16>) -> Option<String> {
    match (port, control.rsplit_once(':')) {
        (Some(port), Some((host, _))) => Some(format!("{host}:{port}")),
        _ => flamingo_runtime_std::socket::instrument_ports::image_port(control, offset),
    }
}

/// The failure of `what`.
pub(crate) fn failure(error: &Error, what: &str) -> Failure {
    Failure::new(error.exit_code(), format!("{what}: {error}"))
}

/// The failure of a stop that got no answer. If it went out, it is only not confirmed.
pub(crate) fn unconfirmed(error: &Error, what: &str) -> Failure {
    if error.was_sent() {
        return Failure::new(NO_ANSWER, format!("{what}: sent, but not confirmed: {error}"));
    }
    failure(error, &format!("{what}: not sent"))
}

/// Returns the answer unless its status is a failure. An answer whose status says nothing is a presumed
/// success. `what` names the command and its object.
pub(crate) fn succeeded(answer: Answer, what: &str) -> CommandResult<Answer> {
    if answer.outcome != Status::Failure {
        return Ok(answer);
    }
    let text = String::from_utf8_lossy(answer.frame.buffer_bytes()).into_owned();
    let said = failure_text(answer.frame.code, answer.frame.status, &text);
    Err(Failure::new(REFUSED, format!("{what}: {said}")))
}

/// The result of `work`, or `None` if it takes longer than `limit`.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let expired = async {
        Timer::after(limit).await;
        None
    };
    smol::future::or(async { Some(work.await) }, expired).await
}
