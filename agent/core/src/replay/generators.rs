//! Observations of every kind, with few names, so that some are equal.

mod metrics;
mod refusals;
mod unwatched;

use core::net::IpAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::error_text::error_text;
use crate::base::time::{Delta, Monotonic, Reading, Wall};
use crate::engine::Config;
use crate::world::clocks::{
    DateSeen, Exchange, ExchangeError, KernelClock, Leap, Round, Sample, ServerName, Step,
};
use crate::world::cluster::{
    AccountName, AccountSeen, ClusterSeen, Container, Convention, Isolation, LeaseSeen,
    MountedPart, Owner, Phase, Pod, Sandbox, TokenMount,
};
use crate::world::copies::{CopiedToken, CopiesSeen, CopyKind, CopyServer, Mention, Plugin};
use crate::world::keys::{KeySet, KeysAnswer, KeysSeen};
use crate::world::kubelet::errors::{ErrorCause, ErrorPod, ErrorScope, ErrorSource, KubeletError};
use crate::world::kubelet::{SyncsSeen, VolumeSync};
use crate::world::observation::{
    Absence, Again, DeliveryState, FileContent, FileSeen, Observation, SourceState, Standstill,
};
use crate::world::privileges::{Level, Privileges};
use crate::world::readers::{
    Connected, ContainersSeen, Habit, HabitKey, KnownHabit, MountKind, Opener, ReaderEvent,
    ReadersSeen, RunningContainer, SeenMount,
};
use crate::world::tokens::{
    Binding, Claims, LegacyClaims, LegacyToken, ObjectRef, Signature, SignatureResult, SigningKey,
    TokenKey, Unsupported,
};

use refusals::{pods_at, server_log};

pub(super) const START: i64 = 1_800_000_000;

/// One list for what is generated and for what is counted: a kind of observation that is missing
/// here does not compile.
macro_rules! every_observation {
    ($($weight:literal $variant:ident => $strategy:expr;)*) => {
        /// The names of all kinds.
        pub(super) const KINDS: &[&str] = &[$(stringify!($variant)),*];

        /// The name of an observation's kind.
        pub(super) fn kind(observation: &Observation) -> &'static str {
            match observation { $(Observation::$variant { .. } => stringify!($variant)),* }
        }

        /// Any observation, made at about `now`.
        pub(super) fn observation(now: Reading) -> impl Strategy<Value = Observation> {
            prop_oneof![$($weight => $strategy(now)),*]
        }
    };
}

every_observation! {
    6 File => |_| file().prop_map(Observation::File);
    1 Gone => |_| key().prop_map(Observation::Gone);
    1 LeftOut => |_| key().prop_map(Observation::LeftOut);
    1 WithoutTokens => |_| vec(name("uid"), 0..3).prop_map(Observation::WithoutTokens);
    1 Legacy => |_| vec(legacy(), 0..3).prop_map(Observation::Legacy);
    1 Blind => |_| vec(unwatched::blind_spot(), 0..3).prop_map(Observation::Blind);
    1 Unwatched => |_| unwatched::unwatched().prop_map(Observation::Unwatched);
    1 Source => |_| source().prop_map(Observation::Source);
    1 Standstill => |now| standstill(now).prop_map(Observation::Standstill);
    2 NtpRound => |now| round(now).prop_map(Observation::NtpRound);
    1 Kernel => |now| kernel(now).prop_map(Observation::Kernel);
    1 ApiServerDate => |now| date(now).prop_map(Observation::ApiServerDate);
    1 ClockStep => |now| step(now).prop_map(Observation::ClockStep);
    2 Cluster => |_| cluster().prop_map(Observation::Cluster);
    1 ServiceAccount => |_| account().prop_map(Observation::ServiceAccount);
    2 Keys => |now| keys(now).prop_map(Observation::Keys);
    1 ControllerLease => |_| option::of(lease()).prop_map(Observation::ControllerLease);
    2 ServerLog => |_| server_log().prop_map(Observation::ServerLog);
    1 PodsAtAddress => |_| pods_at().prop_map(Observation::PodsAtAddress);
    2 Copies => |_| copies().prop_map(Observation::Copies);
    1 Privileges => |_| privileges().prop_map(Observation::Privileges);
    3 Readers => |_| readers().prop_map(Observation::Readers);
    2 Syncs => |now| syncs(now).prop_map(Observation::Syncs);
    2 KubeletErrors => |_| vec(kubelet_error(), 0..3).prop_map(Observation::KubeletErrors);
    2 KubeletMetrics => |now| metrics::seen(now).prop_map(Observation::KubeletMetrics);
    1 Held => |_| vec(key(), 0..3).prop_map(Observation::Held);
    1 Habits => |_| vec(known_habit(), 0..3).prop_map(Observation::Habits);
    2 Containers => |_| containers().prop_map(Observation::Containers);
    1 Delivery => |now| delivery(now).prop_map(Observation::Delivery);
    4 Tick => |_| Just(Observation::Tick);
}

