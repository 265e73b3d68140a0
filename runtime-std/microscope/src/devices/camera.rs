//! The camera: exposure, region, image size, pixel size, live view and snapshots.
//!
//! The images themselves arrive on another port: see `live/`.

use flamingo_protocol_core::{CommandCode, Frame};

use crate::answers::{above_zero, in_range};
use crate::files::workflow::FieldOfView;
use crate::units::{Micros, Mm, MmPerPixel};
use crate::{Error, Microscope, Reading};
use flamingo_runtime_std::Answer;

/// The camera of a [`Microscope`].
///
/// ```
/// # use flamingo_microscope::Microscope;
/// # use flamingo_runtime_std::Options;
/// # use flamingo_simulator::{Simulator, SimulatorOptions};
/// use flamingo_microscope::units::Micros;
/// # smol::block_on(async {
/// # let simulator = Simulator::start(SimulatorOptions::default()).await?;
/// # let microscope = Microscope::connect(Options::new(simulator.control().to_string())).await?;
/// let camera = microscope.camera();
/// camera.set_exposure(Micros(12_000)).await?;
/// assert_eq!(camera.exposure().await?.value, Micros(12_000));
/// assert_eq!(camera.image_size().await?.value, None, "there is no live view");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Camera {
    microscope: Microscope,
}

/// The size of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSize {
    /// Pixels per row.
    pub width: u32,
    /// The number of rows.
    pub height: u32,
}

/// When the instrument sends images in live view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LiveUpdates {
    /// Continuously: int32Data0 = 0.
    #[default]
    Always,
    /// Only when something has changed: int32Data0 = 1.
    OnChange,
}

impl Camera {
    pub(crate) const fn new(microscope: Microscope) -> Self {
        Self { microscope }
    }

