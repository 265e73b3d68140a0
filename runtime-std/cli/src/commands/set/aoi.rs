//! `flamingo set aoi`: the region of the camera. The instrument takes its left and its top edge, and the
//! region is symmetric, so the size of the sensor must be known.

use clap::Args;
use flamingo_microscope::{Camera, Error, ImageSize, LiveUpdates, Microscope, SystemState};
use serde_json::json;

use super::SetJson;
use crate::failure::{CommandResult, Failure, REFUSED};
use crate::output::Out;
use crate::units;

#[derive(Debug, Args)]
pub(crate) struct AoiArgs {
    /// Width and height in pixels: 2048x512
    #[arg(value_parser = units::size)]
    size: (u32, u32),

    /// Size of the sensor; needed while there is no live view, since the instrument does not tell it then
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    sensor: Option<(u32, u32)>,
}

pub(super) async fn run(microscope: &Microscope, args: &AoiArgs, out: &mut Out) -> CommandResult {
    let camera = microscope.camera();
    let state = microscope.state().await?.value;
    let is_live = match state {
        SystemState::LiveView => true,
        SystemState::Idle => false,
        other => {
            let message = format!("aoi: expected the state IDLE or LIVE_VIEW, found {other}");
            return Err(Failure::usage(format!("{message}; nothing was sent")));
        }
    };
    let sensor = match args.sensor {
        Some(sensor) => sensor,
        None => sensor(&camera).await?,
    };
    let left = edge("width", args.size.0, sensor.0)?;
    let top = edge("height", args.size.1, sensor.1)?;
    if is_live {
        camera.stop_live_view().await?;
    }
    let done = set(&camera, (left, top)).await;
    if is_live {
        // Also after a failure: the live view ran before.
        let again = camera.start_live_view(LiveUpdates::Always).await;
        if let Err(error) = again {
            return Err(not_restarted(done, &error));
        }
    }
    done?;
    let size = if is_live { camera.image_size().await?.value } else { None };
    let wanted = ImageSize { width: args.size.0, height: args.size.1 };
    if let Some(size) = size.filter(|size| *size != wanted) {
        let found = format!("{} x {} px", size.width, size.height);
        return Err(differs(&format!("{} x {} px", wanted.width, wanted.height), &found));
    }
    let (width, height) = args.size;
    let value = json!({ "width_px": width, "height_px": height, "left": left, "top": top });
    let json = SetJson { set: "aoi".to_owned(), value, confirmed: Some(true) };
    let live = if is_live { "; the live view runs again" } else { "" };
    out.either(&json, || {
        format!(
            "{:<12}{width} x {height} px, left edge {left}, top edge {top}, confirmed{live}",
            "aoi"
        )
    })
}

/// Sets the left and the top edge, and compares them with those that the camera has afterwards.
async fn set(camera: &Camera, wanted: (u32, u32)) -> CommandResult {
    camera.set_left_edge(wanted.0).await?;
    camera.set_top_edge(wanted.1).await?;
    let found = (camera.left_edge().await?.value, camera.top_edge().await?.value);
    if found == wanted {
        return Ok(());
    }
    let text = |(left, top)| format!("left edge {left}, top edge {top}");
    Err(differs(&text(wanted), &text(found)))
}

/// The failure of a live view that was stopped and does not run again, after that of the region.
fn not_restarted(region: CommandResult, error: &Error) -> Failure {
    let stopped = "the live view was stopped and does not run again";
    match region {
        Err(Failure::Exit { code, message }) => {
            Failure::new(code, format!("{message}; {stopped}: {error}"))
        }
        _ => Failure::new(
            error.exit_code(),
            format!("aoi: the region is set, but {stopped}: {error}"),
        ),
    }
}

/// The size of the sensor: that of the images, and the borders on both sides.
async fn sensor(camera: &Camera) -> CommandResult<(u32, u32)> {
    let Some(ImageSize { width, height }) = camera.image_size().await?.value else {
        return Err(Failure::usage(
            "aoi: the size of the sensor is not known, since there is no live view; give it with --sensor \
             2048x2048; nothing was sent",
        ));
    };
    let (left, top) = (camera.left_edge().await?.value, camera.top_edge().await?.value);
    let whole = |side: u32, edge: u32| side.saturating_add(2 * (edge - 1));
    Ok((whole(width, left), whole(height, top)))
}

/// The first row or column of a region of this side in the middle of the sensor, from 1.
fn edge(name: &str, side: u32, sensor: u32) -> CommandResult<u32> {
    let refused = |expected: String| {
        Err(Failure::usage(format!(
            "aoi: {name}: expected {expected}, found {side}; nothing was sent"
        )))
    };
    if side > sensor {
        return refused(format!("at most {sensor}, the side of the sensor"));
    }
    if !(sensor - side).is_multiple_of(2) {
        let parity = if sensor.is_multiple_of(2) { "an even number" } else { "an odd number" };
        return refused(format!(
            "{parity} of pixels, since the region is in the middle of the sensor"
        ));
    }
    Ok((sensor - side) / 2 + 1)
}

fn differs(wanted: &str, found: &str) -> Failure {
    let message = format!(
        "aoi: set to {wanted}, but the instrument has {found}; is the size of the sensor right?"
    );
    Failure::new(REFUSED, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_in_the_middle_of_the_sensor() {
        assert_eq!(edge("width", 2048, 2048).unwrap(), 1);
        assert_eq!(edge("height", 512, 2048).unwrap(), 769);
        for (side, sensor) in [(2050, 2048), (511, 2048), (512, 2047)] {
            assert!(edge("width", side, sensor).is_err(), "{side} of {sensor}");
        }
    }
}
