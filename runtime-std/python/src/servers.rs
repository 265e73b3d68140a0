//! The simulator and the bridge, started and stopped by Python.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions, TrueClass, Truth};
use pyo3::prelude::*;

use crate::call::Call;
use crate::failure::Failure;
use crate::frame::PyFrame;
use crate::waiting::{seconds, wait, within};

/// A simulated instrument, which runs on threads of its own.
#[pyclass(name = "Simulator", module = "flamingo._native", frozen)]
pub(crate) struct PySimulator {
    addresses: [SocketAddr; 3],
    truth: Truth,
    running: Mutex<Option<Simulator>>,
}

/// A frame that the simulator sent, and what it is.
#[pyclass(module = "flamingo", frozen, get_all)]
pub(crate) struct SentFrame {
    frame: PyFrame,
    /// The address of the client.
    client: String,
    /// "answer", "late_answer", "duplicate" or "unsolicited".
    origin: &'static str,
    /// The number of the command on its connection that it answers, from 1; 0 = none.
    request: u64,
}

/// A command that the simulator received.
#[pyclass(module = "flamingo", frozen, get_all)]
pub(crate) struct ReceivedCommand {
    frame: PyFrame,
    /// The address of the client.
    client: String,
    /// The number of the command on its connection, from 1.
    request: u64,
}

fn address_of(bind: &str) -> Result<IpAddr, Failure> {
    let no_address =
        |_| Failure::new("InvalidValue", format!("bind: expected an IP address, found {bind:?}"));
    bind.parse().map_err(no_address)
}

/// Starts a simulated instrument. Port 0 takes three free ports in a row.
#[pyfunction]
#[pyo3(signature = (scenario, seed, bind, port))]
pub(crate) fn start_simulator(
    py: Python<'_>,
    scenario: &str,
    seed: Option<u64>,
    bind: &str,
    port: u16,
) -> PyResult<PySimulator> {
    let scenario = Scenario::from_toml(scenario).map_err(Failure::from)?;
    let mut options = SimulatorOptions::new(scenario).bind(address_of(bind)?).port(port);
    if let Some(seed) = seed {
        options = options.seed(seed);
    }
    let simulator = wait(py, Simulator::start(options))?.map_err(Failure::from)?;
    Ok(PySimulator {
        addresses: [simulator.control(), simulator.live(), simulator.stack()],
        truth: simulator.truth(),
        running: Mutex::new(Some(simulator)),
    })
}

#[pymethods]
impl PySimulator {
    /// `HOST:PORT` of the control port.
    #[getter]
    fn address(&self) -> String {
        self.addresses[0].to_string()
    }

    /// `HOST:PORT` of the port of live images.
    #[getter]
    fn live_address(&self) -> String {
        self.addresses[1].to_string()
    }

    /// `HOST:PORT` of the port of stack images.
    #[getter]
    fn stack_address(&self) -> String {
        self.addresses[2].to_string()
    }

    /// Every frame that was sent to any client, in order.
    fn sent(&self) -> Vec<SentFrame> {
        let records = self.truth.sent().into_iter();
        let sent = records.map(|record| {
            let (origin, request) = match record.truth {
                TrueClass::Answer { request, duplicate: true, .. } => ("duplicate", request),
                TrueClass::Answer { request, late: true, .. } => ("late_answer", request),
                TrueClass::Answer { request, .. } => ("answer", request),
                _ => ("unsolicited", 0),
            };
            let client = record.connection.to_string();
            SentFrame { frame: PyFrame(record.frame), client, origin, request }
        });
        sent.collect()
    }

    /// Every command that was received, in order.
    fn received(&self) -> Vec<ReceivedCommand> {
        let records = self.truth.received().into_iter();
        let received = records.map(|record| ReceivedCommand {
            frame: PyFrame(record.frame),
            client: record.connection.to_string(),
            request: record.request,
        });
        received.collect()
    }

