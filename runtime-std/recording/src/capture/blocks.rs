//! Reads the blocks of a pcapng file. A broken block or option is skipped and counted: reading goes on
//! with the next block that can be one.
//!
//! `pcap-parser` reads the fields of a block. Where a block begins and ends is decided here, since its
//! readers end at the first block that is broken.

use pcap_parser::PcapError;
use pcap_parser::pcapng::{
    BOM_MAGIC, Block, CB_MAGIC, DCB_MAGIC, DSB_MAGIC, EPB_MAGIC, IDB_MAGIC, ISB_MAGIC, NRB_MAGIC,
    OptionCode, PIB_MAGIC, PcapNGOption, SHB_MAGIC, SJE_MAGIC, SPB_MAGIC, parse_block_be,
    parse_block_le, parse_option_be, parse_option_le,
};

use super::super::Port;
use super::super::pcapng::meaning;
use super::link::Link;
use super::source::{Source, text};
use super::time::Resolution;
use super::{CaptureError, RawPacket, Read, Unreadable};

/// The obsolete Packet Block, which `pcap-parser` does not know.
const PB_MAGIC: u32 = 2;
/// The blocks that a broken block may be followed by.
const KNOWN: [u32; 12] = [
    SHB_MAGIC, IDB_MAGIC, PB_MAGIC, SPB_MAGIC, NRB_MAGIC, ISB_MAGIC, EPB_MAGIC, SJE_MAGIC,
    DSB_MAGIC, CB_MAGIC, DCB_MAGIC, PIB_MAGIC,
];
/// In bytes: type and twice the length; the longest block that Wireshark reads.
const SHORTEST: usize = 12;
const LONGEST: usize = 16 * 1024 * 1024;
const MOST_INTERFACES: usize = 65_536;
/// An option of an interface.
const IF_FCSLEN: OptionCode = OptionCode(13);

/// The order of the bytes of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Order {
    #[default]
    Little,
    Big,
}

impl Order {
    fn word(self, bytes: &[u8], at: usize) -> Option<u32> {
        let word: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(word),
            Self::Big => u32::from_be_bytes(word),
        })
    }

    fn half(self, bytes: &[u8], at: usize) -> Option<u16> {
        let half: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(half),
            Self::Big => u16::from_be_bytes(half),
        })
    }
}

/// The properties of the packets of an interface.
#[derive(Debug, Clone, Default)]
struct Interface {
    /// `None` if its block cannot be read.
    link: Option<Link>,
    snaplen: u32,
    resolution: Resolution,
    /// The length of the frame check sequence in bytes.
    check: usize,
    port: Option<(Port, bool)>,
}

/// The state of the section that is read.
#[derive(Debug, Default)]
pub(super) struct Section {
    order: Order,
    interfaces: Vec<Interface>,
}

/// The type and the length of a block.
#[derive(Debug, Clone, Copy)]
struct Head {
    kind: u32,
    length: usize,
    order: Order,
}

