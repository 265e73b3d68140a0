//! The TCP packets of one connection, made up: between the client and the instrument as if nothing
//! stood between them, with sequence numbers and checksums that are right.
//!
//! What is said beside a packet is `comments.rs`; how it gets into a file is `pcapng.rs`.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, TcpHeader};

use super::Side;

/// The longest payload of a packet: with its headers it fits into an IP packet of either kind.
pub(super) const MOST: usize = 60 * 1024;
/// A payload longer than that has no checksum: packets as long as that are what a host hands to its
/// network card, which cuts them and sums them up. Captures on a host have it so.
const SUMMED: usize = 1460;
/// The window that every packet shows.
const WINDOW: u16 = u16::MAX;
const HOPS: u8 = 64;

/// What a packet does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PacketKind {
    /// Begins the connection, or accepts it.
    Open,
    /// Carries bytes, or only acknowledges some.
    Data,
    /// Ends one way of the connection.
    Finish,
    /// Ends the connection at once.
    Reset,
}

/// One connection, as far as its packets depend on those before.
#[derive(Debug, Clone)]
pub(super) struct TcpFlow {
    client: SocketAddr,
    instrument: SocketAddr,
    /// The number of the next byte, of the client and of the instrument.
    next: [u32; 2],
}

impl TcpFlow {
    /// Addresses of two kinds come as IPv6 both: no packet has one of each.
    pub(super) fn new(client: SocketAddr, instrument: SocketAddr) -> Self {
        let canonical = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
        let [client, instrument] = [client, instrument].map(canonical);
        let both_4 = client.is_ipv4() && instrument.is_ipv4();
        let mapped = |at: SocketAddr| match at.ip() {
            IpAddr::V4(ip) if !both_4 => SocketAddr::new(ip.to_ipv6_mapped().into(), at.port()),
            _ => at,
        };
        Self { client: mapped(client), instrument: mapped(instrument), next: [0; 2] }
    }

    /// Bytes of that side that are not known leave a hole.
    pub(super) fn skip(&mut self, from: Side, bytes: u64) {
        #[allow(clippy::cast_possible_truncation)] // sequence numbers wrap
        let bytes = bytes as u32;
        let next = &mut self.next[from as usize];
        *next = next.wrapping_add(bytes);
    }