    /// The exposure time in µs, at least 1: CAMERA_EXPOSURE_GET (0x300A).
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::ConnectionLost`], [`Error::Implausible`].
    pub async fn exposure(&self) -> Result<Reading<Micros>, Error> {
        let what = "exposure time";
        let frame = Frame::command(CommandCode::CAMERA_EXPOSURE_GET);
        self.microscope
            .read(what, frame, |answer| int32_data0(what, "µs above 0", answer, 1).map(Micros))
            .await
    }

    /// Sets the exposure time in µs, 1 to 2 147 483 647: CAMERA_EXPOSURE_SET (0x3009).
    ///
    /// # Errors
    /// [`Error::OutOfRange`]: the time is out of that range, nothing was sent.
    /// [`Error::Refused`], [`Error::Timeout`], [`Error::ConnectionLost`].
    pub async fn set_exposure(&self, exposure: Micros) -> Result<(), Error> {
        self.set("exposure time in µs", CommandCode::CAMERA_EXPOSURE_SET, exposure.0).await
    }

    /// The left edge of the region of interest: the number of its first column, from 1.
    /// CAMERA_ROI_LEFT_GET (0x3010). The region is symmetric: its right edge has the same distance
    /// from the other side of the sensor.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub async fn left_edge(&self) -> Result<Reading<u32>, Error> {
        self.edge("left edge", CommandCode::CAMERA_ROI_LEFT_GET).await
    }

    /// Sets the left edge, a column from 1: CAMERA_ROI_LEFT_SET (0x300F).
    ///
    /// # Errors
    /// [`Error::OutOfRange`]: the column is 0, nothing was sent. [`Error::Refused`]: the region
    /// would be too small. [`Error::Timeout`], [`Error::ConnectionLost`].
    pub async fn set_left_edge(&self, column: u32) -> Result<(), Error> {
        self.set("left edge", CommandCode::CAMERA_ROI_LEFT_SET, column).await
    }

    /// The top edge of the region of interest: the number of its first row, from 1.
    /// CAMERA_ROI_TOP_GET (0x3012). Symmetric, like [`Self::left_edge`].
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub async fn top_edge(&self) -> Result<Reading<u32>, Error> {
        self.edge("top edge", CommandCode::CAMERA_ROI_TOP_GET).await
    }

    /// Sets the top edge, a row from 1: CAMERA_ROI_TOP_SET (0x3011).
    ///
    /// # Errors
    /// As [`Self::set_left_edge`].
    pub async fn set_top_edge(&self, row: u32) -> Result<(), Error> {
        self.set("top edge", CommandCode::CAMERA_ROI_TOP_SET, row).await
    }

    /// The size of the live images: CAMERA_IMAGE_SIZE_GET (0x3027). `None` while there is no live
    /// view: the instrument then answers 0 × 0.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub async fn image_size(&self) -> Result<Reading<Option<ImageSize>>, Error> {
        let frame = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
        self.microscope.read("image size", frame, image_size).await
    }

    /// The width of the sample that one pixel shows: CAMERA_PIXEL_FIELD_OF_VIEW_GET (0x3037).
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub async fn pixel_size(&self) -> Result<Reading<MmPerPixel>, Error> {
        let what = "pixel size";
        let frame = Frame::command(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET);
        self.microscope
            .read(what, frame, |answer| {
                above_zero(what, "mm/pixel", answer.frame.value).map(MmPerPixel)
            })
            .await
    }

    /// What one image shows of the sample: the image size times the pixel size. `None` if the
    /// instrument does not tell one of them now, as while there is no live view.
    ///
    /// # Errors
    /// As [`Self::exposure`].
    pub async fn field_of_view(&self) -> Result<Option<FieldOfView>, Error> {
        let Some(ImageSize { width, height }) = self.image_size().await?.value else {
            return Ok(None);
        };
        let pixel = match self.pixel_size().await {
            Ok(reading) => reading.value.0,
            // A size that is not above 0 means that there is none.
            Err(Error::Implausible { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let extent = |pixels: u32| Mm(f64::from(pixels) * pixel);
        Ok(Some(FieldOfView { width: extent(width), height: extent(height) }))
    }

    /// Takes one image: CAMERA_SNAPSHOT_GET (0x3006). The image arrives on the live port, so
    /// connect to that port first ([`crate::live::LiveStream`]).
    ///
    /// # Errors
    /// [`Error::Busy`]: a workflow runs, nothing was sent. [`Error::Refused`], [`Error::Timeout`],
    /// [`Error::ConnectionLost`].
    pub async fn snapshot(&self) -> Result<(), Error> {
        let what = "snapshot";
        self.microscope.not_while_running(what).await?;
        let frame = Frame::command(CommandCode::CAMERA_SNAPSHOT_GET);
        self.microscope.ask(what, frame).await.map(|_| ())
    }

    /// Starts the live view: CAMERA_LIVE_VIEW_START (0x3007). The images arrive on the live port.
    /// Between queued workflows this command crashes the server, so the system state is asked first.
    ///
    /// # Errors
    /// [`Error::Busy`]: a workflow runs or was uploaded, nothing was sent. [`Error::Refused`],
    /// [`Error::Timeout`], [`Error::ConnectionLost`].
    pub async fn start_live_view(&self, updates: LiveUpdates) -> Result<(), Error> {
        let what = "live view";
        self.microscope.not_while_running(what).await?;
        let on_change = i32::from(updates == LiveUpdates::OnChange);
        let frame = Frame::command(CommandCode::CAMERA_LIVE_VIEW_START).with_selector(on_change);
        self.microscope.ask(what, frame).await.map(|_| ())
    }

    /// Stops the live view: CAMERA_LIVE_VIEW_STOP (0x3008).
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Refused`], [`Error::ConnectionLost`].
    pub async fn stop_live_view(&self) -> Result<(), Error> {
        let frame = Frame::command(CommandCode::CAMERA_LIVE_VIEW_STOP);
        self.microscope.ask("end of the live view", frame).await.map(|_| ())
    }

    async fn edge(&self, what: &str, code: CommandCode) -> Result<Reading<u32>, Error> {
        let frame = Frame::command(code);
        self.microscope.read(what, frame, |answer| int32_data0(what, "1 or more", answer, 1)).await
    }

    async fn set(&self, what: &str, code: CommandCode, value: u32) -> Result<(), Error> {
        let value = in_range(what, value.into(), 1..=i32::MAX)?;
        let frame = Frame::command(code).with_selector(value);
        self.microscope.ask(what, frame).await.map(|_| ())
    }
}

/// Reads int32Data0 of an answer, which must be at least `least`.
fn int32_data0(what: &str, expected: &str, answer: &Answer, least: u32) -> Result<u32, Error> {
    let found = answer.frame.int32_data[0];
    let number = u32::try_from(found).ok().filter(|number| *number >= least);
    number.ok_or_else(|| Error::Implausible {
        what: what.to_owned(),
        expected: format!("{expected} in int32Data0"),
        found: found.to_string(),
    })
}

fn image_size(answer: &Answer) -> Result<Option<ImageSize>, Error> {
    let [width, height, _] = answer.frame.int32_data;
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(0), Ok(0)) => Ok(None),
        (Ok(width @ 1..), Ok(height @ 1..)) => Ok(Some(ImageSize { width, height })),
        _ => Err(Error::Implausible {
            what: "image size".to_owned(),
            expected: "two sides above 0, or 0 x 0, in int32Data0 and 1".to_owned(),
            found: format!("{width} x {height}"),
        }),
    }
}
