//! `flamingo decode --anonymize`: writes a copy of a capture that can be given to others. The library
//! decides what is left out.

use std::path::PathBuf;

use flamingo_recording::capture::{Capture, CaptureError, KnownPorts};
use flamingo_recording::{AnonymizedCopy, anonymize};
use serde::Serialize;

use super::Input;
use crate::failure::{CommandResult, Failure, PROTOCOL, note};
use crate::new_file::OverwriteArg;
use crate::output::{Out, counted};

/// What was written.
#[derive(Serialize)]
struct WrittenJson {
    anonymized: PathBuf,
    connections: u64,
    packets: u64,
    bytes: u64,
}

/// Writes the copy, and prints how much it has.
pub(super) async fn write(
    input: Input,
    name: &str,
    ports: KnownPorts,
    (path, overwrite): (PathBuf, OverwriteArg),
    out: &mut Out,
) -> CommandResult {
    let failed = |error: &CaptureError| Failure::usage(format!("decode: {name}: {error}"));
    // Reading from a pipe may block; Ctrl-C must still work.
    let capture = smol::unblock(move || Capture::from_reader(input.bytes)).await;
    let mut capture = capture.map_err(|error| failed(&error))?.known_ports(ports);
    let file = overwrite.create("decode", &path)?;
    let (copied, capture) = smol::unblock(move || (anonymize(&mut capture, file), capture)).await;
    let AnonymizedCopy { connections, packets, bytes, error, .. } = match copied {
        Ok(copy) => copy,
        Err(error) => {
            let why = format!("decode: {} is not complete: {error}", path.display());
            return Err(Failure::new(1, why));
        }
    };
    if capture.others() > 0 {
        note(&format!("{} TCP connections to other ports were left out", capture.others()));
    }
    let unreadable = capture.unreadable();
    if !unreadable.is_empty() {
        note(&format!("warning: {name}: cannot be read and was skipped: {unreadable}"));
    }
    let written = WrittenJson { anonymized: path, connections, packets, bytes };
    out.either(&written, || {
        let path = written.anonymized.display();
        let (connections, packets) =
            (counted(connections, "connection"), counted(packets, "packet"));
        format!("{path}: {connections}, {packets}, {}, anonymized", counted(bytes, "byte"))
    })?;
    match error {
        Some(CaptureError::Cut) => {
            note(&format!("error: {name}: {}; everything before it is copied", CaptureError::Cut));
            Err(Failure::reported(PROTOCOL))
        }
        Some(error) => Err(failed(&error)),
        None if connections == 0 => Err(Failure::usage(format!(
            "decode: {name}: expected connections to an instrument, found none"
        ))),
        None => Ok(()),
    }
}
