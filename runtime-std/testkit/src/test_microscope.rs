//! A typed microscope for tests: connected to the simulator, or to a scripted peer.

use std::time::Duration;

use flamingo_microscope::workflow::Workflow;
use flamingo_microscope::{Microscope, Patience};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::{Client, Options};
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions};
use smol::future;

use crate::peer::{Peer, answer_to, connected};

/// Limits in the form of a real instrument, with other numbers.
pub const SETTINGS: &str = "<Stage limits>\n  Soft limit max x-axis = 12.000\n  \
    Soft limit max y-axis = 25.000\n  Soft limit max z-axis = 26.000\n  \
    Soft limit max r-axis = 720.000\n  Soft limit min x-axis = 1.000\n  \
    Soft limit min y-axis = 5.000\n  Soft limit min z-axis = 12.500\n  \
    Soft limit min r-axis = -720.000\n  Home x-axis = 7.500\n</Stage limits>\n";

/// Short enough for a test, long enough for a slow machine.
pub fn patience() -> Patience {
    Patience::default()
        .stop_grace(Duration::from_millis(100))
        .motion_silence(Duration::from_millis(200))
        .workflow_start(Duration::from_millis(500))
        .workflow_silence(Duration::from_millis(300))
}

pub async fn simulator(scenario: &str) -> Simulator {
    let scenario = Scenario::from_toml(scenario).unwrap();
    Simulator::start(SimulatorOptions::new(scenario)).await.unwrap()
}

pub async fn microscope(simulator: &Simulator) -> Microscope {
    Microscope::connect(Options::new(simulator.control().to_string())).await.unwrap()
}

/// A second client of the same instrument.
pub async fn client(simulator: &Simulator) -> Client {
    Client::connect(Options::new(simulator.control().to_string())).await.unwrap()
}

/// A microscope with the settings loaded, and the scripted peer that is its instrument.
pub async fn microscope_and_peer(tune: impl FnOnce(&mut Options)) -> (Microscope, Peer) {
    microscope_and_peer_with(SETTINGS, patience(), tune).await
}

pub async fn microscope_and_peer_with(
    settings: &str,
    patience: Patience,
    tune: impl FnOnce(&mut Options),
) -> (Microscope, Peer) {
    let (client, mut peer) = connected(tune).await;
    let microscope = Microscope::over(client, patience);
    let part = microscope.settings();
    let (loaded, ()) = future::zip(part.load(), async {
        let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
        answer_with(&mut peer, &query, settings.as_bytes()).await;
    })
    .await;
    loaded.unwrap();
    (microscope, peer)
}

/// Answers a query with a payload.
pub async fn answer_with(peer: &mut Peer, query: &Frame, payload: &[u8]) {
    let mut answer = answer_to(query, 0.0);
    answer.payload_len = u32::try_from(payload.len()).unwrap();
    peer.write_bytes(&[&answer.encode()[..], payload].concat()).await;
}

/// Three stacks of ten planes, one for each laser, within the limits of [`SETTINGS`] and of the simulator.
pub const WORKFLOW: &str = include_str!("workflow.txt");

/// [`WORKFLOW`] with so many stacks, 1 to 3, of so many planes.
pub fn workflow(stacks: u32, planes: u32) -> Workflow {
    let off = |text: String, laser: &str| {
        text.replace(&format!("{laser} nm MLE = 4.50 1"), &format!("{laser} nm MLE = 4.50 0"))
    };
    let unused = ["561", "405"].iter().skip(stacks as usize - 1);
    let depth = f64::from(planes - 1) * 0.005;
    let text = unused
        .fold(WORKFLOW.to_owned(), |text, laser| off(text, laser))
        .replace("Number of planes = 10", &format!("Number of planes = {planes}"))
        .replace("0.045", &format!("{depth:.3}"))
        .replace("19.045", &format!("{:.3}", 19.0 + depth));
    Workflow::parse(text.as_bytes()).unwrap()
}
