//! The connection: connecting, requests by code, the state, events, and a handle for each device.

use flamingo_microscope as typed;
use flamingo_microscope::Patience;
use flamingo_runtime_std::socket::instrument_ports::image_port;
use flamingo_runtime_std::{Options, Reconnect};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::call::Call;
use crate::codes::CodeLike;
use crate::devices::{Camera, FilterWheel, Illumination, Lasers, Led};
use crate::dropin::answer;
use crate::events::EventStream;
use crate::failure::Failure;
use crate::frame::{Command, PyAnswer, codes};
use crate::images::{ImageStream, Snapshot};
use crate::settings::{Settings, Storage};
use crate::stage::Stage;
use crate::waiting::{reactor, seconds};
use crate::workflows::Workflows;

/// How far the ports of live images and of stack images are above the control port.
const LIVE: u16 = 1;
const STACK: u16 = 2;

/// A connection to a microscope. Its methods return calls, for `await`.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct Microscope(pub(crate) typed::Microscope);

/// Connects to the control port at `HOST:PORT`.
#[pyfunction]
#[pyo3(signature = (
    address, *, timeout = 3.0, connect_timeout = 2.0, settle = 0.05, reconnect = false, event_capacity = 4096,
    load_settings = true
))]
pub(crate) fn connect(
    address: String,
    timeout: f64,
    connect_timeout: f64,
    settle: f64,
    reconnect: bool,
    event_capacity: usize,
    load_settings: bool,
) -> Result<Call, Failure> {
    let options = Options::new(address)
        .timeout(seconds("timeout", timeout)?)
        .connect_timeout(seconds("connect_timeout", connect_timeout)?)
        .settle(seconds("settle", settle)?)
        .reconnect(reconnect.then(Reconnect::default))
        .event_capacity(event_capacity);
    Ok(Call::new(async move {
        let client = reactor()?.connect(options).await?;
        let microscope = typed::Microscope::over(client, Patience::default());
        if load_settings {
            microscope.settings().load().await?;
        }
        Ok::<_, Failure>(Microscope(microscope))
    }))
}

#[pymethods]
impl Microscope {
    /// `HOST:PORT` of the control port.
    #[getter]
    fn address(&self) -> &str {
        self.0.client().address()
    }

    #[getter]
    fn stage(&self) -> Stage {
        Stage(self.0.stage())
    }

    #[getter]
    fn camera(&self) -> Camera {
        Camera(self.0.camera())
    }

    #[getter]
    fn lasers(&self) -> Lasers {
        Lasers(self.0.lasers())
    }

    #[getter]
    fn led(&self) -> Led {
        Led(self.0.led())
    }

    #[getter]
    fn filter_wheel(&self) -> FilterWheel {
        FilterWheel(self.0.filter_wheel())
    }

    #[getter]
    fn illumination(&self) -> Illumination {
        Illumination(self.0.illumination())
    }

    #[getter]
    fn settings(&self) -> Settings {
        Settings(self.0.settings())
    }

    #[getter]
    fn storage(&self) -> Storage {
        Storage(self.0.storage())
    }

    #[getter]
    fn workflows(&self) -> Workflows {
        Workflows(self.0.workflows())
    }

    /// What the instrument is doing now, such as "IDLE".
    fn state(&self) -> Call {
        let microscope = self.0.clone();
        Call::new(async move { microscope.state().await.map(|state| state.value.to_string()) })
    }

