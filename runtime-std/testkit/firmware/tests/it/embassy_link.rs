//! The suite of every client (`runtime-std/testkit/src/suite`) over the link of `embassy-client`, on this host: the file
//! of the firmware with its executor, queues and pump. In QEMU, the whole firmware is tested by `embassy_client.rs`.

use std::net::TcpStream;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use async_channel::Sender;
use embassy_executor::Executor;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pubsub::Subscriber;
use flamingo_protocol_core::{Class, Frame};
use flamingo_runtime_std::Options;
use flamingo_runtime_testkit::peer::{Peer, listen, soon};
use flamingo_runtime_testkit::suite::{Asks, Call, Hears};
use smol::lock::{Mutex, MutexGuardArc};
use smol::{Async, future};
use static_cell::StaticCell;

use crate::board::{Port, tick};
use crate::link::{self, EVENTS, Failed, ReplySlot};

/// The one link of this process, which a test uses alone: where its cables are plugged in.
fn link() -> Arc<Mutex<Sender<Async<TcpStream>>>> {
    static LINK: OnceLock<Arc<Mutex<Sender<Async<TcpStream>>>>> = OnceLock::new();
    Arc::clone(LINK.get_or_init(|| {
        let (plug, port) = Port::new();
        thread::spawn(tick);
        thread::spawn(move || {
            static EXECUTOR: StaticCell<Executor> = StaticCell::new();
            let executor = EXECUTOR.init(Executor::new());
            executor.run(|spawner| spawner.spawn(link::run(port).expect("it is spawned once")))
        });
        Arc::new(Mutex::new(plug))
    }))
}

/// The tasks of a test.
#[derive(Clone)]
struct Board(#[allow(dead_code)] Arc<MutexGuardArc<Sender<Async<TcpStream>>>>); // held until the test ends

struct Heard(Subscriber<'static, CriticalSectionRawMutex, Frame, 16, 1, 0>);

impl Hears for Heard {
    async fn next_frame(&mut self) -> (Frame, Option<Class>) {
        (soon("an event", self.0.next_message_pure()).await, None)
    }
}

impl Asks for Board {
    type Failure = String;
    type Heard = Heard;

    fn run(test: impl Future<Output = ()> + 'static) {
        smol::block_on(test);
    }

    async fn connected(_: impl FnOnce(&mut Options)) -> (Self, Peer) {
        let (listener, options) = listen();
        let link = link().lock_arc().await;
        let address = options.address.parse::<std::net::SocketAddr>().expect("an address");
        let cable = Async::<TcpStream>::connect(address);
        let (cable, peer) = future::zip(cable, Peer::accept(&listener)).await;
        link.send(cable.expect("it listens")).await.expect("the link runs");
        (Self(Arc::new(link)), peer)
    }

    fn request(&self, frame: Frame) -> Call<Result<Frame, String>> {
        Box::pin(async move {
            link::ask(Box::leak(Box::new(ReplySlot::new())), frame).await.map_err(|failed| {
                match failed {
                    Failed::Refused(error) => format!("refused: {error}"),
                    Failed::Ended(ended) => format!("ended: {ended:?}"),
                }
            })
        })
    }

    async fn given_up<T>(&self, frame: Frame, script: impl Future<Output = T>) -> T {
        let call = self.request(frame);
        future::or(async { Err(call.await) }, async { Ok(script.await) })
            .await
            .unwrap_or_else(|ended| panic!("the call ended before it was dropped: {ended:?}"))
    }

    /// The request began before this: it ends one `REQUEST_TIMEOUT` of `link.rs` from now at the latest.
    async fn given_up_has_ended(&self) {
        smol::Timer::after(Duration::from_secs(1)).await;
    }

    fn hear(&self) -> Heard {
        Heard(EVENTS.subscriber().expect("the test before has ended"))
    }
}

flamingo_runtime_testkit::asks_suite!(Board);
