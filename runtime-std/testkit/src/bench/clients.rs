//! Clients under a load: requests one by one or many at a time, and subscribers that count their events.

use flamingo_protocol_core::Frame;
use flamingo_runtime_std::{Client, Event, Options, Subscription};
use smol::LocalExecutor;

use super::Stopwatch;

/// Where the driver of a client runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// On the thread of the caller.
    Open,
    /// Where `Client::connect` puts it.
    Connect,
}

impl Way {
    pub const ALL: [Self; 2] = [Self::Open, Self::Connect];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "Client::open",
            Self::Connect => "Client::connect",
        }
    }
}

/// A client, and the executor of its caller.
pub struct Caller {
    pub client: Client,
    executor: LocalExecutor<'static>,
}

impl Caller {
    pub fn connect(way: Way, options: Options) -> Self {
        let executor = LocalExecutor::new();
        let client = match way {
            Way::Open => {
                let opened = smol::block_on(Client::open(options));
                let (client, driver) = opened.expect("the server answers");
                executor.spawn(driver).detach();
                client
            }
            Way::Connect => smol::block_on(Client::connect(options)).expect("the server answers"),
        };
        Self { client, executor }
    }

    /// Runs a future, and with it the tasks of the caller.
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        smol::block_on(self.executor.run(future))
    }

    /// Starts a task.
    pub fn spawn<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> smol::Task<T> {
        self.executor.spawn(task)
    }

    /// Sends requests one after the other. Appends the time of each.
    pub fn ask(&self, query: Frame, count: usize, times: &mut Vec<f64>) {
        self.run(async {
            for _ in 0..count {
                let watch = Stopwatch::start();
                self.client.request(query).await.expect("an answer");
                times.push(watch.nanos());
            }
        });
    }

    /// For each of the queries a task that sends it so many times. Returns the mean time of an answer.
    pub fn ask_at_once(&self, queries: &[Frame], each: usize) -> f64 {
        let asks = queries.iter().map(|query| {
            let (client, query) = (self.client.clone(), *query);
            self.spawn(async move {
                for _ in 0..each {
                    client.request(query).await.expect("an answer");
                }
            })
        });
        let tasks: Vec<_> = asks.collect();
        let took = Stopwatch::time(|| {
            self.run(async {
                for task in tasks {
                    task.await;
                }
            });
        });
        mean(took, queries.len() * each)
    }

    /// Lets each subscriber take so many events, which `send` makes the server send. Returns the mean time of an event.
    pub fn take_events(
        &self,
        subscribers: &mut Vec<Subscription>,
        events: usize,
        send: impl FnOnce(),
    ) -> f64 {
        let takes = subscribers.drain(..).map(|one| self.spawn(take(one, events)));
        let tasks: Vec<_> = takes.collect();
        let took = Stopwatch::time(|| {
            send();
            self.run(async {
                for task in tasks {
                    subscribers.push(task.await);
                }
            });
        });
        mean(took, events)
    }
}

/// Takes so many events. Fails if one was lost.
async fn take(mut subscription: Subscription, count: usize) -> Subscription {
    for _ in 0..count {
        match subscription.next().await {
            Some(Event::Frame(_)) => {}
            other => panic!("expected an event, got {other:?}"),
        }
    }
    subscription
}

/// The mean time of one of so many.
#[allow(clippy::cast_precision_loss)] // a few thousand
pub fn mean(took: f64, count: usize) -> f64 {
    took / count as f64
}
