//! The check of statuses: which handlers of the instrument set the status of their answers. And the
//! profile that follows from it and from the marks of pushes.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame, wire::Status, wire::StatusRule};
use flamingo_runtime_std::{Answer, Client};

use super::Finding;
use crate::failure::{CommandResult, Failure};
use crate::new_file::OverwriteArg;
use crate::profile::{Profile, rule_name};

/// Queries that change nothing.
const QUERIES: [(CommandCode, i32); 8] = [
    (CommandCode::SYSTEM_STATE_GET, 0),
    (CommandCode::STAGE_POSITION_GET, 1),
    (CommandCode::COMMON_SCOPE_SETTINGS_LOAD, 0),
    (CommandCode::STORAGE_PATH_SET, 0),
    (CommandCode::LASER_LEVEL_GET, 1),
    (CommandCode::CAMERA_EXPOSURE_GET, 0),
    (CommandCode::CAMERA_IMAGE_SIZE_GET, 0),
    (CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET, 0),
];

/// How long each of these queries waits: several may stay without an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The status of each code that was asked; `None`: it was not answered.
pub(super) type Statuses = Vec<(CommandCode, Option<Answer>)>;

/// Asks each query once.
pub(super) async fn ask(client: &Client) -> Statuses {
    let mut statuses = Vec::new();
    for (code, selector) in QUERIES {
        let query = Frame::command(code).with_selector(selector);
        let answer = client.request_within(query, client.timeout().min(PATIENCE)).await;
        statuses.push((code, answer.ok()));
    }
    statuses
}

/// One finding for each code.
pub(super) fn findings(statuses: &Statuses) -> Vec<Finding> {
    let finding = |(code, answer): &(CommandCode, Option<Answer>)| {
        let Some(answer) = answer else {
            let meaning = "the instrument may not know it, or its device is off";
            return Finding::warning("status", format!("{code} was not answered"), meaning);
        };
        let evidence = format!("{code} has status {}", answer.frame.status);
        match answer.outcome {
            Status::Success => {
                Finding::ok("status", evidence, "success: its handler sets the status")
            }
            Status::Failure => Finding::warning("status", evidence, "it was refused"),
            Status::Unset => {
                let meaning = "presumed success: its handler sets no status";
                Finding::ok("status", evidence, meaning)
            }
        }
    };
    statuses.iter().map(finding).collect()
}

/// Writes what was found as a profile.
pub(super) fn save_profile(
    (file, overwrite): (&Path, OverwriteArg),
    statuses: &Statuses,
    unmarked_positions: bool,
) -> CommandResult {
    let mut profile = Profile::default();
    profile.unmarked.positions |= unmarked_positions;
    for (code, answer) in statuses {
        let rule = match answer.as_ref().map(|answer| answer.outcome) {
            Some(Status::Success) => StatusRule::Set,
            Some(Status::Unset) => StatusRule::Unknown,
            Some(Status::Failure) | None => continue,
        };
        let name = code.name().map_or_else(|| format!("0x{:04X}", code.0), str::to_owned);
        profile.status.insert(name, rule_name(rule).to_owned());
    }
    let failed =
        |error: String| Failure::usage(format!("--save-profile {}: {error}", file.display()));
    let text = toml::to_string(&profile).map_err(|error| failed(error.to_string()))?;
    let mut created = overwrite.create("--save-profile", file)?;
    created.write_all(text.as_bytes()).map_err(|error| failed(error.to_string()))
}
