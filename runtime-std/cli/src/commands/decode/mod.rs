//! `flamingo decode`: its arguments, and the kind of its input. `capture.rs` prints captures,
//! `byte_ranges.rs` prints other bytes as text, and `json.rs` has the JSON of both.

mod byte_ranges;
mod capture;
mod conversation;
mod frames;
mod hex;
mod json;
mod summary;
mod text;

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::PathBuf;

use clap::Args;
use flamingo_recording::capture::is_capture;

use crate::failure::{CommandResult, Failure};
use crate::output::Out;

/// A capture is recognised by this many bytes.
const BEGINNING: u64 = 4;

/// Print a recording as a conversation, or bytes as frames
///
/// A capture (pcapng or pcap, from flamingo record, flamingo bridge --record, tcpdump or Wireshark)
/// is printed as a conversation: each command with its answer and the delay, events, late answers,
/// and commands without an answer. All other input is bytes of one direction, as hex text (plain,
/// with separators, or a dump with offsets) or raw: each frame is printed with its fields named.
/// Bytes that belong to no frame are skipped and counted. An incomplete frame or a wrong marker is
/// reported, and the exit code is then 6.
#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// The file; without it, or with -, stdin
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Print totals of a capture: for each code, the commands, their delays and missing answers
    #[arg(long)]
    summary: bool,
}

/// The source of the bytes.
type Input = Box<dyn Read + Send>;

pub(crate) async fn run(args: DecodeArgs, out: &mut Out) -> CommandResult {
    let DecodeArgs { file, summary } = args;
    let file = file.filter(|file| file.as_os_str() != "-");
    let name = file.as_ref().map_or("stdin".to_owned(), |file| file.display().to_string());
    tracing::debug!("reading {name}");
    // Reading from a terminal may block; Ctrl-C must still work.
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