    /// Sends a command and waits for its answer.
    #[pyo3(signature = (
        command, *, selector = None, value = None, text = None, payload = None, timeout = None
    ))]
    fn request(
        &self,
        command: Command,
        selector: Option<i32>,
        value: Option<f64>,
        text: Option<&str>,
        payload: Option<Vec<u8>>,
        timeout: Option<f64>,
    ) -> Result<Call, Failure> {
        let frame = command.frame(selector, value, text)?;
        let client = self.0.client().clone();
        let timeout = timeout.map_or(Ok(client.timeout()), |time| seconds("timeout", time))?;
        Ok(Call::new(async move {
            answer(&client, frame, payload.unwrap_or_default().into(), timeout).await.map(PyAnswer)
        }))
    }

    /// Sends a command and waits only until it is written.
    #[pyo3(signature = (command, *, selector = None, value = None, text = None, payload = None))]
    fn send(
        &self,
        command: Command,
        selector: Option<i32>,
        value: Option<f64>,
        text: Option<&str>,
        payload: Option<Vec<u8>>,
    ) -> Result<Call, Failure> {
        let frame = command.frame(selector, value, text)?;
        let client = self.0.client().clone();
        Ok(Call::new(
            async move { client.send_with_payload(frame, payload.unwrap_or_default()).await },
        ))
    }

    /// The events of these codes, or of all codes, from now on.
    #[pyo3(signature = (*wanted))]
    fn events(&self, wanted: Vec<CodeLike>) -> Result<EventStream, Failure> {
        Ok(EventStream::new(&self.0, &codes(wanted)?))
    }

    /// Connects to the port of live images.
    #[pyo3(signature = (*, address = None, every = false, memory_mb = 256))]
    fn live_images(
        &self,
        address: Option<String>,
        every: bool,
        memory_mb: usize,
    ) -> Result<Call, Failure> {
        Ok(ImageStream::connect(self.image_address(address, LIVE)?, every, memory_mb))
    }

    /// Connects to the port of the images of workflows.
    #[pyo3(signature = (*, address = None, every = true, memory_mb = 256))]
    fn stack_images(
        &self,
        address: Option<String>,
        every: bool,
        memory_mb: usize,
    ) -> Result<Call, Failure> {
        Ok(ImageStream::connect(self.image_address(address, STACK)?, every, memory_mb))
    }

    /// Takes one image.
    #[pyo3(signature = (*, address = None, timeout = 10.0))]
    fn snap(&self, address: Option<String>, timeout: f64) -> Result<Call, Failure> {
        let address = self.image_address(address, LIVE)?;
        let timeout = seconds("timeout", timeout)?;
        Ok(Snapshot { microscope: self.0.clone(), address, timeout }.call())
    }

    /// The counters of the connection.
    fn stats(&self) -> Call {
        let client = self.0.client().clone();
        Call::new(async move { client.stats().await.map(Stats) })
    }

    /// Closes the connection.
    fn close(&self) -> Call {
        let microscope = self.0.clone();
        Call::new(async move {
            microscope.close().await;
            Ok::<_, Failure>(())
        })
    }
}

impl Microscope {
    fn image_address(&self, given: Option<String>, above: u16) -> Result<String, Failure> {
        let control = self.0.client().address();
        given.or_else(|| image_port(control, above)).ok_or_else(|| {
            let why = format!("image port: expected HOST:PORT below 65535, found {control}");
            Failure::new("InvalidValue", why)
        })
    }
}

/// The counters as a dictionary.
pub(crate) struct Stats(pub(crate) flamingo_runtime_std::Stats);

impl<'py> IntoPyObject<'py> for Stats {
    type Target = PyDict;
    type Output = Bound<'py, PyDict>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let flamingo_runtime_std::Stats { counters, .. } = &self.0;
        let all = [
            ("frames_sent", counters.frames_sent),
            ("solicited", counters.solicited),
            ("presumed", counters.presumed),
            ("late", counters.late),
            ("ambiguous", counters.ambiguous),
            ("unsolicited", counters.unsolicited),
            ("payload_bytes", counters.payload_bytes),
            ("noise_bytes", counters.noise_bytes),
            ("timed_out", counters.timed_out),
            ("unanswered", counters.unanswered),
            ("superseded", counters.superseded),
            ("in_flight", self.0.in_flight as u64),
            ("events", self.0.events),
            ("events_lost", self.0.events_lost),
            ("reconnects", self.0.reconnects),
        ];
        let dict = PyDict::new(py);
        for (name, count) in all {
            dict.set_item(name, count)?;
        }
        Ok(dict)
    }
}
