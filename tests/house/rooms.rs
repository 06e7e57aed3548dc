//! One room for each kind of contact with the world.

use tokenwatch_core::findings::Code;

use crate::tree::Tree;

/// Every place where one of `words` is in the code of `folder` outside `allowed`: files, or folders
/// with a slash at the end.
fn only_in(tree: &Tree, folder: &str, words: &[&str], allowed: &[&str]) -> Vec<String> {
    let is_allowed = |name: &str| {
        allowed.iter().any(|room| name == *room || (room.ends_with('/') && name.starts_with(room)))
    };
    let mut found = Vec::new();
    for (name, file) in tree.product(folder).filter(|(name, _)| !is_allowed(name)) {
        let used = words.iter().filter(|word| file.code.contains(**word));
        found.extend(used.map(|word| format!("{name}: {word}")));
    }
    found
}

/// What acts, or asks the world.
const IO: &[&str] = &[
    "std::fs",
    "std::net",
    "std::io",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
    "std::sync::{", // of which `Arc` alone is pure: it shares what nobody changes
    "sync::atomic",
    "sync::mpsc",
    "sync::Mutex",
    "sync::RwLock",
    "sync::OnceLock",
    "sync::LazyLock",
    "sync::Condvar",
    "sync::Barrier",
    "std::{", // would hide which parts of it are taken
    "use std::*",
    "SystemTime",
    "UNIX_EPOCH",
    "Instant",
    "tokio",
    "print!",
    "println!",
    "dbg!",
    "env!",
    "include_",
    "extern ",
    "async ",
    ".await",
    "Utc::now",
    "Local::now",
    "tokenwatch::",
];

/// The one file of the core that holds data, and how it takes the table in.
const DATA: (&str, &str) =
    ("agent/core/src/world/readers/libraries.rs", "include_str!(\"libraries.txt\")");

pub(crate) fn the_core_is_pure(tree: &Tree) -> Vec<String> {
    let included = |file: &str| tree.text(file).matches("include_").count();
    let is_data = tree.text(DATA.0).contains(DATA.1) && included(DATA.0) == 1;
    let data = format!("{}: include_", DATA.0);
    let found = only_in(tree, "agent/core/src", IO, &[]).into_iter();
    found.filter(|place| !is_data || *place != data).collect()
}

/// Encoding, and nothing else.
pub(crate) fn the_encoders_are_pure(tree: &Tree) -> Vec<String> {
    only_in(tree, "agent/otlp/src", IO, &[])
}

pub(crate) fn the_core_depends_on_nothing_that_acts(tree: &Tree) -> Vec<String> {
    let manifest = tree.text("agent/core/Cargo.toml");
    let tables: Vec<&str> = manifest.lines().filter(|line| line.starts_with('[')).collect();
    let known = ["[package]", "[lints]", "[dependencies]", "[dev-dependencies]"];
    let more = (tables != known).then(|| format!("more may bring code in: {tables:?}"));
    let acting = dependencies(manifest).into_iter().filter(|name| !PURE.contains(name));
    let clock = tree
        .text("Cargo.toml")
        .lines()
        .find(|line| line.starts_with("chrono"))
        .filter(|line| !line.contains("default-features = false") || line.contains("clock"));
    acting
        .map(|name| format!("{name} is not known to be pure"))
        .chain(more)
        .chain(clock.map(|line| format!("chrono could read a clock: {line}")))
        .collect()
}

const PURE: &[&str] = &["serde", "serde_json", "chrono", "base64", "sha2", "zeroize"];

/// Names in the table `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<&str> {
    let table = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let table = table.split("[dev-dependencies]").next().unwrap_or_default();
    let names = table.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
    names.filter(|name| !name.is_empty() && !name.starts_with('#')).collect()
}

/// What reads a clock.
const CLOCKS: &[&str] = &[
    "SystemTime::now",
    "EPOCH.elapsed",
    "Instant::now",
    "clock_gettime",
    "gettimeofday",
    "libc::time(",
    "Utc::now",
    "Local::now",
];

pub(crate) fn one_file_reads_clocks(tree: &Tree) -> Vec<String> {
    only_in(tree, "agent/src", CLOCKS, &["agent/src/clocks.rs"])
}

/// What reads the environment; of which the arguments, which `main` takes, are none. clap would
/// read it by `env`.
const ENVIRONMENT: &[&str] = &[
    "env::var",
    "env::{",
    "env::*",
    "env::temp_dir",
    "env::home_dir",
    "env::current_dir",
    "getenv",
    "arg(env",
    " env =",
];

pub(crate) fn one_file_reads_the_environment(tree: &Tree) -> Vec<String> {
    only_in(tree, "agent/src", ENVIRONMENT, &["agent/src/environment.rs"])
}

