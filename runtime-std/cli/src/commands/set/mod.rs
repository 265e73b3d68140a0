//! `flamingo set`: sets one value of a device, and asks the instrument for it afterwards. The region of the
//! camera is in `aoi.rs`. Switching lights on and off is in `commands/lights.rs`.

mod aoi;

use std::future::Future;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use flamingo_microscope::units::{Micros, Percent};
use flamingo_microscope::{Error, Laser, LedColour, Microscope, Patience};
use serde::Serialize;
use serde_json::{Value, json};

use super::lights::{CANNOT_BE_ASKED, received};
use crate::args::ClientArgs;
use crate::connect;
use crate::failure::{CommandResult, Failure, REFUSED};
use crate::interrupt::Interrupt;
use crate::output::{Out, label};
use crate::units;

/// How often the instrument is asked before its value counts as another one, and the pause between.
const ASKED: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// Set a value of the camera, a laser, the LED or the filter wheel
///
/// A value out of range is refused, and nothing is sent; so is every value while a workflow runs. Afterwards the
/// instrument is asked for the value, where it can be asked: "confirmed" means that it has answered the value
/// that was set. If it has another one, the exit code is 5. A value stays set when the command ends.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    client: ClientArgs,

    #[command(subcommand)]
    value: Wanted,
}

#[derive(Debug, Subcommand)]
enum Wanted {
    /// Exposure time of the camera
    ///
    /// The camera may round it. A difference of at most 1 % counts as confirmed, and the time that the
    /// camera has is printed.
    Exposure {
        /// Time with its unit: 12ms, 800us
        #[arg(value_name = "TIME", value_parser = units::exposure, allow_hyphen_values = true)]
        time: Duration,
    },
    /// Level of a laser. The laser is not switched on; the light of a laser that is on changes at once
    Laser {
        /// Number of the laser line, 1 to 4
        #[arg(value_name = "N", value_parser = laser)]
        laser: Laser,
        /// Share of its full power: 5%, 0% to 100%
        #[arg(value_parser = units::percent, allow_hyphen_values = true)]
        level: f64,
    },
    /// Brightness of a colour of the LED. The LED is not switched on; its light changes at once if it is on
    ///
    /// On one instrument, less than 49% gave no useful light.
    Led {
        /// Colour
        #[arg(value_parser = colour(), ignore_case = true)]
        colour: LedColour,
        /// Share of its full brightness: 50%, 0% to 100%
        #[arg(value_parser = units::percent, allow_hyphen_values = true)]
        brightness: f64,
    },
    /// Position of the filter wheel
    Filter {
        /// Number of the position, as the scope settings count
        #[arg(value_name = "N", value_parser = filter_position, allow_hyphen_values = true)]
        position: i32,
    },
    /// Region of the camera that is read (area of interest)
    ///
    /// The region is in the middle of the sensor. A live view is stopped first and started again at the end.
    Aoi(aoi::AoiArgs),
}

impl Wanted {
    fn name(&self) -> String {
        match self {
            Self::Exposure { .. } => "exposure".to_owned(),
            Self::Laser { laser, .. } => format!("laser {}", laser.number()),
            Self::Led { colour, .. } => format!("led {}", colour_name(*colour)),
            Self::Filter { .. } => "filter".to_owned(),
            Self::Aoi(_) => "aoi".to_owned(),
        }
    }
}

/// The JSON of a value that was set.
#[derive(Serialize)]
struct SetJson {
    set: String,
    #[serde(flatten)]
    value: Value,
    /// `null`: the instrument cannot be asked.
    confirmed: Option<bool>,
}

pub(crate) fn laser(text: &str) -> Result<Laser, String> {
    let number = text.parse().ok().and_then(Laser::new);
    number.ok_or_else(|| format!("expected a laser, 1 to 4, found {text:?}"))
}

fn colour() -> impl TypedValueParser<Value = LedColour> {
    let names = LedColour::ALL.map(colour_name);
    PossibleValuesParser::new(names).map(|name| colour_named(&name))
}

/// The colour with one of the names of [`colour_name`]; nothing else is parsed as a colour.
pub(crate) fn colour_named(name: &str) -> LedColour {
    let named = LedColour::ALL.into_iter().find(|colour| colour_name(*colour) == name);
    named.unwrap_or(LedColour::White)
}

pub(crate) const fn colour_name(colour: LedColour) -> &'static str {
    match colour {
        LedColour::Red => "red",
        LedColour::Green => "green",
        LedColour::Blue => "blue",
        LedColour::White => "white",
    }
}

fn filter_position(text: &str) -> Result<i32, String> {
    text.parse().map_err(|_| {
        format!(
            "expected the number of a position in the scope settings, such as 2, found {text:?}"
        )
    })
}

