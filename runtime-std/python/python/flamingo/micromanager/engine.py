"""An engine for acquisitions that knows the size of the images before the first one. Programs that store images ask the
core for it when an acquisition begins; images of another size are lost, because the sink refuses them at its end only."""

from __future__ import annotations

from pymmcore_plus.experimental.unicore import UniMMCore
from pymmcore_plus.mda import MDAEngine
from pymmcore_plus.metadata import SummaryMetaV1
from useq import MDASequence

from flamingo.micromanager.camera import FlamingoCamera


class FlamingoEngine(MDAEngine):
    """The engine of pymmcore-plus, and the size of the images."""

    def __init__(self, core: UniMMCore, camera: FlamingoCamera) -> None:
        super().__init__(core)
        self._camera = camera

    def setup_sequence(self, sequence: MDASequence) -> SummaryMetaV1 | None:
        """Prepares an acquisition. If the size of the images is not known, one image is taken without light."""
        if self.mmcore.getCameraDevice() == self._camera.get_label() != "":
            if self.mmcore.isSequenceRunning():
                self.mmcore.stopSequenceAcquisition()
            with self._camera as camera:
                camera.keep_shape()
        return super().setup_sequence(sequence)

    def teardown_sequence(self, sequence: MDASequence) -> None:
        """Ends an acquisition."""
        self._camera.let_shape_change()
        super().teardown_sequence(sequence)


def use_engine(core: UniMMCore, camera: FlamingoCamera) -> None:
    """Gives the core this engine, unless it has one that is neither this nor that of pymmcore-plus."""
    engine = core.mda.engine
    if type(engine) not in (MDAEngine, FlamingoEngine):
        return
    own = FlamingoEngine(core, camera)
    if engine is not None:
        own.use_hardware_sequencing = engine.use_hardware_sequencing
    core.register_mda_engine(own)
