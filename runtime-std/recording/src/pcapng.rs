//! The file format: pcapng with raw IP packets, times in ns, and one interface for each port of the
//! instrument.
//!
//! The names of the interfaces say what a TCP stream is, whatever its port number. The reader and the
//! Wireshark dissector use them. The packets are `tcp_flow.rs`.

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

/// Stands before the name of the port in the name of an interface.
const PREFIX: &str = "flamingo-";
/// Stands after the name of the port if the pixels of images are left out.
const HEADERS: &str = "-headers";
/// The code of the comment option, and the bytes that end the options.
const COMMENT: u16 = 1;
const END_OF_OPTIONS: [u8; 4] = [0; 4];
/// In bytes. Comments are ASCII, so a cut never splits a character.
const LONGEST_COMMENT: usize = 1024;
const PADDING: [u8; 3] = [0; 3];
/// The unit of times is 10⁻⁹ s.
const NANOSECONDS: u8 = 9;

/// What the name of an interface says: the port, and whether images have their pixels.
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
        (_, true) => "images: headers; the pixels as a checksum in a comment",
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

/// A length in bytes, rounded up to whole words.
const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// Writes a pcapng file.
pub(super) struct PcapNg<W: Write> {
    writer: PcapNgWriter<VectoredWriter<W>>,
}

impl<W: Write> PcapNg<W> {
    /// Writes the beginning of the file.
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

    /// Writes a packet. An empty comment is left out. Returns the bytes that the packet takes in the
    /// file.
    ///
    /// The block is written here, not by the library: the library wants headers and payload in one
    /// piece, and to copy every pixel would be the most expensive step. Words of 32 bits: type, length,
    /// interface, time, captured and original length; then the packet and its options, each rounded up
    /// to whole words; then the length again.
    pub(super) fn packet(
        &mut self,
        port: Port,
        at: Duration,
        headers: &[u8],
        payload: &Bytes,
        comment: &str,
    ) -> io::Result<usize> {
        let captured = headers.len() + payload.len();
        // A comment that is too long for its length field is cut.
        let comment = &comment.as_bytes()[..comment.len().min(LONGEST_COMMENT)];
        let options = if comment.is_empty() { 0 } else { 4 + padded(comment.len()) + 4 };
        let length = 8 + 20 + padded(captured) + options + 4;
        #[allow(clippy::cast_possible_truncation)] // the time fills two words, lengths are short
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
            #[allow(clippy::cast_possible_truncation)] // it was cut to fit
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
    fn interface_names_tell_port_and_pixels() {
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
