//! The API server's clock: the `Date` of each answer that other sources request anyway.

use std::sync::Arc;

use tokenwatch_core::world::observation::Observation;
use tokio::sync::mpsc::Sender;

use crate::kubernetes::ApiClient;

/// Shows what the answers to this client tell of the API server's clock, until the receiver is
/// dropped. While the engine is busy, some are left out: the next ones tell the same.
pub fn show(client: &ApiClient, observations: &Sender<Observation>) {
    let observations = observations.downgrade();
    client.show_dates(Arc::new(move |seen| {
        if let Some(observations) = observations.upgrade() {
            let _ = observations.try_send(Observation::ApiServerDate(seen));
        }
    }));
}
