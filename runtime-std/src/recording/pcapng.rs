//! The form of the file: pcapng, raw IP packets with times in ns, one interface for each of the
//! instrument's ports, named after it.
//!
//! The names say what a TCP stream is, whatever its port number: readers and the Wireshark
//! dissector go by them. What the packets are is `packets.rs`.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::{DataLink, Endianness, PcapError};

use super::Port;

/// Before the port's name in an interface's name.
const PREFIX: &str = "flamingo-";
/// Behind it, where the pixels of images are left out.
const HEADERS: &str = "-headers";
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

/// Writes a pcapng file.
pub(super) struct PcapNg<W: Write> {
    writer: PcapNgWriter<W>,
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
        let mut writer = PcapNgWriter::with_section_header(writer, section).map_err(failed)?;
        for port in Port::ALL {
            writer.write_pcapng_block(interface(port, pixels)).map_err(failed)?;
        }
        Ok(Self { writer })
    }

    /// Writes a packet; an empty comment is none. Gives how many bytes it takes in the file.
    pub(super) fn packet(
        &mut self,
        port: Port,
        at: Duration,
        packet: &[u8],
        comment: &str,
    ) -> io::Result<usize> {
        let mut options = Vec::new();
        if !comment.is_empty() {
            options.push(EnhancedPacketOption::Comment(comment.into()));
        }
        let block = EnhancedPacketBlock {
            interface_id: u32::from(port.steps()),
            timestamp: at,
            original_len: u32::try_from(packet.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(packet),
            options,
        };
        self.writer.write_pcapng_block(block).map_err(failed)
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
