"""Makes capture files in all the forms that programs write, and broken ones: own bytes, no other program.
`make-captures` writes them into a folder, `check-captures` compares what is read from them.

A form that Wireshark stops at has a reference: a file with the packets that can be read. So has a form in which
Wireshark takes a packet for another one. What the packets contain is in `capture_packets.py`.
"""

import dataclasses
import gzip
import struct

from capture_packets import (
    BEGAN, CONTROL, LINKS, MAC, STEP, session, several, tcp, timed, v4, v4_fragments, v4_of, v6, v6_extended, v6_fragments,
)


# ---------------------------------------------------------------- pcap

def pcap(packets, order="<", magic=0xA1B2C3D4, link=101, snaplen=262144, zone=0, minor=4, carry=0, swap=False, cut=None):
    """`carry` seconds are written as microseconds (tshark shows at most 2 of them); `cut` is the most bytes of a packet in the file."""
    nano, more = magic == 0xA1B23C4D, bytes(8) if magic == 0xA1B2CD34 else b""
    out = struct.pack(order + "IHHiIII", magic, 2, minor, zone, 0, snaplen, link)
    for at, data in packets:
        seconds, rest = divmod(at, 10**9)
        rest = rest if nano else rest // 1000
        unit = 10**9 if nano else 10**6
        length, kept = len(data), data[:cut]
        lengths = (length, len(kept)) if swap else (len(kept), length)
        out += struct.pack(order + "IIII", seconds - carry, rest + carry * unit, *lengths) + more + kept
    return out


# ---------------------------------------------------------------- pcapng

SECTION, INTERFACE, OBSOLETE, SIMPLE, NAMES, STATISTICS, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 4, 5, 6
END = (0, b"")


class Ng:
    def __init__(self, order="<"):
        self.order, self.blocks = order, []

    def pack(self, form, *values):
        return struct.pack(self.order + form, *values)

    def block(self, kind, body, first=None, second=None):
        """`first` and `second` replace the lengths."""
        body += bytes(-len(body) % 4)
        length = len(body) + 12
        first, second = length if first is None else first, length if second is None else second
        self.blocks.append(self.pack("II", kind, first) + body + self.pack("I", second))
        return self

    def options(self, options):
        out = b""
        for code, value in options:
            out += self.pack("HH", code, len(value)) + value + bytes(-len(value) % 4)
        return out

    def section(self, options=()):
        return self.block(SECTION, self.pack("IHHq", 0x1A2B3C4D, 1, 0, -1) + self.options(options))

    def interface(self, link=101, snaplen=0, options=()):
        return self.block(INTERFACE, self.pack("HHI", link, 0, snaplen) + self.options(options))

    def enhanced(self, at, data, unit=1000, offset=0, interface=0, options=b"", captured=None, **lengths):
        """`unit` in ns; `offset` in s."""
        units = (at - offset * 10**9) // unit if unit > 0 else (at - offset * 10**9) * -unit // 10**9
        head = self.pack("IIIII", interface, units >> 32, units & 0xFFFFFFFF, len(data) if captured is None else captured, len(data))
        return self.block(ENHANCED, head + data + bytes(-len(data) % 4) + options, **lengths)

    def simple(self, data, snaplen=None):
        return self.block(SIMPLE, self.pack("I", len(data)) + data[:snaplen])

    def obsolete(self, at, data, options=()):
        units = at // 1000
        head = self.pack("HHIIII", 0, 0xFFFF, units >> 32, units & 0xFFFFFFFF, len(data), len(data))
        return self.block(OBSOLETE, head + data + bytes(-len(data) % 4) + self.options(options))

    def bytes(self):
        return b"".join(self.blocks)


def pcapng(packets, order="<", link=101, options=(), **more):
    file = Ng(order).section().interface(link, options=options)
    for at, data in packets:
        file.enhanced(at, data, **more)
    return file.bytes()


# ---------------------------------------------------------------- the files

@dataclasses.dataclass
class Made:
    name: str
    data: bytes
    reference: bytes = None  # what tshark reads instead
    blocks: int = 0  # broken blocks and options, and incomplete IP packets, that are reported
    options: int = 0
    fragments: int = 0
    is_cut: bool = False
    is_timed: bool = True


