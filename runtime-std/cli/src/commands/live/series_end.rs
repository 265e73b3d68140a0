//! What begins a new stack: the images and the reports of complete stacks say it, because a program that
//! only listens cannot ask.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, SystemTime};

use flamingo_microscope::units::Pose;
use flamingo_protocol_core::image::ImageHeader;

use super::events::Completed;

/// Z goes back if it moves against the direction of the stack by more than this many mm: more than the
/// jitter of a stage.
const BACK_MM: f64 = 0.001;
/// X or Y has moved if it changes by more than this many mm.
const MOVED_MM: f64 = 0.01;
/// A pause is longer than so many usual intervals.
const USUAL: u32 = 5;

/// The stack that is being received.
#[derive(Debug)]
pub(super) struct Stacks {
    /// A shorter pause does not end a stack.
    least_gap: Duration,
    /// How many images of each camera a stack has, if the user has told it.
    planes: Option<u64>,
    /// The number of the stack, from 1.
    number: u64,
    stack: Option<Stack>,
    /// The reports about stacks that are not used yet.
    reports: VecDeque<Completed>,
    /// How many images of all cameras the first of them is about, from the first image after it on.
    reported: Option<u64>,
    /// Whether a report has come. Positions come late, so they decide nothing any more.
    are_reported: bool,
}

/// What is known about an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrived<'a> {
    pub(super) header: &'a ImageHeader,
    /// Its number in the stream; images that were dropped count.
    pub(super) number: u64,
    pub(super) at: SystemTime,
    pub(super) pose: Option<Pose>,
}

#[derive(Debug)]
struct Stack {
    /// The numbers of its first image, which may have been dropped, and of the last one that came.
    first: u64,
    last_number: u64,
    began: SystemTime,
    last: SystemTime,
    images: u32,
    /// The last image of each camera.
    cameras: HashMap<u32, LastImage>,
    /// X and Y, and the last Z, if they are known.
    place: Option<[f64; 2]>,
    z: Option<f64>,
    /// Whether Z grew in its last move.
    last_move: Option<bool>,
    /// Whether Z grows, once it has moved twice in one direction.
    upwards: Option<bool>,
}

/// What the header of the last image of a camera has told.
#[derive(Debug, Clone, Copy)]
struct LastImage {
    /// Width and height.
    size: [u32; 2],
    /// imageIndexStart.
    index: i32,
}

impl LastImage {
    const fn of(header: &ImageHeader) -> Self {
        Self { size: [header.width, header.height], index: header.index_start }
    }
}

impl Stacks {
    pub(super) fn new(least_gap: Duration, planes: Option<u64>) -> Self {
        Self {
            least_gap,
            planes,
            number: 0,
            stack: None,
            reports: VecDeque::new(),
            reported: None,
            are_reported: false,
        }
    }

    /// Takes the report that a stack is complete.
    pub(super) fn complete(&mut self, report: Completed) {
        self.reports.push_back(report);
        self.are_reported = true;
    }

    /// The number of the stack that is being received; 0 before the first image.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// The number of the stack that an image belongs to. It is higher than before if the image begins one.
    pub(super) fn number_of(&mut self, image: &Arrived<'_>) -> u64 {
        let counted = self.next_by_report(image).or_else(|| self.next_by_planes(image));
        let is_counted = self.are_reported || self.planes.is_some();
        match &mut self.stack {
            Some(stack)
                if counted.is_none()
                    && !stack.ends_before(image, self.least_gap)
                    && (is_counted || !stack.is_left(image.pose)) =>
            {
                stack.add(image);
            }
            before => {
                // The first image of the next stack may have been dropped.
                let earliest = before.as_ref().map_or(image.number, |stack| stack.last_number + 1);
                let first = counted.unwrap_or(image.number).max(earliest).min(image.number);
                self.number += 1;
                self.stack = Some(Stack::begin(image, first));
            }
        }
        self.number
    }

    /// The number at which the stack of this image begins, if the one before has all its planes.
    fn next_by_planes(&self, image: &Arrived<'_>) -> Option<u64> {
        let stack = self.stack.as_ref()?;
        let is_new = !stack.cameras.contains_key(&image.header.device);
        let cameras = stack.cameras.len() as u64 + u64::from(is_new);
        let images = self.planes?.saturating_mul(cameras);
        let stacks = (image.number - stack.first).checked_div(images).filter(|it| *it > 0)?;
        Some(stack.first + stacks * images)
    }

