//! The lease of kube-controller-manager, which signs Secret-based tokens, creates the service
//! account of a new namespace, and gives it kube-root-ca.crt.

use serde::{Deserialize, Serialize};

use crate::base::time::{Delta, Reading, Wall};

/// Lifetimes of the lease without a renewal from which nobody holds it. After one, another instance
/// takes it over, and needs some seconds for that.
const SILENT_LIVES: i64 = 3;
/// The default of leaseDurationSeconds (component-base, LeaderElectionConfiguration). The holder
/// renews the lease every 2 s. A released lease has a duration of 1 s, and the next holder takes it
/// as fast as any other.
const LIFE: Delta = Delta::from_secs(15);

/// The lease, as the API server has it (coordination.k8s.io/v1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseSeen {
    /// Who holds it (`spec.holderIdentity`); none if it was released.
    pub holder: Option<String>,
    /// When the holder last renewed it, by its own clock (`spec.renewTime`).
    pub renewed: Option<Wall>,
    /// How long it is valid after a renewal (`spec.leaseDurationSeconds`).
    pub duration: Option<Delta>,
}

/// What the answers of the API server show of the lease. As client-go does, it counts how long the
/// agent has seen no renewal: the clock of the holder does not matter.
#[derive(Clone, Debug, Default)]
pub struct Controller {
    last: Option<Seen>,
    /// Whether the last answer had another renewal than the one before.
    is_renewed: bool,
}

#[derive(Clone, Debug)]
struct Seen {
    lease: LeaseSeen,
    /// The first answer with this renewal.
    first: Reading,
    /// The last answer.
    last: Reading,
}

/// A lease that nobody renews.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilentController {
    /// Who held it last.
    pub holder: Option<String>,
    /// When it was last renewed, by the clock of the holder.
    pub renewed: Option<Wall>,
    /// For how long the agent has seen no renewal.
    pub age: Delta,
}

impl Controller {
    /// Takes an answer; none: there is no such lease, or it is not known any more.
    pub(crate) fn see(&mut self, lease: Option<LeaseSeen>, now: &Reading) {
        let before = self.last.take();
        let renewals = before.as_ref().zip(lease.as_ref());
        self.is_renewed = renewals.is_some_and(|(before, lease)| before.lease != *lease);
        self.last = lease.map(|lease| {
            let same = before.filter(|before| before.lease == lease);
            let first = same.map_or(*now, |before| before.first);
            Seen { lease, first, last: *now }
        });
    }

    /// The lease, if nobody renews it. It stays so until an answer shows a renewal.
    pub fn silent(&self) -> Option<SilentController> {
        let Seen { lease, first, last } = self.last.as_ref()?;
        let age = last.monotonic - first.monotonic;
        let LeaseSeen { holder, renewed, duration } = lease.clone();
        let life = duration.unwrap_or(LIFE).max(LIFE);
        let is_silent = age.as_secs() >= SILENT_LIVES * life.as_secs();
        is_silent.then_some(SilentController { holder, renewed, age })
    }

    /// Whether the last answer showed a renewal.
    pub fn is_renewed(&self) -> bool {
        self.is_renewed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Monotonic;

    fn at(secs: i64) -> Reading {
        let monotonic = Monotonic::from_nanos(secs * 1_000_000_000);
        Reading { wall: Wall::from_secs(1_800_000_000 + secs), monotonic }
    }

    fn lease(secs: i64) -> LeaseSeen {
        let renewed = Some(Wall::from_secs(1_800_000_000 + secs));
        LeaseSeen { holder: Some("cp-1".into()), renewed, duration: Some(LIFE) }
    }

    #[test]
    fn only_a_lease_that_stays_the_same_is_silent() {
        let renewed = |secs| Some(lease(secs));
        let after = |answers: &[(i64, Option<LeaseSeen>)]| {
            let mut controller = Controller::default();
            for (secs, lease) in answers {
                controller.see(lease.clone(), &at(*secs));
            }
            controller.silent().map(|silent| silent.age.as_secs())
        };
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[(300, renewed(0))]), None, "the clock of its holder does not matter");
        assert_eq!(after(&[(0, renewed(0)), (44, renewed(0))]), None);
        assert_eq!(after(&[(0, renewed(0)), (45, renewed(0))]), Some(45));
        assert_eq!(after(&[(0, renewed(0)), (300, renewed(298))]), None);
        let back = [(0, renewed(0)), (60, renewed(0)), (120, renewed(119))];
        assert_eq!(after(&back), None);
        assert_eq!(after(&[(0, renewed(0)), (60, renewed(0)), (120, None)]), None, "not known");
        let longer = |secs| Some(LeaseSeen { duration: Some(Delta::from_secs(60)), ..lease(secs) });
        assert_eq!(after(&[(0, longer(0)), (90, longer(0))]), None, "a failover takes so long");
        assert_eq!(after(&[(0, longer(0)), (180, longer(0))]), Some(180));
        let duration = Some(Delta::from_secs(1));
        let released = Some(LeaseSeen { holder: None, renewed: None, duration });
        assert_eq!(after(&[(0, released.clone()), (90, released)]), Some(90));
    }
}
