//! Sends observations to the engine.

use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

/// Sends them in order. False: the receiver was dropped.
pub(super) async fn send_all(
    to: &Sender<Observation>,
    observations: impl IntoIterator<Item = Observation>,
) -> bool {
    for observation in observations {
        if to.send(observation).await.is_err() {
            return false;
        }
    }
    true
}
