//! Whether a folder can be written, and whether an acquisition fits on its disk.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::args::Format;
use crate::failure::{CommandResult, Failure, note};

/// More than the smallest unit in which any file system gives out space.
const PROBE: usize = 64 * 1024;
/// What a file has for each image besides its pixels, at least: its directory and its description.
const BESIDES: u64 = 256;

/// Creates the folder if it does not exist, and writes and removes a file in it.
pub(super) fn check_writable(folder: &Path) -> CommandResult {
    std::fs::create_dir_all(folder).map_err(|error| {
        Failure::usage(format!("cannot create the folder {}: {error}", folder.display()))
    })?;
    let path = folder.join(format!(".flamingo-{}.part", std::process::id()));
    let written = File::create_new(&path).and_then(|mut file| {
        file.write_all(&vec![0; PROBE])?;
        // Some file systems find out only now that they are full.
        file.sync_all()
    });
    // It may not be there.
    let removed = std::fs::remove_file(&path);
    written.and(removed).map_err(|error| {
        let folder = folder.display();
        Failure::usage(format!(
            "cannot write into the folder {folder}: {error}; the camera was not started"
        ))
    })
}

/// The free bytes of the disk that a folder is on, as far as this user may use them.
#[cfg(unix)]
pub(super) fn free(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(not(unix))]
pub(super) fn free(_folder: &Path) -> Option<u64> {
    None
}

/// An acquisition whose size is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate {
    pub(super) images: u64,
    /// Width and height of an image in pixels.
    pub(super) size: [u32; 2],
    pub(super) format: Format,
}

impl Estimate {
    fn bytes(&self) -> u64 {
        let [width, height] = self.size.map(u64::from);
        let image = width.saturating_mul(height).saturating_mul(2).saturating_add(BESIDES);
        image.saturating_mul(self.images)
    }

    /// Refuses an acquisition that surely does not fit, with this exit code. Compressed images may fit, so
    /// there is only a warning.
    pub(super) fn check(&self, folder: &Path, ignore: bool, code: u8) -> CommandResult {
        let Some(free) = free(folder).filter(|free| *free < self.bytes()) else { return Ok(()) };
        let [width, height] = self.size;
        let message = format!(
            "{} images of {width} x {height} need {}, and {} has {} free",
            self.images,
            size_text(self.bytes()),
            folder.display(),
            size_text(free)
        );
        if self.format.is_uncompressed() && !ignore {
            let advice = "free the space, or use --format png or --ignore-space";
            return Err(Failure::new(code, format!("{message}; {advice}")));
        }
        let fate = if self.format.is_uncompressed() { "" } else { " without compression" };
        note(&format!("warning: {message}{fate}"));
        Ok(())
    }
}

/// A number of bytes with three digits, such as `1.23 GB`.
#[allow(clippy::cast_precision_loss)] // three digits are shown
pub(super) fn size_text(bytes: u64) -> String {
    let mut value = bytes as f64;
    let units = ["bytes", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    match value {
        _ if unit == 0 => format!("{bytes} bytes"),
        ..9.995 => format!("{value:.2} {}", units[unit]),
        ..99.95 => format!("{value:.1} {}", units[unit]),
        _ => format!("{value:.0} {}", units[unit]),
    }
}

/// A time in its two largest units, such as `4 h 10 min`.
pub(super) fn time_text(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        let sizes = [0, 999, 1_234, 123_456, 8_388_608, 99_960_000, 20_000_000_000, u64::MAX];
        let texts = sizes.map(size_text);
        let expected = [
            "0 bytes",
            "999 bytes",
            "1.23 kB",
            "123 kB",
            "8.39 MB",
            "100 MB",
            "20.0 GB",
            "18.4 EB",
        ];
        assert_eq!(texts, expected);
        let times = [7, 59, 60, 754, 15_000, 86_400, 190_000];
        let texts = times.map(|seconds| time_text(Duration::from_secs(seconds)));
        let expected =
            ["7 s", "59 s", "1 min 0 s", "12 min 34 s", "4 h 10 min", "1 d 0 h", "2 d 4 h"];
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_size_that_does_not_fit_in_64_bits_is_the_largest_one() {
        let estimate = Estimate { images: u64::MAX, size: [u32::MAX; 2], format: Format::Tiff };
        assert_eq!(estimate.bytes(), u64::MAX);
        let small = Estimate { images: 10, size: [100, 100], format: Format::Tiff };
        assert_eq!(small.bytes(), 10 * (20_000 + BESIDES));
    }
}