pub(super) fn config() -> impl Strategy<Value = Config> {
    (any::<bool>(), any::<bool>(), 60..14_400i64).prop_map(|(servers, cluster, remind)| {
        let mut config = Config {
            node: "zqnode.example".into(),
            remind_every: Delta::from_secs(remind),
            cluster_configured: cluster,
            ..Config::default()
        };
        config.clock.servers_configured = servers;
        config
    })
}

/// A name of a kind, of which there are few, or one that nobody expects.
fn name(kind: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![
        8 => (0..3u8).prop_map(move |nth| format!("zq{kind}{nth}")),
        1 => "[\u{202e}\x1b \"a-z:/.-]{0,9}",
        1 => Just(String::new()),
    ]
}

fn reason() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("open: Permission denied (EACCES)".to_owned()),
        name("pod").prop_map(|pod| format!("pods \"{pod}\" at https://10.1.2.3:6443/{pod}: none")),
    ]
}

fn wall() -> impl Strategy<Value = Wall> {
    prop_oneof![
        8 => (-7_200..7_200i64).prop_map(|age| Wall::from_secs(START + age)),
        1 => any::<i64>().prop_map(Wall::from_nanos),
    ]
}

fn offset() -> impl Strategy<Value = Delta> {
    prop_oneof![
        4 => (-400..400i64).prop_map(Delta::from_millis),
        3 => (-200..200i64).prop_map(Delta::from_secs),
        1 => any::<i64>().prop_map(Delta::from_nanos),
    ]
}

fn reading() -> impl Strategy<Value = Reading> {
    (wall(), any::<i64>())
        .prop_map(|(wall, monotonic)| Reading { wall, monotonic: Monotonic::from_nanos(monotonic) })
}

fn key() -> impl Strategy<Value = TokenKey> {
    let path = prop_oneof![3 => Just("token".to_owned()), 1 => name("path")];
    (name("uid"), name("volume"), path).prop_map(|(pod_uid, volume, path)| TokenKey {
        pod_uid,
        volume,
        path,
    })
}

fn file() -> impl Strategy<Value = FileSeen> {
    let content = prop_oneof![
        5 => claims().prop_map(|claims| FileContent::Token(Box::new(claims))),
        1 => reason().prop_map(|reason| FileContent::Malformed { reason }),
        1 => reason().prop_map(|reason| FileContent::Unreadable { reason }),
        1 => absence().prop_map(FileContent::Missing),
    ];
    let directory = option::of(name("directory"));
    let signature = prop_oneof![4 => Just(None), 1 => signature().prop_map(Some)];
    (key(), option::of(wall()), directory, content, signature).prop_map(
        |(key, written_at, directory, content, signature)| FileSeen {
            key,
            written_at,
            directory,
            content,
            signature,
        },
    )
}

fn signature() -> impl Strategy<Value = Signature> {
    let result = prop_oneof![
        Just(SignatureResult::Verified),
        Just(SignatureResult::NoSuchKey),
        Just(SignatureResult::Damaged),
        Just(SignatureResult::OtherKey),
        Just(SignatureResult::Unsupported(Unsupported::Es512)),
        Just(SignatureResult::Unsupported(Unsupported::RsaSize)),
    ];
    (result, wall()).prop_map(|(result, keys_at)| Signature { result, keys_at })
}