pub(crate) async fn run(args: SetArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    let connect = connect::connect_to_instrument(
        &args.client.peer,
        &args.client.server.connect,
        args.client.timeout,
    );
    let microscope = Microscope::over(interrupt.or(connect).await?, Patience::default());
    connect::not_while_running(microscope.client(), &args.value.name())?;
    match args.value {
        Wanted::Exposure { time } => interrupt.or(exposure(&microscope, time, out)).await,
        Wanted::Laser { laser, level } => {
            interrupt.or(level_of(&microscope, laser, level, out)).await
        }
        Wanted::Led { colour, brightness } => {
            interrupt.or(brightness_of(&microscope, colour, brightness, out)).await
        }
        Wanted::Filter { position } => interrupt.or(filter(&microscope, position, out)).await,
        // Ctrl-C must not leave the camera without the live view that ran.
        Wanted::Aoi(args) => aoi::run(&microscope, &args, out).await,
    }
}

async fn exposure(microscope: &Microscope, time: Duration, out: &mut Out) -> CommandResult {
    let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let camera = microscope.camera();
    camera.set_exposure(Micros(micros)).await?;
    let is_set = |found: &Micros| found.0.abs_diff(micros) <= micros / 100;
    let found = confirmed(is_set, || async { Ok(camera.exposure().await?.value) }).await?;
    report(
        out,
        "exposure",
        &time_text(Micros(micros)),
        &time_text(found),
        is_set(&found),
        json!({ "exposure_us": found.0 }),
    )
}

/// A time in the unit that a hand would choose.
fn time_text(Micros(micros): Micros) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", f64::from(micros) / 1e3),
        _ => format!("{} s", f64::from(micros) / 1e6),
    }
}

async fn level_of(
    microscope: &Microscope,
    laser: Laser,
    level: f64,
    out: &mut Out,
) -> CommandResult {
    let lasers = microscope.lasers();
    lasers.set_level(laser, Percent(level)).await?;
    // The level is sent and answered as text with two decimals.
    let is_set = |found: &Percent| (found.0 - level).abs() <= 0.01;
    let found = confirmed(is_set, || async { Ok(lasers.level(laser).await?.value) }).await?;
    let number = laser.number();
    let json = json!({ "laser": number, "level_percent": found.0 });
    report(out, &format!("laser {number}"), &Percent(level), &found, is_set(&found), json)
}

async fn brightness_of(
    microscope: &Microscope,
    colour: LedColour,
    percent: f64,
    out: &mut Out,
) -> CommandResult {
    #[allow(clippy::cast_possible_truncation)] // at most 65 535, since the percentage is at most 100
    #[allow(clippy::cast_sign_loss)]
    let brightness = (percent / 100.0 * f64::from(u16::MAX)).round() as u16;
    microscope.led().set(colour, brightness).await?;
    let name = colour_name(colour);
    received(microscope, &format!("led {name}")).await?;
    let value = json!({ "colour": name, "brightness_percent": percent, "brightness": brightness });
    let json = SetJson { set: "led".to_owned(), value, confirmed: None };
    out.either(&json, || {
        format!("{}{percent} %, sent; {CANNOT_BE_ASKED}", label(&format!("led {name}")))
    })
}

async fn filter(microscope: &Microscope, position: i32, out: &mut Out) -> CommandResult {
    let wheel = microscope.filter_wheel();
    wheel.set_position(position).await?;
    let is_set = |found: &i32| *found == position;
    let found = confirmed(is_set, || async { Ok(wheel.position().await?.value) }).await?;
    report(out, "filter", &position, &found, is_set(&found), json!({ "position": found }))
}

/// Asks until the instrument has the value, a few times: a device may need a moment. Returns the last answer.
async fn confirmed<T, F>(is_set: impl Fn(&T) -> bool, ask: impl Fn() -> F) -> CommandResult<T>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut found = ask().await?;
    for _ in 1..ASKED {
        if is_set(&found) {
            break;
        }
        smol::Timer::after(PAUSE).await;
        found = ask().await?;
    }
    Ok(found)
}

/// Prints the value that the instrument has; fails if it is another one than was set.
fn report<T: std::fmt::Display>(
    out: &mut Out,
    what: &str,
    wanted: &T,
    found: &T,
    is_set: bool,
    value: Value,
) -> CommandResult {
    let json = SetJson { set: what.to_owned(), value, confirmed: Some(is_set) };
    if is_set {
        return out.either(&json, || format!("{}{found}, confirmed", label(what)));
    }
    if out.json() {
        out.object(&json)?;
    }
    let message = format!(
        "{what}: set to {wanted}, but the instrument has {found}; its firmware may have refused or rounded it"
    );
    Err(Failure::new(REFUSED, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_the_unit_of_its_size() {
        for (micros, text) in
            [(800, "800 µs"), (12_000, "12 ms"), (9_002, "9.002 ms"), (1_500_000, "1.5 s")]
        {
            assert_eq!(time_text(Micros(micros)), text);
        }
    }
}
