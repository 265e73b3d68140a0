"""The devices of the blocking API, against the simulator."""

from __future__ import annotations

from collections.abc import Callable

import numpy
import pytest

import flamingo
from conftest import QUICK

WORKFLOW = """<Workflow Settings>
<Stack Settings>
Number of planes = 5
</Stack Settings>
<Start Position>
X (mm) = 7.5
Y (mm) = 15
Z (mm) = 19
Angle (degrees) = 0
</Start Position>
</Workflow Settings>
"""


def test_a_move_ends_at_its_targets(microscope: flamingo.Microscope) -> None:
    arrivals = microscope.stage.move(x=6.5, z=20.0, r=-12.5)
    assert [arrival.axis for arrival in arrivals] == ["x", "z", "r"]
    pose = microscope.stage.pose()
    assert (pose.x, pose.y, pose.z, pose.r) == (6.5, 15.0, 20.0, -12.5)
    assert microscope.stage.position(3) == microscope.stage.position("z") == 20.0


def test_the_end_of_a_short_motion_is_not_missed() -> None:
    # The end comes before the acknowledgement.
    scenario = "[latency]\nmove_ack_ms = 60\n[stage]\nspeed_factor = 1000\n"
    with flamingo.simulator(scenario) as sim, flamingo.connect(sim.address, settle=0) as microscope:
        for target in (7.501, 7.5, 7.502):
            microscope.stage.move(x=target, timeout=5)
            assert microscope.stage.position("x") == target


def test_a_target_beyond_the_limits_is_never_sent(sim: flamingo.Simulator, microscope: flamingo.Microscope) -> None:
    limits = microscope.stage.limits("y")
    assert (limits.min, limits.max, limits.unknown) == (5.0, 25.0, None)
    before = len(sim.received())
    with pytest.raises(flamingo.Limits, match="expected at most 25 mm") as refused:
        microscope.stage.move(x=7.0, y=25.1)
    assert isinstance(refused.value, ValueError)
    assert refused.value.exit_code == 2
    with pytest.raises(flamingo.InvalidValue):
        microscope.stage.move()
    with pytest.raises(flamingo.InvalidValue):
        microscope.stage.position("q")
    assert len(sim.received()) == before


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (lambda it: it.camera.set_exposure(-5), "exposure in us: expected 0 to 4294967295, found -5"),
        (lambda it: it.camera.set_left_edge(-1), "left edge: expected 0 to"),
        (lambda it: it.camera.set_top_edge(1 << 40), "top edge: expected 0 to"),
        (lambda it: it.led.set("red", 70000), "brightness: expected 0 to 65535, found 70000"),
        (lambda it: it.request(-1), "code: expected 0 to 4294967295, found -1"),
        (lambda it: it.request("STAGE_POSITON_GET"), "expected a name such as"),
        (lambda it: it.stage.set_velocity("x", -1), "above 0, found -1 mm/s; nothing was sent"),
    ],
)
def test_a_number_out_of_range_is_not_sent(
    sim: flamingo.Simulator,
    microscope: flamingo.Microscope,
    wrong: Callable[[flamingo.Microscope], object],
    expected: str,
) -> None:
    before = len(sim.received())
    with pytest.raises(ValueError, match=expected):
        wrong(microscope)
    assert len(sim.received()) == before


def test_a_handler_that_cannot_be_called_is_refused(microscope: flamingo.Microscope) -> None:
    with pytest.raises(TypeError, match="expected a function of one argument, found None"):
        microscope.on("STAGE_MOTION_STOPPED", None)  # type: ignore[arg-type]


def test_a_scenario_that_is_no_file_is_named() -> None:
    with pytest.raises(flamingo.InvalidValue, match="found 'absent.toml': No such file"):
        flamingo.simulator("absent.toml")


def test_a_halt_ends_a_motion(microscope: flamingo.Microscope) -> None:
    microscope.stage.set_velocity("y", 0.01)
    motion = microscope.stage.start_move(y=25.0)
    assert (motion.axes, motion.targets) == (["y"], [25.0])
    with pytest.raises(flamingo.Timeout) as still_moving:
        motion.wait(timeout=0.05)
    assert isinstance(still_moving.value, TimeoutError)
    microscope.stage.halt("y")
    with pytest.raises(flamingo.Halted) as halted:
        motion.wait()
    assert halted.value.axis == "y"
    assert microscope.stage.position("y") < 25.0


def test_a_move_that_takes_too_long_is_halted(microscope: flamingo.Microscope) -> None:
    microscope.stage.set_velocity("y", 0.01)
    with pytest.raises(flamingo.Timeout):
        microscope.stage.move(y=25.0, timeout=0.1)
    stands_at = microscope.stage.position("y")
    assert stands_at < 25.0
    assert microscope.stage.position("y") == stands_at


def test_homing_ends_at_home(microscope: flamingo.Microscope) -> None:
    microscope.stage.move(x=6.0)
    microscope.stage.home("x", timeout=20)
    assert microscope.stage.position("x") == microscope.settings.get().home("x") == 7.5


