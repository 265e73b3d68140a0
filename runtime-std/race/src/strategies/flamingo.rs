//! The client of this project, with an unchanged instrument. One thread runs the driver, which alone reads and writes the
//! socket, and the program's event handler: so the thread that reads an event also handles it. The caller waits on its own
//! thread.

use std::collections::HashMap;
use std::thread::JoinHandle;
use std::time::Duration;

use flamingo_protocol_core::{Class, Frame};
use flamingo_runtime_std::{Client, Event, MotionWaiter, Options};
use smol::Timer;
use smol::future::{self, block_on};

use super::handler::begins_motion;
use crate::strategy::{Environment, Events, Motion, Strategy};

/// More events than can arrive while this host is busy.
const EVENTS: usize = 1 << 16;

pub(super) struct Flamingo {
    client: Client,
    /// The motions in progress, by axis.
    armed: HashMap<i32, MotionWaiter>,
    driver: JoinHandle<()>,
}

impl Flamingo {
    pub(super) fn start(environment: &Environment) -> std::io::Result<Self> {
        let opened = smol::block_on(Client::open(options(environment)));
        let (client, driver) = opened.map_err(std::io::Error::other)?;
        let (heard, events) = (client.subscribe(&[]), environment.events.clone());
        let work = move || {
            smol::block_on(future::zip(driver, handle(heard, events)));
        };
        let driver = std::thread::Builder::new().name("race-driver".into()).spawn(work)?;
        Ok(Self { client, armed: HashMap::new(), driver })
    }
}

/// The defaults, with their times scaled as the timeout is.
fn options(environment: &Environment) -> Options {
    let mut options = Options::new(environment.control.to_string());
    let scale = environment.timeout.as_secs_f64() / options.timeout.as_secs_f64();
    let scaled =
        |time: flamingo_protocol_core::time::Duration| Duration::from(time).mul_f64(scale).into();
    let core = options.protocol;
    options.protocol = core
        .with_grace(scaled(core.grace))
        .with_presumed_grace(scaled(core.presumed_grace))
        .with_stop_patience(scaled(core.stop_patience));
    options.settle = options.settle.mul_f64(scale);
    options.timeout = environment.timeout;
    options.event_capacity = EVENTS;
    options
}

/// The program's event handler: it gets every frame that is not an answer.
async fn handle(mut heard: flamingo_runtime_std::Subscription, events: Events) {
    while let Some(event) = heard.next().await {
        if let Event::Frame(event) = event
            && matches!(event.class, Class::Unsolicited { .. } | Class::Ambiguous { .. })
        {
            events.deliver(&event.frame);
        }
    }
}

impl Strategy for Flamingo {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        if begins_motion(command) {
            let axis = command.selector();
            self.armed.insert(axis, self.client.arm(axis));
        }
        block_on(self.client.request(*command)).ok().map(|answer| answer.frame)
    }

    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool {
        let Some(mut armed) = self.armed.remove(&motion.axis) else { return false };
        let completed = async {
            loop {
                match armed.wait().await {
                    Ok(end) if end.completed => return true,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        };
        let given_up = async {
            Timer::after(motion.patience).await;
            false
        };
        block_on(future::or(completed, given_up))
    }

    fn close(self: Box<Self>) {
        block_on(self.client.close());
        // An error: the thread panicked, and has reported it.
        let _ = self.driver.join();
    }
}
