"""The packets of a session with an instrument: what both sides say, in TCP segments, in IP packets and fragments, in the
frames of each kind of link. `capture_files.py` puts them into files. Own bytes, no other program.
"""

import dataclasses
import struct

CONTROL, LIVE = 53717, 53718
CLIENT_PORTS = (40000, 40001)
BEGAN = 1_764_000_000  # in s
STEP = 1_234_567  # between two packets, in ns
SYN, FIN, ACK, PUSH = 2, 1, 16, 8
TCP = 6


# ---------------------------------------------------------------- what instrument and client say

def frame(code, number=0, text=b"", payload=b"", status=1):
    fields = struct.pack("<IIiiiiiiiIdI", 0xF321E654, code, status, 0, 0, 0, number, 0, 0, 0x80000000, 0.0, len(payload))
    return fields + text.ljust(72, b"\0") + struct.pack("<I", 0xFEDC4321) + payload


def image(number, width, height):
    size = 2 * width * height
    pixels = bytes((number + at) & 0xFF for at in range(size))
    return struct.pack("<10I", size, width, height, 0, 4095, 0, 0, 0, number, number) + pixels


@dataclasses.dataclass
class Segment:
    at: int  # in ns since 1970
    up: bool  # from the client
    ports: tuple
    number: int
    acknowledged: int
    flags: int
    payload: bytes = b""


