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
use super::content::{self, Content, TokenFile, Unusable};
use super::mentions::{FileId, Mentions};
use super::places::{self, Place, PlaceKind};
use crate::discovery::inside;
use crate::sources::tokens::{Reader, Unread};

/// Most names that one scan looks at. A directory of CNI configurations has some ten.
const MAX_NAMES: usize = 512;
/// Deepest directory below a place: `net.d/multus.d/previous`.
const MAX_DEPTH: usize = 2;
/// Most problems that are reported.
const MAX_PROBLEMS: usize = 8;

/// The result of a scan.
#[derive(Debug, Default)]
pub(super) struct Scan {
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
pub(super) struct Scanner {
    config: CopiesConfig,
    reader: Reader,
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
}

/// One scan while it runs.
struct Walk<'a> {
    reader: &'a mut Reader,
    seen: BTreeSet<FileId>,
    names: usize,
    files: Vec<File>,
    scan: Scan,
}

impl Scanner {
    pub(super) fn new(config: CopiesConfig) -> Self {
        Self { config, reader: Reader::new(), reported: BTreeMap::new() }
    }

    /// Reads everything.
    pub(super) fn scan(&mut self) -> Scan {
        let mut walk = Walk {
            reader: &mut self.reader,
            seen: BTreeSet::new(),
            names: 0,
            files: Vec::new(),
            scan: Scan::default(),
        };
        for place in places::all(&self.config) {
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
                _ => self.problem(path, &Unread::NotAFile.to_string()),
            },
            Err(error) => self.failed(place, path, &error),
        }
    }

    /// A place may not exist, and a link in it may lead nowhere.
    fn failed(&mut self, place: &Place, path: &Path, error: &std::io::Error) {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
        match errno {
            Errno::ENOENT | Errno::ENOTDIR if place.kind != PlaceKind::Configured => {}
            Errno::EACCES | Errno::EPERM if place.kind != PlaceKind::Configured => {
                self.scan.denied.push(describe(path, errno.desc()));
            }
            errno => self.problem(path, errno.desc()),
        }
    }

    fn problem(&mut self, path: &Path, why: &str) {
        if self.scan.problems.len() < MAX_PROBLEMS {
            self.scan.problems.push(describe(path, why));
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

    fn file(&mut self, place: &Place, path: &Path, stat: &FileStat) {
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

    fn keep(&mut self, place: &Place, path: &Path, stat: &FileStat, content: Content) {
        if !content.is_empty() {
            let (place, path, id) = (place.clone(), path.to_owned(), id(stat));
            self.files.push(File { place, path, id, written_at: written_at(stat), content });
        }
    }

    /// Beside CNI configurations there may be anything.
    fn unusable(&mut self, place: &Place, path: &Path, why: Unusable) {
        let matters = match why {
            Unusable::NotText => expects_tokens(place, path),
            Unusable::Kubeconfig(_) => true,
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
        self.reader.contents(file.as_fd(), |bytes| content::of(bytes, name))
    }

    /// What is to be reported of the files, once all configurations are known.
    fn finish(mut self) -> (Vec<CopiesSeen>, Scan) {
        let files = std::mem::take(&mut self.files);
        let mentions = mentions(&files);
        let (mut used, mut seen) = (BTreeSet::new(), Vec::new());
        for mut file in files {
            let token_files = std::mem::take(&mut file.content.files);
            let tokens =
                token_files.into_iter().filter_map(|of| self.token_file(&file, of, &mut used));
            let tokens: Vec<CopiedToken> = tokens.collect();
            file.content.tokens.extend(tokens);
            seen.push((file.id, report(file, &mentions)));
        }
        // A token file that a kubeconfig names is judged as the kubeconfig's.
        seen.retain(|(id, of)| !used.contains(id) && !of.tokens.is_empty());
        let reported = seen.into_iter().map(|(_, seen)| seen).collect();
        (self.bounded(reported), self.scan)
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

    /// The token in a kubeconfig's `tokenFile`: on the host, or relative to the kubeconfig. In a
    /// container the path may be one of the container: then there is no such file here.
    fn token_file(
        &mut self,
        of: &File,
        named: TokenFile,
        used: &mut BTreeSet<FileId>,
    ) -> Option<CopiedToken> {
        let TokenFile { user, path, instead } = named;
        let path = of.path.parent()?.join(path);
        let read = self.token_at(&of.place.tree, &path);
        used.extend(read.as_ref().map(|(id, _)| *id));
        let token_file = Some(text(&path));
        read.map(|(_, token)| CopiedToken { user, token_file, ..token }).or(instead)
    }

    /// The token in a file that holds one.
    fn token_at(&mut self, tree: &Path, path: &Path) -> Option<(FileId, CopiedToken)> {
        let id = file_id(tree, path)?;
        let content = self.fetch(tree, path, "").ok()?.ok()?;
        content.tokens.into_iter().next().map(|token| (id, token))
    }
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
        PlaceKind::Configured | PlaceKind::Plugin => true,
        PlaceKind::Cni => is_named,
    }
}

/// What the CNI configurations name. Those of plugins lie in directories of their own, and no
/// runtime reads them.
fn mentions(files: &[File]) -> Mentions {
    let mut mentions = Mentions::default();
    for file in files {
        let is_read = file.path.parent() == Some(&file.place.path);
        let named = file.content.named.as_ref().filter(|_| is_read);
        if let Some(named) = named.filter(|_| file.place.kind == PlaceKind::Cni) {
            mentions.add(named, |name| find(file, name));
        }
    }
    mentions
}

/// The file that a configuration names, by its path on the host or in the container that wrote it.
fn find(by: &File, name: &str) -> Option<FileId> {
    let path = by.path.parent()?.join(name);
    let within = path.strip_prefix("/host").ok().map(|path| Path::new("/").join(path));
    let paths = [Some(path), within];
    paths.into_iter().flatten().find_map(|path| file_id(&by.place.tree, &path))
}

fn file_id(tree: &Path, path: &Path) -> Option<FileId> {
    let file = inside::open(tree, path, OFlag::O_PATH).ok()?;
    fstat(&file).ok().map(|stat| id(&stat))
}

fn report(file: File, mentions: &Mentions) -> CopiesSeen {
    let path = text(&file.path);
    let plugin = Plugin::of_path(&path).filter(|_| file.place.kind != PlaceKind::Configured);
    let mention = match file.place.kind {
        PlaceKind::Configured => Mention::Configured,
        PlaceKind::Cni if file.content.named.is_some() => Mention::Named,
        PlaceKind::Cni | PlaceKind::Plugin => mentions.of(file.id, plugin),
    };
    CopiesSeen {
        path,
        kind: file.content.kind,
        plugin,
        mention,
        written_at: Some(file.written_at),
        tokens: file.content.tokens,
    }
}

fn describe(path: &Path, why: &str) -> String {
    format!("{}: {}", shown(&path.to_string_lossy()), shown(why))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
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