    /// The number at which the next stack begins, if a report says that the stack ended before this image.
    /// The report comes on another connection, so images of the stack may come after it.
    fn next_by_report(&mut self, image: &Arrived<'_>) -> Option<u64> {
        while let (Some(report), Some(stack)) = (self.reports.front(), &self.stack) {
            if report.at >= image.at {
                return None;
            }
            let is_older = report.at < stack.began;
            let images = *self.reported.get_or_insert_with(|| stack.reported_images(report));
            if !is_older && image.number - stack.first < images {
                return None;
            }
            let next = stack.first + images;
            self.reports.pop_front();
            self.reported = None;
            if !is_older {
                return Some(next);
            }
        }
        None
    }
}

/// X and Y.
fn place(pose: Option<Pose>) -> Option<[f64; 2]> {
    let at = pose.map(|pose| [pose.x.0, pose.y.0]);
    at.filter(|at| at.iter().all(|value| value.is_finite()))
}

fn height(pose: Option<Pose>) -> Option<f64> {
    pose.map(|pose| pose.z.0).filter(|z| z.is_finite())
}

impl Stack {
    fn begin(image: &Arrived<'_>, first: u64) -> Self {
        let Arrived { header, number: last_number, at, pose } = *image;
        let cameras = HashMap::from([(header.device, LastImage::of(header))]);
        let (place, z) = (place(pose), height(pose));
        Self {
            first,
            last_number,
            began: at,
            last: at,
            images: 1,
            cameras,
            place,
            z,
            last_move: None,
            upwards: None,
        }
    }

    fn add(&mut self, image: &Arrived<'_>) {
        let Arrived { header, number, at, pose } = *image;
        self.last_number = number;
        self.images = self.images.saturating_add(1);
        self.last = at;
        self.cameras.insert(header.device, LastImage::of(header));
        self.place = self.place.or(place(pose));
        let z = height(pose);
        let change = self.z.zip(z).map(|(before, now)| now - before);
        let has_moved = change.is_none_or(|change| change.abs() > BACK_MM);
        if let Some(change) = change.filter(|_| has_moved) {
            let upwards = Some(change > 0.0);
            // The position of the first image may be an old one, so one move does not tell.
            self.upwards = self.upwards.or(upwards.filter(|_| self.last_move == upwards));
            self.last_move = upwards;
        }
        // Until the direction is known, the first Z stays: small steps add up.
        if has_moved || self.upwards.is_some() {
            self.z = z.or(self.z);
        }
    }

    /// How many images of all cameras a report is about. Whether the number in it counts those of all cameras is
    /// not known. If more have come before it, it counts those of each camera.
    fn reported_images(&self, report: &Completed) -> u64 {
        let came = self.last_number + 1 - self.first;
        let cameras = if came > report.acquired { self.cameras.len() as u64 } else { 1 };
        report.acquired.saturating_mul(cameras)
    }

    fn ends_before(&self, image: &Arrived<'_>, least_gap: Duration) -> bool {
        let Arrived { header, at, .. } = *image;
        // Cameras may have images of different sizes.
        let is_another = self.cameras.get(&header.device).is_some_and(|last| {
            last.size != LastImage::of(header).size || header.index_start < last.index
        });
        is_another || self.is_pause(at, least_gap)
    }

    /// Whether the stage has moved in X or Y, or has gone back in Z.
    fn is_left(&self, pose: Option<Pose>) -> bool {
        let moved = self.place.zip(place(pose)).is_some_and(|(before, now)| {
            (0..2).any(|axis| (before[axis] - now[axis]).abs() > MOVED_MM)
        });
        let z_goes_back = match (self.upwards, self.z, height(pose)) {
            (Some(true), Some(before), Some(now)) => now < before - BACK_MM,
            (Some(false), Some(before), Some(now)) => now > before + BACK_MM,
            _ => false,
        };
        moved || z_goes_back
    }

