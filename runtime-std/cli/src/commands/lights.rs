//! `flamingo laser`, `flamingo led` and `flamingo illumination`: switch lights on and off. Their levels are in
//! `commands/set`.
//!
//! The instrument cannot be asked whether a light is on, so these commands say that they have sent it.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use flamingo_microscope::{Laser, LedColour, Microscope, Patience};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::Client;
use serde::Serialize;

use super::set::{colour_name, colour_named, laser};
use crate::args::ClientArgs;
use crate::connect::{self, not_while_running, unconfirmed};
use crate::failure::{CommandResult, Failure};
use crate::output::{Out, label};

/// Switch a laser on or off
///
/// A laser that is on stays on after this command, also if the connection is lost or the command is
/// interrupted. "off" is sent before everything else on a connection of its own; "all off" switches every laser
/// off. While a workflow runs, a laser is not switched on. The instrument cannot be asked whether a laser is
/// on. Its level is set with `flamingo set laser`.
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
/// An LED that is on stays on after this command, also if the connection is lost. While a workflow runs, it is
/// not switched on. The instrument cannot be asked whether it is on. Its brightness is set with
/// `flamingo set led`.
#[derive(Debug, Args)]
#[command(override_usage = "flamingo led [OPTIONS] [COLOUR] <on|off>")]
pub(crate) struct LedArgs {
    /// on or off; with on, a colour selects it first: white on
    #[arg(value_name = "WORD", value_parser = led_word(), ignore_case = true)]
    #[arg(required = true, num_args = 1..=2)]
    words: Vec<LedWord>,

    #[command(flatten)]
    client: ClientArgs,
}

/// Open or close an illumination path
///
/// A path that is open stays open after this command, also if the connection is lost. While a workflow runs,
/// none is opened. The instrument cannot be asked whether a path is open.
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

/// What a command says after a value that the instrument does not tell.
pub(crate) const CANNOT_BE_ASKED: &str = "not confirmed: the instrument cannot be asked";

/// The JSON of a light that was switched.
#[derive(Serialize)]
struct SwitchedJson {
    light: String,
    switched: &'static str,
    sent: bool,
    /// `null`: the instrument cannot be asked.
    confirmed: Option<bool>,
}

/// A word of `flamingo led`. The colour may stand before or after the switch.
#[derive(Debug, Clone, Copy)]
enum LedWord {
    Switch(Switch),
    Colour(LedColour),
}

fn led_word() -> impl TypedValueParser<Value = LedWord> {
    let names = LedColour::ALL.map(colour_name).into_iter().chain(["on", "off"]);
    PossibleValuesParser::new(names).map(|name| match name.as_str() {
        "on" => LedWord::Switch(Switch::On),
        "off" => LedWord::Switch(Switch::Off),
        name => LedWord::Colour(colour_named(name)),
    })
}

/// The switch and the colour, in either order.
fn led_words(words: &[LedWord]) -> CommandResult<(Switch, Option<LedColour>)> {
    match *words {
        [LedWord::Switch(switch)] => Ok((switch, None)),
        [LedWord::Switch(Switch::On), LedWord::Colour(colour)]
        | [LedWord::Colour(colour), LedWord::Switch(Switch::On)] => Ok((Switch::On, Some(colour))),
        _ => Err(Failure::usage(
            "led: expected on, off, or a colour and on, such as: flamingo led white on; nothing was sent",
        )),
    }
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

/// Asks for the state: the instrument reads the commands of a connection in order, so its answer shows that it
/// has read those that are not acknowledged.
pub(crate) async fn received(microscope: &Microscope, light: &str) -> CommandResult {
    microscope.state().await.map(|_| ()).map_err(|error| {
        let unknown = "sent, but whether the instrument has received it is not known";
        Failure::new(
            error.exit_code(),
            format!("{light}: {unknown}, so the light may be on: {error}"),
        )
    })
}

fn print(out: &mut Out, light: &str, switched: &'static str) -> CommandResult {
    let json = SwitchedJson { light: light.to_owned(), switched, sent: true, confirmed: None };
    out.either(&json, || format!("{}{switched}, sent; {CANNOT_BE_ASKED}", label(light)))
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
            not_while_running(microscope.client(), &name)?;
            let switched = match switch {
                LaserSwitch::Preview => {
                    microscope.lasers().enable_preview(laser).await?;
                    "preview"
                }
                LaserSwitch::On | LaserSwitch::Off => {
                    microscope.lasers().enable(laser).await?;
                    "on"
                }
            };
            received(&microscope, &name).await?;
            print(out, &name, switched)
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

pub(crate) async fn led(args: LedArgs, out: &mut Out) -> CommandResult {
    let (switch, colour) = led_words(&args.words)?;
    let microscope = microscope(&args.client).await?;
    if switch == Switch::Off {
        microscope.led().disable_preview().await?;
        received(&microscope, "led").await?;
        return print(out, "led", "off");
    }
    not_while_running(microscope.client(), "led")?;
    if let Some(colour) = colour {
        microscope.led().select(colour).await?;
    }
    microscope.led().enable_preview().await?;
    let name = colour.map_or("led".to_owned(), |colour| format!("led {}", colour_name(colour)));
    received(&microscope, &name).await?;
    print(out, &name, "on")
}

pub(crate) async fn illumination(args: IlluminationArgs, out: &mut Out) -> CommandResult {
    let microscope = microscope(&args.client).await?;
    let on = args.switch == Switch::On;
    if on {
        not_while_running(microscope.client(), "illumination")?;
    }
    let switched = if on { "on" } else { "off" };
    let illumination = microscope.illumination();
    let (left, right) = (args.side != Side::Right, args.side != Side::Left);
    if left {
        illumination.set_left(on).await?;
    }
    if right {
        illumination.set_right(on).await?;
    }
    received(&microscope, "illumination").await?;
    if left {
        print(out, "illumination left", switched)?;
    }
    if right {
        print(out, "illumination right", switched)?;
    }
    Ok(())
}
