//! `flamingo get`: one query, its answer with name and unit.

use clap::{Args, Subcommand};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::text::{LevelError, drives, laser_level};
use flamingo_runtime_std::{Answer, Axis, Client, meaning};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::{ClientArgs, axis_parser};
use crate::failure::{Done, Failure, PROTOCOL, REFUSED, exit_code_of, note};
use crate::link::{self, failure, succeeded};
use crate::output::{FrameRecord, Out};

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

/// What an answer says.
struct Reading {
    /// Keys with units.
    json: Value,
    label: String,
    text: String,
}

impl Reading {
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
    frame: FrameRecord,
}

impl Read {
    fn new(reading: Value, answer: &Answer) -> Self {
        let frame = FrameRecord::new(&answer.frame);
        Self { reading, frame: frame.answer(answer.proven, answer.elapsed).at(answer.at) }
    }
}

pub(crate) async fn run(args: GetArgs, out: &mut Out) -> Done {
    let client = link::connect(&args.client.server.connect, args.client.timeout).await?;
    let (answer, reading) = match args.query {
        Query::State => {
            // It was asked when the connection was made.
            let answer = succeeded(client.state_at_connect().clone(), "state")?;
            let reading = state(&answer);
            (answer, reading)
        }
        Query::Position { axis: Some(axis) } => position(&client, axis).await?,
        Query::Position { axis: None } => return positions(&client, out).await,
        Query::ImageSize => {
            let frame = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
            read(&client, frame, "image size", image_size).await?
        }
        Query::PixelSize => {
            let frame = Frame::command(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET);
            read(&client, frame, "pixel size", pixel_size).await?
        }
        Query::Exposure => {
            let frame = Frame::command(CommandCode::CAMERA_EXPOSURE_GET);
            read(&client, frame, "exposure", exposure).await?
        }
        Query::Laser { laser } => {
            let frame = Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(laser);
            let answer = ask(&client, frame, &format!("laser {laser}")).await?;
            let reading = level(&answer, laser)?;
            (answer, reading)
        }
        Query::Drives => {
            let frame = Frame::command(CommandCode::STORAGE_PATH_SET);
            read(&client, frame, "drives", drive_list).await?
        }
        Query::Settings => return settings(&client, out).await,
    };
    print(out, &answer, reading)
}

/// The answer to a query, unless it says failure.
async fn ask(client: &Client, frame: Frame, what: &str) -> Done<Answer> {
    let answer = client.request(frame).await.map_err(|error| failure(&error, what))?;
    succeeded(answer, what)
}

async fn read(
    client: &Client,
    frame: Frame,
    what: &str,
    reading: fn(&Answer) -> Reading,
) -> Done<(Answer, Reading)> {
    let answer = ask(client, frame, what).await?;
    let reading = reading(&answer);
    Ok((answer, reading))
}

async fn position(client: &Client, axis: Axis) -> Done<(Answer, Reading)> {
    let frame = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis.selector());
    let what = format!("axis {axis}");
    let answer = ask(client, frame, &what).await?;
    let at = answer.frame.value;
    if !at.is_finite() {
        let message = format!("{what}: expected a position in doubleData, found {at}");
        return Err(Failure::new(PROTOCOL, message));
    }
    let unit = axis.unit();
    let json = json!({ "axis": axis.letter(), format!("position_{unit}"): at });
    let reading = Reading::new(what, format!("{at:>12.6} {unit}"), json);
    Ok((answer, reading))
}

/// All axes at once; one that fails does not hide the others.
async fn positions(client: &Client, out: &mut Out) -> Done {
    let asked = Axis::ALL.map(|axis| {
        let client = client.clone();
        smol::spawn(async move { position(&client, axis).await })
    });
    let mut failed = None;
    for read in asked {
        let printed = read.await.and_then(|(answer, reading)| print(out, &answer, reading));
        if let Some(code) = exit_code_of(printed)? {
            failed = failed.or(Some(code));
        }
    }
    failed.map_or(Ok(()), |code| Err(Failure::said(code)))
}

async fn settings(client: &Client, out: &mut Out) -> Done {
    let frame = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    let answer = ask(client, frame, "settings").await?;
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

fn print(out: &mut Out, answer: &Answer, reading: Reading) -> Done {
    let Reading { json, label, text } = reading;
    out.either(&Read::new(json, answer), || {
        let status = match answer.frame.status {
            1 => String::new(),
            other => format!("  (status {other}: {})", meaning::status_name(other)),
        };
        let presumed = if answer.proven { "" } else { "  (presumed)" };
        format!("{label:<12}{text}{status}{presumed}")
    })
}

fn state(answer: &Answer) -> Reading {
    let code = answer.frame.selector();
    let name = meaning::state_name(code);
    let text = name.map_or_else(|| format!("unknown (0x{code:04X})"), str::to_owned);
    Reading::new("state", text, json!({ "state": name, "state_code": code }))
}

fn image_size(answer: &Answer) -> Reading {
    let [width, height, _] = answer.frame.int32_data;
    let none = if (width, height) == (0, 0) { "  (no live images)" } else { "" };
    let json = json!({ "width_px": width, "height_px": height });
    Reading::new("image size", format!("{width} x {height} px{none}"), json)
}

fn pixel_size(answer: &Answer) -> Reading {
    let size = answer.frame.value;
    let json = json!({ "mm_per_pixel": size });
    Reading::new("pixel size", format!("{size} mm/pixel"), json)
}

fn exposure(answer: &Answer) -> Reading {
    let exposure = answer.frame.selector();
    let json = json!({ "exposure_us": exposure });
    Reading::new("exposure", format!("{exposure} µs"), json)
}

fn level(answer: &Answer, laser: i32) -> Done<Reading> {
    let text = String::from_utf8_lossy(answer.frame.buffer_bytes());
    let level = laser_level(&text).map_err(|error| {
        let code = match error {
            LevelError::Declined { .. } => REFUSED,
            LevelError::NotANumber { .. } => PROTOCOL,
        };
        Failure::new(code, format!("laser {laser}: {error}"))
    })?;
    let json = json!({ "laser": laser, "level_percent": level });
    Ok(Reading::new(format!("laser {laser}"), format!("{level:.2} %"), json))
}

/// In the payload or, if there is none, in the buffer.
fn drive_list(answer: &Answer) -> Reading {
    let payload = String::from_utf8_lossy(&answer.payload);
    let buffer = String::from_utf8_lossy(answer.frame.buffer_bytes());
    let drives = drives(if payload.is_empty() { &buffer } else { &payload });
    if drives.is_empty() {
        note("drives: the instrument names none");
    }
    let text = drives.join(&format!("\n{:<12}", ""));
    Reading::new("drives", text, json!({ "drives": drives }))
}