def made(queries=4):
    """All files."""
    segments = session(queries)
    plain = timed(segments)
    files = []

    def add(name, data, *rest, **more):
        files.append(Made(name, data, *rest, **more))

    for words, order in (("little", "<"), ("big", ">")):
        for kind, magic in (("us", 0xA1B2C3D4), ("ns", 0xA1B23C4D), ("modified", 0xA1B2CD34)):
            add(f"pcap {kind} {words}", pcap(plain, order, magic))
        add(f"pcap snaplen 0 {words}", pcap(plain, order, snaplen=0))
        add(f"pcap snaplen too small {words}", pcap(plain, order, snaplen=40))
        add(f"pcap more than a second of us {words}", pcap(plain, order, carry=1))
        add(f"pcap time zone {words}", pcap(plain, order, zone=-3600 if order == "<" else 7200))
        add(f"pcapng {words}", pcapng(plain, order))
        offset = struct.pack(order + "q", BEGAN)
        for name, unit, code in (("ms", 10**6, 3), ("ns", 1, 9), ("2 to the -10 s", -1024, 0x8A), ("2 to the -20 s", -(2**20), 0x94)):
            add(f"pcapng unit {name} {words}", pcapng(plain, order, options=[(9, bytes([code]))], unit=unit))
        add(f"pcapng tsoffset {words}", pcapng(plain, order, options=[(14, offset), END], offset=BEGAN))
        behind = struct.pack(order + "q", -100)
        add(f"pcapng negative tsoffset {words}", pcapng(plain, order, options=[(14, behind), END], offset=-100))
        simple, obsolete, mixed = Ng(order).section().interface(), Ng(order).section().interface(), Ng(order).section().interface()
        for number, (at, data) in enumerate(plain):
            simple.simple(data)
            obsolete.obsolete(at, data, [(2, bytes(4)), END])
            (mixed.obsolete if number % 2 else mixed.enhanced)(at, data)
        add(f"pcapng simple packets {words}", simple.bytes(), is_timed=False)
        add(f"pcapng obsolete packets {words}", obsolete.bytes())
        add(f"pcapng obsolete and enhanced packets {words}", mixed.bytes())
        two = Ng(order).section().interface(options=[(9, b"\x09")]).interface(1, options=[(9, b"\x06"), (14, behind)])
        for number, (at, data) in enumerate(plain):
            if number % 2:
                two.enhanced(at, LINKS["vlan"][1](data), offset=-100, interface=1)
            else:
                two.enhanced(at, data, unit=1)
        add(f"pcapng two interfaces {words}", two.bytes())

    half = len(plain) // 2
    add("pcap FCS bits", pcap([(at, MAC + b"\x08\0" + data + b"\xEE" * 4) for at, data in plain], link=1 | 0x24000000))
    add("pcap lengths swapped", pcap(plain, minor=2, swap=True, cut=None))
    add("pcapng FCS length", pcapng([(at, MAC + b"\x08\0" + data + b"\xEE" * 4) for at, data in plain], link=1, options=[(13, b"\x04"), END]))
    for link, (number, _) in LINKS.items():
        add(f"pcap {link}", pcap(timed(segments, link=link), link=number))
    add("pcap ipv6", pcap(timed(segments, v6)))
    add("pcap ipv6 ethernet", pcap(timed(segments, v6, "ethernet"), link=1))
    add("pcap ipv6 hop by hop", pcap(timed(segments, v6_extended(0))))
    add("pcap ipv6 three extension headers", pcap(timed(segments, v6_extended(0, 60, 43))))
    add("pcap ipv6 link type", pcap(timed(segments, v6), link=229))
    add("pcap ip fragments", pcap(several(segments, v4_fragments)))
    add("pcap ip fragments in reverse", pcap(several(segments, v4_fragments, lambda parts: parts[::-1])))
    add("pcap ipv6 fragments", pcap(several(segments, v6_fragments)))
    offloaded = [(segment.at, MAC + b"\x08\0" + v4_of(segment.up, tcp(segment), length=0)) for segment in segments]
    add("pcap length 0 of segmentation offload", pcap(offloaded, link=1))

    sections = pcapng(plain[:half], "<") + pcapng(plain[half:], ">", options=[(9, b"\x09")], unit=1)
    add("pcapng two sections", sections)
    latin = Ng().section([(4, b"Ger\xE4t"), (1, b"\xFF")]).interface(options=[(2, b"Schnittstelle \xE4"), (3, b"\xFC")])
    for at, data in plain:
        latin.enhanced(at, data, options=latin.options([(1, b"Gr\xFC\xDFe"), END]))
    add("pcapng latin-1", latin.bytes())
    unended = Ng().section([(4, b"program")]).interface(options=[(2, b"eth0")])
    for at, data in plain:
        unended.enhanced(at, data, options=unended.options([(1, b"a comment")]))
    add("pcapng options without an end", unended.bytes())
    others = Ng().section().interface()
    for number, (at, data) in enumerate(plain):
        others.enhanced(at, data)
        others.block(STATISTICS, others.pack("III", 0, 0, 0))
        others.block((0x7777, 0xBAD, 0x40000BAD)[number % 3], others.pack("I", 32473) + bytes(12))
    add("pcapng other blocks", others.bytes())
    add("pcapng snaplen too small", Ng().section().interface(snaplen=30).bytes() + pcapng(plain)[len(Ng().section().interface().bytes()):])
    add("gzip pcap", gzip.compress(pcap(plain), mtime=0))
    add("gzip pcapng", gzip.compress(pcapng(plain, ">"), mtime=0))
    add("gzip two members", gzip.compress(pcap(plain)[:500], mtime=0) + gzip.compress(pcap(plain)[500:], mtime=0))
    add_streams(add, segments)
    add_broken(add, segments, plain)
    return files