def test_camera_light_and_wheel_keep_what_was_set(microscope: flamingo.Microscope) -> None:
    microscope.camera.set_exposure(12_000)
    assert microscope.camera.exposure() == 12_000
    microscope.camera.set_left_edge(2)
    assert microscope.camera.left_edge() == 2
    microscope.camera.set_top_edge(3)
    assert microscope.camera.top_edge() == 3
    assert microscope.camera.image_size() is None
    assert microscope.camera.field_of_view() is None
    assert microscope.camera.pixel_size() == 0.000253
    microscope.lasers.set_level(2, 11.49)
    assert microscope.lasers.level(2) == 11.49
    microscope.lasers.enable_preview(2)
    microscope.lasers.disable_all()
    microscope.led.select("white")
    microscope.led.set("White", 40_000)
    microscope.led.enable_preview()
    microscope.led.disable_preview()
    microscope.filter_wheel.set_position(3)
    assert microscope.filter_wheel.position() == 3
    microscope.illumination.set_left(True)
    microscope.illumination.set_right(False)
    assert microscope.state() == "IDLE"


def test_bad_values_are_named(microscope: flamingo.Microscope) -> None:
    with pytest.raises(flamingo.Limits, match="0 to 100 %"):
        microscope.lasers.set_level(1, 101)
    with pytest.raises(flamingo.InvalidValue, match="laser: expected 1 to 4, found 5"):
        microscope.lasers.enable(5)
    with pytest.raises(flamingo.InvalidValue, match="'red', 'green', 'blue' or 'white', found \"pink\""):
        microscope.led.set("pink", 1)
    with pytest.raises(flamingo.Limits):
        microscope.camera.set_exposure(0)


def test_settings_are_loaded_and_saved(microscope: flamingo.Microscope) -> None:
    text = microscope.settings.load_text()
    settings = microscope.settings.load()
    assert settings.filters[0] == (1, "open")
    assert (settings.filter_for_laser(2), settings.filter_for_led()) == (2, 0)
    assert settings.led_brightness("Red") == 41_000
    with pytest.raises(flamingo.InvalidValue, match="'violet'|\"violet\""):
        settings.led_brightness("violet")
    microscope.settings.save(text)
    with pytest.raises(flamingo.SettingsInvalid, match="line 2"):
        microscope.settings.save(b"<Stage limits>\nSoft limit max x-axis = far\n</Stage limits>\n")
    assert microscope.settings.load_text() == text
    assert microscope.storage.drives() == ["/media/data/ssd1", "/media/data/ssd2"]


def test_a_workflow_is_followed_to_its_end(microscope: flamingo.Microscope) -> None:
    assert microscope.workflows.check(WORKFLOW).accepted
    run = microscope.workflows.start(WORKFLOW)
    with pytest.raises(flamingo.Busy):
        microscope.snap()
    kinds = [event.kind for event in run]
    assert kinds[0] == "started" and "stack" in kinds and kinds[-1] == "images_saved"
    summary = run.wait()
    assert (summary.stacks, summary.images, summary.saved, summary.aborted) == (1, 5, True, False)


def test_a_workflow_beyond_the_limits_is_refused(microscope: flamingo.Microscope) -> None:
    with pytest.raises(flamingo.WorkflowInvalid) as refused:
        microscope.workflows.start(WORKFLOW.replace("X (mm) = 7.5", "X (mm) = 99"))
    assert "12.31" in refused.value.findings[0]


def test_live_images_are_arrays_of_the_right_shape(microscope: flamingo.Microscope) -> None:
    with microscope.live(every=True) as images:
        numbers = [image.number for image, _ in zip(images, range(3))]
        assert microscope.state() == "LIVE_VIEW"
        image = images.next(timeout=5)
    assert numbers == [1, 2, 3]
    assert image is not None
    assert (image.width, image.height, image.camera) == (64, 32, 0)
    assert image.pixels.shape == (32, 64)
    assert image.pixels.dtype == numpy.uint16
    assert microscope.state() == "IDLE"


def test_an_array_shares_the_memory_of_its_image(microscope: flamingo.Microscope) -> None:
    image = microscope.snap()
    first, second = image.pixels, numpy.asarray(image)
    assert numpy.shares_memory(first, second)
    assert first.__array_interface__["data"][0] == image.__array_interface__["data"][0]
    assert not first.flags.writeable
    # The array keeps the image, and its memory is not used again.
    before = first.copy()
    del image, second
    with microscope.live() as images:
        for _ in zip(images, range(8)):
            pass
    assert numpy.array_equal(first, before)


def test_a_snapshot_listens_before_it_asks() -> None:
    with flamingo.simulator(QUICK) as sim, flamingo.connect(sim.address, settle=0) as microscope:
        for _ in range(5):
            assert microscope.snap(timeout=5).pixels.max() > 1000


def test_a_bridge_serves_a_client(sim: flamingo.Simulator) -> None:
    with flamingo.bridge(sim.address) as bridge:
        bridge.wait_until_connected()
        with flamingo.connect(bridge.address, settle=0) as microscope:
            microscope.stage.move(x=7.0)
            assert microscope.snap().pixels.shape == (32, 64)
            assert bridge.status()["upstream"]["connected"]
        assert bridge.live_address is not None and bridge.status_address is None
    assert bridge.status() == {}
    with pytest.raises(flamingo.InvalidValue, match="upstream.adress"):
        flamingo.bridge(settings="[upstream]\nadress = 'x'\n")