def session(queries=4):
    """A control connection with queries, answers and an event, and a live connection with two images."""
    segments = []
    sent = {}

    def say(connection, up, payload=b"", flags=ACK):
        mine, other = sent.setdefault((connection, up), 1000), sent.setdefault((connection, not up), 1000)
        ports = (CLIENT_PORTS[connection], CONTROL + connection)
        at = BEGAN * 10**9 + 1000 * (len(segments) * STEP // 1000)
        acknowledged = other if flags & ACK else 0
        segments.append(Segment(at, up, ports, mine, acknowledged, flags | (PUSH if payload else 0), payload))
        sent[connection, up] = mine + len(payload) + (1 if flags & (SYN | FIN) else 0)

    def connect(connection):
        say(connection, True, flags=SYN)
        say(connection, False, flags=SYN | ACK)
        say(connection, True)

    connect(0)
    connect(1)
    for number in range(queries):
        code = (0xA007, 0x6008, 0x4001, 0x3027)[number % 4]
        say(0, True, frame(code, number % 3 + 1, status=0))
        say(0, False)
        say(0, False, frame(code, number % 3 + 1, b"text"))
        say(0, True)
    say(0, False, frame(0xA002, 7))
    say(0, True)
    for number in range(2):
        whole = image(number, 16, 10)
        say(1, False, whole[:200])
        say(1, False, whole[200:])
        say(1, True)
    for connection in (0, 1):
        say(connection, True, flags=FIN | ACK)
        say(connection, False, flags=FIN | ACK)
        say(connection, True)
    return segments


# ---------------------------------------------------------------- from segments to packets

def tcp(segment):
    source, target = segment.ports if segment.up else segment.ports[::-1]
    head = struct.pack(">HHIIBBHHH", source, target, segment.number, segment.acknowledged, 0x50, segment.flags, 8192, 0, 0)
    return head + segment.payload


def sum16(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def v4_of(up, rest, identification=0, place=0, length=None):
    ends = (bytes([10, 0, 0, 7]), bytes([10, 0, 0, 5]))
    length = 20 + len(rest) if length is None else length
    head = struct.pack(">BBHHHBBH", 0x45, 0, length, identification, place, 64, TCP, 0) + ends[not up] + ends[up]
    return head[:10] + struct.pack(">H", sum16(head)) + head[12:] + rest


def v4(segment):
    return v4_of(segment.up, tcp(segment))


def v6_of(up, kind, rest):
    ends = (b"\xFD" + bytes(14) + b"\7", b"\xFD" + bytes(14) + b"\5")
    return struct.pack(">IHBB", 0x60000000, len(rest), kind, 64) + ends[not up] + ends[up] + rest


def v6(segment):
    return v6_of(segment.up, TCP, tcp(segment))


def v6_extended(*kinds):
    """With extension headers: 0 hop by hop, 60 destination options, 43 routing."""
    def packet(segment):
        rest, following = tcp(segment), TCP
        for kind in reversed(kinds):
            body = bytes([253, 0, 0, 0, 0, 0]) if kind == 43 else bytes([1, 4, 0, 0, 0, 0])
            rest, following = bytes([following, 0]) + body + rest, kind
        return v6_of(segment.up, following, rest)
    return packet


def v4_fragments(segment, number):
    rest = tcp(segment)
    parts = [rest[at:at + 64] for at in range(0, len(rest), 64)]
    more = lambda n: 0x2000 if n + 1 < len(parts) else 0
    return [v4_of(segment.up, part, number, more(n) | n * 8) for n, part in enumerate(parts)]


def v6_fragments(segment, number):
    rest = tcp(segment)
    parts = [rest[at:at + 64] for at in range(0, len(rest), 64)]
    more = lambda n: 1 if n + 1 < len(parts) else 0
    return [v6_of(segment.up, 44, struct.pack(">BBHI", TCP, 0, n * 64 | more(n), number) + part)
            for n, part in enumerate(parts)]


MAC = bytes([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2])
PPP_SESSION = lambda ip: struct.pack(">BBHH", 0x11, 0, 1, len(ip) + 2) + b"\0\x21"
kind_of = lambda ip: b"\x86\xDD" if ip[0] >> 4 == 6 else b"\x08\x00"
VLAN = b"\x81\x00\0\5"
LINKS = {
    "raw": (101, lambda ip: ip),
    "raw, number 12": (12, lambda ip: ip),
    "ipv4": (228, lambda ip: ip),
    "ethernet": (1, lambda ip: MAC + kind_of(ip) + ip),
    "ethernet with padding": (1, lambda ip: (MAC + kind_of(ip) + ip).ljust(60, b"\xAA")),
    "vlan": (1, lambda ip: MAC + VLAN + kind_of(ip) + ip),
    "two vlans": (1, lambda ip: MAC + b"\x88\xA8\0\6" + VLAN + kind_of(ip) + ip),
    "pppoe": (1, lambda ip: MAC + b"\x88\x64" + PPP_SESSION(ip) + ip),
    "pppoe in a vlan": (1, lambda ip: MAC + VLAN + b"\x88\x64" + PPP_SESSION(ip) + ip),
    "mpls": (1, lambda ip: MAC + b"\x88\x47\0\1\0\x40\0\2\1\x40" + ip),
    "snap": (1, lambda ip: MAC + struct.pack(">H", len(ip) + 8) + b"\xAA\xAA\3\0\0\0" + kind_of(ip) + ip),
    "cooked": (113, lambda ip: bytes([0, 0, 0, 1, 0, 6]) + MAC[:8] + kind_of(ip) + ip),
    "cooked with a vlan": (113, lambda ip: bytes([0, 0, 0, 1, 0, 6]) + MAC[:8] + VLAN + kind_of(ip) + ip),
    "cooked 2": (276, lambda ip: kind_of(ip) + struct.pack(">HIHBB", 0, 2, 1, 0, 6) + MAC[:8] + ip),
    "cooked 2 with a vlan": (276, lambda ip: b"\x81\0" + struct.pack(">HIHBB", 0, 2, 1, 0, 6) + MAC[:8] + b"\0\5" + kind_of(ip) + ip),
    "loopback": (0, lambda ip: struct.pack("<I", 2) + ip),
    "loopback of openbsd": (108, lambda ip: struct.pack(">I", 2) + ip),
    "ppp": (9, lambda ip: b"\xFF\3\0\x21" + ip),
    "pppoe alone": (51, lambda ip: PPP_SESSION(ip) + ip),
}


def timed(segments, packet=v4, link="raw"):
    """The packets with their times. `packet` may make several of a segment."""
    number, wrap = LINKS[link]
    return [(segment.at, wrap(packet(segment))) for segment in segments]


def several(segments, fragments, order=lambda parts: parts):
    """Segments with payload in fragments."""
    packets = []
    for number, segment in enumerate(segments):
        parts = fragments(segment, number + 1) if segment.payload else [(v6 if fragments is v6_fragments else v4)(segment)]
        packets += [(segment.at + 1000 * n, part) for n, part in enumerate(order(parts))]
    return packets
