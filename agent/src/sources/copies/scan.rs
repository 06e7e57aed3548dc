//! Reads every place, in bounded time and memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, SFlag, fstat};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::copies::{CopiedToken, CopiesSeen, MAX_COPIES, Mention, Plugin};
use tokenwatch_core::world::observation::Observation;

use super::CopiesConfig;
use super::checks::Checks;
use super::content::{self, Content, Rest, TokenFile, Unusable};
use super::mentions::{FileId, Mentions};
use super::places::{self, Place, PlaceKind};
use super::servers::Servers;
use crate::clocks;
use crate::discovery::inside;
use crate::sources::names;
use crate::sources::signatures::SharedKeys;
use crate::sources::tokens::{Reader, Unread};

/// Most names that one scan looks at. A directory of CNI configurations has some ten.
const MAX_NAMES: usize = 512;
/// Deepest directory below a place: `net.d/multus.d/previous`.
const MAX_DEPTH: usize = 2;
/// Most problems that are reported.
const MAX_PROBLEMS: usize = 8;

/// The result of a scan.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// What changed since the last scan.
    pub(super) observations: Vec<Observation>,
    /// What could not be read although it should be readable, for people.
    pub(super) problems: Vec<String>,
    /// What this process may not read at a known place.
    pub(super) denied: Vec<String>,
    /// The directories to watch, as this process sees them.
    pub(super) directories: BTreeSet<PathBuf>,
}

/// Reads places again and again.
#[derive(Debug)]
pub struct Scanner {
    config: CopiesConfig,
    servers: Servers,
    reader: Reader,
    checks: Checks,
    /// What was last reported of each file with tokens.
    reported: BTreeMap<String, CopiesSeen>,
}

/// A file with something to judge.
struct File {
    place: Place,
    path: PathBuf,
    id: FileId,
    written_at: Wall,
    content: Content,
    setting: Setting,
}

/// How the settings name a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Setting {
    /// They do not.
    No,
    /// By a directory that it is in.
    Directory,
    /// Itself.
    File,
}

/// One scan while it runs.
struct Walk<'a> {
    reader: &'a mut Reader,
    checks: &'a mut Checks,
    servers: &'a Servers,
    seen: BTreeSet<FileId>,
    names: usize,
    files: Vec<File>,
    scan: Scan,
}

impl Scanner {
    /// Checks signatures against these keys.
    pub(super) fn new(config: CopiesConfig, keys: SharedKeys) -> Self {
        let (servers, checks) = (Servers::at(&config.api_servers), Checks::against(keys));
        Self { config, servers, reader: Reader::new(), checks, reported: BTreeMap::new() }
    }

    /// Checks signatures against these keys from now on.
    pub(super) fn check_signatures(&mut self, keys: SharedKeys) {
        self.checks = Checks::against(keys);
    }

    /// Reads everything.
    pub(super) fn scan(&mut self) -> Scan {
        self.checks.begin();
        let mut walk = Walk {
            reader: &mut self.reader,
            checks: &mut self.checks,
            servers: &self.servers,
            seen: BTreeSet::new(),
            names: 0,
            files: Vec::new(),
            scan: Scan::default(),
        };
        for place in places::known(&self.config) {
            walk.look(&place, &place.path, 0);
        }
        walk.named();
        walk.seen.clear(); // what the settings name counts as that, wherever it is
        for place in places::configured(&self.config) {
            walk.look(&place, &place.path, 0);
        }
        let (found, mut scan) = walk.finish();
        self.report(found, &mut scan);
        scan
    }

    /// Reports what changed: files with other tokens, and those without any now.
    fn report(&mut self, found: Vec<CopiesSeen>, scan: &mut Scan) {
        let mut gone = std::mem::take(&mut self.reported);
        for seen in found {
            let before = gone.remove(&seen.path);
            if before.as_ref() != Some(&seen) {
                scan.observations.push(Observation::Copies(seen.clone()));
            }
            self.reported.insert(seen.path.clone(), seen);
        }
        let emptied = gone.into_values().map(|seen| CopiesSeen { tokens: Vec::new(), ..seen });
        scan.observations.extend(emptied.map(Observation::Copies));
    }
}

