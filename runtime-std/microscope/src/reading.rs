//! A value that the instrument reported, together with the answer that carried it.

use flamingo_runtime_std::Answer;

/// A value that was asked for, and the answer that carried it.
///
/// ```
/// # use flamingo_microscope::{Axis, Microscope};
/// # use flamingo_runtime_std::Options;
/// # use flamingo_simulator::{Simulator, SimulatorOptions};
/// # smol::block_on(async {
/// # let simulator = Simulator::start(SimulatorOptions::default()).await?;
/// # let microscope = Microscope::connect(Options::new(simulator.control().to_string())).await?;
/// let x = microscope.stage().position(Axis::X).await?;
/// println!("{} at {:?}", x.value, x.answer.at);
/// assert!(x.answer.proven, "no push can look like this answer");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Reading<T> {
    /// The value, with its unit.
    pub value: T,
    /// The answer: its frame and payload, when it arrived, and whether it is proven.
    pub answer: Answer,
}