/// An open by path may wait: for the other end of a named pipe that somebody put there. So one file
/// has the careful one. What opens otherwise says why it cannot block: a recording is always a new
/// file, the files of procfs are the kernel's, and the others pass flags to openat(2).
pub(crate) fn an_open_by_path_waits_for_nobody(tree: &Tree) -> Vec<String> {
    let opening = [
        "File::open",
        "File::create",
        "File::options",
        "OpenOptions",
        "fs::read(",
        "fs::read_to_string",
        "fs::write",
        "fs::copy",
    ];
    let careful = ["agent/src/regular_file.rs", "agent/src/recorder/file.rs", "agent/src/proc/"];
    only_in(tree, "agent/src", &opening, &careful)
}

/// What people read leaves the process through one file, which lets no token pass. clap prints
/// help, and usage errors in which nothing is to be hidden.
pub(crate) fn one_file_writes_to_the_terminal(tree: &Tree) -> Vec<String> {
    let writing = ["io::stdout", "io::stderr", "stdout().lock", "print!(", "println!(", "dbg!("];
    let mut found = only_in(tree, "agent/src", &writing, &["agent/src/streams/mod.rs"]);
    let clap = [".print()", "clap::Error::exit", ".exit()"];
    found.extend(only_in(tree, "agent/src", &clap, &["agent/src/cli/mod.rs"]));
    found
}

