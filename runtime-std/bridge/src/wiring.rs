//! What the settings mean for the parts of the bridge: router, recording, relays of images. What a
//! user may say is `settings.rs`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flamingo_protocol_core::{Config, TokenField};

use crate::BridgeError;
use crate::backoff::Backoff;
use crate::image_relay::Source;
use crate::router::Options;
use crate::settings::{Record, Settings, Tokens};
use flamingo_recording::{self as recording, Port, Recorder, Rotation};
use flamingo_runtime_std::socket::instrument_ports::image_port;

/// How the router talks to the instrument and to the clients.
pub(super) fn options(settings: &Settings) -> Options {
    let Settings { upstream, limits, events, lease, .. } = settings;
    let tokens = match upstream.tokens {
        Tokens::Off => None,
        Tokens::ClientId => Some(TokenField::ClientId),
        Tokens::Int32Data2 => Some(TokenField::Int32Data2),
    };
    Options {
        core: Config { tokens, window: upstream.window, ..Config::default() },
        request_timeout: flamingo_protocol_core::Duration::from_millis(upstream.request_timeout_ms),
        limits: limits.clone(),
        lease: lease.enabled.then(|| Duration::from_secs(lease.idle_s).into()),
        dead_man: lease.dead_man,
        echo_actions: events.echo_actions,
        tag: events.tag,
        coalesce: upstream.coalesce_polls,
    }
}

/// What is to be recorded, if anything.
pub(super) fn recorder(settings: &Settings) -> Result<Option<Recorder>, BridgeError> {
    let Record { folder, pixels, file_mb, file_minutes, keep_files } = &settings.record;
    if folder.is_empty() {
        return Ok(None);
    }
    let rotation = Rotation {
        bytes: file_mb.saturating_mul(1_000_000),
        age: Duration::from_secs(file_minutes.saturating_mul(60)),
        keep: *keep_files,
    };
    let about = format!("between a bridge and the instrument at {}", settings.upstream.address);
    let options = recording::Options { pixels: *pixels, about, ..recording::Options::default() };
    let recorder = Recorder::to_folder(Path::new(folder), rotation, options);
    recorder.map(Some).map_err(|source| BridgeError::Record { folder: folder.clone(), source })
}

/// Where the instrument's images come from: so many ports above its control port.
pub(super) fn source(
    settings: &Settings,
    at: Port,
    recorder: Option<Arc<Recorder>>,
) -> Result<Source, BridgeError> {
    let upstream = &settings.upstream;
    let Some(address) = image_port(&upstream.address, at.steps()) else {
        return Err(BridgeError::Upstream { found: upstream.address.clone() });
    };
    Ok(Source {
        address,
        connect_timeout: Duration::from_millis(upstream.connect_timeout_ms),
        backoff: backoff(settings),
        recorder,
    })
}

/// The wait before the instrument is tried again.
pub(super) fn backoff(settings: &Settings) -> Backoff {
    let [least, most] = [settings.upstream.reconnect_min_ms, settings.upstream.reconnect_max_ms];
    Backoff::new(Duration::from_millis(least), Duration::from_millis(most))
}