impl Walk<'_> {
    /// Looks at a path of the host: reads a file, or all files of a directory.
    fn look(&mut self, place: &Place, path: &Path, depth: usize) {
        let opened = inside::open(&place.tree, path, OFlag::O_PATH);
        let stat = opened.and_then(|file| Ok(fstat(&file)?));
        match stat {
            Ok(stat) if !self.seen.insert(id(&stat)) => {} // by another name
            Ok(stat) => match kind(&stat) {
                SFlag::S_IFREG => self.file(place, path, &stat),
                SFlag::S_IFDIR if depth <= MAX_DEPTH => self.directory(place, path, depth),
                SFlag::S_IFDIR => {}
                _ if !expects_tokens(place, path) => {}
                _ => self.problem(path, &Unread::NotAFile.to_string()),
            },
            Err(error) => self.failed(place, path, &error),
        }
    }

    /// A place may not exist, and a link in it may lead nowhere.
    fn failed(&mut self, place: &Place, path: &Path, error: &std::io::Error) {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
        let must_exist = place.kind == PlaceKind::Configured && place.path == path;
        match errno {
            Errno::ENOENT | Errno::ENOTDIR if !must_exist => {}
            Errno::EACCES | Errno::EPERM if place.kind != PlaceKind::Configured => {
                self.scan.denied.push(describe(path, errno.desc()));
            }
            errno => self.problem(path, errno.desc()),
        }
    }

    fn problem(&mut self, path: &Path, why: &str) {
        let problem = describe(path, why);
        if self.scan.problems.len() < MAX_PROBLEMS && !self.scan.problems.contains(&problem) {
            self.scan.problems.push(problem);
        }
    }

    fn directory(&mut self, place: &Place, path: &Path, depth: usize) {
        let names = match names(&place.tree, path) {
            Ok(names) => names,
            Err(error) => return self.failed(place, path, &error),
        };
        self.scan.directories.insert(seen_at(&place.tree, path));
        let room = MAX_NAMES.saturating_sub(self.names);
        self.names += names.len();
        names.iter().take(room).for_each(|name| self.look(place, &path.join(name), depth + 1));
        if names.len() > room {
            self.problem(path, &format!("more than {MAX_NAMES} files are there to read"));
        }
    }

    /// Reads the kubeconfigs that CNI configurations name and that are elsewhere.
    fn named(&mut self) {
        let mut paths = Vec::new();
        for file in self.files.iter().filter(|file| file.is_configuration()) {
            let named = file.content.named.iter().flat_map(|named| &named.kubeconfigs);
            let found = named.filter_map(|name| find(file, name));
            paths.extend(found.map(|(path, _)| (file.place.tree.clone(), path)));
        }
        for (tree, path) in paths.into_iter().take(MAX_COPIES) {
            let place = Place { tree, path: path.clone(), kind: PlaceKind::Plugin };
            self.look(&place, &path, MAX_DEPTH + 1);
        }
    }

    fn file(&mut self, place: &Place, path: &Path, stat: &FileStat) {
        if place.kind == PlaceKind::Configured && self.is_kept(place, path, id(stat)) {
            return;
        }
        if let Some(parent) = path.parent() {
            self.scan.directories.insert(seen_at(&place.tree, parent));
        }
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        match self.fetch(&place.tree, path, &name) {
            Ok(Ok(content)) => self.keep(place, path, stat, content),
            Ok(Err(unusable)) => self.unusable(place, path, unusable),
            Err(Unread::Failed(errno)) => self.failed(place, path, &errno.into()),
            Err(Unread::TooLong) if !expects_tokens(place, path) => {}
            Err(why @ (Unread::NotAFile | Unread::TooLong)) => {
                self.problem(path, &why.to_string());
            }
        }
    }

    /// Whether a file that the settings name was read at a known place. It is theirs then.
    fn is_kept(&mut self, place: &Place, path: &Path, id: FileId) -> bool {
        let known = self.files.iter_mut().find(|file| file.id == id);
        if let Some(file) = known {
            file.setting = file.setting.max(setting(place, path));
            return true;
        }
        false
    }

    fn keep(&mut self, place: &Place, path: &Path, stat: &FileStat, content: Content) {
        if !content.is_empty() || expects_tokens(place, path) {
            self.files.push(File {
                place: place.clone(),
                path: path.to_owned(),
                id: id(stat),
                written_at: written_at(stat),
                content,
                setting: setting(place, path),
            });
        }
    }

    /// Beside CNI configurations there may be anything.
    fn unusable(&mut self, place: &Place, path: &Path, why: Unusable) {
        let matters = match why {
            Unusable::NotText => expects_tokens(place, path),
            Unusable::Kubeconfig(_) | Unusable::TooMany => true,
        };
        if matters {
            self.problem(path, &why.to_string());
        }
    }

    /// Never blocks: what may be a pipe by now is opened without waiting for a writer.
    fn fetch(
        &mut self,
        tree: &Path,
        path: &Path,
        name: &str,
    ) -> Result<Result<Content, Unusable>, Unread> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let opened = inside::open(tree, path, flags);
        let file = opened.map_err(|error| {
            Unread::Failed(Errno::from_raw(error.raw_os_error().unwrap_or_default()))
        })?;
        let (checks, servers, now) = (&mut *self.checks, self.servers, clocks::now().wall);
        self.reader.contents(file.as_fd(), |bytes, stamp| {
            content::of(bytes, name, servers, &mut checks.of(stamp, now))
        })
    }

    /// What is to be reported of the files, once all configurations are known.
    fn finish(mut self) -> (Vec<CopiesSeen>, Scan) {
        let files = std::mem::take(&mut self.files);
        let mentions = mentions(&files);
        let (mut used, mut seen) = (BTreeSet::new(), Vec::new());
        for mut file in files {
            let mention = mention(&file, &mentions);
            self.check_content(&file, mention);
            let token_files = std::mem::take(&mut file.content.files);
            let is_used = matches!(mention, Mention::Configured | Mention::Named);
            for named in token_files {
                let token = self.token_file(&file, named, is_used, &mut used);
                file.content.tokens.extend(token);
            }
            seen.push((file.id, report(file, mention)));
        }
        // A token file that a kubeconfig names is judged as the kubeconfig's.
        seen.retain(|(id, of)| !used.contains(id) && !of.tokens.is_empty());
        let reported = seen.into_iter().map(|(_, seen)| seen).collect();
        (self.bounded(reported), self.scan)
    }

    /// A file that something uses and that authenticates nobody is emptied, or cut off.
    fn check_content(&mut self, file: &File, mention: Mention) {
        let is_expected = match mention {
            Mention::Configured => file.setting == Setting::File,
            Mention::Named => expects_tokens(&file.place, &file.path),
            Mention::OtherNamed | Mention::NotNamed | Mention::Unknown => false,
        };
        let lacks = file.content.tokens.is_empty() && file.content.files.is_empty();
        match file.content.rest {
            Rest::Nothing(why) if is_expected && lacks => {
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                self.problem(&file.path, &format!("it holds no token that can be read{why}"));
            }
            Rest::Nothing(_) | Rest::Other => {}
        }
    }

    /// The first copies. More are a problem.
    fn bounded(&mut self, mut reported: Vec<CopiesSeen>) -> Vec<CopiesSeen> {
        if let Some(next) = reported.get(MAX_COPIES) {
            let path = PathBuf::from(&next.path);
            self.problem(&path, &format!("more than {MAX_COPIES} files hold copies of tokens"));
        }
        reported.truncate(MAX_COPIES);
        reported
    }

    /// The token in a kubeconfig's `tokenFile`: on the host, or relative to the kubeconfig.
    fn token_file(
        &mut self,
        of: &File,
        named: TokenFile,
        is_used: bool,
        used: &mut BTreeSet<FileId>,
    ) -> Option<CopiedToken> {
        let TokenFile { user, path, instead, api_server } = named;
        let path = of.path.parent()?.join(path);
        let token_file = Some(text(&path));
        match self.token_at(&of.place.tree, &path) {
            Ok(Some((id, token))) => {
                used.insert(id);
                return Some(CopiedToken { user, token_file, api_server, ..token });
            }
            Err(why) if is_used && !is_of_container(&path) => {
                let named = shown(&path.to_string_lossy()).into_owned();
                self.problem(&of.path, &format!("its tokenFile {named} cannot be read: {why}"));
            }
            Ok(None) | Err(_) => {}
        }
        instead
    }

    /// The token in a file that holds one. Nothing: it never expires.
    fn token_at(
        &mut self,
        tree: &Path,
        path: &Path,
    ) -> Result<Option<(FileId, CopiedToken)>, String> {
        let read = self.fetch(tree, path, "").map_err(|why| why.to_string())?;
        let content = read.map_err(|why| why.to_string())?;
        match (content.tokens.into_iter().next(), content.rest) {
            (Some(token), _) => Ok(file_id(tree, path).map(|id| (id, token))),
            (None, Rest::Other) => Ok(None),
            (None, Rest::Nothing(_)) => Err("it holds no token that can be read".to_owned()),
        }
    }
}

