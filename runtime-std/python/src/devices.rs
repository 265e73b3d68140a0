//! Camera, lasers, LED, filter wheel and illumination.

use flamingo_microscope as typed;
use flamingo_microscope::LiveUpdates;
use flamingo_microscope::units::{Micros, Percent};
use pyo3::prelude::*;

use crate::call::Call;
use crate::codes::{laser, led_colour, whole};
use crate::failure::Failure;

/// The camera.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct Camera(pub(crate) typed::Camera);

#[pymethods]
impl Camera {
    /// The exposure time in µs.
    fn exposure(&self) -> Call {
        let camera = self.0.clone();
        Call::new(async move { camera.exposure().await.map(|time| time.value.0) })
    }

    /// Sets the exposure time in µs.
    fn set_exposure(&self, exposure_us: i64) -> Result<Call, Failure> {
        let (camera, exposure) = (self.0.clone(), Micros(whole("exposure in us", exposure_us)?));
        Ok(Call::new(async move { camera.set_exposure(exposure).await }))
    }

    /// The left edge of the region of interest: a column from 1.
    fn left_edge(&self) -> Call {
        let camera = self.0.clone();
        Call::new(async move { camera.left_edge().await.map(|edge| edge.value) })
    }

    /// Sets the left edge.
    fn set_left_edge(&self, column: i64) -> Result<Call, Failure> {
        let (camera, column) = (self.0.clone(), whole("left edge", column)?);
        Ok(Call::new(async move { camera.set_left_edge(column).await }))
    }

    /// The top edge of the region of interest: a row from 1.
    fn top_edge(&self) -> Call {
        let camera = self.0.clone();
        Call::new(async move { camera.top_edge().await.map(|edge| edge.value) })
    }

    /// Sets the top edge.
    fn set_top_edge(&self, row: i64) -> Result<Call, Failure> {
        let (camera, row) = (self.0.clone(), whole("top edge", row)?);
        Ok(Call::new(async move { camera.set_top_edge(row).await }))
    }

    /// Width and height of the live images in pixels; `None` while there is no live view.
    fn image_size(&self) -> Call {
        let camera = self.0.clone();
        Call::new(async move {
            camera.image_size().await.map(|size| size.value.map(|size| (size.width, size.height)))
        })
    }

    /// The width of the sample that one pixel shows, in mm.
    fn pixel_size(&self) -> Call {
        let camera = self.0.clone();
        Call::new(async move { camera.pixel_size().await.map(|size| size.value.0) })
    }

    /// Width and height of what one image shows, in mm; `None` while there is no live view.
    fn field_of_view(&self) -> Call {
        let camera = self.0.clone();
        Call::new(async move {
            let view = camera.field_of_view().await?;
            Ok::<_, typed::Error>(view.map(|view| (view.width.0, view.height.0)))
        })
    }

    /// Takes one image, which arrives on the live port.
    fn snapshot(&self) -> Call {
        let camera = self.0.clone();
        Call::new(async move { camera.snapshot().await })
    }

    /// Starts the live view.
    #[pyo3(signature = (*, on_change = false))]
    fn start_live_view(&self, on_change: bool) -> Call {
        let camera = self.0.clone();
        let updates = if on_change { LiveUpdates::OnChange } else { LiveUpdates::Always };
        Call::new(async move { camera.start_live_view(updates).await })
    }

    /// Stops the live view.
    fn stop_live_view(&self) -> Call {
        let camera = self.0.clone();
        Call::new(async move { camera.stop_live_view().await })
    }
}

/// The lasers, 1 to 4.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct Lasers(pub(crate) typed::Lasers);

#[pymethods]
impl Lasers {
    /// The level of a laser in percent.
    fn level(&self, number: i32) -> Result<Call, Failure> {
        let (lasers, laser) = (self.0.clone(), laser(number)?);
        Ok(Call::new(async move { lasers.level(laser).await.map(|level| level.value.0) }))
    }

    /// Sets the level of a laser, 0 to 100 percent.
    fn set_level(&self, number: i32, percent: f64) -> Result<Call, Failure> {
        let (lasers, laser) = (self.0.clone(), laser(number)?);
        Ok(Call::new(async move { lasers.set_level(laser, Percent(percent)).await }))
    }

    /// Switches a laser on for the live view, and all others off.
    fn enable_preview(&self, number: i32) -> Result<Call, Failure> {
        let (lasers, laser) = (self.0.clone(), laser(number)?);
        Ok(Call::new(async move { lasers.enable_preview(laser).await }))
    }

    /// Switches a laser on.
    fn enable(&self, number: i32) -> Result<Call, Failure> {
        let (lasers, laser) = (self.0.clone(), laser(number)?);
        Ok(Call::new(async move { lasers.enable(laser).await }))
    }

    /// Switches the line of a laser on.
    fn enable_line(&self, number: i32) -> Result<Call, Failure> {
        let (lasers, laser) = (self.0.clone(), laser(number)?);
        Ok(Call::new(async move { lasers.enable_line(laser).await }))
    }

    /// Switches a laser off, before everything that is queued.
    fn disable(&self, number: i32) -> Result<Call, Failure> {
        let (lasers, laser) = (self.0.clone(), laser(number)?);
        Ok(Call::new(async move { lasers.disable(laser).await }))
    }

    /// Switches all lasers off, before everything that is queued.
    fn disable_all(&self) -> Call {
        let lasers = self.0.clone();
        Call::new(async move { lasers.disable_all().await })
    }
}

/// The LED with its four colours.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct Led(pub(crate) typed::Led);

#[pymethods]
impl Led {
    /// Sets the brightness of a colour, 0 to 65535.
    fn set(&self, colour: &str, brightness: i64) -> Result<Call, Failure> {
        let (led, colour) = (self.0.clone(), led_colour(colour)?);
        let brightness: u16 = whole("brightness", brightness)?;
        Ok(Call::new(async move { led.set(colour, brightness).await }))
    }

    /// Selects the colour.
    fn select(&self, colour: &str) -> Result<Call, Failure> {
        let (led, colour) = (self.0.clone(), led_colour(colour)?);
        Ok(Call::new(async move { led.select(colour).await }))
    }

    /// Switches the LED on for the live view.
    fn enable_preview(&self) -> Call {
        let led = self.0.clone();
        Call::new(async move { led.enable_preview().await })
    }

    /// Switches the LED off.
    fn disable_preview(&self) -> Call {
        let led = self.0.clone();
        Call::new(async move { led.disable_preview().await })
    }
}

/// The filter wheel.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct FilterWheel(pub(crate) typed::FilterWheel);

#[pymethods]
impl FilterWheel {
    /// The position.
    fn position(&self) -> Call {
        let wheel = self.0.clone();
        Call::new(async move { wheel.position().await.map(|position| position.value) })
    }

    /// Turns the wheel to a position.
    fn set_position(&self, position: i32) -> Call {
        let wheel = self.0.clone();
        Call::new(async move { wheel.set_position(position).await })
    }
}

/// The two illumination paths.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct Illumination(pub(crate) typed::Illumination);

#[pymethods]
impl Illumination {
    /// Opens or closes the left path.
    fn set_left(&self, on: bool) -> Call {
        let illumination = self.0.clone();
        Call::new(async move { illumination.set_left(on).await })
    }

    /// Opens or closes the right path.
    fn set_right(&self, on: bool) -> Call {
        let illumination = self.0.clone();
        Call::new(async move { illumination.set_right(on).await })
    }
}