    /// Whether the time since the last image is longer than the usual interval by far.
    fn is_pause(&self, at: SystemTime, least_gap: Duration) -> bool {
        let intervals = self.images - 1;
        let usual = self.last.duration_since(self.began).unwrap_or_default().checked_div(intervals);
        // After one image the usual interval is not known.
        let Some(usual) = usual else { return false };
        let since = at.duration_since(self.last).unwrap_or_default();
        since > least_gap.max(usual.saturating_mul(USUAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamingo_microscope::units::{Degrees, Mm};

    const INTERVAL_MS: u64 = 25;

    fn pose(x: f64, z: f64) -> Pose {
        Pose { x: Mm(x), y: Mm(15.0), z: Mm(z), r: Degrees(f64::NAN) }
    }

    fn header(index: i32) -> ImageHeader {
        ImageHeader { width: 64, height: 48, index_start: index, ..ImageHeader::default() }
    }

    /// The stack of each image, which comes at its number of intervals.
    fn stacks(images: &[(u64, ImageHeader, Option<Pose>)]) -> Vec<u64> {
        let mut stacks = Stacks::new(Duration::from_millis(500), None);
        let number = |(number, (at, header, pose)): (usize, &(u64, ImageHeader, Option<Pose>))| {
            let (number, at, pose) = (number as u64 + 1, time(*at), *pose);
            stacks.number_of(&Arrived { header, number, at, pose })
        };
        images.iter().enumerate().map(number).collect()
    }

    fn time(intervals: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(intervals * INTERVAL_MS)
    }

    /// The stacks of images with these numbers and cameras, one in each interval.
    fn counted(stacks: &mut Stacks, images: &[(u64, u32)]) -> Vec<u64> {
        let number = |(number, device): &(u64, u32)| {
            let header = ImageHeader { device: *device, ..header(0) };
            let (number, at) = (*number, time(*number));
            stacks.number_of(&Arrived { header: &header, number, at, pose: None })
        };
        images.iter().map(number).collect()
    }

    fn steady(image: impl Fn(u32) -> (ImageHeader, Option<Pose>), count: u32) -> Vec<u64> {
        let images: Vec<_> = (0..count).map(|at| (at.into(), image(at).0, image(at).1)).collect();
        stacks(&images)
    }

    #[test]
    fn z_that_goes_back_begins_a_new_stack() {
        let z = [0.0, 0.005, 0.01, 0.0, 0.005, 0.01, 0.005, 0.0];
        let image = |at: u32| (header(0), Some(pose(7.0, 19.0 + z[at as usize])));
        assert_eq!(steady(image, 8), [1, 1, 1, 2, 2, 2, 3, 3], "the last one goes down");
    }

    #[test]
    fn a_position_that_comes_late_begins_no_stack() {
        // The first image of the second stack has a position of the way back.
        let z = [0.0, 0.005, 0.01, 0.015, 0.007, 0.0, 0.005, 0.01, 0.015];
        let image = |at: u32| (header(0), Some(pose(7.0, 19.0 + z[at as usize])));
        assert_eq!(steady(image, 9), [1, 1, 1, 1, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn jitter_of_z_begins_no_stack_and_small_steps_add_up() {
        let jitter = [0.0, 0.000_4, -0.000_3, 0.000_2];
        let image = |at: u32| {
            let z = 19.0 + 0.0005 * f64::from(at) + jitter[at as usize % 4];
            (header(0), Some(pose(7.0, z)))
        };
        assert_eq!(steady(image, 40), [1; 40]);
        let back = |at: u32| if at < 20 { image(at) } else { image(at - 20) };
        assert_eq!(steady(back, 40)[19..21], [1, 2]);
    }

    #[test]
    fn another_place_another_size_or_an_older_index_begins_one() {
        let x = [7.0, 7.004, 7.4, 7.4];
        assert_eq!(steady(|at| (header(0), Some(pose(x[at as usize], 19.0))), 4), [1, 1, 2, 2]);
        let size = |at: u32| ImageHeader { width: 64 - at / 2, ..header(0) };
        assert_eq!(steady(|at| (size(at), None), 4), [1, 1, 2, 2]);
        let index = [5, 6, 7, 0, 1];
        assert_eq!(steady(|at| (header(index[at as usize]), None), 5), [1, 1, 1, 2, 2]);
    }

    #[test]
    fn each_camera_counts_on_its_own() {
        let image = |at: u32| ImageHeader { device: at % 2, ..header(100 - at as i32 % 2 * 99) };
        assert_eq!(steady(|at| (image(at), None), 6), [1; 6]);
    }

    #[test]
    fn cameras_of_different_sizes_are_one_stack() {
        let image = |at: u32| {
            let width = 64 - at % 2 * 32 - at / 6;
            (ImageHeader { device: at % 2, width, ..header(0) }, None)
        };
        assert_eq!(steady(image, 8), [1, 1, 1, 1, 1, 1, 2, 2], "then another size of a camera");
    }

    #[test]
    fn a_pause_is_longer_than_usual_and_than_the_least() {
        let image = |at: u64| (at, header(0), None);
        // 500 ms and 550 ms, where 25 ms are usual.
        let quick: Vec<_> = (0..=10).chain([30, 31, 53]).map(image).collect();
        let found = stacks(&quick);
        assert_eq!((found[11], found[12], found[13]), (1, 1, 2));
        // Where 2 s are usual, 8 s are no pause.
        assert_eq!(stacks(&[0, 80, 160, 480, 1400].map(image)), [1, 1, 1, 1, 2]);
    }

    #[test]
    fn the_number_of_planes_ends_a_stack_also_with_dropped_images() {
        let mut stacks = Stacks::new(Duration::from_secs(1), Some(3));
        let one = [1, 2, 3, 4, 6, 8, 9, 10, 12, 13].map(|number| (number, 0));
        let expected = [1, 1, 1, 2, 2, 3, 3, 4, 4, 5];
        assert_eq!(counted(&mut stacks, &one), expected, "5, 7 and 11 were dropped");
        let mut stacks = Stacks::new(Duration::from_secs(1), Some(2));
        let two = [(1, 0), (2, 1), (3, 0), (4, 1), (5, 0), (6, 1)];
        assert_eq!(counted(&mut stacks, &two), [1, 1, 1, 1, 2, 2], "of each camera");
    }

    #[test]
    fn a_report_counts_the_images_of_all_cameras_or_of_each() {
        // Four planes of two cameras; the last image comes after the report.
        for (acquired, which) in [(8, "all"), (4, "each")] {
            let mut stacks = Stacks::new(Duration::from_secs(1), None);
            let images = |from: u64, to: u64| {
                (from..=to).map(|it| (it, u32::from(it % 2 == 0))).collect::<Vec<_>>()
            };
            for stack in 1..=3 {
                let first = 8 * (stack - 1) + 1;
                let before = counted(&mut stacks, &images(first, first + 6));
                stacks.complete(Completed { at: time(first + 6), acquired });
                let last = counted(&mut stacks, &images(first + 7, first + 7));
                assert_eq!((before, last), (vec![stack; 7], vec![stack]), "{which}");
            }
        }
    }

    #[test]
    fn a_report_ends_a_stack_after_the_images_on_their_way() {
        let mut stacks = Stacks::new(Duration::from_secs(1), None);
        let report = |stacks: &mut Stacks, at, acquired| {
            stacks.complete(Completed { at: time(at), acquired });
        };
        let images = |first: u64, last: u64| (first..=last).map(|it| (it, 0)).collect::<Vec<_>>();
        // The program came in the middle of the first stack.
        report(&mut stacks, 2, 0);
        assert_eq!(counted(&mut stacks, &images(1, 4)), [1, 1, 2, 2]);
        // One image comes after the report, and one report after the next stack has begun.
        report(&mut stacks, 5, 4);
        assert_eq!(counted(&mut stacks, &images(5, 8)), [2, 2, 3, 3]);
        report(&mut stacks, 11, 4);
        assert_eq!(counted(&mut stacks, &images(9, 13)), [3, 3, 3, 4, 4]);
        // The first image of a stack was dropped.
        report(&mut stacks, 15, 5);
        report(&mut stacks, 19, 4);
        assert_eq!(counted(&mut stacks, &images(14, 16)), [4, 4, 4]);
        assert_eq!(counted(&mut stacks, &[(18, 0), (19, 0), (20, 0), (21, 0)]), [5, 5, 5, 6]);
    }
}
