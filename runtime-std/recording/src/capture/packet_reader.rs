//! Reads TCP packets from capture files: pcapng (`blocks.rs`) and pcap (`records.rs`), through the link
//! layer (`link.rs`) and IP (`ip.rs`). Packets that are not TCP over IP are skipped.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::super::Port;
use super::blocks::Section;
use super::ip::{Fragments, IpBytes, Segment};
use super::link::{ETHERNET, Link, Net, net};
use super::records::Records;
use super::source::Source;
use super::{CaptureError, Unreadable};

/// The length of a TCP header without options.
const SHORTEST_TCP: usize = 20;

/// The most bytes of packets that wait for the first time in the file. Each packet counts
/// `WAITING_COST` bytes in addition.
const MOST_UNTIMED: usize = 1024 * 1024;
const WAITING_COST: usize = 64;

/// A TCP packet.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // the flags of TCP
pub(super) struct Packet<'a> {
    pub(super) at: Duration,
    /// The interface that captured it: each has a clock of its own.
    pub(super) interface: u32,
    pub(super) source: SocketAddr,
    pub(super) target: SocketAddr,
    pub(super) number: u32,
    /// The sequence number before which the source has received everything, if `ack` is set.
    pub(super) acknowledged: u32,
    pub(super) syn: bool,
    pub(super) ack: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) payload: &'a [u8],
    /// How many bytes of the payload were on the wire but are not in the file.
    pub(super) cut: usize,
    /// In a recording of our own: the port, and whether images have their pixels.
    pub(super) port: Option<(Port, bool)>,
    pub(super) comment: Option<&'a str>,
}

/// A packet as it is in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawPacket<'a> {
    /// `None` if the file has no time for it.
    pub(super) at: Option<Duration>,
    /// The number of its interface in the section.
    pub(super) interface: u32,
    pub(super) link: Link,
    pub(super) data: &'a [u8],
    /// The length on the wire, as the file declares it.
    pub(super) length: usize,
    /// The length of the frame check sequence at the end, if the file has it.
    pub(super) check: usize,
    pub(super) port: Option<(Port, bool)>,
    pub(super) comment: Option<&'a str>,
}

/// What reading has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A block was read or skipped.
    Block,
    Over,
}

enum Form {
    PcapNg(Section),
    Pcap(Records),
}

pub(super) struct PacketReader {
    source: Source,
    form: Form,
    unreadable: Unreadable,
    packets: Packets,
}

impl PacketReader {
    pub(super) fn new(reader: Box<dyn io::Read + Send>) -> Result<Self, CaptureError> {
        let mut source = Source::new(reader)?;
        if !source.fill(4)? {
            return Err(if source.bytes().is_empty() {
                CaptureError::Form
            } else {
                CaptureError::Cut
            });
        }
        let form = if source.bytes().starts_with(&[0x0A, 0x0D, 0x0D, 0x0A]) {
            Form::PcapNg(Section::default())
        } else {
            Form::Pcap(Records::begin(&mut source)?.ok_or(CaptureError::Form)?)
        };
        Ok(Self { source, form, unreadable: Unreadable::default(), packets: Packets::default() })
    }

    /// What was skipped so far.
    pub(super) fn unreadable(&self) -> Unreadable {
        Unreadable { fragments: self.packets.fragments.lost(), ..self.unreadable }
    }

    /// How many packets were read so far.
    pub(super) const fn count(&self) -> u64 {
        self.packets.count
    }

