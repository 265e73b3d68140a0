//! `flamingo decode`: its arguments, and the kind of its input. `capture.rs` prints captures,
//! `byte_ranges.rs` prints other bytes as text, and `json.rs` has the JSON of both.

mod anonymize;
mod byte_ranges;
mod capture;
mod conversation;
mod frames;
mod hex;
mod html;
mod json;
mod row;
mod summary;
mod text;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::PathBuf;

use clap::Args;
use flamingo_recording::Port;
use flamingo_recording::capture::{KnownPorts, is_capture};

use self::capture::Target;
use self::html::HtmlPage;
use self::summary::Summary;
use crate::failure::{CommandResult, Failure};
use crate::new_file::OverwriteArg;
use crate::output::Out;

/// A capture is recognised by this many bytes.
const BEGINNING: u64 = 4;

/// Print a recording as a conversation, or bytes as frames
///
/// A capture (pcapng or pcap, from flamingo record, flamingo bridge --record, tcpdump or Wireshark)
/// is printed as a conversation: each command with its answer and the delay, events, late answers,
/// and commands without an answer. All other input is bytes of one direction, as hex text (plain,
/// with separators, or a dump with offsets) or raw: each frame is printed with its fields named.
/// A capture may come from a pipe that stays open (tcpdump -U -w - | flamingo decode): each line is
/// printed as soon as it is known.
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

    /// Write a capture as a page for a browser, in one file that needs no network: a timeline with
    /// zoom and search, the delays, and a table of the commands
    #[arg(long, value_name = "OUT.html", conflicts_with = "summary")]
    html: Option<PathBuf>,

    /// Write a copy of a capture without what can tell who was recorded: addresses, texts, payloads,
    /// pixels and the date. The conversation, its numbers and its delays stay
    #[arg(long, value_name = "OUT.pcapng", conflicts_with_all = ["summary", "html"])]
    anonymize: Option<PathBuf>,

    #[command(flatten)]
    overwrite: OverwriteArg,

    #[command(flatten)]
    ports: PortArgs,
}

/// How the connections of a capture are read.
#[derive(Debug, Args)]
#[allow(clippy::struct_field_names)] // they name the options
struct PortArgs {
    /// Read connections to this port as connections to the control port, as well as those to port
    /// 53717. May be given several times
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    control_port: Vec<u16>,

    /// The same for the port of live images, 53718
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    live_port: Vec<u16>,

    /// The same for the port of stack images, 53719
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    stack_port: Vec<u16>,

    /// The same for the port on which a bridge sends unsolicited frames, 53720
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    callback_port: Vec<u16>,
}

impl PortArgs {
    /// Each number with its meaning; `None` is the callback port.
    fn all(&self) -> impl Iterator<Item = (Option<Port>, u16)> {
        let ports = Port::ALL.into_iter().map(Some).chain([None]);
        let lists = [&self.control_port, &self.live_port, &self.stack_port, &self.callback_port];
        ports.zip(lists).flat_map(|(port, list)| list.iter().map(move |number| (port, *number)))
    }

    fn known_ports(&self) -> CommandResult<KnownPorts> {
        let mut given = BTreeMap::new();
        for (port, number) in self.all() {
            let before = given.insert(number, port);
            if let Some(before) = before.filter(|before| *before != port) {
                let [one, other] = [before, port].map(option);
                return Err(Failure::usage(format!(
                    "decode: expected one meaning for port {number}, found {one} and {other}"
                )));
            }
        }
        Ok(given.into_iter().fold(KnownPorts::default(), |known, (number, port)| match port {
            Some(port) => known.with(number, port),
            None => known.with_callback(number),
        }))
    }
}

/// The option that gives a port this meaning.
fn option(port: Option<Port>) -> String {
    format!("--{}-port", port.map_or("callback", Port::name))
}