impl Section {
    /// Reads the next block. Calls `take` if it is a packet.
    pub(super) fn read(
        &mut self,
        source: &mut Source,
        unreadable: &mut Unreadable,
        take: &mut dyn FnMut(RawPacket<'_>),
    ) -> Result<Read, CaptureError> {
        if !source.fill(8)? {
            return if source.bytes().is_empty() { Ok(Read::Over) } else { Err(CaptureError::Cut) };
        }
        source.fill(SHORTEST)?;
        let Some(head) = self.head(source.bytes()) else {
            unreadable.blocks += 1;
            return if self.skip(source)? { Ok(Read::Block) } else { Err(CaptureError::Cut) };
        };
        let Head { kind, length, order } = head;
        if !source.fill(length)? {
            // The length may be wrong, or the file is cut.
            let found = self.skip(source)?;
            unreadable.blocks += u64::from(found);
            return if found { Ok(Read::Block) } else { Err(CaptureError::Cut) };
        }
        if order.word(source.bytes(), length - 4) != order.word(source.bytes(), 4) {
            unreadable.blocks += 1;
            source.fill(length + SHORTEST)?;
            let rest = &source.bytes()[length..];
            let follows = |head: Head| KNOWN.contains(&head.kind);
            if !rest.is_empty() && !self.head(rest).is_some_and(follows) {
                self.skip(source)?;
                return Ok(Read::Block);
            }
            // The first of the two lengths is right.
            let first: [u8; 4] = source.bytes()[4..8].try_into().unwrap_or_default();
            source.bytes_mut()[length - 4..length].copy_from_slice(&first);
        }
        if kind == SHB_MAGIC {
            self.order = order;
            self.interfaces.clear();
        } else {
            let block = &source.bytes()[..length];
            let before = unreadable.blocks;
            if self.block(kind, block, unreadable, take).is_none() {
                unreadable.blocks = before + 1;
            }
        }
        source.consume(length);
        Ok(Read::Block)
    }

    /// The beginning of a block, if it can be one.
    fn head(&self, bytes: &[u8]) -> Option<Head> {
        let kind = self.order.word(bytes, 0)?;
        let order = match kind {
            SHB_MAGIC => match Order::Little.word(bytes, 8)? {
                BOM_MAGIC => Order::Little,
                other if other.swap_bytes() == BOM_MAGIC => Order::Big,
                _ => return None,
            },
            _ => self.order,
        };
        let length = usize::try_from(order.word(bytes, 4)?).ok()?;
        let possible = (SHORTEST..=LONGEST).contains(&length) && length.is_multiple_of(4);
        possible.then_some(Head { kind, length, order })
    }

    /// Goes on to the next place at which a known and whole block begins. Returns whether there is one;
    /// if not, the rest of the file is skipped.
    fn skip(&self, source: &mut Source) -> Result<bool, CaptureError> {
        source.consume(1);
        while source.fill(SHORTEST)? {
            let step = source
                .bytes()
                .windows(SHORTEST)
                .position(|at| self.head(at).is_some_and(|head| KNOWN.contains(&head.kind)));
            let Some(step) = step else {
                source.consume(source.bytes().len() - SHORTEST + 1);
                continue;
            };
            source.consume(step);
            source.fill(SHORTEST)?;
            if let Some(Head { length, order, .. }) = self.head(source.bytes())
                && source.fill(length)?
                && order.word(source.bytes(), length - 4) == order.word(source.bytes(), 4)
            {
                return Ok(true);
            }
            source.consume(1);
        }
        source.consume(SHORTEST);
        Ok(false)
    }

    /// Reads a whole block. `None` if it is broken.
    fn block(
        &mut self,
        kind: u32,
        bytes: &[u8],
        unreadable: &mut Unreadable,
        take: &mut dyn FnMut(RawPacket<'_>),
    ) -> Option<()> {
        match kind {
            IDB_MAGIC => {
                if self.interfaces.len() >= MOST_INTERFACES {
                    return None;
                }
                // The numbers of the interfaces after it must stay right.
                self.interfaces.push(Interface::default());
                let interface = self.interface(bytes, unreadable)?;
                *self.interfaces.last_mut()? = interface;
            }
            EPB_MAGIC => {
                let Block::EnhancedPacket(block) = self.parse(bytes)? else { return None };
                let at = u64::from(block.ts_high) << 32 | u64::from(block.ts_low);
                let data = block.data.get(..usize::try_from(block.caplen).ok()?)?;
                let options = bytes.get(28 + block.data.len()..bytes.len() - 4)?;
                let comment = comment(&block.options, options, unreadable);
                let packet = (block.if_id, Some(at), data, block.origlen);
                take(self.packet(packet, comment.as_deref())?);
            }
            PB_MAGIC => {
                let at = u64::from(self.order.word(bytes, 12)?) << 32;
                let at = at | u64::from(self.order.word(bytes, 16)?);
                let captured = usize::try_from(self.order.word(bytes, 20)?).ok()?;
                let body = bytes.get(28..bytes.len() - 4)?;
                let data = body.get(..captured)?;
                let options = body.get(captured.next_multiple_of(4)..).unwrap_or_default();
                let comment = comment(&self.options(options), options, unreadable);
                let interface = self.order.half(bytes, 8)?.into();
                let packet = (interface, Some(at), data, self.order.word(bytes, 24)?);
                take(self.packet(packet, comment.as_deref())?);
            }
            SPB_MAGIC => {
                let Block::SimplePacket(block) = self.parse(bytes)? else { return None };
                let snaplen = self.interfaces.first()?.snaplen;
                let most = if snaplen == 0 { u32::MAX } else { snaplen };
                let captured = usize::try_from(block.origlen.min(most)).ok()?;
                let data = block.data.get(..captured.min(block.data.len()))?;
                take(self.packet((0, None, data, block.origlen), None)?);
            }
            _ => {}
        }
        Some(())
    }

    fn parse<'a>(&self, bytes: &'a [u8]) -> Option<Block<'a>> {
        let parsed = match self.order {
            Order::Little => parse_block_le(bytes),
            Order::Big => parse_block_be(bytes),
        };
        parsed.ok().map(|(_, block)| block)
    }

