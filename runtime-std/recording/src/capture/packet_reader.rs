//! Reads TCP packets from capture files: pcapng and pcap, with the link types that tcpdump writes.
//! Packets that are not TCP over IP are skipped.

use std::io::{Cursor, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice};
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError};

use super::super::Port;
use super::super::pcapng::meaning;
use super::CaptureError;

/// The lengths of these link-layer headers, in bytes.
const SLL: usize = 16;
const SLL2: usize = 20;
const NULL: usize = 4;

/// A TCP packet.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // the flags of TCP
pub(super) struct Packet {
    pub(super) at: Duration,
    pub(super) source: SocketAddr,
    pub(super) target: SocketAddr,
    pub(super) number: u32,
    pub(super) syn: bool,
    pub(super) ack: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) payload: Vec<u8>,
    /// How many bytes of the payload were on the wire but are not in the file.
    pub(super) cut: usize,
    /// In a recording of our own: the port, and whether images have their pixels.
    pub(super) port: Option<(Port, bool)>,
    pub(super) comment: Option<String>,
}

enum Form {
    PcapNg { reader: Box<PcapNgReader<Box<dyn Read + Send>>>, interfaces: Vec<Interface> },
    Pcap(Box<PcapReader<Box<dyn Read + Send>>>),
}

/// The properties of the packets of an interface.
#[derive(Debug, Clone)]
struct Interface {
    link: DataLink,
    /// The unit of time: 10⁻ⁿ s, or 2⁻ⁿ s if the highest bit is set.
    resolution: u8,
    port: Option<(Port, bool)>,
}

pub(super) struct PacketReader {
    form: Form,
    /// A link type that cannot be read, and whether another one could be read.
    unknown: Option<DataLink>,
    understood: bool,
}

impl PacketReader {
    pub(super) fn new(mut reader: Box<dyn Read + Send>) -> Result<Self, CaptureError> {
        let mut beginning = [0; 4];
        reader.read_exact(&mut beginning)?;
        let whole: Box<dyn Read + Send> = Box::new(Cursor::new(beginning).chain(reader));
        let form = if beginning == [0x0A, 0x0D, 0x0D, 0x0A] {
            let reader = Box::new(PcapNgReader::new(whole).map_err(failed)?);
            Form::PcapNg { reader, interfaces: Vec::new() }
        } else {
            Form::Pcap(Box::new(PcapReader::new(whole).map_err(failed)?))
        };
        Ok(Self { form, unknown: None, understood: false })
    }

    /// The next TCP packet, or `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Packet>, CaptureError> {
        loop {
            let found = match &mut self.form {
                Form::PcapNg { reader, interfaces } => match reader.next_block() {
                    None => return self.at_end(),
                    Some(block) => from_block(block.map_err(failed)?, interfaces),
                },
                Form::Pcap(reader) => {
                    let link = reader.header().datalink;
                    match reader.next_packet() {
                        None => return self.at_end(),
                        Some(packet) => {
                            let packet = packet.map_err(failed)?;
                            Found::packet(link, &packet.data, packet.timestamp)
                        }
                    }
                }
            };
            match found {
                Found::Packet(packet) => {
                    self.understood = true;
                    return Ok(Some(*packet));
                }
                Found::Other => {}
                Found::Link(link) => self.unknown = Some(link),
            }
        }
    }

    fn at_end(&self) -> Result<Option<Packet>, CaptureError> {
        match self.unknown {
            Some(link) if !self.understood => {
                Err(CaptureError::LinkType { found: u32::from(link) })
            }
            _ => Ok(None),
        }
    }
}

/// What a packet of a file turned out to be.
pub(super) enum Found {
    Packet(Box<Packet>),
    Other,
    /// The link type is unknown.
    Link(DataLink),
}

impl Found {
    /// Reads one packet of a file.
    pub(super) fn packet(link: DataLink, data: &[u8], at: Duration) -> Self {
        match slice(link, data) {
            Net::Unknown => Self::Link(link),
            Net::Other => Self::Other,
            Net::Ip(sliced) => {
                tcp(&sliced, at).map_or(Self::Other, |packet| Self::Packet(Box::new(packet)))
            }
        }
    }
}