fn absence() -> impl Strategy<Value = Absence> {
    prop_oneof![
        Just(Absence::NotFound),
        Just(Absence::NoFile),
        Just(Absence::EmptyVolume),
        Just(Absence::Emptied)
    ]
}

/// Few generations, so that some come back.
fn claims() -> impl Strategy<Value = Claims> {
    let times = prop_oneof![
        3 => (0..6i64, prop_oneof![Just(600), Just(3_600)]).prop_map(|(nth, life)| {
            let issued = START + nth * 450;
            [issued, issued, issued + life].map(Wall::from_secs)
        }),
        1 => [wall(), wall(), wall()],
    ];
    let object = |kind| {
        (name(kind), option::of(name("uid"))).prop_map(|(name, uid)| ObjectRef { name, uid })
    };
    let names = (name("issuer"), name("subject"), vec(name("audience"), 0..3), name("namespace"));
    let optional = |kind| option::of(object(kind));
    let objects = (object("account-multus"), optional("pod"), optional("secret"), optional("node"));
    let key = (option::of(name("key")), any::<bool>())
        .prop_map(|(id, is_external)| SigningKey { id, is_external });
    let ids = (option::of(name("jti")), key, option::of(wall()));
    (times, names, objects, ids).prop_map(|(times, names, objects, ids)| {
        let ([issued_at, not_before, expires_at], (issuer, subject, audiences, namespace)) =
            (times, names);
        let ((service_account, pod, secret, node), (credential, key, warn_after)) = (objects, ids);
        Claims {
            issuer,
            subject,
            audiences,
            issued_at,
            not_before,
            expires_at,
            warn_after,
            credential,
            binding: Binding { namespace, service_account, pod, secret, node },
            key,
        }
    })
}

fn keys(now: Reading) -> impl Strategy<Value = KeysSeen> {
    let set = (option::of(name("issuer")), vec(name("key"), 0..3))
        .prop_map(|(issuer, ids)| KeysAnswer::Published(KeySet { issuer, ids }));
    let refused = claims().prop_map(|claims| KeysAnswer::Refused(Box::new(claims)));
    prop_oneof![3 => set, 1 => refused].prop_map(move |answer| KeysSeen { sent: now, answer })
}

fn kubelet_error() -> impl Strategy<Value = KubeletError> {
    let pod = prop_oneof![
        name("uid").prop_map(ErrorPod::Uid),
        (name("namespace"), name("pod"))
            .prop_map(|(namespace, name)| ErrorPod::Name { namespace, name }),
    ];
    let of = prop_oneof![
        name("volume").prop_map(ErrorScope::Volume),
        name("volume").prop_map(|volume| ErrorScope::Pod { volume }),
        (vec(name("audience"), 0..2), offset())
            .prop_map(|(audiences, lifetime)| ErrorScope::Request { audiences, lifetime }),
    ];
    let by = select(vec![ErrorSource::Log, ErrorSource::Journal, ErrorSource::Event]);
    let text = prop_oneof![reason(), error_text()];
    let error = (pod, of, select(ErrorCause::ALL.to_vec()), text, wall(), by);
    error.prop_map(|(pod, of, cause, text, at, by)| KubeletError { pod, of, cause, text, at, by })
}

fn address() -> impl Strategy<Value = IpAddr> {
    (0..3u8).prop_map(|nth| IpAddr::from([10, 1, 2, nth]))
}

fn account_name() -> impl Strategy<Value = AccountName> {
    (name("namespace"), name("account"))
        .prop_map(|(namespace, name)| AccountName { namespace, name })
}

