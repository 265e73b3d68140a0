//! `flamingo velocity`: sets the velocity of an axis, or prints the velocities in the scope settings.

use clap::Args;
use flamingo_microscope::units::{DegreesPerSecond, MmPerSecond};
use flamingo_microscope::{Axis, Microscope, Patience, Velocity};
use serde_json::json;

use crate::args::{ClientArgs, axis_parser};
use crate::connect;
use crate::failure::{CommandResult, Failure};
use crate::output::Out;
use crate::units::velocity_on_axis;

/// Set the velocity of an axis, or print the velocities in the scope settings
///
/// The instrument cannot be asked for the velocity in force. Without a velocity, the command prints the
/// default of the scope settings, which counts until another one is set. Only the instrument knows the
/// highest velocity; it acknowledges the command or refuses it. While a workflow runs, no velocity is set.
#[derive(Debug, Args)]
pub(crate) struct VelocityArgs {
    /// Axis; without it all axes
    #[arg(value_parser = axis_parser(), ignore_case = true, hide_possible_values = true)]
    axis: Option<Axis>,

    /// New velocity: 0.5 or 0.5mm/s, for r 10 or 10deg/s
    #[arg(allow_hyphen_values = true)]
    velocity: Option<String>,

    #[command(flatten)]
    client: ClientArgs,
}

pub(crate) async fn run(args: VelocityArgs, out: &mut Out) -> CommandResult {
    let velocity = match (args.axis, &args.velocity) {
        (Some(axis), Some(text)) => Some((axis, typed(axis, text)?)),
        _ => None,
    };
    let client = connect::connect_to_instrument(
        &args.client.peer,
        &args.client.server.connect,
        args.client.timeout,
    );
    let microscope = Microscope::over(client.await?, Patience::default());
    if let Some((axis, velocity)) = velocity {
        connect::not_while_running(microscope.client(), &format!("velocity of axis {axis}"))?;
        microscope.stage().set_velocity(axis, velocity).await?;
        let json = json!({
            "axis": axis.letter(), key(axis): value(velocity), "set": true, "acknowledged": true,
        });
        return out.either(&json, || format!("axis {axis}      {velocity}, acknowledged"));
    }
    let settings = microscope.settings().load().await?.value;
    for axis in Axis::ALL.into_iter().filter(|axis| args.axis.is_none_or(|only| only == *axis)) {
        let default = settings.default_velocity(axis);
        let json = json!({ "axis": axis.letter(), key(axis): default, "default": true });
        out.either(&json, || {
            let text = default.map_or("not in the scope settings".to_owned(), |value| {
                format!("{}, the default of the scope settings", of(axis, value))
            });
            format!("axis {axis}      {text}")
        })?;
    }
    Ok(())
}

fn typed(axis: Axis, text: &str) -> CommandResult<Velocity> {
    let value = velocity_on_axis(axis, text);
    let value = value.map_err(|error| {
        Failure::usage(format!("velocity of axis {axis}: {error}; nothing was sent"))
    })?;
    Ok(of(axis, value))
}

fn of(axis: Axis, value: f64) -> Velocity {
    match axis {
        Axis::R => DegreesPerSecond(value).into(),
        Axis::X | Axis::Y | Axis::Z => MmPerSecond(value).into(),
    }
}

const fn value(velocity: Velocity) -> f64 {
    match velocity {
        Velocity::MmPerSecond(value) | Velocity::DegreesPerSecond(value) => value,
    }
}

const fn key(axis: Axis) -> &'static str {
    match axis {
        Axis::R => "velocity_deg_per_s",
        Axis::X | Axis::Y | Axis::Z => "velocity_mm_per_s",
    }
}
