//! USB: the device with its two serial ports (CDC-ACM), and a task for each of them. A port has a peer while a
//! program on the host has it open, that is, while DTR is set.

use bridge_logic::tasks::Link;
use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_rp::Peri;
use embassy_rp::peripherals::USB;
use embassy_rp::usb::Driver;
use embassy_usb::class::cdc_acm::{
    BufferedReceiver, CdcAcmClass, CdcAcmError, ControlChanged, Sender, State,
};
use embassy_usb::{Builder, Config, UsbDevice};
use embedded_io_async::{ErrorType, Read, Write};
use static_cell::{ConstStaticCell, StaticCell};

use crate::{Interrupts, WORK};

const PIPE: usize = 1024;
const PACKET: u16 = 64;
/// The identifiers of an example: a product needs its own.
const VENDOR: u16 = 0xC0DE;
const PRODUCT: u16 = 0xCAFE;

/// Between the bridge and the host.
pub(crate) static HOST: Link<PIPE, PIPE> = Link::new();
/// Between the bridge and the subscriber.
pub(crate) static PUSH: Link<PIPE, PIPE> = Link::new();

type Usb = Driver<'static, USB>;

/// Starts the device and its ports.
pub(crate) fn start(spawner: Spawner, usb: Peri<'static, USB>) {
    static DESCRIPTORS: ConstStaticCell<[[u8; 256]; 3]> = ConstStaticCell::new([[0; 256]; 3]);
    static CONTROL: ConstStaticCell<[u8; 64]> = ConstStaticCell::new([0; 64]);
    static STATES: StaticCell<[State<'static>; 2]> = StaticCell::new();
    let mut config = Config::new(VENDOR, PRODUCT);
    config.product = Some("Flamingo bridge");
    let [configuration, bos, microsoft] = DESCRIPTORS.take();
    let [host, push] = STATES.init([State::new(), State::new()]);
    let driver = Driver::new(usb, Interrupts);
    let mut builder = Builder::new(driver, config, configuration, bos, microsoft, CONTROL.take());
    let host = CdcAcmClass::new(&mut builder, host, PACKET);
    let push = CdcAcmClass::new(&mut builder, push, PACKET);
    // Each task has room: the pool of `serve` has two places.
    if let (Ok(device), Ok(host), Ok(push)) =
        (run_device(builder.build()), serve(host, &HOST), serve(push, &PUSH))
    {
        spawner.spawn(device);
        spawner.spawn(host);
        spawner.spawn(push);
    }
}

#[embassy_executor::task]
async fn run_device(mut device: UsbDevice<'static, Usb>) {
    device.run().await;
}

/// Serves one port: one program of the host after the other.
#[embassy_executor::task(pool_size = 2)]
async fn serve(class: CdcAcmClass<'static, Usb>, link: &'static Link<PIPE, PIPE>) {
    static PACKETS: [StaticCell<[u8; PACKET as usize]>; 2] = [const { StaticCell::new() }; 2];
    let Some(packet) = PACKETS.iter().find_map(|packet| packet.try_init([0; PACKET as usize]))
    else {
        return;
    };
    let (sender, receiver, control) = class.split_with_control();
    let mut reader = OpenPort { receiver: receiver.into_buffered(packet), control };
    let mut writer = ShortPackets(sender);
    loop {
        writer.0.wait_connection().await;
        until_open(&reader.control, true).await;
        link.session(&WORK, &mut reader, &mut writer).await;
    }
}

/// A serial port that has ended when the program of the host closes it.
struct OpenPort {
    receiver: BufferedReceiver<'static, Usb>,
    control: ControlChanged<'static>,
}

/// Waits until a program of the host has the port open, or has it no more.
async fn until_open(control: &ControlChanged<'_>, open: bool) {
    while control.dtr() != open {
        control.control_changed().await;
    }
}

impl ErrorType for OpenPort {
    type Error = CdcAcmError;
}

impl Read for OpenPort {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, CdcAcmError> {
        match select(self.receiver.read(buffer), until_open(&self.control, false)).await {
            Either::First(read) => read,
            Either::Second(()) => Ok(0),
        }
    }
}

/// Sends no full packet: the host would wait for more before it passes the bytes to the program.
struct ShortPackets(Sender<'static, Usb>);

impl ErrorType for ShortPackets {
    type Error = CdcAcmError;
}

impl Write for ShortPackets {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, CdcAcmError> {
        self.0.write(bytes.get(..usize::from(PACKET) - 1).unwrap_or(bytes)).await
    }

    async fn flush(&mut self) -> Result<(), CdcAcmError> {
        self.0.flush().await
    }
}