    fn packet<'a>(
        &self,
        (interface, at, data, length): (u32, Option<u64>, &'a [u8], u32),
        comment: Option<&'a str>,
    ) -> Option<RawPacket<'a>> {
        let number = interface;
        let interface = self.interfaces.get(usize::try_from(number).ok()?)?;
        Some(RawPacket {
            at: at.map(|units| interface.resolution.time(units)),
            interface: number,
            link: interface.link?,
            data,
            length: usize::try_from(length).ok()?,
            check: interface.check,
            port: interface.port,
            comment,
        })
    }

    fn interface(&self, bytes: &[u8], unreadable: &mut Unreadable) -> Option<Interface> {
        let Block::InterfaceDescription(block) = self.parse(bytes)? else { return None };
        let link = Link::try_from(block.linktype.0).ok();
        let mut interface = Interface { link, snaplen: block.snaplen, ..Interface::default() };
        unreadable.options += u64::from(is_cut(&block.options, bytes.get(16..bytes.len() - 4)?));
        let (mut unit, mut offset) = (None, 0);
        for option in used(&block.options) {
            let value = option.as_bytes().unwrap_or_default();
            match (option.code, value) {
                (OptionCode::IfName, name) => interface.port = meaning(&text(name)),
                (OptionCode::IfTsresol, [first, ..]) => unit = Some(*first),
                (IF_FCSLEN, [first, ..]) => interface.check = usize::from(*first),
                (OptionCode::IfTsoffset, _) => match <[u8; 8]>::try_from(value) {
                    Ok(seconds) => {
                        offset = match self.order {
                            Order::Little => i64::from_le_bytes(seconds),
                            Order::Big => i64::from_be_bytes(seconds),
                        };
                    }
                    Err(_) => unreadable.options += 1,
                },
                (OptionCode::IfTsresol | IF_FCSLEN, []) => unreadable.options += 1,
                _ => {}
            }
        }
        interface.resolution = Resolution::new(unit, offset);
        Some(interface)
    }

    fn options<'a>(&self, mut bytes: &'a [u8]) -> Vec<PcapNGOption<'a>> {
        let mut options = Vec::new();
        loop {
            let parsed = match self.order {
                Order::Little => parse_option_le::<PcapError<_>>(bytes),
                Order::Big => parse_option_be::<PcapError<_>>(bytes),
            };
            let Ok((rest, option)) = parsed else { return options };
            options.push(option);
            bytes = rest;
        }
    }
}

/// The comment of a packet.
fn comment(
    options: &[PcapNGOption<'_>],
    bytes: &[u8],
    unreadable: &mut Unreadable,
) -> Option<String> {
    unreadable.options += u64::from(is_cut(options, bytes));
    let comment = used(options).find(|option| option.code == OptionCode::Comment)?;
    comment.as_bytes().ok().map(text)
}

/// The options before the one that ends them, which may be left out.
fn used<'a, 'b>(options: &'a [PcapNGOption<'b>]) -> impl Iterator<Item = &'a PcapNGOption<'b>> {
    options.iter().take_while(|option| option.code != OptionCode::EndOfOpt)
}

/// Whether an option is longer than the bytes of all options.
fn is_cut(options: &[PcapNGOption<'_>], bytes: &[u8]) -> bool {
    let read: usize = options.iter().map(|option| 4 + option.value().len()).sum();
    let ended = options.iter().any(|option| option.code == OptionCode::EndOfOpt);
    !ended && read < bytes.len()
}
