//! Any bytes as an answer of the API server that has no target of its own, and as paths.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use tokenwatch_core::world::observation::Observation;

use super::{
    controller_lease, keys, names, pod_addresses, readers, service_accounts, token_review, volumes,
};
use crate::discovery;
use crate::fuzzed::{Response, assert_no_signature, assert_no_token, assert_recorded};
use crate::kubernetes::{self, Error};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));
/// Longest name in Kubernetes, and longest text of a claim.
const MAX_NAME: usize = 512;

/// Most paths of one input.
const MAX_PATHS: usize = 64;

/// Names and paths in lines; the records of a directory, the arguments of kubelet and mountinfo, of
/// which each reads all bytes.
pub(crate) fn paths(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n').take(MAX_PATHS) {
        let path = Path::new(OsStr::from_bytes(line));
        volumes::fuzzed::changed_path(path);
        discovery::fuzzed::mount_point(path);
        line.split(|byte| *byte == 0).for_each(name);
    }
    volumes::fuzzed::records(bytes);
    discovery::fuzzed::command_line(bytes);
    readers::processes::fuzzed::mounts(bytes);
}

/// The name can be read back from its text: so two names are never the same text.
fn name(name: &[u8]) {
    let text = names::text(OsStr::from_bytes(name));
    assert!(text.len() <= name.len() * 3);
    let mut parts = text.split('\0');
    let mut again = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        again.extend(byte);
        again.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
    }
    assert_eq!(again, name, "{text:?}");
}

/// A [`Response`], to every question that the agent asks.
pub(crate) fn api_answers(bytes: &[u8]) {
    let response = Response::of(bytes);
    let body = response.body;
    if let Some(parts) = response.parts() {
        let _ = kubernetes::fuzzed::date(&parts.headers);
        let error = Error::refused(parts.status, &parts.headers, body);
        is_safe(bytes, &error);
        service_accounts::fuzzed::refused(bytes, error);
    }
    is_safe(bytes, &Error::in_watch(body));
    addresses(bytes, body);
    lease(bytes, body);
    service_accounts::fuzzed::accounts(bytes, body);
    keys::fuzzed::published(bytes, body);
    token_review::fuzzed::review(bytes, body);
}

fn addresses(bytes: &[u8], body: &[u8]) {
    let seen = pod_addresses::parsed(body, ADDRESS);
    if let Ok(seen) = &seen {
        assert!(seen.pods.len() <= 2 && seen.address == ADDRESS, "{seen:?}");
        let names = seen.pods.iter().flat_map(|pod| [&pod.namespace, &pod.name, &pod.uid]);
        names.for_each(|name| assert!((1..=MAX_NAME).contains(&name.len()), "{seen:?}"));
    }
    taken(bytes, seen.map(Observation::PodsAtAddress));
}

fn lease(bytes: &[u8], body: &[u8]) {
    let seen = controller_lease::parsed(body);
    if let Ok(seen) = &seen {
        let holder = seen.holder.as_deref();
        assert!(holder.is_none_or(|it| it.len() <= controller_lease::MAX_HOLDER), "{seen:?}");
    }
    taken(bytes, seen.map(Some).map(Observation::ControllerLease));
}

/// What is taken of an answer survives a recording, and an error shows nothing of a token.
pub(super) fn taken(bytes: &[u8], seen: Result<Observation, Error>) {
    match seen {
        Ok(seen) => assert_recorded(bytes, seen),
        Err(error) => is_safe(bytes, &error),
    }
}

pub(super) fn is_safe(bytes: &[u8], error: &Error) {
    assert_no_token(bytes, &error.to_string());
    assert_no_signature(bytes, &format!("{error:?}"));
}