/// Refuses to write the result into the capture itself, which would empty it before it is read.
fn check_result(capture: Option<&PathBuf>, result: Option<&PathBuf>) -> CommandResult {
    let (Some(capture), Some(result)) = (capture, result) else { return Ok(()) };
    match (capture.canonicalize(), result.canonicalize()) {
        (Ok(capture), Ok(same)) if capture == same => Err(Failure::usage(format!(
            "decode: {} is the capture itself; choose another name for the result",
            result.display()
        ))),
        _ => Ok(()),
    }
}

/// The source of the bytes.
struct Input {
    bytes: Box<dyn Read + Send>,
    /// It may stay open without bytes, as a pipe does.
    is_live: bool,
}

pub(crate) async fn run(args: DecodeArgs, out: &mut Out) -> CommandResult {
    let DecodeArgs { file, summary, html, anonymize, overwrite, ports } = args;
    let known_ports = ports.known_ports()?;
    let file = file.filter(|file| file.as_os_str() != "-");
    check_result(file.as_ref(), html.as_ref().or(anonymize.as_ref()))?;
    let name = file.as_ref().map_or("stdin".to_owned(), |file| file.display().to_string());
    tracing::debug!("reading {name}");
    // Reading from a terminal may block; Ctrl-C must still work.
    let begun = smol::unblock(move || begin(file)).await;
    let failed = |error| Failure::usage(format!("decode: cannot read {name}: {error}"));
    let (beginning, Input { bytes, is_live }) = begun.map_err(failed)?;
    let whole = Box::new(Cursor::new(beginning.clone()).chain(bytes));
    let whole = Input { bytes: whole, is_live };
    if is_capture(&beginning) {
        let target = match (anonymize, html) {
            (Some(copy), _) => {
                return anonymize::write(whole, &name, known_ports, (copy, overwrite), out).await;
            }
            (None, Some(page)) => Target::Page(Box::new(HtmlPage::create(page, overwrite, &name)?)),
            (None, None) if summary => Target::Totals(Summary::default()),
            (None, None) => Target::Lines,
        };
        return capture::print(whole, &name, known_ports, target, out).await;
    }
    let given = [("--summary", summary), ("--html", html.is_some())];
    let given = given.into_iter().find(|(_, given)| *given).map(|(option, _)| option);
    if let Some(option) = given.or(anonymize.as_ref().map(|_| "--anonymize")) {
        let why = format!(
            "expected a capture (pcapng or pcap): {option} needs times and both directions"
        );
        return Err(Failure::usage(format!("decode: {name}: {why}")));
    }
    if let Some((port, _)) = ports.all().next() {
        return Err(Failure::usage(format!(
            "decode: {name}: expected a capture (pcapng or pcap): {} needs TCP ports",
            option(port)
        )));
    }
    let bytes = smol::unblock(move || read(whole)).await.map_err(failed)?;
    byte_ranges::print(bytes, out)
}

fn begin(file: Option<PathBuf>) -> std::io::Result<(Vec<u8>, Input)> {
    let mut input = match file {
        Some(file) => {
            let file = File::open(file)?;
            let is_live = !file.metadata()?.is_file();
            Input { bytes: Box::new(file), is_live }
        }
        None => Input { bytes: Box::new(std::io::stdin()), is_live: !is_stdin_a_file() },
    };
    let mut beginning = Vec::new();
    input.bytes.by_ref().take(BEGINNING).read_to_end(&mut beginning)?;
    Ok((beginning, input))
}

/// Whether stdin was redirected from a file, which never makes a reader wait.
#[cfg(unix)]
fn is_stdin_a_file() -> bool {
    use std::os::fd::AsFd;
    let stdin = std::io::stdin().as_fd().try_clone_to_owned().map(File::from);
    stdin.and_then(|stdin| stdin.metadata()).is_ok_and(|metadata| metadata.is_file())
}

#[cfg(not(unix))]
fn is_stdin_a_file() -> bool {
    false
}

fn read(mut input: Input) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.bytes.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