impl File {
    /// Whether a container runtime reads it as a CNI configuration. Those of plugins lie in
    /// directories of their own.
    fn is_configuration(&self) -> bool {
        let is_read = self.path.parent() == Some(&self.place.path);
        is_read && self.place.kind == PlaceKind::Cni && self.content.named.is_some()
    }
}

/// Whether a path is one that kubelet mounts in containers. On the host there is no such file.
fn is_of_container(path: &Path) -> bool {
    ["/var/run/secrets", "/run/secrets"].iter().any(|directory| path.starts_with(directory))
}

impl Content {
    /// Whether nothing in it matters.
    fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.files.is_empty() && self.named.is_none()
    }
}

/// Whether a file at this path should hold tokens, so that it matters if it cannot be read.
fn expects_tokens(place: &Place, path: &Path) -> bool {
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    let is_named = name.windows(10).any(|part| part.eq_ignore_ascii_case(b"kubeconfig"));
    match place.kind {
        PlaceKind::Plugin => true,
        PlaceKind::Configured => path == place.path || is_named,
        PlaceKind::Cni => is_named,
    }
}

fn setting(place: &Place, path: &Path) -> Setting {
    match place.kind {
        PlaceKind::Configured if path == place.path => Setting::File,
        PlaceKind::Configured => Setting::Directory,
        PlaceKind::Cni | PlaceKind::Plugin => Setting::No,
    }
}