fn copies() -> impl Strategy<Value = CopiesSeen> {
    let names = (option::of(name("user")), option::of(name("file")));
    let server = option::of(prop_oneof![Just(CopyServer::Own), Just(CopyServer::Other)]);
    let token = (names, claims(), server, option::of(signature())).prop_map(
        |((user, token_file), claims, api_server, signature)| CopiedToken {
            user,
            token_file,
            claims,
            api_server,
            signature,
        },
    );
    let mention = prop_oneof![
        Just(Mention::Configured),
        Just(Mention::Named),
        Just(Mention::OtherNamed),
        Just(Mention::NotNamed),
        Just(Mention::Unknown)
    ];
    let plugin = prop_oneof![Just(None), Just(Some(Plugin::Multus)), Just(Some(Plugin::Calico))];
    let kind = prop_oneof![Just(CopyKind::Kubeconfig), Just(CopyKind::Token)];
    (name("path"), kind, plugin, mention, option::of(wall()), vec(token, 0..3)).prop_map(
        |(path, kind, plugin, mention, written_at, tokens)| CopiesSeen {
            path: format!("/etc/{path}"),
            kind,
            plugin,
            mention,
            written_at,
            tokens,
        },
    )
}

fn source() -> impl Strategy<Value = SourceState> {
    (prop_oneof![Just("files"), Just("copies"), Just("ntp")], option::of(reason()))
        .prop_map(|(source, degraded)| SourceState { source: source.into(), degraded })
}

fn standstill(now: Reading) -> impl Strategy<Value = Standstill> {
    let since = option::of((0..300i64).prop_map(move |age| now.after(Delta::from_secs(-age))));
    (prop_oneof![Just("files"), Just("copies"), Just("readers"), Just("fanotify")], since)
        .prop_map(|(source, since)| Standstill { source: source.into(), since })
}

fn round(now: Reading) -> impl Strategy<Value = Round> {
    let server = (name("host"), any::<u16>(), option::of(name("address")), option::of(1_u8..6))
        .prop_map(|(host, port, address, pool)| ServerName { host, port, address, pool });
    let result = prop_oneof![
        3 => sample(now).prop_map(Ok),
        1 => exchange_error().prop_map(Err),
    ];
    let exchange = (server, result).prop_map(move |(server, result)| Exchange {
        server,
        started: now,
        ended: now,
        result,
    });
    (vec(exchange, 0..4), 0..4_usize).prop_map(move |(exchanges, voters)| {
        let voters = exchanges.iter().take(voters).map(|it| it.server.clone()).collect();
        Round { started: now, ended: now, exchanges, voters }
    })
}

fn sample(now: Reading) -> impl Strategy<Value = Sample> {
    (offset(), 0..90i64, 1..16u8, leap(), name("address")).prop_map(
        move |(offset, delay, stratum, leap, reference_id)| Sample {
            offset,
            delay: Delta::from_millis(delay),
            root_distance: Delta::from_millis(delay + 1),
            stratum,
            leap,
            reference_id,
            taken: now,
        },
    )
}

fn leap() -> impl Strategy<Value = Leap> {
    prop_oneof![
        Just(Leap::None),
        Just(Leap::Insert),
        Just(Leap::Delete),
        Just(Leap::Unsynchronised)
    ]
}

fn exchange_error() -> impl Strategy<Value = ExchangeError> {
    prop_oneof![
        reason().prop_map(ExchangeError::Resolve),
        Just(ExchangeError::Timeout),
        reason().prop_map(ExchangeError::Network),
        reason().prop_map(ExchangeError::InvalidResponse),
        Just(ExchangeError::KissOfDeath("RATE".into())),
        Just(ExchangeError::Unsynchronised),
        offset().prop_map(ExchangeError::RootDistanceExceeded),
        Just(ExchangeError::ClockStepped),
    ]
}

fn kernel(now: Reading) -> impl Strategy<Value = KernelClock> {
    (any::<bool>(), offset(), leap(), -500..500i64).prop_map(
        move |(synchronised, max_error, leap, steering_ppm)| KernelClock {
            synchronised,
            max_error,
            estimated_error: max_error,
            leap,
            steering_ppm,
            taken: now,
        },
    )
}

fn date(now: Reading) -> impl Strategy<Value = DateSeen> {
    (offset(), offset(), vec(name("host"), 0..3)).prop_map(move |(took, ahead, names)| DateSeen {
        sent: now.after(-took),
        received: now,
        date: now.wall + ahead,
        names,
    })
}

fn step(now: Reading) -> impl Strategy<Value = Step> {
    offset().prop_map(move |size| Step { size, after: now })
}

