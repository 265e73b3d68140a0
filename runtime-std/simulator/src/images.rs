//! The image streams: renders images of drifting beads, and sends them to the viewers of the live and the stack
//! port, with the faults of the scenario. When an image is taken is decided in `instrument/`.

use std::borrow::Cow;
use std::sync::Arc;

use async_channel::{Receiver, Sender};
use fastrand::Rng;
use flamingo_protocol_core::{
    CommandCode,
    image::{HEADER_LEN, ImageHeader, OPTION_IMAGE_DATA},
};

use super::scenario::Scenario;
use super::trigger::{Trigger, random_stream};
use super::truth::Truth;

/// How many images wait for a viewer. Then its oldest image is dropped.
pub(super) const QUEUE: usize = 64;

/// The port that an image goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamName {
    Live,
    Stack,
}

/// An image to render and send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ImageOrder {
    pub(crate) stream: StreamName,
    /// The number of the image, over both streams.
    pub(crate) index: i32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// The bytes of a header and its pixels.
pub(super) type Image = Arc<Vec<u8>>;

const BACKGROUND: u16 = 200;
/// A bead fills a square of 2 · RADIUS + 1 pixels.
const RADIUS: i32 = 7;
const SIGMA: f64 = 2.4;

/// A bead: its centre, the size and speed of its orbit, its brightness.
struct Bead {
    centre: [f64; 2],
    orbit: [f64; 2],
    turn: [f64; 2],
    phase: f64,
    brightness: f64,
}

/// Renders the images. The same seed and index always give the same image.
pub(super) struct Renderer {
    beads: Vec<Bead>,
}

impl Renderer {
    pub(super) fn new(seed: u64, beads: u16) -> Self {
        let mut rng = random_stream(seed, 3, 0);
        let mut between = |low: f64, high: f64| low + (high - low) * rng.f64();
        let beads = (0..beads)
            .map(|_| Bead {
                centre: [between(0.1, 0.9), between(0.1, 0.9)],
                orbit: [between(0.01, 0.08), between(0.01, 0.08)],
                turn: [between(0.02, 0.12), between(0.02, 0.12)],
                phase: between(0.0, std::f64::consts::TAU),
                brightness: between(2_000.0, 40_000.0),
            })
            .collect();
        Self { beads }
    }

    /// The header and the pixels of an image.
    pub(super) fn render(&self, order: &ImageOrder) -> Vec<u8> {
        let ImageOrder { index, width, height, .. } = *order;
        let size = 2 * width * height;
        let header = ImageHeader {
            size,
            width,
            height,
            scale_min: u32::from(BACKGROUND),
            scale_max: u32::from(u16::MAX),
            options: OPTION_IMAGE_DATA,
            index_start: index,
            index_stop: index,
            ..ImageHeader::default()
        };
        let mut bytes = Vec::with_capacity(HEADER_LEN + size as usize);
        bytes.extend(header.encode());
        bytes.resize(HEADER_LEN + size as usize, 0);
        let pixels = &mut bytes[HEADER_LEN..];
        let row_bytes = 2 * width as usize;
        let background = BACKGROUND.to_le_bytes().repeat(width as usize);
        for row in pixels.chunks_exact_mut(row_bytes) {
            row.copy_from_slice(&background);
        }
        for bead in &self.beads {
            bead.render(pixels, [width, height], f64::from(index));
        }
        bytes
    }
}

impl Bead {
    #[allow(clippy::cast_possible_truncation)] // pixel positions are small, brightness saturates
    fn render(&self, pixels: &mut [u8], [width, height]: [u32; 2], time: f64) {
        let [across, down] = [0, 1]
            .map(|at| self.centre[at] + self.orbit[at] * (self.turn[at] * time + self.phase).sin());
        let (x, y) = (across * f64::from(width), down * f64::from(height));
        let (column, row) = (x.floor() as i32, y.floor() as i32);
        for v in row - RADIUS..=row + RADIUS {
            for u in column - RADIUS..=column + RADIUS {
                if !(0..height as i32).contains(&v) || !(0..width as i32).contains(&u) {
                    continue;
                }
                let squared = (f64::from(u) - x).powi(2) + (f64::from(v) - y).powi(2);
                let light = self.brightness * (-squared / (2.0 * SIGMA * SIGMA)).exp();
                let at = 2 * (v as usize * width as usize + u as usize);
                let old = u16::from_le_bytes([pixels[at], pixels[at + 1]]);
                let new = old.saturating_add(light as u16);
                pixels[at..at + 2].copy_from_slice(&new.to_le_bytes());
            }
        }
    }
}

/// The faults, and the updates of the options, in the images of one viewer.
pub(super) struct ViewerFaults {
    headers: Trigger,
    cuts: Trigger,
    options_every: u64,
    images: u64,
    rng: Rng,
}

/// What a viewer gets for one image.
pub(super) struct ViewerWrite<'a> {
    /// Written one after the other.
    pub(super) parts: Vec<Cow<'a, [u8]>>,
    /// The connection is closed afterwards.
    pub(super) last: bool,
}

/// Option bits without pixels: crosshair and zoom.
const SHOWN_OPTIONS: u32 = 0x04 | 0x08;

