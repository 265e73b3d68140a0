//! The form of the file: pcapng, raw IP packets with times in ns, one interface for each of the
//! instrument's ports, named after it.
//!
//! The names say what a TCP stream is, whatever its port number: readers and the Wireshark
//! dissector go by them. What the packets are is `tcp_flow.rs`.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::ENHANCED_PACKET_BLOCK;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};

use super::Port;
use super::vectored_writer::VectoredWriter;

/// Before the port's name in an interface's name.
const PREFIX: &str = "flamingo-";
/// Behind it, where the pixels of images are left out.
const HEADERS: &str = "-headers";
/// The code of a comment among the options, and what ends them.
const COMMENT: u16 = 1;
const END_OF_OPTIONS: [u8; 4] = [0; 4];
/// A whole number of characters: comments are ASCII.
const LONGEST_COMMENT: usize = 1024;
const PADDING: [u8; 3] = [0; 3];
/// The time's unit: 10 to the minus 9 of a second.
const NANOSECONDS: u8 = 9;

/// What the name of an interface says: the port, and whether its pixels are there.
pub(super) fn meaning(name: &str) -> Option<(Port, bool)> {
    let name = name.strip_prefix(PREFIX)?;
    let (name, pixels) = name.strip_suffix(HEADERS).map_or((name, true), |name| (name, false));
    let port = Port::ALL.into_iter().find(|port| port.name() == name)?;
    Some((port, pixels))
}

fn interface(port: Port, pixels: bool) -> InterfaceDescriptionBlock<'static> {
    let left_out = port != Port::Control && !pixels;
    let name = format!("{PREFIX}{port}{}", if left_out { HEADERS } else { "" });
    let what = match (port, left_out) {
        (Port::Control, _) => "control port: commands, answers, unsolicited messages",
        (_, true) => "images: headers; of the pixels a checksum only, as a comment",
        (_, false) => "images: headers and pixels",
    };
    InterfaceDescriptionBlock {
        linktype: DataLink::RAW,
        snaplen: 0,
        options: vec![
            InterfaceDescriptionOption::IfName(name.into()),
            InterfaceDescriptionOption::IfDescription(what.into()),
            InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
        ],
    }
}

/// So many bytes, filled up to whole words.
const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// Writes a pcapng file.
pub(super) struct PcapNg<W: Write> {
    writer: PcapNgWriter<VectoredWriter<W>>,
}

impl<W: Write> PcapNg<W> {
    /// Writes what stands at the beginning.
    pub(super) fn begin(writer: W, pixels: bool, about: &str) -> io::Result<Self> {
        let program = concat!("flamingo ", env!("CARGO_PKG_VERSION"));
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![
                SectionHeaderOption::UserApplication(program.into()),
                SectionHeaderOption::Comment(about.to_owned().into()),
            ],
            ..SectionHeaderBlock::default()
        };
        let mut writer = PcapNgWriter::with_section_header(VectoredWriter::new(writer), section)
            .map_err(failed)?;
        for port in Port::ALL {
            writer.write_pcapng_block(interface(port, pixels)).map_err(failed)?;
        }
        Ok(Self { writer })
    }

    /// Writes a packet; an empty comment is none. Gives how many bytes it takes in the file.
    ///
    /// By hand: the library's block needs headers and payload in one piece, and that copy of every
    /// pixel would be what costs most. Words of 32 bits: type, length, interface, time, captured
    /// and original length, the packet and its options, each filled up to a word, length.
    pub(super) fn packet(
        &mut self,
        port: Port,
        at: Duration,
        headers: &[u8],
        payload: &Bytes,
        comment: &str,
    ) -> io::Result<usize> {
        let captured = headers.len() + payload.len();
        // A comment that is longer than its length field can say is cut.
        let comment = &comment.as_bytes()[..comment.len().min(LONGEST_COMMENT)];
        let options = if comment.is_empty() { 0 } else { 4 + padded(comment.len()) + 4 };
        let length = 8 + 20 + padded(captured) + options + 4;
        #[allow(clippy::cast_possible_truncation)] // the time in two words; lengths are short
        let words = {
            let time = at.as_nanos() as u64;
            let captured = captured as u32;
            let (high, low) = ((time >> 32) as u32, time as u32);
            let port = u32::from(port.steps());
            [ENHANCED_PACKET_BLOCK, length as u32, port, high, low, captured, captured]
        };
        let writer = self.writer.get_mut();
        for word in words {
            writer.write_all(&word.to_le_bytes())?;
        }
        writer.write_all(headers)?;
        writer.write_bytes(payload)?;
        writer.write_all(&PADDING[..padded(captured) - captured])?;
        if !comment.is_empty() {
            #[allow(clippy::cast_possible_truncation)] // it was cut
            let head = [COMMENT, comment.len() as u16].map(u16::to_le_bytes).concat();
            writer.write_all(&head)?;
            writer.write_all(comment)?;
            writer.write_all(&PADDING[..padded(comment.len()) - comment.len()])?;
            writer.write_all(&END_OF_OPTIONS)?;
        }
        writer.write_all(&words[1].to_le_bytes())?;
        Ok(length)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer.get_mut().flush()
    }
}

fn failed(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_each_interface_says_what_it_is() {
        for port in Port::ALL {
            for pixels in [true, false] {
                let block = interface(port, pixels);
                let [InterfaceDescriptionOption::IfName(name), ..] = &block.options[..] else {
                    panic!("{block:?}")
                };
                assert_eq!(meaning(name), Some((port, pixels || port == Port::Control)));
            }
        }
        assert_eq!(meaning("eth0"), None);
        assert_eq!(meaning("flamingo-"), None);
    }
}