fn cluster() -> impl Strategy<Value = ClusterSeen> {
    prop_oneof![
        vec(pod(), 0..3).prop_map(ClusterSeen::Listed),
        pod().prop_map(|pod| ClusterSeen::Pod(Box::new(pod))),
        name("uid").prop_map(ClusterSeen::PodGone),
        Just(ClusterSeen::Unchanged),
        reason().prop_map(|reason| ClusterSeen::Unreachable { reason }),
    ]
}

fn pod() -> impl Strategy<Value = Pod> {
    let owner = (prop_oneof![Just("Deployment".to_owned()), name("kind")], name("owner"))
        .prop_map(|(kind, name)| Owner { kind, name });
    let names =
        (name("container"), option::of(name("id")), name("image"), vec(name("volume"), 0..2));
    let container = (names, option::of(wall()), vec(token_mount(), 0..2)).prop_map(
        |((name, id, image, volumes), started, tokens)| Container {
            name,
            id,
            image,
            volumes,
            started,
            tokens,
        },
    );
    let names = (name("uid"), name("namespace"), name("pod"), option::of(owner));
    let phase = prop_oneof![3 => Just(Phase::Running), 1 => Just(Phase::Succeeded)];
    let sandbox = option::of(prop_oneof![Just(Sandbox::Gvisor), Just(Sandbox::Kata)]);
    let parts = (any::<bool>(), sandbox);
    let rest = (option::of(name("account")), vec(container, 0..2), parts, option::of(wall()));
    (names, rest, phase).prop_map(|((uid, namespace, name, owner), rest, phase)| {
        let (service_account, containers, (is_static, sandbox), deletion) = rest;
        Pod {
            uid,
            namespace,
            name,
            owner,
            service_account,
            containers,
            phase,
            isolation: Isolation { host_network: !is_static, sandbox },
            is_static,
            deletion,
        }
    })
}

fn token_mount() -> impl Strategy<Value = TokenMount> {
    let part = prop_oneof![
        Just(MountedPart::Whole),
        Just(MountedPart::File),
        Just(MountedPart::Directory)
    ];
    let convention = option::of(select(Convention::ALL.as_slice()));
    (key(), name("path"), part, convention).prop_map(|(key, mount_path, part, convention)| {
        let (volume, path) = (key.volume, key.path);
        TokenMount { volume, path, mount_path, part, convention }
    })
}

fn lease() -> impl Strategy<Value = LeaseSeen> {
    (option::of(name("holder")), option::of(wall()), option::of(offset()))
        .prop_map(|(holder, renewed, duration)| LeaseSeen { holder, renewed, duration })
}

fn legacy() -> impl Strategy<Value = LegacyToken> {
    (key(), name("namespace"), name("account"), option::of(name("secret"))).prop_map(
        |(key, namespace, service_account, secret)| LegacyToken {
            key,
            claims: LegacyClaims { namespace, service_account, secret },
        },
    )
}

fn account() -> impl Strategy<Value = AccountSeen> {
    (name("namespace"), name("account"), option::of(name("uid"))).prop_map(
        |(namespace, name, uid)| AccountSeen { account: AccountName { namespace, name }, uid },
    )
}

fn privileges() -> impl Strategy<Value = Privileges> {
    let rung = prop_oneof![Just(Level::Files), Just(Level::HostPid), Just(Level::Fanotify)];
    (rung, vec(reason(), 0..2)).prop_map(|(rung, lacking)| Privileges { rung, lacking })
}

fn delivery(now: Reading) -> impl Strategy<Value = DeliveryState> {
    let since = prop_oneof![Just(now).boxed(), reading().boxed()];
    (option::of(since), 0..9u64, 0..9u64, option::of(reason()), again()).prop_map(
        |(waiting_since, waiting, lost, last_error, again)| DeliveryState {
            waiting_since,
            waiting,
            given_up: lost,
            rejected: lost,
            last_error,
            again,
        },
    )
}

/// An empty request is not recorded.
fn again() -> impl Strategy<Value = Again> {
    let round = (1..9u64, vec(name("id"), 1..3), vec(name("id"), 0..3));
    let some = round.prop_map(|(round, raised, reminded)| Again { round, raised, reminded });
    prop_oneof![Just(Again::default()), some]
}