pub(crate) fn unsafe_lives_in_one_file(tree: &Tree) -> Vec<String> {
    let words = ["(unsafe_code", "unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
    let mut found = only_in(tree, "agent", &words, &["agent/src/sys.rs", "agent/fuzz/"]);
    let denied = tree.text("Cargo.toml").contains("\nunsafe_code = \"deny\"");
    found.extend((!denied).then(|| "Cargo.toml does not deny unsafe_code".to_owned()));
    found
}

/// Bytes become claims where they are wiped afterwards: in the reader of token files, and where
/// tokens are found in a text that is wiped.
pub(crate) fn one_file_opens_tokens(tree: &Tree) -> Vec<String> {
    let opened = ["tokens::decode", "Decoded", "MAX_TOKEN_BYTES"];
    let files = ["agent/src/sources/tokens/read.rs", "agent/src/sources/tokens/found.rs"];
    let mut found = only_in(tree, "agent/src", &opened, &files);
    let reading = [
        "unistd::read",
        "pread",
        "read_to_end",
        "read_to_string",
        "fs::read(",
        ".read(&",
        "read_exact",
        "io::copy",
        "mmap",
    ];
    // The kernel's timer and its queue of events are no files of a pod.
    let readers = [
        files[0],
        "agent/src/sources/kernel/alarm.rs",
        "agent/src/sources/readers/fanotify/group.rs",
        // Logs are no tokens, but may have some: the same care is taken.
        "agent/src/sources/logs/tail.rs",
        "agent/src/sources/journal/file.rs",
    ];
    found.extend(only_in(tree, "agent/src/sources", &reading, &readers));
    found
}

/// What the process file system and cgroups report. `setup` names `/proc` for the confinement, and
/// reads nothing there.
pub(crate) fn one_room_reads_proc(tree: &Tree) -> Vec<String> {
    let rooms = ["agent/src/proc/", "agent/src/setup/confine.rs"];
    only_in(tree, "agent/src", &["procfs::", "/proc/", "\"/proc", "/cgroup", "mountinfo"], &rooms)
}

/// The laboratory serves tests and the command `demo`: the time and the folders are given to it.
pub(crate) fn the_laboratory_is_given_the_time(tree: &Tree) -> Vec<String> {
    let mut found = only_in(tree, "agent/lab/src", CLOCKS, &[]);
    found.extend(only_in(tree, "agent/lab/src", ENVIRONMENT, &[]));
    found
}

pub(crate) fn without_the_demo_there_is_no_laboratory(tree: &Tree) -> Vec<String> {
    let optional = "tokenwatch-lab = { workspace = true, optional = true }";
    let is_optional = tree.text("agent/Cargo.toml").contains(optional);
    (!is_optional).then(|| format!("agent/Cargo.toml lacks: {optional}")).into_iter().collect()
}

pub(crate) fn nobody_sets_a_clock(tree: &Tree) -> Vec<String> {
    let setting = ["clock_settime", "settimeofday", "clock_adjtime", ".modes", "ADJ_"];
    only_in(tree, "agent/src", &setting, &[])
}

/// Of the API the agent asks for pods, service accounts, public keys and Events, and writes Events.
/// With `--token-review`, two commands create TokenReviews. No other resource is so much as named,
/// and Secrets least of all.
pub(crate) fn nobody_asks_for_secrets(tree: &Tree) -> Vec<String> {
    let asking = [
        "agent/src/sources/controller_lease.rs",
        "agent/src/sources/kubelet_log/events.rs",
        "agent/src/sources/keys/published.rs",
        "agent/src/sources/pod_addresses.rs",
        "agent/src/sources/pods/watch.rs",
        "agent/src/sources/service_accounts/look_up.rs",
        "agent/src/sources/service_accounts/watch.rs",
        "agent/src/sources/token_review/request.rs",
        "agent/src/sinks/events/event.rs",
    ];
    let mut found = only_in(tree, "agent/src", API_ROOTS, &asking);
    let asked: Vec<&str> =
        tree.product("agent/src").flat_map(|(_, file)| api_paths(&file.code)).collect();
    let others = asked.iter().filter(|path| !API_PATHS.contains(path));
    found.extend(others.map(|path| format!("{path} is none of the paths that are asked for")));
    let unused = API_PATHS.iter().filter(|path| !asked.contains(path));
    found.extend(unused.map(|path| format!("{path} is not asked for any more")));
    // Its typed resources would make asking for more a matter of one word.
    let typed = ["k8s_openapi", "kube::Api", "kube::api", "kube::{"];
    found.extend(only_in(tree, "agent/src", &typed, &[]));
    let client = [
        "agent/src/kubernetes/",
        "agent/src/sources/object_watch/mod.rs",
        "agent/src/sources/pods/watch.rs",
    ];
    found.extend(only_in(tree, "agent/src", &["kube::"], &client));
    found
}

/// How each path of the Kubernetes API begins that serves objects or keys.
const API_ROOTS: &[&str] = &["/api/", "/apis/", "/openid/", "/.well-known/"];

const API_PATHS: &[&str] = &[
    "/.well-known/openid-configuration",
    "/api/v1/events?fieldSelector=involvedObject.kind%3DPod%2Creason%3DFailedMount",
    "/api/v1/namespaces/{}/serviceaccounts/{}",
    "/api/v1/pods?fieldSelector=spec.nodeName%3D{}",
    "/api/v1/pods?fieldSelector=status.podIP%3D{of}",
    "/api/v1/serviceaccounts",
    "/apis/authentication.k8s.io/v1/tokenreviews",
    "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager",
    "/apis/events.k8s.io/v1/namespaces/{}/events",
    "/openid/v1/jwks",
];

/// Each text that begins with a path of the Kubernetes API.
fn api_paths(code: &str) -> impl Iterator<Item = &str> {
    code.split('"').filter(|text| API_ROOTS.iter().any(|root| text.starts_with(root)))
}

pub(crate) fn reserved_codes_are_those_that_nothing_looks_for(tree: &Tree) -> Vec<String> {
    let rooms = [
        "agent/core/src/diagnosis",
        "agent/core/src/engine",
        "agent/core/src/findings/posture_symptom.rs",
        "agent/core/src/findings/symptom.rs",
        "agent/core/src/findings/wording/agent.rs",
        "agent/core/src/findings/wording/apiserver.rs",
        "agent/core/src/findings/wording/controller.rs",
        "agent/core/src/findings/wording/keys.rs",
        "agent/core/src/findings/wording/missing.rs",
        "agent/core/src/findings/wording/rejecting.rs",
    ];
    let judging: String = rooms
        .iter()
        .flat_map(|room| tree.product(room))
        .map(|(_, file)| file.code.as_str())
        .collect();
    let is_used = |name: String| {
        judging
            .match_indices(&name)
            .any(|(at, _)| !judging[at + name.len()..].starts_with(char::is_alphanumeric))
    };
    let wrong =
        Code::ALL.iter().filter(|code| code.is_reserved() == is_used(format!("Code::{code:?}")));
    wrong
        .map(|code| {
            format!(
                "{code} is {}",
                if code.is_reserved() {
                    "reserved, and used"
                } else {
                    "not reserved, and not used"
                }
            )
        })
        .collect()
}

pub(crate) fn nothing_in_the_repository_is_about_one_machine(tree: &Tree) -> Vec<String> {
    // In two pieces, or this file would be the first place.
    let paths = [
        ["/wo", "rk/"],
        ["/ro", "ot/."],
        ["/ho", "me/"],
        ["GOPROXY", "=http"],
        ["replace", "-with"],
    ]
    .map(|parts| parts.concat());
    let mut found = Vec::new();
    for (name, file) in tree.files() {
        let seen = paths.iter().filter(|path| file.text.contains(path.as_str()));
        found.extend(seen.map(|path| format!("{name}: {path}")));
    }
    let elsewhere = |line: &&str| {
        line.starts_with("source = ")
            && !line.contains("registry+https://github.com/rust-lang/crates.io-index")
    };
    found.extend(tree.text("Cargo.lock").lines().find(elsewhere).map(ToOwned::to_owned));
    found
}
