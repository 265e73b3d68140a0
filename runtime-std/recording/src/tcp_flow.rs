//! Makes up the TCP packets of one connection, with correct sequence numbers and checksums, as if client
//! and instrument were connected directly.
//!
//! The comments of packets are `comments.rs`; `pcapng.rs` writes packets to a file.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, TcpHeader};

use super::Side;

/// The longest payload of a packet, in bytes: with its headers it fits into an IPv4 or IPv6 packet.
pub(super) const MOST: usize = 60 * 1024;
/// A packet with a longer payload has no checksum. Captures on a host have such packets, too: the
/// network card cuts them and computes the checksums.
const SUMMED: usize = 1460;
/// The TCP window of every packet.
const WINDOW: u16 = u16::MAX;
const HOPS: u8 = 64;

/// The purpose of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PacketKind {
    /// Begins or accepts the connection.
    Open,
    /// Has bytes, or only acknowledges bytes.
    Data,
    /// Ends one direction of the connection.
    Finish,
    /// Resets the connection.
    Reset,
}

/// The state of one connection that its next packet depends on.
#[derive(Debug, Clone)]
pub(super) struct TcpFlow {
    client: SocketAddr,
    instrument: SocketAddr,
    /// The sequence number of the next byte of the client, and of the instrument.
    next: [u32; 2],
}

impl TcpFlow {
    /// If one address is IPv4 and the other IPv6, both become IPv6: a packet has two of one kind.
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

    /// Leaves a hole for bytes of that side that are not known.
    pub(super) fn skip(&mut self, from: Side, bytes: u64) {
        #[allow(clippy::cast_possible_truncation)] // sequence numbers wrap
        let bytes = bytes as u32;
        let next = &mut self.next[from as usize];
        *next = next.wrapping_add(bytes);
    }

    /// Writes the headers of the next packet of that side to `headers`, which is cleared before. The
    /// payload has at most [`MOST`] bytes.
    pub(super) fn headers(
        &mut self,
        from: Side,
        kind: PacketKind,
        payload: &[u8],
        headers: &mut Vec<u8>,
    ) {
        let (source, target) = match from {
            Side::Client => (self.client, self.instrument),
            Side::Instrument => (self.instrument, self.client),
        };
        let number = self.next[from as usize];
        let mut tcp = TcpHeader::new(source.port(), target.port(), number, WINDOW);
        tcp.syn = kind == PacketKind::Open;
        tcp.fin = kind == PacketKind::Finish;
        tcp.rst = kind == PacketKind::Reset;
        tcp.psh = !payload.is_empty();
        tcp.ack = kind != PacketKind::Open || from == Side::Instrument;
        if tcp.ack {
            tcp.acknowledgment_number = self.next[from.other() as usize];
        }
        let takes_a_number = u64::from(tcp.syn || tcp.fin);
        self.skip(from, payload.len() as u64 + takes_a_number);
        let summed = if payload.len() > SUMMED { &[] } else { payload };
        headers.clear();
        let length = tcp.header_len() + payload.len();
        // The length fits, so none of these calls can fail.
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

    /// Checks the checksum. Returns the sequence number, the acknowledgement and the payload.
    fn sent(
        flow: &mut TcpFlow,
        from: Side,
        kind: PacketKind,
        payload: &[u8],
    ) -> (u32, u32, Vec<u8>) {
        let mut packet = Vec::new();
        flow.headers(from, kind, payload, &mut packet);
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
    fn an_ipv4_and_an_ipv6_address_both_become_ipv6() {
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
