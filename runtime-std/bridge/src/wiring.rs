//! Wiring: turns the settings into the options of the router, the recorder, the image relays and the
//! connection to the instrument. What the user may set is in `settings/`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flamingo_protocol_core::{Config, Ticket, connection::TokenField};

use crate::BridgeError;
use crate::backoff::Backoff;
use crate::control::InstrumentLink;
use crate::image_relay::ImageSource;
use crate::router::RouterOptions;
use crate::settings::{BridgeSettings, RecordSettings, Tokens};
use flamingo_recording::{Port, Recorder, RecorderOptions, Rotation};
use flamingo_runtime_std::socket::instrument_ports::image_port;

/// How long a stop waits behind a command that the instrument does not take. A stop must reach the
/// instrument within 1 s; the rest of it is for the next connection.
const STOP_PATIENCE: flamingo_protocol_core::time::Duration =
    flamingo_protocol_core::time::Duration::from_millis(800);

pub(crate) fn router_options(settings: &BridgeSettings) -> RouterOptions {
    let BridgeSettings { upstream, unmarked, limits, events, lease, .. } = settings;
    let tokens = match upstream.tokens {
        Tokens::Off => None,
        Tokens::ClientId => Some(TokenField::ClientId),
        Tokens::Int32Data2 => Some(TokenField::Int32Data2),
    };
    RouterOptions {
        core: Config::default()
            .with_tokens(tokens)
            .with_window(upstream.window)
            .with_stop_patience(STOP_PATIENCE)
            .with_unmarked((*unmarked).into()),
        last_ticket: Ticket::from_number(fastrand::u32(..)),
        request_timeout: flamingo_protocol_core::time::Duration::from_millis(
            upstream.request_timeout_ms,
        ),
        limits: limits.clone(),
        lease: lease.enabled.then(|| Duration::from_secs(lease.idle_s).into()),
        dead_man: lease.dead_man,
        echo_actions: events.echo_actions,
        tag: events.tag,
        coalesce: upstream.coalesce_polls,
        when_lost: upstream.when_lost,
    }
}

/// Opens the recorder, if the settings name a folder.
pub(crate) fn open_recorder(settings: &BridgeSettings) -> Result<Option<Recorder>, BridgeError> {
    let RecordSettings { folder, pixels, file_mb, file_minutes, keep_files } = &settings.record;
    if folder.is_empty() {
        return Ok(None);
    }
    let rotation = Rotation::default()
        .bytes(file_mb.saturating_mul(1_000_000))
        .age(Duration::from_secs(file_minutes.saturating_mul(60)))
        .keep(*keep_files);
    let about = format!("between a bridge and the instrument at {}", settings.upstream.address);
    let options = RecorderOptions::default().pixels(*pixels).about(about);
    let recorder = Recorder::to_folder(Path::new(folder), rotation, options);
    recorder.map(Some).map_err(|source| BridgeError::Record { folder: folder.clone(), source })
}

pub(crate) fn instrument_link(
    settings: &BridgeSettings,
    recorder: Option<Arc<Recorder>>,
) -> InstrumentLink {
    let upstream = &settings.upstream;
    InstrumentLink {
        address: upstream.address.clone(),
        connect_timeout: Duration::from_millis(upstream.connect_timeout_ms),
        backoff: reconnect_backoff(settings),
        recorder,
        last_connected: None,
    }
}

/// The source of the images: a fixed number of ports above the instrument's control port.
pub(crate) fn image_source(
    settings: &BridgeSettings,
    port: Port,
    recorder: Option<Arc<Recorder>>,
) -> Result<ImageSource, BridgeError> {
    let upstream = &settings.upstream;
    let Some(address) = image_port(&upstream.address, port.steps()) else {
        return Err(BridgeError::Upstream { found: upstream.address.clone() });
    };
    Ok(ImageSource {
        address,
        connect_timeout: Duration::from_millis(upstream.connect_timeout_ms),
        stall_timeout: Duration::from_millis(upstream.request_timeout_ms),
        backoff: reconnect_backoff(settings),
        recorder,
    })
}

fn reconnect_backoff(settings: &BridgeSettings) -> Backoff {
    let [least, most] = [settings.upstream.reconnect_min_ms, settings.upstream.reconnect_max_ms];
    Backoff::new(Duration::from_millis(least), Duration::from_millis(most))
}
