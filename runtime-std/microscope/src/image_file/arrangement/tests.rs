//! Stages that step and jitter, tiles, stacks, and positions that are not known.

use super::*;
use crate::units::Degrees;

fn pose(x: f64, z: f64) -> Pose {
    Pose { x: Mm(x), y: Mm(15.0), z: Mm(z), r: Degrees(0.0) }
}

fn shot(pose: Pose) -> Shot {
    Shot { pose: Some(pose), ..Shot::of_channel(0) }
}

fn in_stack(pose: Option<Pose>, number: u64, stack: u64) -> Shot {
    Shot { pose, channel: 0, number: Some(number), stack: Some(stack) }
}

fn arranged(shots: &[Shot]) -> (Vec<(usize, usize, usize)>, Vec<Tile>) {
    let found = Arrangement::of(Sequence::Positions, shots, None);
    (found.places.iter().map(|place| (place.tile, place.z, place.t)).collect(), found.tiles)
}

fn step_um(tile: &Tile) -> f64 {
    (tile.step.expect("a step").0 * 1e6).round() / 1e3
}

#[test]
fn a_stage_that_steps_and_jitters_gives_a_plane_for_each_step() {
    // Three images at each of five levels, 2.5 µm apart; the stage jitters by up to 0.3 µm.
    let jitter = [0.0, 0.000_3, -0.000_15, 0.000_05, -0.000_3, 0.000_2, 0.000_1];
    let shots: Vec<_> = (0..15_u32)
        .map(|at| shot(pose(7.0, 19.0 + 0.0025 * f64::from(at / 3) + jitter[at as usize % 7])))
        .collect();
    let (places, tiles) = arranged(&shots);
    let expected: Vec<_> = (0..15).map(|at| (0, at / 3, at % 3)).collect();
    assert_eq!(places, expected);
    assert_eq!((tiles[0].size_z, tiles[0].size_t), (5, 3));
    assert!((step_um(&tiles[0]) - 2.5).abs() < 0.1, "{tiles:?}");
}

#[test]
fn planes_that_are_missing_keep_their_places() {
    let shots: Vec<_> =
        [0, 1, 2, 3, 4, 5, 12, 13].map(|z| shot(pose(7.0, 19.0 + 0.0005 * f64::from(z)))).into();
    let (places, tiles) = arranged(&shots);
    let z: Vec<_> = places.iter().map(|place| place.1).collect();
    assert_eq!(z, [0, 1, 2, 3, 4, 5, 12, 13]);
    assert_eq!(step_um(&tiles[0]).to_string(), "0.5");
}

#[test]
fn images_on_the_way_to_the_next_level_add_no_plane() {
    let z = [19.0, 19.0, 19.0, 19.003, 19.01, 19.01, 19.01, 19.017, 19.02, 19.02, 19.02];
    let (places, tiles) = arranged(&z.map(|z| shot(pose(7.0, z))));
    let z: Vec<_> = places.iter().map(|place| place.1).collect();
    assert_eq!(z, [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2]);
    assert_eq!(step_um(&tiles[0]).to_string(), "10");
}

#[test]
fn a_plane_with_one_image_counts_where_it_is_on_the_grid() {
    for z in [[19.0, 19.0, 19.005, 19.01, 19.01], [19.0, 19.005, 19.005, 19.005, 19.01]] {
        let (places, tiles) = arranged(&z.map(|z| shot(pose(7.0, z))));
        assert_eq!((places[4].1, tiles[0].size_z), (2, 3), "{z:?}");
        assert_eq!(step_um(&tiles[0]).to_string(), "5");
    }
}

