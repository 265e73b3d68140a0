//! The Ethernet controller (LAN9118 and LAN9220) as a driver of embassy-net. It copies each packet between
//! the FIFOs of the controller and a buffer; the interrupt only wakes the network task.

use core::task::Context;

use embassy_net_driver::{
    Capabilities, Driver, HardwareAddress, LinkState, RxToken as Rx, TxToken as Tx,
};
use embassy_sync::waitqueue::AtomicWaker;

use crate::interrupts;
use crate::registers::{Device, Register};

/// The longest packet, without its checksum.
const MTU: usize = 1514;
/// Room for the longest packet in whole words, with its checksum.
const BUFFER: usize = 1520;

const fn register(offset: u8) -> Register {
    Device::ETHERNET.at(offset)
}

const RX_DATA: Register = register(0x00);
const TX_DATA: Register = register(0x20);
const RX_STATUS: Register = register(0x40);
const TX_STATUS: Register = register(0x48);
const IRQ_CONFIG: Register = register(0x54);
const INTERRUPTS: Register = register(0x58);
const INTERRUPTS_ENABLED: Register = register(0x5C);
const BYTE_TEST: Register = register(0x64);
const FIFO_LEVELS: Register = register(0x68);
const TX_CONFIG: Register = register(0x70);
const HARDWARE_CONFIG: Register = register(0x74);
const RX_FIFO: Register = register(0x7C);
const TX_FIFO: Register = register(0x80);
const MAC_COMMAND: Register = register(0xA4);
const MAC_DATA: Register = register(0xA8);
const FLOW_CONTROL: Register = register(0xAC);

/// A packet was received.
const RECEIVED: u32 = 1 << 3;
/// The PHY reports a change of the link.
const PHY: u32 = 1 << 18;

static WAKER: AtomicWaker = AtomicWaker::new();

/// Wakes the network task, which enables the interrupts again when it has read everything.
pub(crate) fn on_interrupt() {
    INTERRUPTS_ENABLED.write(0);
    WAKER.wake();
}

/// The controller. It lives in a `static`, because of its two buffers.
pub struct Ethernet {
    address: [u8; 6],
    link: bool,
    received: [u8; BUFFER],
    to_send: [u8; BUFFER],
}

impl Ethernet {
    /// A controller that is not started. It is all zeros, so a `static` takes no flash.
    #[allow(clippy::new_without_default)] // there is one
    pub const fn new() -> Self {
        Self { address: [0; 6], link: false, received: [0; BUFFER], to_send: [0; BUFFER] }
    }

    /// Starts it with this hardware address. `false`: there is no such controller.
    pub fn start(&mut self, address: [u8; 6]) -> bool {
        if BYTE_TEST.read() != 0x8765_4321 {
            return false;
        }
        HARDWARE_CONFIG.write(1); // reset
        while HARDWARE_CONFIG.read() & 1 != 0 {}
        HARDWARE_CONFIG.write(0x0015_0000); // sends whole packets; 5 KiB for them, the rest for received ones
        FLOW_CONTROL.write(0x006E_3740);
        self.address = address;
        let [low @ .., fifth, sixth] = address;
        mac_write(2, u32::from_le_bytes([fifth, sixth, 0, 0]));
        mac_write(3, u32::from_le_bytes(low));
        phy_write(0, 0x1200); // negotiates the speed
        phy_write(30, 0x50); // reports that the link is up or down
        mac_write(1, 0x0010_000C); // full duplex, sends and receives
        TX_CONFIG.write(1 << 1); // on
        FIFO_LEVELS.write(0); // an interrupt for the first packet
        IRQ_CONFIG.write(1 << 8 | 1 << 4 | 1); // on, active high, push-pull
        self.link = link_is_up();
        interrupts::unmask_ethernet();
        true
    }

    /// Reads the next packet into the buffer, and returns its length. Damaged packets are skipped.
    fn read_packet(&mut self) -> Option<usize> {
        while RX_FIFO.read() >> 16 & 0xFF > 0 {
            let status = RX_STATUS.read();
            let with_checksum = usize::try_from(status >> 16 & 0x3FFF).unwrap_or(0);
            for number in 0..with_checksum.div_ceil(4) {
                let word = RX_DATA.read().to_le_bytes();
                if let Some(place) = self.received.get_mut(4 * number..4 * number + 4) {
                    place.copy_from_slice(&word);
                }
            }
            let length = with_checksum.saturating_sub(4);
            if status & 1 << 15 == 0 && length <= MTU {
                return Some(length);
            }
        }
        None
    }
}

impl Driver for Ethernet {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = ToSend<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Received<'_>, ToSend<'_>)> {
        let length = self.read_packet().or_else(|| {
            WAKER.register(cx.waker());
            INTERRUPTS.write(RECEIVED);
            INTERRUPTS_ENABLED.write(RECEIVED | PHY);
            self.read_packet() // one may have come meanwhile
        })?;
        let packet = self.received.get_mut(..length)?;
        Some((Received(packet), ToSend(&mut self.to_send)))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<ToSend<'_>> {
        while TX_FIFO.read() >> 16 & 0xFF > 0 {
            TX_STATUS.read(); // of a packet that was sent
        }
        let free = usize::try_from(TX_FIFO.read() & 0xFFFF).unwrap_or(0);
        if free < BUFFER + 8 {
            cx.waker().wake_by_ref(); // a packet leaves within 0.2 ms
            return None;
        }
        Some(ToSend(&mut self.to_send))
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        WAKER.register(cx.waker());
        if INTERRUPTS.read() & PHY != 0 {
            phy_read(29); // clears it
            self.link = link_is_up();
        }
        if self.link { LinkState::Up } else { LinkState::Down }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = MTU;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}

/// A received packet.
pub struct Received<'a>(&'a mut [u8]);

impl Rx for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a packet to send.
pub struct ToSend<'a>(&'a mut [u8; BUFFER]);

impl Tx for ToSend<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let length = length.min(MTU);
        let (packet, _) = self.0.split_at_mut(length);
        let result = f(packet);
        let bytes = u32::try_from(length).unwrap_or(0);
        TX_DATA.write(1 << 13 | 1 << 12 | bytes); // the first and the last part of a packet
        TX_DATA.write(bytes);
        for word in self.0.chunks(4).take(length.div_ceil(4)) {
            let mut four = [0; 4];
            four.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
            TX_DATA.write(u32::from_le_bytes(four));
        }
        result
    }
}

fn mac_wait() {
    while MAC_COMMAND.read() & 1 << 31 != 0 {}
}

fn mac_write(number: u32, value: u32) {
    mac_wait();
    MAC_DATA.write(value);
    MAC_COMMAND.write(1 << 31 | number);
    mac_wait();
}

fn mac_read(number: u32) -> u32 {
    mac_wait();
    MAC_COMMAND.write(1 << 31 | 1 << 30 | number);
    mac_wait();
    MAC_DATA.read()
}

fn phy_wait() {
    while mac_read(6) & 1 != 0 {}
}

fn phy_write(number: u32, value: u32) {
    phy_wait();
    mac_write(7, value);
    mac_write(6, 1 << 11 | number << 6 | 1 << 1 | 1);
    phy_wait();
}

fn phy_read(number: u32) -> u32 {
    phy_wait();
    mac_write(6, 1 << 11 | number << 6 | 1);
    phy_wait();
    mac_read(7)
}

fn link_is_up() -> bool {
    phy_read(1); // remembers that the link was down
    phy_read(1) & 1 << 2 != 0
}