    /// What stands before the payload in the next packet from that side; the payload is at most
    /// [`MOST`] bytes. Replaces what is in `headers`.
    pub(super) fn headers(
        &mut self,
        from: Side,
        does: PacketKind,
        payload: &[u8],
        headers: &mut Vec<u8>,
    ) {
        let (source, target) = match from {
            Side::Client => (self.client, self.instrument),
            Side::Instrument => (self.instrument, self.client),
        };
        let number = self.next[from as usize];
        let mut tcp = TcpHeader::new(source.port(), target.port(), number, WINDOW);
        tcp.syn = does == PacketKind::Open;
        tcp.fin = does == PacketKind::Finish;
        tcp.rst = does == PacketKind::Reset;
        tcp.psh = !payload.is_empty();
        tcp.ack = does != PacketKind::Open || from == Side::Instrument;
        if tcp.ack {
            tcp.acknowledgment_number = self.next[from.other() as usize];
        }
        let takes_a_number = u64::from(tcp.syn || tcp.fin);
        self.skip(from, payload.len() as u64 + takes_a_number);
        let summed = if payload.len() > SUMMED { &[] } else { payload };
        headers.clear();
        let length = tcp.header_len() + payload.len();
        // The length fits, and a Vec takes everything: nothing of this can fail.
        match (source.ip(), target.ip()) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                let (source, target) = (source.octets(), target.octets());
                let length = u16::try_from(length).unwrap_or(u16::MAX);
                if let Ok(mut ip) = Ipv4Header::new(length, HOPS, IpNumber::TCP, source, target) {
                    ip.header_checksum = ip.calc_header_checksum();
                    headers.extend_from_slice(&ip.to_bytes());
                    let sum = tcp.calc_checksum_ipv4_raw(source, target, summed);
                    tcp.checksum = sum.unwrap_or_default();
                }
            }
            (source, target) => {
                let octets = |ip| match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                let (source, target) = (octets(source), octets(target));
                let ip = Ipv6Header {
                    traffic_class: 0,
                    flow_label: Ipv6FlowLabel::ZERO,
                    payload_length: u16::try_from(length).unwrap_or(u16::MAX),
                    next_header: IpNumber::TCP,
                    hop_limit: HOPS,
                    source,
                    destination: target,
                };
                headers.extend_from_slice(&ip.to_bytes());
                let sum = tcp.calc_checksum_ipv6_raw(source, target, summed);
                tcp.checksum = sum.unwrap_or_default();
            }
        }
        headers.extend_from_slice(&tcp.to_bytes());
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    use super::*;

    fn flow(client: &str, instrument: &str) -> TcpFlow {
        TcpFlow::new(client.parse().unwrap(), instrument.parse().unwrap())
    }

    /// The packet's sequence number, acknowledgement and payload; its checksum is right.
    fn sent(
        flow: &mut TcpFlow,
        from: Side,
        does: PacketKind,
        payload: &[u8],
    ) -> (u32, u32, Vec<u8>) {
        let mut packet = Vec::new();
        flow.headers(from, does, payload, &mut packet);
        packet.extend_from_slice(payload);
        let sliced = SlicedPacket::from_ip(&packet).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
        let sum = match sliced.net.unwrap() {
            NetSlice::Ipv4(ip) => {
                let ip = ip.header();
                assert_eq!(ip.header_checksum(), ip.to_header().calc_header_checksum());
                tcp.calc_checksum_ipv4(ip.source(), ip.destination()).unwrap()
            }
            NetSlice::Ipv6(ip) => {
                let ip = ip.header();
                tcp.calc_checksum_ipv6(ip.source(), ip.destination()).unwrap()
            }
            NetSlice::Arp(_) => panic!("no IP"),
        };
        assert!(tcp.checksum() == sum || payload.len() > SUMMED);
        (tcp.sequence_number(), tcp.acknowledgment_number(), tcp.payload().to_vec())
    }

    #[test]
    fn numbers_and_acknowledgements_follow_the_bytes() {
        for (client, instrument) in
            [("10.0.0.1:4000", "10.0.0.2:53717"), ("[::1]:4000", "[::2]:53717")]
        {
            let mut flow = flow(client, instrument);
            assert_eq!(sent(&mut flow, Side::Client, PacketKind::Open, b""), (0, 0, vec![]));
            assert_eq!(sent(&mut flow, Side::Instrument, PacketKind::Open, b""), (0, 1, vec![]));
            assert_eq!(
                sent(&mut flow, Side::Client, PacketKind::Data, b"abc"),
                (1, 1, b"abc".into())
            );
            assert_eq!(
                sent(&mut flow, Side::Instrument, PacketKind::Data, b"d"),
                (1, 4, b"d".into())
            );
            flow.skip(Side::Instrument, 10);
            assert_eq!(
                sent(&mut flow, Side::Instrument, PacketKind::Data, b"e"),
                (12, 4, b"e".into())
            );
            assert_eq!(sent(&mut flow, Side::Client, PacketKind::Finish, b""), (4, 13, vec![]));
            assert_eq!(sent(&mut flow, Side::Client, PacketKind::Data, b""), (5, 13, vec![]));
        }
    }

    #[test]
    fn addresses_of_two_kinds_become_one() {
        let mut flow = flow("10.0.0.1:4000", "[::1]:53717");
        let mut packet = Vec::new();
        flow.headers(Side::Client, PacketKind::Open, b"", &mut packet);
        assert_eq!(packet[0] >> 4, 6);
        let mut flow = self::flow("[::ffff:10.0.0.1]:4000", "10.0.0.2:53717");
        flow.headers(Side::Client, PacketKind::Open, b"", &mut packet);
        assert_eq!(packet[0] >> 4, 4, "a mapped address is an IPv4 address");
    }

    #[test]
    fn the_longest_payload_fits() {
        for (client, instrument) in
            [("10.0.0.1:4000", "10.0.0.2:53717"), ("[::1]:4000", "[::2]:53717")]
        {
            let payload = vec![7; MOST];
            let (_, _, found) =
                sent(&mut flow(client, instrument), Side::Client, PacketKind::Data, &payload);
            assert_eq!(found, payload);
        }
    }
}
