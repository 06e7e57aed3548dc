//! Which tokens a container mounts, and how much of their volume.

use serde::Deserialize;
use tokenwatch_core::world::cluster::{MountedPart, TokenMount};

use super::bounds::{bounded, cut};
use super::conventions::{self, NamedFile};

/// Begins a variable of the container in `subPathExpr`.
const VARIABLE: &str = "$(";
/// The link to the current generation. `subPath` may name it.
const DATA: &str = "..data";

/// A volume of a pod's spec.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) projected: Option<Projected>,
}

/// The sources of a projected volume.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Projected {
    #[serde(deserialize_with = "bounded")]
    pub(super) sources: Vec<VolumeSource>,
}

/// A source: a token, or something else.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct VolumeSource {
    pub(super) service_account_token: Option<TokenSource>,
}

/// A token.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenSource {
    pub(super) path: String,
}

/// A mount of a container's spec.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Mount {
    pub(super) name: String,
    #[serde(rename = "mountPath")]
    pub(super) at: String,
    pub(super) sub_path: Option<String>,
    pub(super) sub_path_expr: Option<String>,
}

/// The tokens of `volume` that a container with these variables has by `mount`.
pub(super) fn tokens(volume: &Volume, mount: &Mount, named: &[NamedFile]) -> Vec<TokenMount> {
    let sources = volume.projected.as_ref().map(|projected| projected.sources.as_slice());
    let sources = sources.unwrap_or_default();
    let only_tokens = sources.iter().all(|source| source.service_account_token.is_some());
    let paths = sources.iter().filter_map(|source| source.service_account_token.as_ref());
    let mounted = paths.filter_map(|token| {
        let part = part(&token.path, mount, only_tokens)?;
        Some(TokenMount {
            volume: cut(&volume.name),
            path: cut(token.path.trim_start_matches("./")),
            mount_path: cut(&mount.at),
            part,
            convention: conventions::of(&volume.name, &file(mount, part, &token.path), named),
        })
    });
    mounted.collect()
}

/// The path of the token in the container. A directory is mounted in place of the one above it.
fn file(mount: &Mount, part: MountedPart, path: &str) -> String {
    let below = mount.sub_path.as_deref().filter(|_| part == MountedPart::Directory);
    let below = below.map_or(path, |above| {
        let above = above.trim_start_matches("./").trim_end_matches('/');
        path.trim_start_matches("./").strip_prefix(above).unwrap_or(path)
    });
    match part {
        MountedPart::File => mount.at.clone(),
        MountedPart::Whole | MountedPart::Directory => format!("{}/{below}", mount.at),
    }
}

/// How the mount contains the token at `path`; none if it does not. What a variable stands for is
/// unknown: it is a token only where the volume has nothing else.
fn part(path: &str, mount: &Mount, only_tokens: bool) -> Option<MountedPart> {
    let sub_path = [&mount.sub_path, &mount.sub_path_expr].into_iter().flatten();
    let sub_path = sub_path.map(String::as_str).find(|sub_path| !sub_path.is_empty());
    let mut wanted = components(sub_path.unwrap_or_default());
    if sub_path.is_some_and(|sub_path| sub_path.contains(VARIABLE)) {
        return only_tokens.then_some(MountedPart::File);
    }
    let is_pinned = wanted.first() == Some(&DATA);
    wanted.drain(..usize::from(is_pinned));
    let path = components(path);
    match path.strip_prefix(wanted.as_slice())? {
        _ if wanted.is_empty() && !is_pinned => Some(MountedPart::Whole),
        [] => Some(MountedPart::File),
        [..] => Some(MountedPart::Directory),
    }
}

/// The names in a path, without those that change nothing.
fn components(path: &str) -> Vec<&str> {
    path.split('/').filter(|name| !name.is_empty() && *name != ".").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(paths: &[&str], others: usize) -> Volume {
        let token = |path: &&str| format!(r#"{{"serviceAccountToken": {{"path": "{path}"}}}}"#);
        let mut sources: Vec<String> = paths.iter().map(token).collect();
        sources.extend(vec![r#"{"configMap": {"name": "c"}}"#.to_owned(); others]);
        let json =
            format!(r#"{{"name": "v", "projected": {{"sources": [{}]}}}}"#, sources.join(","));
        serde_json::from_str(&json).unwrap()
    }

    fn parts(paths: &[&str], others: usize, mount: &str) -> Vec<(String, MountedPart)> {
        let mount = serde_json::from_str(mount).unwrap();
        let found = tokens(&volume(paths, others), &mount, &[]);
        assert!(found.iter().all(|token| token.volume == "v" && token.mount_path == "/t"));
        found.into_iter().map(|token| (token.path, token.part)).collect()
    }

    #[test]
    fn a_sub_path_mounts_a_file_a_directory_or_nothing_of_a_token() {
        use MountedPart::{Directory, File, Whole};
        // (path of the token, subPath, how much of it is mounted)
        let table = [
            ("token", "", Some(Whole)),
            ("token", ".", Some(Whole)),
            ("token", "./", Some(Whole)),
            ("token", "token", Some(File)),
            ("token", "./token", Some(File)),
            ("token", "ca.crt", None),
            ("token", "tok", None),
            ("token", "..data", Some(Directory)),
            ("token", "..data/token", Some(File)),
            ("vault/token", "vault", Some(Directory)),
            ("vault/token", "vault/", Some(Directory)),
            ("vault/token", "vault/token", Some(File)),
            ("vault/token", "vau", None),
            ("vault/token", "token", None),
        ];
        for (path, sub_path, expected) in table {
            let mount = format!(r#"{{"name": "v", "mountPath": "/t", "subPath": "{sub_path}"}}"#);
            let expected: Vec<_> =
                expected.map(|part| (path.to_owned(), part)).into_iter().collect();
            assert_eq!(parts(&[path], 1, &mount), expected, "{path} by {sub_path:?}");
        }
    }

    #[test]
    fn each_token_of_a_volume_is_found() {
        let whole = r#"{"name": "v", "mountPath": "/t"}"#;
        let found = parts(&["token", "vault/token"], 1, whole);
        assert_eq!(
            found,
            ["token", "vault/token"].map(|path| (path.to_owned(), MountedPart::Whole))
        );
        let null = r#"{"name": "v", "mountPath": "/t", "subPath": null, "subPathExpr": ""}"#;
        assert_eq!(parts(&["token"], 0, null)[0].1, MountedPart::Whole);
        assert_eq!(parts(&[], 2, whole), []);
    }

    #[test]
    fn a_variable_is_a_token_only_in_a_volume_of_tokens() {
        let mount = r#"{"name": "v", "mountPath": "/t", "subPathExpr": "$(NAME)"}"#;
        assert_eq!(parts(&["token"], 0, mount), [("token".to_owned(), MountedPart::File)]);
        assert_eq!(parts(&["token"], 1, mount), []);
        let plain = r#"{"name": "v", "mountPath": "/t", "subPathExpr": "token"}"#;
        assert_eq!(parts(&["token"], 1, plain), [("token".to_owned(), MountedPart::File)]);
    }
}
