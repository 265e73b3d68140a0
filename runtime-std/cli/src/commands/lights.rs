//! `flamingo laser`, `flamingo led` and `flamingo illumination`: switch lights on and off. Their levels are in
//! `commands/set`.
//!
//! The instrument cannot be asked whether a light is on, so these commands say that they have sent it.

use clap::{Args, ValueEnum};
use flamingo_microscope::{Laser, LedColour, Microscope, Patience, SystemState};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::Client;
use serde::Serialize;

use super::set::{colour, colour_name, laser};
use crate::args::ClientArgs;
use crate::connect::{self, unconfirmed};
use crate::failure::{CommandResult, Failure};
use crate::output::Out;

/// Switch a laser on or off
///
/// A laser that is on stays on after this command, also if the connection is lost. "off" is sent before
/// everything else on a connection of its own; "all off" switches every laser off. While a workflow runs, a
/// laser is not switched on. The instrument cannot be asked whether a laser is on.
#[derive(Debug, Args)]
pub(crate) struct LaserArgs {
    /// Number of the laser line, 1 to 4, or all
    #[arg(value_name = "N|all", value_parser = lasers)]
    lasers: Lasers,

    /// on, off, or preview: on for the live view, and all other lasers off
    #[arg(value_enum)]
    switch: LaserSwitch,

    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Clone, Copy)]
enum Lasers {
    One(Laser),
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LaserSwitch {
    On,
    Off,
    Preview,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Switch the LED on or off
///
/// The LED stays on after this command. The instrument cannot be asked whether it is on. Its brightness is
/// set with `flamingo set led`.
#[derive(Debug, Args)]
pub(crate) struct LedArgs {
    /// on or off
    #[arg(value_enum)]
    switch: Switch,

    /// With on: select this colour first
    #[arg(value_parser = colour(), ignore_case = true)]
    colour: Option<LedColour>,

    #[command(flatten)]
    client: ClientArgs,
}

/// Open or close an illumination path
///
/// The instrument cannot be asked whether a path is open.
#[derive(Debug, Args)]
pub(crate) struct IlluminationArgs {
    /// Path
    #[arg(value_enum)]
    side: Side,

    /// on opens it, off closes it
    #[arg(value_enum)]
    switch: Switch,

    #[command(flatten)]
    client: ClientArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    Left,
    Right,
    Both,
}

/// The JSON of a light that was switched.
#[derive(Serialize)]
struct SwitchedJson {
    light: String,
    switched: &'static str,
    sent: bool,
    /// `null`: the instrument cannot be asked.
    confirmed: Option<bool>,
}

fn lasers(text: &str) -> Result<Lasers, String> {
    if text.eq_ignore_ascii_case("all") {
        return Ok(Lasers::All);
    }
    laser(text).map(Lasers::One).map_err(|error| format!("{error}; or all"))
}

async fn microscope(client: &ClientArgs) -> CommandResult<Microscope> {
    let connect =
        connect::connect_to_instrument(&client.peer, &client.server.connect, client.timeout);
    Ok(Microscope::over(connect.await?, Patience::default()))
}

fn print(out: &mut Out, light: &str, switched: &'static str) -> CommandResult {
    let json = SwitchedJson { light: light.to_owned(), switched, sent: true, confirmed: None };
    out.either(&json, || format!("{light:<12}{switched}, sent; the instrument cannot be asked"))
}

pub(crate) async fn laser_command(args: LaserArgs, out: &mut Out) -> CommandResult {
    match (args.switch, args.lasers) {
        (LaserSwitch::Off, lasers) => off(&args, lasers, out).await,
        (_, Lasers::All) => Err(Failure::usage(
            "laser all: expected off, since only one laser is switched on at a time; nothing was sent",
        )),
        (switch, Lasers::One(laser)) => {
            let microscope = microscope(&args.client).await?;
            let name = format!("laser {}", laser.number());
            not_while_running(&microscope, &name).await?;
            if switch == LaserSwitch::Preview {
                microscope.lasers().enable_preview(laser).await?;
                return print(out, &name, "preview");
            }
            microscope.lasers().enable(laser).await?;
            print(out, &name, "on")
        }
    }
}

/// Switches lasers off before the handshake, so that an instrument that answers nothing gets it, too.
async fn off(args: &LaserArgs, lasers: Lasers, out: &mut Out) -> CommandResult {
    let (name, frames) = match lasers {
        Lasers::One(laser) => {
            let frame = Frame::command(CommandCode::LASER_DISABLE).with_selector(laser.number());
            (format!("laser {}", laser.number()), vec![frame])
        }
        Lasers::All => {
            let frame = Frame::command(CommandCode::LASER_DISABLE_ALL);
            let each = Laser::ALL.map(|laser| frame.with_selector(laser.number()));
            ("all lasers".to_owned(), each.to_vec())
        }
    };
    let options = args.client.peer.options(&args.client.server.connect, args.client.timeout)?;
    for stopped in Client::stop_at(options, &frames).await? {
        stopped.outcome.map_err(|error| unconfirmed(&error, &name))?;
    }
    print(out, &name, "off")
}

async fn not_while_running(microscope: &Microscope, what: &str) -> CommandResult {
    let state = microscope.state().await?.value;
    if state == SystemState::WorkflowRunning {
        let message = format!("{what}: the instrument is in state {state}; nothing was sent");
        return Err(Failure::usage(message));
    }
    Ok(())
}

pub(crate) async fn led(args: LedArgs, out: &mut Out) -> CommandResult {
    if let (Switch::Off, Some(_)) = (args.switch, args.colour) {
        return Err(Failure::usage("led off: expected no colour; nothing was sent"));
    }
    let microscope = microscope(&args.client).await?;
    if args.switch == Switch::Off {
        microscope.led().disable_preview().await?;
        return print(out, "led", "off");
    }
    not_while_running(&microscope, "led").await?;
    if let Some(colour) = args.colour {
        microscope.led().select(colour).await?;
    }
    microscope.led().enable_preview().await?;
    let name =
        args.colour.map_or("led".to_owned(), |colour| format!("led {}", colour_name(colour)));
    print(out, &name, "on")
}

pub(crate) async fn illumination(args: IlluminationArgs, out: &mut Out) -> CommandResult {
    let microscope = microscope(&args.client).await?;
    let on = args.switch == Switch::On;
    if on {
        not_while_running(&microscope, "illumination").await?;
    }
    let switched = if on { "on" } else { "off" };
    let illumination = microscope.illumination();
    if args.side != Side::Right {
        illumination.set_left(on).await?;
        print(out, "illumination left", switched)?;
    }
    if args.side != Side::Left {
        illumination.set_right(on).await?;
        print(out, "illumination right", switched)?;
    }
    Ok(())
}
