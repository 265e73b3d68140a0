//! The scope settings stored at the instrument, and its drives.

use std::sync::Arc;

use flamingo_microscope as typed;
use flamingo_microscope::Axis;
use flamingo_microscope::scope_settings::ScopeSettings;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::call::Call;
use crate::codes::{AxisLike, laser, led_colour};
use crate::failure::Failure;

/// The scope settings stored at the instrument.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct Settings(pub(crate) typed::SettingsStore);

#[pymethods]
impl Settings {
    /// The settings that were loaded or saved last.
    fn get(&self) -> Call {
        let settings = self.0.clone();
        Call::new(async move { settings.get().await.map(PyScopeSettings) })
    }

    /// Loads the settings.
    fn load(&self) -> Call {
        let settings = self.0.clone();
        Call::new(async move { settings.load().await.map(|loaded| PyScopeSettings(loaded.value)) })
    }

    /// Loads the text of the settings, and does not read it.
    fn load_text(&self) -> Call {
        let settings = self.0.clone();
        Call::new(async move { settings.load_text().await.map(Bytes) })
    }

    /// Overwrites the settings of the instrument, and reads them back.
    fn save(&self, text: Vec<u8>) -> Call {
        let settings = self.0.clone();
        Call::new(async move { settings.save(&text).await.map(|saved| saved.text) })
    }
}

/// Becomes `bytes`.
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl<'py> IntoPyObject<'py> for Bytes {
    type Target = PyBytes;
    type Output = Bound<'py, PyBytes>;
    type Error = std::convert::Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Bound<'py, PyBytes>, Self::Error> {
        Ok(PyBytes::new(py, &self.0))
    }
}

/// The scope settings. A value that they do not contain is `None`.
#[pyclass(name = "ScopeSettings", module = "flamingo", frozen)]
pub(crate) struct PyScopeSettings(Arc<ScopeSettings>);

fn unreadable(error: typed::scope_settings::ScopeSettingsError) -> Failure {
    typed::Error::Settings(error).into()
}

#[pymethods]
impl PyScopeSettings {
    #[getter]
    fn microscope_name(&self) -> Option<String> {
        self.0.microscope_name()
    }

    #[getter]
    fn microscope_type(&self) -> Option<String> {
        self.0.microscope_type()
    }

    #[getter]
    fn magnification(&self) -> Result<Option<f64>, Failure> {
        self.0.magnification().map_err(unreadable)
    }

    /// The filters: the number of each position, from 1, and its description.
    #[getter]
    fn filters(&self) -> Vec<(u32, String)> {
        let filters = self.0.filters().iter();
        filters.map(|filter| (filter.number, filter.description.clone())).collect()
    }

    /// The lines that cannot be read, one text for each.
    #[getter]
    fn findings(&self) -> Vec<String> {
        self.0.findings().iter().map(ToString::to_string).collect()
    }

    /// The home position of an axis.
    fn home(&self, axis: AxisLike) -> Result<Option<f64>, Failure> {
        let axis: Axis = axis.axis()?;
        Ok(self.0.home(axis).map(typed::units::Position::value))
    }

    /// The filter that belongs to a laser.
    fn filter_for_laser(&self, number: i32) -> Result<Option<i32>, Failure> {
        self.0.filter_for_laser(laser(number)?.number()).map_err(unreadable)
    }

    /// The filter that belongs to the LED.
    fn filter_for_led(&self) -> Result<Option<i32>, Failure> {
        self.0.filter_for_led().map_err(unreadable)
    }

    /// The brightness of a colour of the LED, 0 to 65535.
    fn led_brightness(&self, colour: &str) -> Result<Option<u16>, Failure> {
        led_colour(colour)?;
        self.0.led_brightness(&colour.to_ascii_lowercase()).map_err(unreadable)
    }
}

/// The drives that images can be saved to.
#[pyclass(module = "flamingo.aio", frozen)]
pub(crate) struct Storage(pub(crate) typed::Storage);

#[pymethods]
impl Storage {
    /// The paths of the drives.
    fn drives(&self) -> Call {
        let storage = self.0.clone();
        Call::new(async move { storage.drives().await.map(|drives| drives.value) })
    }
}
