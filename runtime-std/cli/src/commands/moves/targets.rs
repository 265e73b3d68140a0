//! The targets of `flamingo move`: what was typed for each axis, and the position that it means. Nothing
//! here moves an axis.

use std::path::Path;
use std::time::Duration;

use flamingo_microscope::limits::StageLimits;
use flamingo_microscope::units::Position;
use flamingo_microscope::{Axis, Error, Microscope};

use super::MoveArgs;
use crate::connect::within;
use crate::failure::{CommandResult, Failure, note};
use crate::units;

/// Two answers about an axis that stands still differ by at most this, in mm or degrees,
const STANDS_STILL: f64 = 0.0005;
/// and this long after the first one. Several positions would be pushed meanwhile.
const STANDS_FOR: Duration = Duration::from_millis(200);

/// What was typed for an axis: a position or a distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Goal {
    To(f64),
    By(f64),
}

/// Parses a target. A leading + is relative, so that repeating the command moves again. A leading - is a
/// negative position, which r has; --by takes either sign.
fn goal(axis: Axis, text: &str) -> Result<Goal, String> {
    match text.strip_prefix('+') {
        Some(by) if by.is_empty() || by.starts_with(['+', '-']) => Err(format!(
            "expected a number such as 7.5, or +0.25 to move by that much, found {text:?}"
        )),
        Some(by) => units::on_axis(axis, by).map(Goal::By),
        None => units::on_axis(axis, text).map(Goal::To),
    }
}

/// The goals of the command line, each axis once.
pub(super) fn goals(args: &MoveArgs) -> CommandResult<Vec<(Axis, Goal)>> {
    let goals = match &args.to {
        Some(file) => saved(file)?,
        None => typed(args)?,
    };
    for (at, (axis, _)) in goals.iter().enumerate() {
        if goals[..at].iter().any(|(other, _)| other == axis) {
            let message = format!("move: expected each axis once, found {axis} twice");
            return Err(Failure::usage(format!("{message}; nothing was moved")));
        }
    }
    Ok(goals)
}

/// The pairs of an axis and a target; with `--by` one axis without a target.
fn typed(args: &MoveArgs) -> CommandResult<Vec<(Axis, Goal)>> {
    let refused = |axis, error: String| Failure::usage(format!("target of axis {axis}: {error}"));
    let mut goals = Vec::new();
    for (axis, target) in args.pairs.each() {
        let goal = match (target, &args.by) {
            (Some(target), _) => goal(axis, target),
            (None, Some(by)) => units::on_axis(axis, by).map(Goal::By),
            (None, None) => Err("expected a TARGET after it, or --by DISTANCE".to_owned()),
        };
        goals.push((axis, goal.map_err(|error| refused(axis, error))?));
    }
    Ok(goals)
}

/// The positions of a file that `get position --save` has written.
fn saved(file: &Path) -> CommandResult<Vec<(Axis, Goal)>> {
    let refused = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("--to {}: {error}; nothing was moved", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(|error| refused(&error))?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| refused(&error))?;
    let mut goals = Vec::new();
    for (name, value) in &table {
        let axis: Axis = name.parse().map_err(|error| refused(&error))?;
        let position = match value {
            toml::Value::Float(number) => units::finite(&number.to_string()),
            toml::Value::Integer(number) => units::finite(&number.to_string()),
            toml::Value::String(text) if text.starts_with('+') => {
                Err(format!("expected a position, found the distance {text:?}"))
            }
            toml::Value::String(text) => units::on_axis(axis, text),
            other => Err(format!("expected a position such as 8.5 or \"8.5mm\", found {other}")),
        };
        goals.push((
            axis,
            Goal::To(position.map_err(|error| refused(&format!("{axis}: {error}")))?),
        ));
    }
    if goals.is_empty() {
        return Err(refused(&"expected a line such as x = 8.5, found no position"));
    }
    Ok(goals)
}

/// The target of each goal, within the limits. Everything is checked before anything moves.
pub(super) async fn checked(
    microscope: &Microscope,
    args: &MoveArgs,
    goals: &[(Axis, Goal)],
) -> CommandResult<Vec<(Axis, Position)>> {
    let axes: Vec<Axis> = goals.iter().map(|(axis, _)| *axis).collect();
    let limits = limits(microscope, args, &axes).await?;
    let mut targets = Vec::new();
    for ((axis, goal), limits) in goals.iter().zip(&limits) {
        let target = match goal {
            Goal::To(target) => Position::of(*axis, *target),
            Goal::By(by) => moved_by(microscope, *axis, *by, limits).await?,
        };
        let checked = limits.check(*axis, target);
        // Somebody who types a negative position that does not exist may mean a distance.
        let advice = match goal {
            Goal::To(to) if *to < 0.0 => format!("; to move by {target}: --by={to}"),
            _ => String::new(),
        };
        checked.map_err(|error| Failure::usage(format!("{error}; nothing was moved{advice}")))?;
        targets.push((*axis, target));
    }
    Ok(targets)
}

/// The limits of the axes in the settings. Refuses the move while those of one axis are not known.
async fn limits(
    microscope: &Microscope,
    args: &MoveArgs,
    axes: &[Axis],
) -> CommandResult<Vec<StageLimits>> {
    let unknown = |axis: Axis, why: &str| {
        if args.unchecked {
            note(&format!("warning: limits of axis {axis} not known: {why}"));
            return Ok(());
        }
        Err(Failure::usage(format!(
            "limits of axis {axis} not known: {why}; nothing was moved; correct the scope settings, or \
             move it with --unchecked"
        )))
    };
    match microscope.settings().load().await {
        Ok(settings) => axes
            .iter()
            .map(|axis| {
                let limits = settings.value.limits(*axis).clone();
                limits.known().or_else(|why| unknown(*axis, &why.to_string()))?;
                Ok(limits)
            })
            .collect(),
        Err(error @ (Error::ConnectionLost { .. } | Error::Client { .. })) => {
            Err(Failure::new(error.exit_code(), error.to_string()))
        }
        Err(error) => axes
            .iter()
            .map(|axis| unknown(*axis, &error.to_string()).map(|()| StageLimits::default()))
            .collect(),
    }
}

/// The target at a distance from where the axis stands. An axis that moves has no position from which a
/// distance could be counted.
async fn moved_by(
    microscope: &Microscope,
    axis: Axis,
    by: f64,
    limits: &StageLimits,
) -> CommandResult<Position> {
    let mut pushes = microscope.stage().position_updates();
    let ask = || async {
        microscope.stage().position(axis).await.map_err(|error| {
            let message = format!("axis {axis} by {by}: {error}; nothing was moved");
            Failure::new(error.exit_code(), message)
        })
    };
    let first = ask().await?.value.value();
    // An axis that moves pushes a position each 25 ms.
    let pushed = within(STANDS_FOR, async {
        while let Some(update) = pushes.next().await {
            if update.axis == axis {
                return;
            }
        }
    });
    let is_pushed = pushed.await.is_some();
    let now = ask().await?.value.value();
    let refused = |why: &str| {
        Err(Failure::usage(format!(
            "axis {axis} by {by}: {why}; wait until it stands, or give a target; nothing was moved"
        )))
    };
    if is_pushed || (first - now).abs() > STANDS_STILL {
        return refused(&format!("it is moving ({first}, then {now} {})", axis.unit()));
    }
    if now == 0.0 && axis != Axis::R && limits.known().is_err() {
        return refused("it answered 0, which an axis that moves may answer, too");
    }
    Ok(Position::of(axis, now + by))
}