#[test]
fn positions_that_are_not_even_have_planes_but_no_step() {
    let (places, tiles) = arranged(&[19.0, 19.1, 19.13, 19.9].map(|z| shot(pose(7.0, z))));
    assert_eq!(places.iter().map(|place| place.1).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(tiles[0].step, None);
}

#[test]
fn x_and_y_decide_the_tile_and_small_moves_do_not() {
    let x = [7.0, 7.004, 7.4, 7.403, 7.001, 7.8];
    let (places, tiles) = arranged(&x.map(|x| shot(pose(x, 19.0))));
    assert_eq!(places.iter().map(|place| place.0).collect::<Vec<_>>(), [0, 0, 1, 1, 0, 2]);
    assert_eq!(tiles.len(), 3);
    let found =
        Arrangement::of(Sequence::Positions, &x.map(|x| shot(pose(x, 19.0))), Some([2.0, 2.0]));
    let wide: Vec<_> = found.places.iter().map(|place| place.tile).collect();
    assert_eq!(wide, [0, 0, 0, 0, 0, 1], "a quarter of the field of view is 0.5 mm");
}

#[test]
fn each_stack_of_a_tile_is_a_point_in_time() {
    let stack = |stack, x| {
        (0..3_u32)
            .map(move |z| in_stack(Some(pose(x, 19.0 + 0.005 * f64::from(z))), u64::from(z), stack))
    };
    let shots: Vec<_> = stack(1, 7.0).chain(stack(2, 7.4)).chain(stack(3, 7.0)).collect();
    let (places, tiles) = arranged(&shots);
    assert_eq!(places[3..6], [(1, 0, 0), (1, 1, 0), (1, 2, 0)]);
    assert_eq!(places[6..], [(0, 0, 1), (0, 1, 1), (0, 2, 1)]);
    let sizes: Vec<_> = tiles.iter().map(|tile| (tile.size_z, tile.size_t)).collect();
    assert_eq!(sizes, [(3, 2), (3, 1)]);
}

#[test]
fn a_sweep_with_late_positions_keeps_the_order_of_its_planes() {
    // The stage sweeps down; its position is known at every third image only, and one was dropped.
    let numbers = [1, 2, 3, 4, 6, 7, 8, 9, 10];
    let shots: Vec<_> = numbers
        .map(|number: u32| {
            let known = f64::from((number - 1) / 3 * 3);
            in_stack(Some(pose(7.0, 19.0 - 0.005 * known)), number.into(), 1)
        })
        .into();
    let (places, tiles) = arranged(&shots);
    let z: Vec<_> = places.iter().map(|place| place.1).collect();
    assert_eq!(z, [9, 8, 7, 6, 4, 3, 2, 1, 0], "the index grows with Z");
    assert!((step_um(&tiles[0]) - 5.0).abs() < 0.7, "{tiles:?}");
}

#[test]
fn a_position_of_the_stack_before_makes_no_tile() {
    // The first image of the second stack has the X of the first one.
    let x = [7.0, 7.0, 7.0, 7.4, 7.4];
    let shots = (1_u32..).zip(x).map(|(number, x)| {
        let at = pose(x, 19.0 + 0.005 * f64::from(number));
        in_stack(Some(at), number.into(), if number < 3 { 1 } else { 2 })
    });
    let (places, _) = arranged(&shots.collect::<Vec<_>>());
    let tiles: Vec<_> = places.iter().map(|place| place.0).collect();
    assert_eq!(tiles, [0, 0, 1, 1, 1]);
}

#[test]
fn a_stack_without_positions_is_a_sequence_of_planes() {
    let shots: Vec<_> = (1..=4).map(|number| in_stack(None, number, 1)).collect();
    let (places, tiles) = arranged(&shots);
    assert_eq!(places, [(0, 0, 0), (0, 1, 0), (0, 2, 0), (0, 3, 0)]);
    assert_eq!(tiles[0].step, None);
}

#[test]
fn images_without_positions_and_stacks_are_a_movie() {
    let (places, _) = arranged(&[Shot::of_channel(0), Shot::of_channel(1), Shot::of_channel(0)]);
    assert_eq!(places, [(0, 0, 0), (0, 0, 0), (0, 0, 1)]);
}

#[test]
fn many_tiles_are_arranged_in_linear_time() {
    // With time that grows with the square this would take minutes.
    let shots: Vec<_> = (0..200_000_u32).map(|at| shot(pose(f64::from(at), 19.0))).collect();
    assert_eq!(arranged(&shots).1.len(), 200_000);
}

#[test]
fn no_position_makes_the_arrangement_fail() {
    let odd = [f64::NAN, f64::INFINITY, -f64::INFINITY, 1e300, -1e300, 0.0, 5e-324, f64::MAX];
    let shots: Vec<_> = odd.iter().flat_map(|x| odd.iter().map(|z| shot(pose(*x, *z)))).collect();
    let (places, tiles) = arranged(&shots);
    assert_eq!(places.len(), shots.len());
    assert!(tiles.iter().all(|tile| tile.size_z <= 4 * shots.len() + 1), "{tiles:?}");
}
