//! `flamingo decode`: what was on the wire, for people. Here is what kind of input it is: bytes are
//! shown by `byte_ranges.rs`, captures by `capture.rs`, what captures add up to by `summary.rs`.

mod byte_ranges;
mod capture;
mod conversation;
mod frames;
mod hex;
mod summary;

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::PathBuf;

use clap::Args;
use flamingo_recording::capture::is_capture;

use crate::failure::{CommandResult, Failure};
use crate::output::Out;

/// How many bytes tell a capture.
const BEGINNING: u64 = 4;

/// Show what was on the wire: a recording as a conversation, bytes with each range named
///
/// A capture (pcapng or pcap: by flamingo record, flamingo bridge --record, tcpdump, Wireshark) is
/// shown as the conversation that it holds: each command with its answer and the delay, messages
/// that nobody asked for, late answers, silence. Other input is hex text (plain, with separators,
/// or a dump with offsets), raw bytes, or one direction of the stream: each frame with its byte
/// ranges named. Bytes that are no frame are skipped and counted. A frame that is cut off or has a
/// wrong marker is said, and the exit code is 6.
#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// File to read; - or nothing reads stdin
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Of a capture: how many commands of each code, how long their answers took, how many got none
    #[arg(long)]
    summary: bool,
}

/// Where the bytes come from.
type Input = Box<dyn Read + Send>;

pub(crate) async fn run(args: DecodeArgs, out: &mut Out) -> CommandResult {
    let DecodeArgs { file, summary } = args;
    let file = file.filter(|file| file.as_os_str() != "-");
    let name = file.as_ref().map_or("stdin".to_owned(), |file| file.display().to_string());
    tracing::debug!("reading {name}");
    // Reading may block for as long as a terminal pleases; Ctrl-C must not.
    let begun = smol::unblock(move || begin(file)).await;
    let failed = |error| Failure::usage(format!("decode: cannot read {name}: {error}"));
    let (beginning, rest) = begun.map_err(failed)?;
    let whole: Input = Box::new(Cursor::new(beginning.clone()).chain(rest));
    if is_capture(&beginning) {
        return capture::print(whole, &name, summary, out).await;
    }
    if summary {
        let why = "expected a capture (pcapng or pcap): --summary needs times and both directions";
        return Err(Failure::usage(format!("decode: {name}: {why}")));
    }
    let bytes = smol::unblock(move || read(whole)).await.map_err(failed)?;
    byte_ranges::print(bytes, out)
}

fn begin(file: Option<PathBuf>) -> std::io::Result<(Vec<u8>, Input)> {
    let mut input: Input = match file {
        Some(file) => Box::new(File::open(file)?),
        None => Box::new(std::io::stdin()),
    };
    let mut beginning = Vec::new();
    input.by_ref().take(BEGINNING).read_to_end(&mut beginning)?;
    Ok((beginning, input))
}

fn read(mut input: Input) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    Ok(bytes)
}
