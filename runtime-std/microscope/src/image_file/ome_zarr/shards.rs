//! Writes planes into the shards of one level. The planes of a shard that is not full are in memory.

use zarrs::array::{Array, ArrayError};

use super::layout::{Layout, Place};
use super::store::Store;

/// The shards of one level that are being written: at most one for each channel.
pub(super) struct Shards {
    layout: Layout,
    array: Array<Store>,
    /// By channel.
    open: Vec<Option<Open>>,
}

/// A shard that is not full.
struct Open {
    shard: [u64; 5],
    pixels: Vec<u16>,
    /// The planes that were added, and how many of them are in the file.
    planes: u64,
    written: u64,
}

impl Shards {
    pub(super) const fn new(layout: Layout, array: Array<Store>) -> Self {
        Self { layout, array, open: Vec::new() }
    }

    /// Adds a plane. The planes of a channel must come in their order.
    pub(super) fn add(&mut self, place: Place, pixels: &[u16]) -> Result<(), ArrayError> {
        let (shard, at) = self.layout.shard_of(place);
        let (height, width) = self.layout.shard();
        if self.layout.planes() == 1 && (height, width) == (self.layout.height, self.layout.width) {
            return self.array.store_chunk(&shard, pixels);
        }
        let channel = usize::try_from(place.c).unwrap_or(usize::MAX);
        if self.open.len() <= channel {
            self.open.resize_with(channel + 1, || None);
        }
        let (plane, row) = (size(height * width), size(width));
        let open = match &mut self.open[channel] {
            Some(open) if open.shard == shard => open,
            other => {
                if let Some(before) = other {
                    before.write(&self.array)?;
                }
                let pixels = vec![0; plane * size(self.layout.planes())];
                other.insert(Open { shard, pixels, planes: 0, written: 0 })
            }
        };
        let begin = size(at) * plane;
        let rows = open.pixels[begin..begin + plane].chunks_exact_mut(row);
        for (to, from) in rows.zip(pixels.chunks_exact(size(self.layout.width))) {
            to[..from.len()].copy_from_slice(from);
        }
        open.planes = at + 1;
        if open.planes == self.layout.planes() {
            open.write(&self.array)?;
            self.open[channel] = None;
        }
        Ok(())
    }

    /// Writes all planes that were added. More planes can follow.
    pub(super) fn flush(&mut self) -> Result<(), ArrayError> {
        self.open.iter_mut().flatten().try_for_each(|open| open.write(&self.array))
    }

    /// Writes all planes that were added. Planes of other shards can follow.
    pub(super) fn close(&mut self) -> Result<(), ArrayError> {
        self.flush()?;
        self.open.clear();
        Ok(())
    }

    /// Whether planes of this shard of a channel are in memory.
    pub(super) fn is_open(&self, channel: u64, shard: [u64; 5]) -> bool {
        let open = usize::try_from(channel).ok().and_then(|channel| self.open.get(channel));
        open.and_then(Option::as_ref).is_some_and(|open| open.shard == shard)
    }

    pub(super) const fn array(&self) -> &Array<Store> {
        &self.array
    }

    pub(super) const fn array_mut(&mut self) -> &mut Array<Store> {
        &mut self.array
    }
}

impl Open {
    fn write(&mut self, array: &Array<Store>) -> Result<(), ArrayError> {
        if self.written < self.planes {
            array.store_chunk(&self.shard, &self.pixels)?;
            self.written = self.planes;
        }
        Ok(())
    }
}

/// A number of pixels in memory.
fn size(pixels: u64) -> usize {
    usize::try_from(pixels).unwrap_or(usize::MAX)
}
