//! `flamingo get`: sends one query and prints its answer with name and unit.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use flamingo_microscope::units::Position;
use flamingo_microscope::{Axis, field_words};
use flamingo_microscope::{Camera, Error, Laser, Microscope, Patience, Reading};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::Answer;
use serde::Serialize;
use serde_json::json;

use crate::args::{ClientArgs, axis_parser};
use crate::connect::{self, failure, succeeded};
use crate::failure::{CommandResult, Failure, NO_ANSWER, PROTOCOL, all, note};
use crate::frame_json::FrameJson;
use crate::frame_text::outcome_remark;
use crate::new_file::OverwriteArg;
use crate::output::{Out, rfc3339};

/// Send one query
///
/// An answer is marked with "(presumed)", in JSON with "proven":false, if the instrument also sends
/// such frames as events and nothing in this frame shows which of the two it is. Its value is most
/// likely right in both cases.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    client: ClientArgs,

    #[command(subcommand)]
    query: Query,
}

#[derive(Debug, Subcommand)]
enum Query {
    /// State of the system: IDLE, LIVE_VIEW, WORK_FLOW_RUNNING …
    State,
    /// Position of the stage in mm; r in degrees
    Position {
        /// Only this axis
        #[arg(long, value_parser = axis_parser(), ignore_case = true)]
        axis: Option<Axis>,

        /// Write the positions into a new file, for `flamingo move --to`
        #[arg(long, value_name = "FILE.toml")]
        save: Option<PathBuf>,

        #[command(flatten)]
        overwrite: OverwriteArg,
    },
    /// Size of the live images in pixels; 0 x 0 if there are none
    ImageSize,
    /// Size of a pixel in the sample, in mm
    PixelSize,
    /// Exposure time in µs
    Exposure,
    /// Level of a laser in percent
    Laser {
        /// Number of the laser line
        #[arg(value_name = "N", value_parser = clap::value_parser!(i32).range(1..=4))]
        #[arg(allow_negative_numbers = true)]
        laser: i32,
    },
    /// Drives for saving images
    Drives,
    /// Settings text of the microscope, with the limits of the stage
    Settings,
}

/// The value in an answer, as text and as JSON.
struct Value {
    /// Its keys contain the unit.
    json: serde_json::Value,
    label: String,
    text: String,
}

impl Value {
    fn new(label: impl Into<String>, text: impl Into<String>, json: serde_json::Value) -> Self {
        Self { json, label: label.into(), text: text.into() }
    }
}

/// The JSON of an answer: its value and its frame.
#[derive(Serialize)]
struct GetJson {
    #[serde(flatten)]
    value: serde_json::Value,
    #[serde(flatten)]
    frame: FrameJson,
}

impl GetJson {
    fn new(value: serde_json::Value, answer: &Answer) -> Self {
        Self { value, frame: FrameJson::of(answer) }
    }
}

pub(crate) async fn run(args: GetArgs, out: &mut Out) -> CommandResult {
    let (peer, address) = (&args.client.peer, &args.client.server.connect);
    let client = match args.query {
        Query::State => connect::connect(peer, address, args.client.timeout).await?,
        _ => connect::connect_to_instrument(peer, address, args.client.timeout).await?,
    };
    let microscope = Microscope::over(client, Patience::default());
    let (answer, value) = match args.query {
        Query::State => {
            // The state was queried when the connection was made.
            let answer = microscope.client().state_at_connect().clone();
            let answer = succeeded(answer, "state")?;
            let value = state(&answer);
            (answer, value)
        }
        Query::Position { axis, save, overwrite } => {
            let axes = Axis::ALL.into_iter().filter(|each| axis.is_none_or(|axis| axis == *each));
            return positions(
                &microscope,
                axes,
                save.as_deref().map(|file| (file, overwrite)),
                out,
            )
            .await;
        }
        Query::ImageSize => image_size(&microscope.camera()).await?,
        Query::PixelSize => {
            let size = microscope.camera().pixel_size().await?;
            let json = json!({ "mm_per_pixel": size.value.0 });
            (size.answer, Value::new("pixel size", size.value.to_string(), json))
        }
        Query::Exposure => {
            let exposure = microscope.camera().exposure().await?;
            let json = json!({ "exposure_us": exposure.value.0 });
            (exposure.answer, Value::new("exposure", exposure.value.to_string(), json))
        }
        Query::Laser { laser } => level(&microscope, laser).await?,
        Query::Drives => {
            let drives = microscope.storage().drives().await?;
            if drives.value.is_empty() {
                note("drives: the instrument lists none");
            }
            let text = drives.value.join(&format!("\n{:<12}", ""));
            (drives.answer, Value::new("drives", text, json!({ "drives": drives.value })))
        }
        Query::Settings => return settings(&microscope, out).await,
    };
    print(out, &answer, value)
}

