//! The network: its address, and a task for each of the two TCP ports. A port serves one peer at a time; the
//! bridge learns when it comes and when it goes.

use bridge_logic::tasks::Link;
use embassy_executor::Spawner;
use embassy_net::tcp::TcpSocket;
use embassy_net::{Config, Ipv4Address, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use embassy_time::{Duration, with_timeout};
use mps2_board::ethernet::Ethernet;
use static_cell::{ConstStaticCell, StaticCell};

use crate::WORK;

/// The address of the board, as QEMU's user network expects it.
const ADDRESS: Ipv4Cidr = Ipv4Cidr::new(Ipv4Address::new(10, 0, 2, 15), 24);
const GATEWAY: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);
/// A hardware address that is administered locally.
const HARDWARE_ADDRESS: [u8; 6] = [0x02, 0x46, 0x4C, 0x41, 0x4D, 0x01];
/// The ports of the bridge on a host: commands and their answers, and unsolicited frames.
const CONTROL_PORT: u16 = 53717;
const CALLBACK_PORT: u16 = 53720;
/// A silent peer is asked after this time whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// A peer that acknowledges nothing for this time has gone.
const PEER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of a connection may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

const PIPE: usize = 1024;
const SOCKET_BUFFER: usize = 2048;

/// Between the bridge and the host.
pub(crate) static HOST: Link<PIPE, PIPE> = Link::new();
/// Between the bridge and the subscriber.
pub(crate) static PUSH: Link<PIPE, PIPE> = Link::new();

static ETHERNET: ConstStaticCell<Ethernet> = ConstStaticCell::new(Ethernet::new());

/// The buffers of a port.
struct Buffers([u8; SOCKET_BUFFER], [u8; SOCKET_BUFFER]);

/// Starts the network and the tasks of the ports. `false`: there is no Ethernet controller.
pub(crate) fn start(spawner: Spawner) -> bool {
    static RESOURCES: StaticCell<StackResources<2>> = StaticCell::new();
    static HOST_BUFFERS: ConstStaticCell<Buffers> =
        ConstStaticCell::new(Buffers([0; SOCKET_BUFFER], [0; SOCKET_BUFFER]));
    static PUSH_BUFFERS: ConstStaticCell<Buffers> =
        ConstStaticCell::new(Buffers([0; SOCKET_BUFFER], [0; SOCKET_BUFFER]));
    let ethernet = ETHERNET.take();
    if !ethernet.start(HARDWARE_ADDRESS) {
        return false;
    }
    let address = StaticConfigV4 {
        address: ADDRESS,
        gateway: Some(GATEWAY),
        dns_servers: heapless::Vec::new(),
    };
    // The board has no source of random numbers. The seed chooses only the numbers of the first packets.
    let seed = embassy_time::Instant::now().as_ticks();
    let resources = RESOURCES.init_with(StackResources::new);
    let (stack, runner) = embassy_net::new(ethernet, Config::ipv4_static(address), resources, seed);
    // Each task has room: the pool of `serve` has two places.
    let (Ok(network), Ok(host), Ok(push)) = (
        run_network(runner),
        serve(stack, CONTROL_PORT, &HOST, HOST_BUFFERS.take()),
        serve(stack, CALLBACK_PORT, &PUSH, PUSH_BUFFERS.take()),
    ) else {
        return false;
    };
    spawner.spawn(network);
    spawner.spawn(host);
    spawner.spawn(push);
    true
}

#[embassy_executor::task]
async fn run_network(mut runner: Runner<'static, &'static mut Ethernet>) {
    runner.run().await;
}

/// Serves one port: one peer after the other. A second one is refused while the first is there.
#[embassy_executor::task(pool_size = 2)]
async fn serve(
    stack: Stack<'static>,
    port: u16,
    link: &'static Link<PIPE, PIPE>,
    buffers: &'static mut Buffers,
) {
    let Buffers(received, to_send) = buffers;
    loop {
        let mut socket = TcpSocket::new(stack, received, to_send);
        socket.set_keep_alive(Some(KEEP_ALIVE));
        socket.set_timeout(Some(PEER_TIMEOUT));
        socket.set_nagle_enabled(false);
        if socket.accept(port).await.is_err() {
            continue;
        }
        defmt::info!("port {}: a peer is connected", port);
        let (mut reader, mut writer) = socket.split();
        link.session(&WORK, &mut reader, &mut writer).await;
        socket.close();
        if with_timeout(CLOSE_TIMEOUT, socket.flush()).await.is_err() {
            socket.abort();
        }
        defmt::info!("port {}: the peer has gone", port); // the port accepts the next one
    }
}
