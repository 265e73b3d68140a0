//! `flamingo get`: one query, its answer with name and unit.

use clap::{Args, Subcommand};
use flamingo_microscope::{Axis, meaning};
use flamingo_microscope::{Camera, Laser, Microscope, Patience, Reading};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::Answer;
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::{ClientArgs, axis_parser};
use crate::connect::{self, failure, succeeded};
use crate::failure::{CommandResult, Failure, PROTOCOL, exit_code_of, note};
use crate::frame_json::FrameJson;
use crate::output::Out;

/// Ask the instrument one thing
///
/// "(presumed)" behind an answer, "proven":false in JSON: the instrument sends such frames unasked,
/// too, and nothing in this one tells which it is. What it says is most likely right all the same.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    client: ClientArgs,

    #[command(subcommand)]
    query: Query,
}

#[derive(Debug, Subcommand)]
enum Query {
    /// What the system is doing: IDLE, LIVE_VIEW, WORK_FLOW_RUNNING …
    State,
    /// Where the stage is: in mm, the rotation in degrees
    Position {
        /// Only this axis
        #[arg(long, value_parser = axis_parser(), ignore_case = true)]
        axis: Option<Axis>,
    },
    /// Size of the live images in pixels; 0 x 0 while there are none
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
    /// Drives that images can be saved to
    Drives,
    /// The settings text of the microscope, stage limits included
    Settings,
}

/// What an answer says, for people and for scripts.
struct Said {
    /// Keys with units.
    json: Value,
    label: String,
    text: String,
}

impl Said {
    fn new(label: impl Into<String>, text: impl Into<String>, json: Value) -> Self {
        Self { json, label: label.into(), text: text.into() }
    }
}

/// What an answer says, and the frame that said it.
#[derive(Serialize)]
struct Read {
    #[serde(flatten)]
    reading: Value,
    #[serde(flatten)]
    frame: FrameJson,
}

impl Read {
    fn new(reading: Value, answer: &Answer) -> Self {
        let frame = FrameJson::new(&answer.frame);
        Self { reading, frame: frame.answer(answer.proven, answer.elapsed).at(answer.at) }
    }
}

pub(crate) async fn run(args: GetArgs, out: &mut Out) -> CommandResult {
    let client = connect::connect(&args.client.server.connect, args.client.timeout).await?;
    let microscope = Microscope::over(client, Patience::default());
    let (answer, said) = match args.query {
        Query::State => {
            // It was asked when the connection was made.
            let answer = microscope.client().state_at_connect().clone();
            let answer = succeeded(answer, "state")?;
            let said = state(&answer);
            (answer, said)
        }
        Query::Position { axis: Some(axis) } => position(&microscope, axis).await?,
        Query::Position { axis: None } => return positions(&microscope, out).await,
        Query::ImageSize => image_size(&microscope.camera()).await?,
        Query::PixelSize => {
            let size = microscope.camera().pixel_size().await?;
            let json = json!({ "mm_per_pixel": size.value.0 });
            (size.answer, Said::new("pixel size", size.value.to_string(), json))
        }
        Query::Exposure => {
            let exposure = microscope.camera().exposure().await?;
            let json = json!({ "exposure_us": exposure.value.0 });
            (exposure.answer, Said::new("exposure", exposure.value.to_string(), json))
        }
        Query::Laser { laser } => level(&microscope, laser).await?,
        Query::Drives => {
            let drives = microscope.storage().drives().await?;
            if drives.value.is_empty() {
                note("drives: the instrument names none");
            }
            let text = drives.value.join(&format!("\n{:<12}", ""));
            (drives.answer, Said::new("drives", text, json!({ "drives": drives.value })))
        }
        Query::Settings => return settings(&microscope, out).await,
    };
    print(out, &answer, said)
}

async fn position(microscope: &Microscope, axis: Axis) -> CommandResult<(Answer, Said)> {
    let Reading { value, answer } = microscope.stage().position(axis).await?;
    let (at, unit) = (value.value(), axis.unit());
    let json = json!({ "axis": axis.letter(), format!("position_{unit}"): at });
    Ok((answer, Said::new(format!("axis {axis}"), format!("{at:>12.6} {unit}"), json)))
}

/// All axes at once; one that fails does not hide the others.
async fn positions(microscope: &Microscope, out: &mut Out) -> CommandResult {
    let asked = Axis::ALL.map(|axis| {
        let microscope = microscope.clone();
        smol::spawn(async move { position(&microscope, axis).await })
    });
    let mut failed = None;
    for read in asked {
        let printed = read.await.and_then(|(answer, said)| print(out, &answer, said));
        if let Some(code) = exit_code_of(printed)? {
            failed = failed.or(Some(code));
        }
    }
    failed.map_or(Ok(()), |code| Err(Failure::reported(code)))
}

/// The text as it is, also where it cannot be understood.
async fn settings(microscope: &Microscope, out: &mut Out) -> CommandResult {
    let frame = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    let answer = microscope.client().request(frame).await;
    let answer = succeeded(answer.map_err(|error| failure(&error, "settings"))?, "settings")?;
    let text = String::from_utf8_lossy(&answer.payload).into_owned();
    if text.trim().is_empty() {
        return Err(Failure::new(PROTOCOL, "settings: expected text in the payload, found none"));
    }
    if out.json() {
        return out.object(&Read::new(json!({ "settings": text }), &answer));
    }
    out.bytes(text.as_bytes())?;
    if text.ends_with('\n') { Ok(()) } else { out.line("") }
}

fn print(out: &mut Out, answer: &Answer, said: Said) -> CommandResult {
    let Said { json, label, text } = said;
    out.either(&Read::new(json, answer), || {
        let status = match answer.frame.status {
            1 => String::new(),
            other => format!("  (status {other}: {})", meaning::status_name(other)),
        };
        let presumed = if answer.proven { "" } else { "  (presumed)" };
        format!("{label:<12}{text}{status}{presumed}")
    })
}

fn state(answer: &Answer) -> Said {
    let code = answer.frame.selector();
    let name = meaning::state_name(code);
    let text = name.map_or_else(|| format!("unknown (0x{code:04X})"), str::to_owned);
    Said::new("state", text, json!({ "state": name, "state_code": code }))
}

async fn image_size(camera: &Camera) -> CommandResult<(Answer, Said)> {
    let Reading { value, answer } = camera.image_size().await?;
    let (width, height) = value.map_or((0, 0), |size| (size.width, size.height));
    let none = if value.is_none() { "  (no live images)" } else { "" };
    let json = json!({ "width_px": width, "height_px": height });
    Ok((answer, Said::new("image size", format!("{width} x {height} px{none}"), json)))
}

async fn level(microscope: &Microscope, number: i32) -> CommandResult<(Answer, Said)> {
    let laser = Laser::new(number)
        .ok_or_else(|| Failure::usage(format!("laser: expected 1 to 4, found {number}")))?;
    let Reading { value, answer } = microscope.lasers().level(laser).await?;
    let json = json!({ "laser": number, "level_percent": value.0 });
    Ok((answer, Said::new(format!("laser {number}"), format!("{value:.2}"), json)))
}