impl ViewerFaults {
    pub(super) fn new(scenario: &Scenario, viewer: u64) -> Self {
        Self {
            headers: Trigger::new(&scenario.faults.image_headers),
            cuts: Trigger::new(&scenario.faults.image_cuts),
            options_every: scenario.images.options_every_n,
            images: 0,
            rng: random_stream(scenario.seed, 4, viewer),
        }
    }

    pub(super) fn apply<'a>(&mut self, image: &'a [u8]) -> ViewerWrite<'a> {
        self.images += 1;
        let mut parts = Vec::new();
        if self.options_every > 0 && self.images.is_multiple_of(self.options_every) {
            let options = ImageHeader { options: SHOWN_OPTIONS, ..ImageHeader::default() };
            parts.push(Cow::Owned(options.encode().to_vec()));
        }
        let (header, pixels) = image.split_at(HEADER_LEN.min(image.len()));
        let any = CommandCode::default();
        if self.headers.fires(any, &mut self.rng) {
            let mut header = header.to_vec();
            header[0] = header[0].wrapping_add(2);
            parts.push(Cow::Owned(header));
        } else {
            parts.push(Cow::Borrowed(header));
        }
        let last = self.cuts.fires(any, &mut self.rng);
        let end = if last { self.rng.usize(..pixels.len()) } else { pixels.len() };
        parts.push(Cow::Borrowed(&pixels[..end]));
        ViewerWrite { parts, last }
    }
}

/// A client of an image port.
pub(super) struct Viewer {
    pub(super) stream: StreamName,
    pub(super) images: Sender<Image>,
}

/// Input of the image task.
pub(super) enum ImageInput {
    Order(ImageOrder),
    Viewer(Viewer),
}

/// The image task: renders each ordered image that has a viewer, and sends it to the viewers of its stream. Ends when all
/// senders of its input are gone.
pub(super) async fn serve_images(renderer: Renderer, inputs: Receiver<ImageInput>, truth: Truth) {
    let mut viewers: Vec<Viewer> = Vec::new();
    while let Ok(input) = inputs.recv().await {
        let order = match input {
            ImageInput::Viewer(viewer) => {
                viewers.push(viewer);
                truth.record_viewer();
                continue;
            }
            ImageInput::Order(order) => order,
        };
        viewers.retain(|viewer| !viewer.images.is_closed());
        let watching = viewers.iter().filter(|viewer| viewer.stream == order.stream);
        let mut image = None;
        for viewer in watching {
            let image = image.get_or_insert_with(|| Arc::new(renderer.render(&order)));
            if let Ok(Some(_)) = viewer.images.force_send(Arc::clone(image)) {
                truth.record_image_dropped();
            }
        }
        // Orders may come faster than they are rendered: the viewers must get their turn.
        smol::future::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(index: i32) -> ImageOrder {
        ImageOrder { stream: StreamName::Live, index, width: 64, height: 48 }
    }

    #[test]
    fn orders_without_a_pause_leave_viewers_their_turn() {
        const ORDERS: i32 = 100;
        let (orders, inputs) = async_channel::unbounded();
        let (images, shown) = async_channel::bounded(1);
        let viewer = Viewer { stream: StreamName::Live, images };
        orders.try_send(ImageInput::Viewer(viewer)).unwrap();
        for index in 0..ORDERS {
            orders.try_send(ImageInput::Order(order(index))).unwrap();
        }
        drop(orders);
        let executor = smol::LocalExecutor::new();
        let viewing = executor.spawn(async move {
            let mut count = 0;
            while shown.recv().await.is_ok() {
                count += 1;
            }
            count
        });
        let serving = executor.spawn(serve_images(Renderer::new(5, 3), inputs, Truth::new(10)));
        let count = smol::block_on(executor.run(async {
            serving.await;
            viewing.await
        }));
        assert!(count > ORDERS / 2, "{count} of {ORDERS}");
    }

    #[test]
    fn an_image_shows_beads_and_repeats_with_its_seed() {
        let renderer = Renderer::new(5, 3);
        let bytes = renderer.render(&order(1));
        let header = ImageHeader::decode(&bytes[..HEADER_LEN], 1 << 20).unwrap();
        assert_eq!((header.width, header.height, header.size), (64, 48, 64 * 48 * 2));
        let pixels: Vec<_> = bytes[HEADER_LEN..]
            .chunks_exact(2)
            .map(|pixel| u16::from_le_bytes([pixel[0], pixel[1]]))
            .collect();
        let dark = pixels.iter().filter(|pixel| **pixel == BACKGROUND).count();
        assert!(dark > pixels.len() / 2, "{dark} of {} are background", pixels.len());
        assert!(pixels.iter().any(|pixel| *pixel > 1_000), "no bead is visible");
        assert_eq!(bytes, Renderer::new(5, 3).render(&order(1)));
    }

    #[test]
    fn beads_move() {
        let renderer = Renderer::new(5, 3);
        let [first, later] = [1, 20].map(|index| renderer.render(&order(index)));
        assert_ne!(first[HEADER_LEN..], later[HEADER_LEN..]);
    }
}