fn syncs(now: Reading) -> impl Strategy<Value = SyncsSeen> {
    let sync = (name("uid"), name("volume"), 0..200i64, any::<bool>());
    let sync = sync.prop_map(move |(pod_uid, volume, age, is_certain)| {
        let at = now.monotonic - Delta::from_secs(age);
        VolumeSync { pod_uid, volume, at, is_certain }
    });
    vec(sync, 0..4).prop_map(move |volumes| SyncsSeen { until: now.monotonic, volumes })
}

fn readers() -> impl Strategy<Value = ReadersSeen> {
    (name("uid"), name("volume"), reader_event()).prop_map(|(pod_uid, volume, what)| ReadersSeen {
        pod_uid,
        volume,
        what,
    })
}

fn reader_event() -> impl Strategy<Value = ReaderEvent> {
    prop_oneof![
        (name("directory"), any::<(bool, bool)>()).prop_map(|(directory, (complete, moment))| {
            ReaderEvent::Watching { directory, complete, moment }
        }),
        (name("directory"), token_path(), option::of(opener()), offset()).prop_map(
            |(directory, path, by, within)| ReaderEvent::Opened { directory, path, by, within }
        ),
        (name("directory"), option::of(token_path()), option::of(opener()), offset()).prop_map(
            |(directory, path, by, within)| ReaderEvent::ReadAgain { directory, path, by, within }
        ),
        (0..4u32).prop_map(|generations| ReaderEvent::Held { generations }),
        (offset(), reason()).prop_map(|(span, why)| ReaderEvent::Missed { span, why }),
        reason().prop_map(|why| ReaderEvent::Unseen { why }),
    ]
}

fn token_path() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just("token".to_owned()), 1 => name("path")]
}

fn opener() -> impl Strategy<Value = Opener> {
    let opener = (option::of(name("id")), any::<u32>(), option::of(name("program")), any::<bool>());
    opener.prop_map(|(container_id, pid, program, session)| Opener {
        container_id,
        pid,
        program,
        session,
    })
}

fn containers() -> impl Strategy<Value = ContainersSeen> {
    let connected = (0..3u32, option::of(offset()), any::<bool>())
        .prop_map(|(established, opened, requests)| Connected { established, opened, requests });
    (name("uid"), vec(running(), 0..3), any::<bool>(), option::of(connected)).prop_map(
        |(pod_uid, containers, partial, connected)| ContainersSeen {
            pod_uid,
            containers,
            partial,
            connected,
        },
    )
}

fn running() -> impl Strategy<Value = RunningContainer> {
    (name("id"), wall(), name("program"), vec(seen_mount(), 0..3), option::of(name("library")))
        .prop_map(|(id, started, program, mounts, library)| RunningContainer {
            id,
            started,
            program,
            mounts,
            library,
        })
}

fn seen_mount() -> impl Strategy<Value = SeenMount> {
    let kind = prop_oneof![
        Just(MountKind::Current),
        Just(MountKind::Frozen),
        (name("directory"), name("path"), any::<bool>()).prop_map(|(directory, path, deleted)| {
            MountKind::Subpath { directory, path, deleted }
        }),
    ];
    (name("volume"), name("mount"), kind).prop_map(|(volume, mount_path, kind)| SeenMount {
        volume,
        mount_path,
        kind,
    })
}

fn known_habit() -> impl Strategy<Value = KnownHabit> {
    let container = (name("container"), name("image"));
    let key = (name("namespace"), name("owner"), container, name("volume"), token_path());
    let habit = prop_oneof![
        Just(Habit::Once),
        Just(Habit::AfterRefusal),
        offset().prop_map(|period| Habit::Every { period }),
    ];
    (key, habit, 0..9u32, any::<bool>(), wall()).prop_map(
        |(
            (namespace, workload, (container, image), volume, path),
            habit,
            generations,
            is_confirmed,
            at,
        )| {
            let key = HabitKey { namespace, workload, container, image, volume, path };
            KnownHabit { key, habit, generations, is_confirmed, since: at, at }
        },
    )
}