    /// Closes all sockets, and waits until its threads have ended.
    fn stop(&self) -> Call {
        let running = taken(&self.running);
        Call::new(async move {
            if let Some(simulator) = running {
                simulator.stop().await;
            }
            Ok::<_, Failure>(())
        })
    }
}

fn taken<T>(running: &Mutex<Option<T>>) -> Option<T> {
    running.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A bridge, which runs on threads of its own.
#[pyclass(name = "Bridge", module = "flamingo._native", frozen)]
pub(crate) struct PyBridge {
    control: SocketAddr,
    live: Option<SocketAddr>,
    stack: Option<SocketAddr>,
    callback: Option<SocketAddr>,
    status: Option<SocketAddr>,
    running: Mutex<Option<Arc<Bridge>>>,
}

/// Starts a bridge to the instrument. `settings` is the text of a settings file.
#[pyfunction]
#[pyo3(signature = (instrument, settings, listen))]
pub(crate) fn start_bridge(
    py: Python<'_>,
    instrument: Option<String>,
    settings: &str,
    listen: Option<&str>,
) -> PyResult<PyBridge> {
    let mut all = BridgeSettings::from_toml(settings).map_err(Failure::from)?;
    if let Some(instrument) = instrument {
        all.upstream.address = instrument;
    }
    if let Some(listen) = listen {
        all.listen.control = listen.parse().map_err(|_| {
            Failure::new("InvalidValue", format!("listen: expected IP:PORT, found {listen:?}"))
        })?;
    }
    let bridge = wait(py, Bridge::start(&all))?.map_err(Failure::from)?;
    Ok(PyBridge {
        control: bridge.control(),
        live: bridge.live(),
        stack: bridge.stack(),
        callback: bridge.callback(),
        status: bridge.status_address(),
        running: Mutex::new(Some(Arc::new(bridge))),
    })
}

impl PyBridge {
    fn running(&self) -> Option<Arc<Bridge>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn text(address: Option<SocketAddr>) -> Option<String> {
    address.map(|address| address.to_string())
}

#[pymethods]
impl PyBridge {
    /// `HOST:PORT` of the control port for clients.
    #[getter]
    fn address(&self) -> String {
        self.control.to_string()
    }

    /// `HOST:PORT` of the port of live images; `None` if it is off.
    #[getter]
    fn live_address(&self) -> Option<String> {
        text(self.live)
    }

    /// `HOST:PORT` of the port of stack images; `None` if it is off.
    #[getter]
    fn stack_address(&self) -> Option<String> {
        text(self.stack)
    }

    /// `HOST:PORT` of the port of unsolicited messages; `None` if it is off.
    #[getter]
    fn callback_address(&self) -> Option<String> {
        text(self.callback)
    }

    /// `HOST:PORT` of the status page; `None` if it is off.
    #[getter]
    fn status_address(&self) -> Option<String> {
        text(self.status)
    }

    /// What the status page shows, as JSON; `None` if the bridge was stopped.
    fn status_json(&self) -> Call {
        let running = self.running();
        Call::new(async move {
            let Some(bridge) = running else { return Ok(None) };
            let status = bridge.status().await;
            let json = status.map(|status| serde_json::to_string(&status)).transpose();
            json.map_err(|error| Failure::new("FlamingoError", error.to_string()))
        })
    }

    /// Waits until the instrument has reported its state, or the bridge has stopped.
    fn until_connected(&self, timeout: f64) -> Result<Call, Failure> {
        let (running, limit) = (self.running(), Some(seconds("timeout", timeout)?));
        Ok(Call::new(async move {
            within(limit, "connection of the bridge to the instrument", async {
                if let Some(bridge) = running {
                    bridge.until_connected().await;
                }
                Ok(())
            })
            .await
        }))
    }

    /// Finishes the commands in flight, and stops.
    fn stop(&self) -> Call {
        let running = taken(&self.running);
        Call::new(async move {
            // Another thread may still wait for it: then the bridge stops when that wait ends.
            if let Some(bridge) = running.and_then(Arc::into_inner) {
                bridge.stop().await;
            }
            Ok::<_, Failure>(())
        })
    }
}