/// What the CNI configurations name.
fn mentions(files: &[File]) -> Mentions {
    let mut mentions = Mentions::default();
    for file in files.iter().filter(|file| file.is_configuration()) {
        if let Some(named) = &file.content.named {
            mentions.add(named, |name| find(file, name).map(|(_, id)| id));
        }
    }
    mentions
}

/// The file that a configuration names, by its path on the host or in the container that wrote it.
fn find(by: &File, name: &str) -> Option<(PathBuf, FileId)> {
    let path = by.path.parent()?.join(name);
    let within = path.strip_prefix("/host").ok().map(|path| Path::new("/").join(path));
    let paths = [Some(path), within];
    paths.into_iter().flatten().find_map(|path| {
        let id = file_id(&by.place.tree, &path)?;
        Some((path, id))
    })
}

fn file_id(tree: &Path, path: &Path) -> Option<FileId> {
    let file = inside::open(tree, path, OFlag::O_PATH).ok()?;
    fstat(&file).ok().map(|stat| id(&stat))
}

/// The plugin that writes a file at a known place.
fn plugin(file: &File) -> Option<Plugin> {
    Plugin::of_path(&text(&file.path)).filter(|_| file.place.kind != PlaceKind::Configured)
}

fn mention(file: &File, mentions: &Mentions) -> Mention {
    match (file.setting, file.place.kind) {
        (Setting::Directory | Setting::File, _) => Mention::Configured,
        (Setting::No, PlaceKind::Cni) if file.content.named.is_some() => Mention::Named,
        (Setting::No, PlaceKind::Cni | PlaceKind::Plugin | PlaceKind::Configured) => {
            mentions.of(file.id, plugin(file))
        }
    }
}

fn report(file: File, mention: Mention) -> CopiesSeen {
    CopiesSeen {
        path: text(&file.path),
        kind: file.content.kind,
        plugin: plugin(&file),
        mention,
        written_at: Some(file.written_at),
        tokens: file.content.tokens,
    }
}

fn describe(path: &Path, why: &str) -> String {
    format!("{}: {}", shown(&path.to_string_lossy()), shown(why))
}

fn text(path: &Path) -> String {
    names::text(path.as_os_str()).into_owned()
}

/// A path of the host as this process sees it.
fn seen_at(tree: &Path, path: &Path) -> PathBuf {
    tree.join(path.strip_prefix("/").unwrap_or(path))
}

/// The names in a directory, sorted.
fn names(tree: &Path, path: &Path) -> std::io::Result<Vec<OsString>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK;
    let mut directory = Dir::from_fd(inside::open(tree, path, flags)?)?;
    let names = directory.iter().take(MAX_NAMES + 3).filter_map(Result::ok);
    let mut names: Vec<OsString> = names
        .map(|entry| std::ffi::OsStr::from_bytes(entry.file_name().to_bytes()).to_owned())
        .filter(|name| name != "." && name != "..")
        .collect();
    names.sort();
    Ok(names)
}

fn id(stat: &FileStat) -> FileId {
    (stat.st_dev, stat.st_ino)
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn written_at(stat: &FileStat) -> Wall {
    let seconds = Wall::from_secs(stat.st_mtime).as_nanos();
    Wall::from_nanos(seconds.saturating_add(stat.st_mtime_nsec))
}
