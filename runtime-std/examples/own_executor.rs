//! Runs the client without smol's executor: the driver on a thread of its own, the requests on
//! another, both with a `block_on` of 15 lines. Any executor does.
//! `cargo run -p flamingo-runtime-std --example own_executor`

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

use flamingo_runtime_std::protocol::{CommandCode, Frame};
use flamingo_runtime_std::{Client, Options};
use flamingo_simulator::{Simulator, SimulatorOptions};

/// Wakes the thread that polls.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let instrument = block_on(Simulator::start(SimulatorOptions::default()))?;
    let options = Options::new(instrument.control().to_string());

    // The connection lives while `driver` is polled.
    let (client, driver) = block_on(Client::open(options))?;
    let driver = thread::spawn(move || block_on(driver));

    let state = Frame::command(CommandCode::SYSTEM_STATE_GET);
    let answer = block_on(client.request(state))?;
    println!("state: {}, after {:?}", answer.frame.status, answer.elapsed);

    block_on(client.close());
    driver.join().map_err(|_| "the driver panicked")?;
    Ok(())
}
