//! Shared by the tests of the commands: a fixed moment, and tokens of known ages.

use tokenwatch_core::base::time::{Delta, Monotonic, Reading, Wall};
use tokenwatch_core::world::clocks::{KernelClock, Leap, Limits, Round};
use tokenwatch_core::world::tokens::{Binding, Claims, ObjectRef, SigningKey};

use super::clock::{ClockReport, KernelError};

pub(super) use crate::golden::golden;

/// 2026-11-24T15:00:00Z.
const NOW: i64 = 1_795_532_400;

pub(super) fn now() -> Reading {
    Reading { wall: Wall::from_secs(NOW), monotonic: Monotonic::from_nanos(86_400_000_000_000) }
}

/// The kernel's clock at that moment, with an error of at most 2 ms.
pub(super) fn kernel() -> KernelClock {
    let synchronised = (Delta::from_millis(2), Delta::from_millis(1));
    KernelClock {
        synchronised: true,
        max_error: synchronised.0,
        estimated_error: synchronised.1,
        leap: Leap::None,
        steering_ppm: 0,
        taken: now(),
    }
}

pub(super) fn no_servers() -> Round {
    Round { started: now(), ended: now(), exchanges: Vec::new(), voters: Vec::new() }
}

/// The clock by that kernel alone, or by no source at all.
pub(super) fn clock(kernel: Result<KernelClock, KernelError>) -> ClockReport {
    ClockReport::new(&no_servers(), kernel, &Limits::default(), now())
}

/// Claims of the pod `name`, issued `age` seconds before that moment.
pub(super) fn claims(name: &str, age: i64, lifetime: i64, warn_after: Option<i64>) -> Claims {
    let issued = NOW - age;
    Claims {
        issuer: "https://kubernetes.default.svc".into(),
        subject: "system:serviceaccount:shop:cart".into(),
        audiences: vec!["https://kubernetes.default.svc".into()],
        issued_at: Wall::from_secs(issued),
        not_before: Wall::from_secs(issued),
        expires_at: Wall::from_secs(issued + lifetime),
        warn_after: warn_after.map(|secs| Wall::from_secs(issued + secs)),
        credential: Some("0123456789abcdef0123456789abcdef".into()),
        binding: Binding {
            namespace: "shop".into(),
            service_account: ObjectRef { name: "cart".into(), uid: Some("sa-uid".into()) },
            pod: Some(ObjectRef { name: name.into(), uid: Some(format!("uid-{name}")) }),
            secret: None,
            node: Some(ObjectRef { name: "node-1".into(), uid: None }),
        },
        key: SigningKey { id: Some("key-1".into()), is_external: false },
    }
}
