//! The file format: pcapng with raw IP packets, times in ns, and one interface for each port of the
//! instrument.
//!
//! The names of the interfaces say what a TCP stream is, whatever its port number. The reader and the
//! Wireshark dissector use them. The packets are `tcp_flow.rs`.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use pcap_parser::Linktype;
use pcap_parser::pcapng::{BOM_MAGIC, EPB_MAGIC, IDB_MAGIC, OptionCode, SHB_MAGIC};

use super::Port;
use super::vectored_writer::VectoredWriter;

/// Stands before the name of the port in the name of an interface.
const PREFIX: &str = "flamingo-";
/// Stands after the name of the port if the pixels of images are left out.
const HEADERS: &str = "-headers";
/// The bytes that end the options.
const END_OF_OPTIONS: [u8; 4] = [0; 4];
/// In bytes. Comments of packets are ASCII, so a cut never splits a character.
const LONGEST_COMMENT: usize = 1024;
const LONGEST_OPTION: usize = 65_535;
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

/// The block that describes the interface of a port.
fn interface(port: Port, pixels: bool) -> Vec<u8> {
    let left_out = port != Port::Control && !pixels;
    let name = format!("{PREFIX}{port}{}", if left_out { HEADERS } else { "" });
    let what = match (port, left_out) {
        (Port::Control, _) => "control port: commands, answers, unsolicited messages",
        (_, true) => "images: headers; the pixels as a checksum in a comment",
        (_, false) => "images: headers and pixels",
    };
    #[allow(clippy::cast_possible_truncation)] // the number of raw IP is 101
    let link = (Linktype::RAW.0 as u16).to_le_bytes();
    // A reserved field, and a length of packets that is not limited.
    let mut body = [&link[..], &[0; 6]].concat();
    option(&mut body, OptionCode::IfName, name.as_bytes());
    option(&mut body, OptionCode::IfDescription, what.as_bytes());
    option(&mut body, OptionCode::IfTsresol, &[NANOSECONDS]);
    block(IDB_MAGIC, body)
}

/// The block that begins the file.
fn section(about: &str) -> Vec<u8> {
    let mut body = BOM_MAGIC.to_le_bytes().to_vec();
    // Version 1.0; the length of the section is not known.
    body.extend([1, 0, 0, 0]);
    body.extend([0xFF; 8]);
    let program = concat!("flamingo ", env!("CARGO_PKG_VERSION"));
    option(&mut body, OptionCode::ShbUserAppl, program.as_bytes());
    option(&mut body, OptionCode::Comment, about.as_bytes());
    block(SHB_MAGIC, body)
}

/// Adds an option. A value that is too long for its length field is cut.
fn option(body: &mut Vec<u8>, code: OptionCode, value: &[u8]) {
    let value = &value[..value.len().min(LONGEST_OPTION)];
    #[allow(clippy::cast_possible_truncation)] // it was cut to fit
    body.extend([code.0, value.len() as u16].map(u16::to_le_bytes).concat());
    body.extend_from_slice(value);
    body.resize(padded(body.len()), 0);
}

/// A block with its options, which end here.
fn block(kind: u32, mut body: Vec<u8>) -> Vec<u8> {
    body.extend(END_OF_OPTIONS);
    #[allow(clippy::cast_possible_truncation)] // names and comments are short
    let length = (body.len() + 12) as u32;
    [&kind.to_le_bytes()[..], &length.to_le_bytes(), &body, &length.to_le_bytes()].concat()
}

/// A length in bytes, rounded up to whole words.
const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// Writes a pcapng file.
pub(super) struct PcapNg<W: Write> {
    writer: VectoredWriter<W>,
}

impl<W: Write> PcapNg<W> {
    /// Writes the beginning of the file.
    pub(super) fn begin(writer: W, pixels: bool, about: &str) -> io::Result<Self> {
        let mut writer = VectoredWriter::new(writer);
        writer.write_all(&section(about))?;
        for port in Port::ALL {
            writer.write_all(&interface(port, pixels))?;
        }
        Ok(Self { writer })
    }

    /// Writes a packet. An empty comment is left out. Returns the bytes that the packet takes in the
    /// file.
    ///
    /// The block is not built in one piece: to copy every pixel would be the most expensive step. Words of
    /// 32 bits: type, length, interface, time, captured and original length; then the packet and its
    /// options, each rounded up to whole words; then the length again.
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
            [EPB_MAGIC, length as u32, port, high, low, captured, captured]
        };
        let writer = &mut self.writer;
        for word in words {
            writer.write_all(&word.to_le_bytes())?;
        }
        writer.write_all(headers)?;
        writer.write_bytes(payload)?;
        writer.write_all(&PADDING[..padded(captured) - captured])?;
        if !comment.is_empty() {
            #[allow(clippy::cast_possible_truncation)] // it was cut to fit
            let head = [OptionCode::Comment.0, comment.len() as u16].map(u16::to_le_bytes).concat();
            writer.write_all(&head)?;
            writer.write_all(comment)?;
            writer.write_all(&PADDING[..padded(comment.len()) - comment.len()])?;
            writer.write_all(&END_OF_OPTIONS)?;
        }
        writer.write_all(&words[1].to_le_bytes())?;
        Ok(length)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use pcap_parser::pcapng::parse_interfacedescriptionblock_le;

    use super::*;

    #[test]
    fn interface_names_tell_port_and_pixels() {
        for port in Port::ALL {
            for pixels in [true, false] {
                let block = interface(port, pixels);
                let (_, block) = parse_interfacedescriptionblock_le(&block).unwrap();
                let name = block.if_name().unwrap().unwrap();
                assert_eq!(meaning(name), Some((port, pixels || port == Port::Control)));
            }
        }
        assert_eq!(meaning("eth0"), None);
        assert_eq!(meaning("flamingo-"), None);
    }
}