/// Queries these axes at once. If one fails, the others are still printed, and nothing is saved.
async fn positions(
    microscope: &Microscope,
    axes: impl Iterator<Item = Axis>,
    save: Option<(&Path, OverwriteArg)>,
    out: &mut Out,
) -> CommandResult {
    if let Some((file, overwrite)) = save {
        overwrite.check("--save", file)?;
    }
    let queries = axes.map(|axis| {
        let microscope = microscope.clone();
        (axis, smol::spawn(async move { microscope.stage().position(axis).await }))
    });
    let (mut results, mut lines) = (Vec::new(), String::new());
    for (axis, query) in queries.collect::<Vec<_>>() {
        let position = query.await;
        if let Ok(reading) = &position {
            let _ = writeln!(lines, "{axis} = {:?}  # {}", reading.value.value(), axis.unit());
        }
        let is_known = position.is_ok();
        let printed = print_position(axis, position, out);
        let unknown = save.filter(|_| !is_known && printed.is_ok());
        results.push(printed);
        results.extend(unknown.map(|(file, _)| Err(not_saved(axis, file))));
    }
    all(results)?;
    let Some((file, overwrite)) = save else { return Ok(()) };
    let time = rfc3339(flamingo_runtime_std::Clock::wall());
    let text =
        format!("# Positions of the stage at {time}. To go back: flamingo move --to FILE\n{lines}");
    let mut created = overwrite.create("--save", file)?;
    created.write_all(text.as_bytes()).map_err(|error| {
        Failure::usage(format!("--save: cannot write {}: {error}", file.display()))
    })
}

fn not_saved(axis: Axis, file: &Path) -> Failure {
    let message = format!("position of axis {axis} not known now; {} not written", file.display());
    Failure::new(NO_ANSWER, message)
}

fn print_position(
    axis: Axis,
    position: Result<Reading<Position>, Error>,
    out: &mut Out,
) -> CommandResult {
    let unit = axis.unit();
    let key = format!("position_{unit}");
    let (answer, at, text) = match position {
        Ok(Reading { value, answer }) => {
            let at = value.value();
            (answer, Some(at), format!("{at:>12.6} {unit}"))
        }
        Err(Error::PositionUnknown { answer, .. }) => {
            let text = "unknown (it answered 0, which is outside of its limits: it moves)";
            (*answer, None, text.to_owned())
        }
        Err(error) => return Err(error.into()),
    };
    let json = json!({ "axis": axis.letter(), key: at });
    print(out, &answer, Value::new(format!("axis {axis}"), text, json))
}

/// Prints the text unchanged, also if it cannot be parsed.
async fn settings(microscope: &Microscope, out: &mut Out) -> CommandResult {
    let frame = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    let answer = microscope.client().request(frame).await;
    let answer = succeeded(answer.map_err(|error| failure(&error, "settings"))?, "settings")?;
    let text = String::from_utf8_lossy(&answer.payload).into_owned();
    if text.trim().is_empty() {
        return Err(Failure::new(PROTOCOL, "settings: expected text in the payload, found none"));
    }
    if out.json() {
        return out.object(&GetJson::new(json!({ "settings": text }), &answer));
    }
    out.bytes(text.as_bytes())?;
    if text.ends_with('\n') { Ok(()) } else { out.line("") }
}

fn print(out: &mut Out, answer: &Answer, value: Value) -> CommandResult {
    let Value { json, label, text } = value;
    out.either(&GetJson::new(json, answer), || {
        let status = outcome_remark(answer);
        let presumed = if answer.proven { "" } else { "  (presumed)" };
        format!("{label:<12}{text}{status}{presumed}")
    })
}

fn state(answer: &Answer) -> Value {
    let code = answer.frame.selector();
    let name = field_words::state_name(code);
    let text = name.map_or_else(|| format!("unknown (0x{code:04X})"), str::to_owned);
    Value::new("state", text, json!({ "state": name, "state_code": code }))
}

async fn image_size(camera: &Camera) -> CommandResult<(Answer, Value)> {
    let Reading { value, answer } = camera.image_size().await?;
    let (width, height) = value.map_or((0, 0), |size| (size.width, size.height));
    let none = if value.is_none() { "  (no live images)" } else { "" };
    let json = json!({ "width_px": width, "height_px": height });
    Ok((answer, Value::new("image size", format!("{width} x {height} px{none}"), json)))
}

async fn level(microscope: &Microscope, number: i32) -> CommandResult<(Answer, Value)> {
    let laser = Laser::new(number)
        .ok_or_else(|| Failure::usage(format!("laser: expected 1 to 4, found {number}")))?;
    let Reading { value, answer } = microscope.lasers().level(laser).await?;
    let json = json!({ "laser": number, "level_percent": value.0 });
    Ok((answer, Value::new(format!("laser {number}"), format!("{value:.2}"), json)))
}
