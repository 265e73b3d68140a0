//! Makes an 8-bit preview of a 16-bit image by stretching its contrast.

/// The darkest pixels that become black, in parts per million.
const BLACK: u64 = 10_000;
/// The brightest pixels that become white, in parts per million.
const WHITE: u64 = 1_000;

/// Makes one 8-bit grey value for each pixel: the darkest 1 % become black, the brightest 0.1 %
/// become white, and the values between are spread evenly. An image with a single value is black.
///
/// ```
/// let pixels: Vec<u16> = (0..1000).collect();
/// let grey = flamingo_microscope::preview::stretched(&pixels);
/// assert_eq!((grey[0], grey[999]), (0, 255));
/// assert!((120..136).contains(&grey[505]));
/// ```
#[must_use]
pub fn stretched(pixels: &[u16]) -> Vec<u8> {
    let mut counts = vec![0_u64; usize::from(u16::MAX) + 1];
    for pixel in pixels {
        counts[usize::from(*pixel)] += 1;
    }
    let all = pixels.len() as u64;
    let low = level(counts.iter().enumerate(), all * BLACK / 1_000_000);
    let high = level(counts.iter().enumerate().rev(), all * WHITE / 1_000_000);
    let span = high.saturating_sub(low);
    let grey = |pixel: usize| match pixel.saturating_sub(low).min(span) {
        _ if span == 0 => 0,
        above => u8::try_from(above * 255 / span).unwrap_or(u8::MAX),
    };
    let table: Vec<u8> = (0..counts.len()).map(grey).collect();
    pixels.iter().map(|pixel| table[usize::from(*pixel)]).collect()
}

/// The first value at which more than `beyond` pixels have been counted.
fn level<'a>(counts: impl Iterator<Item = (usize, &'a u64)>, beyond: u64) -> usize {
    let mut passed = 0;
    for (value, count) in counts {
        passed += count;
        if passed > beyond {
            return value;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_outliers_do_not_reduce_the_contrast() {
        let mut pixels: Vec<u16> = (0..50_000).map(|at| 1000 + (at % 200)).collect();
        pixels[7] = u16::MAX;
        pixels[8] = 0;
        let grey = stretched(&pixels);
        assert_eq!((grey[7], grey[8]), (255, 0));
        let middle = grey[100];
        assert!((110..145).contains(&middle), "{middle}");
    }

    #[test]
    fn an_image_of_one_value_and_an_empty_image_work() {
        assert_eq!(stretched(&[500; 9]), [0; 9]);
        assert_eq!(stretched(&[]), [0; 0]);
    }
}