def add_streams(add, segments):
    """Packets that are early, repeated or missing."""
    answers = [at for at, segment in enumerate(segments) if segment.payload and not segment.up and segment.ports[1] == CONTROL]
    queries = [at for at, segment in enumerate(segments) if segment.payload and segment.up]

    def packets(order):
        return [(segments[0].at + STEP // 1000 * 1000 * n, v4(segment)) for n, segment in enumerate(order)]

    add("tcp answer not captured", pcap(packets([it for at, it in enumerate(segments) if at != answers[0]])))
    add("tcp answer and acknowledgment not captured", pcap(packets([it for at, it in enumerate(segments) if at not in (answers[0], answers[0] + 1)])))
    add("tcp query not captured", pcap(packets([it for at, it in enumerate(segments) if at != queries[1]])))
    add("tcp repeated", pcap(packets([it for segment in segments for it in [segment] * (2 if segment.payload else 1)])))
    before = list(segments)
    at = answers[1]
    before.insert(at, before.pop(at + 1))
    # For Wireshark the answer is a repeated packet.
    before = packets(before)
    add("tcp acknowledgment before its bytes", pcap(before), pcap(before[:at] + [before[at + 1], before[at]] + before[at + 2:]))


def add_broken(add, segments, plain):
    """Files with something that is broken. Wireshark stops there; the reference has the packets that are whole."""
    queries = [at for at, segment in enumerate(segments) if segment.payload and segment.up]
    spoiled = queries[-1]
    rest = plain[:spoiled] + plain[spoiled + 1:]

    def ng(order, **how):
        file = Ng(order).section().interface()
        for number, (at, data) in enumerate(plain):
            file.enhanced(at, data, **(how if number == spoiled else {}))
        return file.bytes()

    length = len(plain[spoiled][1]) + -len(plain[spoiled][1]) % 4 + 32
    for words, order in (("little", "<"), ("big", ">")):
        for name, how in (
            ("no such interface", {"interface": 5}),
            ("captured length too long", {"captured": length}),
            ("first length 0", {"first": 0}),
            ("first length too long", {"first": length + 4}),
            ("first length too short", {"first": length - 8}),
            ("first length beyond the file", {"first": 10_000_000}),
        ):
            add(f"broken pcapng {name} {words}", ng(order, **how), pcapng(rest, order), blocks=1)
        add(f"broken pcapng second length {words}", ng(order, second=length + 4), pcapng(plain, order), blocks=1)
        record = pcap(plain, order)
        at = len(pcap(plain[:spoiled], order)) + 8
        broken = record[:at] + b"\x7F\xFF\xFF\x7F" + record[at + 4:]
        add(f"broken pcap captured length {words}", broken, pcap(rest, order), blocks=1)
        junk = pcapng(plain[:spoiled], order) + b"\x37" * 90
        after = len(Ng(order).section().interface().bytes())
        add(f"broken pcapng junk between blocks {words}", junk + pcapng(plain[spoiled:], order)[after:], pcapng(plain, order), blocks=1)
    option = Ng().section().interface(options=[(2, b"eth0")])
    for number, (at, data) in enumerate(plain):
        option.enhanced(at, data, options=struct.pack("<HH", 1, 60_000) + b"abcd" if number == spoiled else b"")
    add("broken pcapng option", option.bytes(), pcapng(plain), options=1)
    fragments = several(segments, v4_fragments)
    lost = next(at for at, (_, data) in enumerate(fragments) if data[6:8] == b"\x20\x08")
    add("broken ip fragment missing", pcap(fragments[:lost] + fragments[lost + 1:]), fragments=1)
    add("cut pcap", pcap(plain)[:-7], is_cut=True)
    add("cut pcapng", pcapng(plain)[:-7], is_cut=True)