    /// Reads the next block of the file. Calls `take` if it is or completes a TCP packet.
    pub(super) fn read(&mut self, take: &mut dyn FnMut(&Packet<'_>)) -> Result<Read, CaptureError> {
        let Self { source, form, unreadable, packets } = self;
        let raw = &mut |packet: RawPacket<'_>| packets.take(packet, take);
        let read = match form {
            Form::PcapNg(section) => section.read(source, unreadable, raw),
            Form::Pcap(records) => records.read(source, unreadable, raw),
        };
        if !matches!(read, Ok(Read::Block)) {
            packets.release((Duration::ZERO, 0), take);
        }
        match packets.unknown {
            Some(link) if !packets.understood && matches!(read, Ok(Read::Over)) => {
                Err(CaptureError::LinkType { found: link.into() })
            }
            _ => read,
        }
    }
}

/// From the packets of the file to TCP packets.
#[derive(Default)]
pub(super) struct Packets {
    fragments: Fragments,
    /// The time of the packet before and the interface whose clock gave it, once there is one.
    last: Option<(Duration, u32)>,
    /// Packets that wait for the first time in the file, and how many bytes they have.
    untimed: Vec<Untimed>,
    untimed_bytes: usize,
    count: u64,
    /// A link type that cannot be read, and whether another one could be read.
    unknown: Option<Link>,
    understood: bool,
}

/// A packet without a time before the first one that has a time. It has no comment.
struct Untimed {
    link: Link,
    data: Vec<u8>,
    length: usize,
    check: usize,
    port: Option<(Port, bool)>,
}

impl Packets {
    /// A packet without a time gets that of the packet before it, as if their interfaces were one. Before
    /// the first time in the file, it waits for that one.
    pub(super) fn take(&mut self, packet: RawPacket<'_>, take: &mut dyn FnMut(&Packet<'_>)) {
        self.count += 1;
        let Some(time) = packet.at.map(|at| (at, packet.interface)).or(self.last) else {
            let RawPacket { link, data, length, check, port, .. } = packet;
            self.untimed_bytes += data.len() + WAITING_COST;
            let data = data.to_vec();
            self.untimed.push(Untimed { link, data, length, check, port });
            if self.untimed_bytes > MOST_UNTIMED {
                self.release((Duration::ZERO, 0), take);
            }
            return;
        };
        if self.last.is_none() {
            self.release(time, take);
        }
        self.last = Some(time);
        self.read(time, packet, take);
    }

    /// Takes the packets that waited for a time.
    fn release(&mut self, time: (Duration, u32), take: &mut dyn FnMut(&Packet<'_>)) {
        if self.untimed.is_empty() {
            return;
        }
        self.last = Some(time);
        for Untimed { link, data, length, check, port } in std::mem::take(&mut self.untimed) {
            let (data, interface, comment) = (&data[..], time.1, None);
            let packet =
                RawPacket { at: None, interface, link, data, length, check, port, comment };
            self.read(time, packet, take);
        }
    }

    fn read(
        &mut self,
        (at, interface): (Duration, u32),
        packet: RawPacket<'_>,
        take: &mut dyn FnMut(&Packet<'_>),
    ) {
        let data = match net(packet.link, packet.data) {
            Net::Unknown => {
                self.unknown = Some(packet.link);
                return;
            }
            Net::Other => return,
            Net::Ip(data) => data,
        };
        let left_out = packet.length.saturating_sub(packet.data.len());
        let check = if packet.link == ETHERNET { packet.check } else { 0 };
        let Some(segment) = self.fragments.read(IpBytes { at, data, left_out, check }) else {
            return;
        };
        if let Some(found) = tcp((at, interface), &segment, &packet) {
            self.understood = true;
            take(&found);
        }
    }
}

/// Reads a TCP packet. `None` if its header is not in the file as far as it is needed.
fn tcp<'a>(
    (at, interface): (Duration, u32),
    segment: &Segment<'a>,
    raw: &RawPacket<'a>,
) -> Option<Packet<'a>> {
    let Segment { source, target, bytes, missing } = *segment;
    let half = |at: usize| bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes);
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let (length, flags) = (4 * usize::from(bytes.get(12)? >> 4), bytes.get(13)?);
    if length < SHORTEST_TCP {
        return None;
    }
    let payload = bytes.get(length..).unwrap_or_default();
    let cut = (bytes.len() + missing).saturating_sub(length + payload.len());
    let is = |flag: u8| flags & flag != 0;
    Some(Packet {
        at,
        interface,
        source: SocketAddr::new(source, half(0)?),
        target: SocketAddr::new(target, half(2)?),
        number: word(4)?,
        acknowledged: word(8)?,
        syn: is(0x02),
        ack: is(0x10),
        fin: is(0x01),
        rst: is(0x04),
        payload,
        cut,
        port: raw.port,
        comment: raw.comment,
    })
}
