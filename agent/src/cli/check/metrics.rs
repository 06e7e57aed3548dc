//! kubelet's part in a check: two looks at its metrics, where a token is not renewed and nothing
//! names the cause.

use std::time::Duration;

use tokenwatch_core::base::time::Reading;
use tokenwatch_core::engine::Engine;
use tokenwatch_core::world::observation::Observation;

use crate::clocks;
use crate::sources::kubelet_metrics::Once;

/// Time between the two looks: kubelet renews its lease every 10 s, and requests more meanwhile.
const BETWEEN: Duration = Duration::from_secs(15);

/// Steps the engine with what kubelet shows. Returns the time of the last step, and what could not
/// be read.
pub(super) async fn look(
    kubelet: Option<Once>,
    engine: &mut Engine,
    at: Reading,
) -> (Reading, Option<String>) {
    let Some(kubelet) = kubelet else { return (at, None) };
    drop(engine.step(&at, Observation::Tick));
    if !engine.is_cause_open() {
        return (at, None);
    }
    let mut trouble = step(&kubelet, engine).await;
    if trouble.is_none() {
        tokio::time::sleep(BETWEEN).await;
        trouble = step(&kubelet, engine).await;
    }
    (clocks::now(), trouble)
}

async fn step(kubelet: &Once, engine: &mut Engine) -> Option<String> {
    let (seen, trouble) = kubelet.look().await;
    if let Some(seen) = seen {
        drop(engine.step(&clocks::now(), seen));
    }
    trouble
}