fn from_block(block: Block<'_>, interfaces: &mut Vec<Interface>) -> Found {
    match block {
        Block::SectionHeader(_) => interfaces.clear(),
        Block::InterfaceDescription(block) => {
            let mut interface = Interface { link: block.linktype, resolution: 6, port: None };
            for option in &block.options {
                match option {
                    InterfaceDescriptionOption::IfName(name) => interface.port = meaning(name),
                    InterfaceDescriptionOption::IfTsResol(unit) => interface.resolution = *unit,
                    _ => {}
                }
            }
            interfaces.push(interface);
        }
        Block::EnhancedPacket(block) => {
            let at = usize::try_from(block.interface_id).unwrap_or(usize::MAX);
            let Some(interface) = interfaces.get(at) else { return Found::Other };
            // The library treats every unit as a nanosecond.
            let at = time(block.timestamp.as_nanos(), interface.resolution);
            let found = Found::packet(interface.link, &block.data, at);
            let Found::Packet(mut packet) = found else { return found };
            packet.port = interface.port;
            packet.comment = block.options.into_iter().find_map(|option| match option {
                EnhancedPacketOption::Comment(text) => Some(text.into_owned()),
                _ => None,
            });
            return Found::Packet(packet);
        }
        _ => {}
    }
    Found::Other
}

/// A time in units of the given resolution.
fn time(units: u128, resolution: u8) -> Duration {
    let exponent = u32::from(resolution & 0x7F);
    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    let Some(per_second) = base.checked_pow(exponent) else { return Duration::ZERO };
    let nanos = units.saturating_mul(1_000_000_000) / per_second;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The protocol after the link-layer header.
#[allow(clippy::large_enum_variant)] // nearly every packet is IP
enum Net<'a> {
    Ip(LaxSlicedPacket<'a>),
    Other,
    /// The link type is unknown.
    Unknown,
}

fn slice(link: DataLink, data: &[u8]) -> Net<'_> {
    let ip = |from: usize| data.get(from..).and_then(|ip| LaxSlicedPacket::from_ip(ip).ok());
    let found = match link {
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => ip(0),
        DataLink::ETHERNET => LaxSlicedPacket::from_ethernet(data).ok(),
        DataLink::NULL | DataLink::LOOP => ip(NULL),
        DataLink::LINUX_SLL => ip(SLL),
        DataLink::LINUX_SLL2 => ip(SLL2),
        _ => return Net::Unknown,
    };
    found.map_or(Net::Other, Net::Ip)
}

fn tcp(sliced: &LaxSlicedPacket<'_>, at: Duration) -> Option<Packet> {
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else { return None };
    let (source, target, declared): (IpAddr, IpAddr, usize) = match sliced.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let length = usize::from(header.total_len()).saturating_sub(header.slice().len());
            (header.source_addr().into(), header.destination_addr().into(), length)
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let length = usize::from(header.payload_length());
            (header.source_addr().into(), header.destination_addr().into(), length)
        }
        LaxNetSlice::Arp(_) => return None,
    };
    Some(packet(tcp, SocketAddr::new(source, tcp.source_port()), target, declared, at))
}

fn packet(
    tcp: &TcpSlice<'_>,
    source: SocketAddr,
    target: IpAddr,
    declared: usize,
    at: Duration,
) -> Packet {
    let payload = tcp.payload().to_vec();
    // A declared length of 0 means that the network card was to cut the packet: all bytes are there.
    let cut = declared.saturating_sub(tcp.header_slice().len() + payload.len());
    Packet {
        at,
        source,
        target: SocketAddr::new(target, tcp.destination_port()),
        number: tcp.sequence_number(),
        syn: tcp.syn(),
        ack: tcp.ack(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        payload,
        cut,
        port: None,
        comment: None,
    }
}

fn failed(error: PcapError) -> CaptureError {
    match error {
        PcapError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            CaptureError::Cut
        }
        PcapError::IoError(error) => CaptureError::Read(error),
        PcapError::IncompleteBuffer => CaptureError::Cut,
        other => CaptureError::Form(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_of_their_interface() {
        assert_eq!(time(1_500_000, 6), Duration::from_millis(1_500));
        assert_eq!(time(1_500_000_000, 9), Duration::from_millis(1_500));
        assert_eq!(time(3, 0x80 | 1), Duration::from_millis(1_500));
        assert_eq!(time(7, 0x7F), Duration::ZERO, "a unit that nobody uses");
    }
}
