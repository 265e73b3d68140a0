//! Images: the stream of a port, and one image, which NumPy reads without a copy. Reading the port is in
//! `flamingo-microscope`, `live/`.

use std::sync::Arc;
use std::time::Duration;

use flamingo_microscope as typed;
use flamingo_microscope::live::{LiveImage, LiveOptions, LiveStream, Mode};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{IntoPyObjectExt, intern};
use smol::lock::Mutex;

use crate::call::Call;
use crate::closing::Closing;
use crate::failure::Failure;
use crate::frame::unix_time;
use crate::waiting::{seconds, within};

/// The images of a port. A thread reads the port all the time.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct ImageStream {
    stream: Arc<Mutex<LiveStream>>,
    closing: Closing,
}

fn options(every: bool, memory_mb: usize) -> LiveOptions {
    let memory_bytes = memory_mb.saturating_mul(1_000_000);
    LiveOptions::default().mode(if every { Mode::Every { memory_bytes } } else { Mode::Latest })
}

impl ImageStream {
    /// Connects to a port at `HOST:PORT`.
    pub(crate) fn connect(address: String, every: bool, memory_mb: usize) -> Call {
        let options = options(every, memory_mb);
        Call::new(async move {
            let stream = LiveStream::connect(&address, options).await?;
            let stream = Arc::new(Mutex::new(stream));
            Ok::<_, Failure>(Self { stream, closing: Closing::new() })
        })
    }

    /// The next image; `None` when the stream has ended or is closed.
    fn take(
        &self,
        limit: Option<Duration>,
    ) -> impl Future<Output = Result<Option<Image>, Failure>> + Send + use<> {
        let (stream, closing) = (Arc::clone(&self.stream), self.closing.clone());
        async move {
            let next = async {
                let image = stream.lock().await.next_image().await?;
                Ok(image.map(Image))
            };
            within(limit, "next image", closing.or(Ok(None), next)).await
        }
    }
}

#[pymethods]
impl ImageStream {
    /// The next image; `None` when the instrument has closed the port, or the stream is closed.
    #[pyo3(signature = (*, timeout = None))]
    fn next(&self, timeout: Option<f64>) -> Result<Call, Failure> {
        let limit = timeout.map(|time| seconds("timeout", time)).transpose()?;
        Ok(Call::new(self.take(limit)))
    }

    /// Ends the stream. A wait for its next image ends with `None`. The port is disconnected when the last
    /// reference to the stream is dropped.
    fn close(&self) {
        self.closing.close();
    }

    /// The counters: images that were received, delivered, dropped, and that wait; bytes.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        // The lock is held by whoever waits for an image.
        let dict = PyDict::new(py);
        let Some(stream) = self.stream.try_lock() else { return Ok(dict) };
        let stats = stream.stats();
        let all = [
            ("received", stats.received),
            ("delivered", stats.delivered),
            ("dropped", stats.dropped),
            ("waiting", stats.waiting),
            ("bytes", stats.bytes),
        ];
        for (name, count) in all {
            dict.set_item(name, count)?;
        }
        Ok(dict)
    }

    fn __aiter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __anext__(&self) -> Call {
        let next = self.take(None);
        Call::new(async move { next.await?.ok_or_else(Failure::end_of_iteration) })
    }
}

/// Takes one image: listens to the port before the command is sent.
pub(crate) struct Snapshot {
    pub(crate) microscope: typed::Microscope,
    pub(crate) address: String,
    pub(crate) timeout: Duration,
}

impl Snapshot {
    pub(crate) fn call(self) -> Call {
        let Self { microscope, address, timeout } = self;
        let taken = async move {
            let mut stream = LiveStream::connect(&address, LiveOptions::default()).await?;
            microscope.camera().snapshot().await?;
            let image = stream.next_image().await?.map(Image);
            image.ok_or_else(|| {
                let why = format!("{address} closed the connection before the image came");
                Failure::new("ConnectionLost", why)
            })
        };
        Call::new(async move { within(Some(timeout), "snapshot", taken).await })
    }
}

/// An image. Its pixels are read by NumPy without a copy: keep the image, or the array, only as long as you need
/// it, since its memory is used again for later images.
#[pyclass(module = "flamingo", frozen)]
pub(crate) struct Image(LiveImage);

#[pymethods]
impl Image {
    /// The pixels: a read-only array of 16-bit numbers with height rows and width columns. It shares the memory of
    /// the image.
    #[getter]
    fn pixels<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        py.import(intern!(py, "numpy"))?.call_method1(intern!(py, "asarray"), (slf,))
    }

    /// The description that NumPy reads: <https://numpy.org/doc/stable/reference/arrays.interface.html>. The array
    /// keeps this object alive.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        const READ_ONLY: bool = true;
        let pixels = self.0.pixels();
        let shape = (self.0.header.height, self.0.header.width);
        let kind = if cfg!(target_endian = "big") { ">u2" } else { "<u2" };
        let dict = PyDict::new(py);
        dict.set_item("version", 3)?;
        dict.set_item("shape", shape)?;
        dict.set_item("typestr", kind)?;
        dict.set_item("data", (pixels.as_ptr().addr(), READ_ONLY).into_bound_py_any(py)?)?;
        Ok(dict)
    }

    #[getter]
    fn width(&self) -> u32 {
        self.0.header.width
    }

    #[getter]
    fn height(&self) -> u32 {
        self.0.header.height
    }

    /// The index of the camera, 0 to 3.
    #[getter]
    fn camera(&self) -> u32 {
        self.0.header.device
    }

    /// The pixel values that the instrument shows as black and as white.
    #[getter]
    fn scale(&self) -> (u32, u32) {
        (self.0.header.scale_min, self.0.header.scale_max)
    }

    /// imageIndexStart and imageIndexStop.
    #[getter]
    fn index(&self) -> (i32, i32) {
        (self.0.header.index_start, self.0.header.index_stop)
    }

    /// The number of the image in the stream, from 1; dropped images count.
    #[getter]
    fn number(&self) -> u64 {
        self.0.number
    }

    /// How many images were dropped since the image before this one.
    #[getter]
    fn dropped_before(&self) -> u64 {
        self.0.dropped_before
    }

    /// When its last byte arrived, as `time.time()`.
    #[getter]
    fn at(&self) -> f64 {
        unix_time(self.0.received_at)
    }

    fn __repr__(&self) -> String {
        let (header, number) = (&self.0.header, self.0.number);
        format!(
            "<Image {number}: {} x {} of camera {}>",
            header.width, header.height, header.device
        )
    }
}
