//! A volume as kubelet mounts it, and containers that have it mounted.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Whether the tests can run here. In CI they have to.
pub(crate) fn can_run() -> bool {
    let lacking = lacking();
    if let Some(lacking) = &lacking {
        assert!(std::env::var_os("CI").is_none(), "CI has to run this: {lacking}");
        eprintln!("SKIPPED: {lacking}");
    }
    lacking.is_none()
}

fn lacking() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("fanotify needs root");
    }
    if cgroups().is_none() {
        return Some("no cgroup file system of version 2 can be written");
    }
    let group = tokenwatch::sources::readers::fanotify::Group::open();
    group.err().map(|_| "this kernel provides no fanotify group")
}

/// Where cgroup version 2 is mounted. The tests run at once, and each asks.
fn cgroups() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOUND.get_or_init(find_cgroups).clone()
}

fn find_cgroups() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = lines.find(|fields| fields.get(2) == Some(&"cgroup2"))?;
    let path = PathBuf::from(found.get(1)?);
    let probe = path.join(format!("tokenwatch-{}", std::process::id()));
    fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe)).ok().map(|()| path)
}

/// Kubelet writes files, links and owners for a millisecond. Here other tests run, too.
const KUBELET: Duration = Duration::from_millis(100);

/// A tmpfs with generations of a token. Unmounted at the end.
pub(crate) struct Volume {
    pub(crate) path: PathBuf,
    /// Removed with it.
    folder: Option<tempfile::TempDir>,
}

impl Volume {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut volume = Self::at(&folder.path().join("volume"));
        volume.folder = Some(folder);
        volume
    }

    pub(crate) fn at(path: &Path) -> Self {
        fs::create_dir_all(path).unwrap();
        mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some("size=1m")).unwrap();
        Self { path: path.to_owned(), folder: None }
    }

    /// Makes a generation the current one, as kubelet does; the token is at `token` in it. The
    /// directory's name is returned.
    pub(crate) fn rotate(&self, number: u32, token: &str) -> String {
        self.rotate_within(KUBELET, number, token)
    }

    /// The same on a busy node, where kubelet is ready before the agent can look.
    pub(crate) fn rotate_at_once(&self, number: u32, token: &str) -> String {
        self.rotate_within(Duration::ZERO, number, token)
    }

    fn rotate_within(&self, time: Duration, number: u32, token: &str) -> String {
        let name = format!("..2026_11_28_10_00_00.{number}");
        let file = self.path.join(&name).join(token);
        fs::create_dir(self.path.join(&name)).unwrap();
        std::thread::sleep(time); // until it has written the files and removes the old ones
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, format!("token {number}")).unwrap();
        let old = fs::read_link(self.path.join("..data")).ok();
        symlink(&name, self.path.join("..data_tmp")).unwrap();
        fs::rename(self.path.join("..data_tmp"), self.path.join("..data")).unwrap();
        let top = Path::new(token).iter().next().unwrap();
        let _ = symlink(Path::new("..data").join(top), self.path.join(top)); // there already
        if let Some(old) = old {
            fs::remove_dir_all(self.path.join(old)).unwrap();
        }
        name
    }

    /// Unmounts it as kubelet does: at once, or not at all.
    pub(crate) fn unmount(&self) -> nix::Result<()> {
        umount2(&self.path, MntFlags::empty())
    }

    /// The same while an agent runs. It may be reading a file just then, and kubelet tries again.
    pub(crate) fn unmount_beside_agent(&self) -> nix::Result<()> {
        let mut result = self.unmount();
        for _ in 0..20 {
            if result != Err(nix::Error::EBUSY) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
            result = self.unmount();
        }
        result
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

/// A container: a shell with mounts and a cgroup of its own, which runs the commands that it gets.
/// Killed at the end.
pub(crate) struct Container {
    shell: Child,
    answers: BufReader<std::process::ChildStdout>,
    cgroup: PathBuf,
    pub(crate) id: String,
}

/// Binds the volume privately and read-only, as a container runtime does, and waits for commands.
const SHELL: &str = r#"
mount --bind "$0" "$1" && mount -o remount,bind,ro "$1" && cd / && echo ready
while read -r line; do eval "$line"; echo done; done
"#;

impl Container {
    /// Of a pod with this UID, with the volume mounted at the path that is returned with it.
    pub(crate) fn start(pod_uid: &str, number: u32, volume: &Path) -> (Self, PathBuf) {
        let at = volume.with_file_name(format!("in-container-{number}"));
        fs::create_dir_all(&at).unwrap();
        let mut shell = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", SHELL])
            .args([volume, &at])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let id = format!("{number:08x}").repeat(8);
        let pod = cgroups().unwrap().join(format!("kubepods/besteffort/pod{pod_uid}"));
        let cgroup = pod.join(&id);
        make_cgroup(&cgroup);
        fs::write(cgroup.join("cgroup.procs"), shell.id().to_string()).unwrap();
        let answers = BufReader::new(shell.stdout.take().unwrap());
        let mut container = Self { shell, answers, cgroup, id };
        container.wait("ready");
        (container, at)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.shell.id()
    }

    /// Runs a command, and waits until it has ended.
    pub(crate) fn run(&mut self, command: &str) {
        self.tell(command);
        self.wait("done");
    }

    /// Starts a command that may last.
    pub(crate) fn tell(&mut self, command: &str) {
        writeln!(self.shell.stdin.as_mut().unwrap(), "{command}").unwrap();
    }

    fn wait(&mut self, answer: &str) {
        let mut line = String::new();
        while line.trim() != answer {
            line.clear();
            assert!(self.answers.read_line(&mut line).unwrap() > 0, "the container ended");
        }
    }
}

/// Another test may remove a parent that is still empty: then it is made again.
fn make_cgroup(cgroup: &Path) {
    let mut made = fs::create_dir_all(cgroup);
    for _ in 0..100 {
        if !made.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            break;
        }
        made = fs::create_dir_all(cgroup);
    }
    made.unwrap();
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = fs::write(self.cgroup.join("cgroup.kill"), "1"); // Linux 5.14
        let _ = self.shell.kill();
        let _ = self.shell.wait();
        let mut directory = Some(self.cgroup.as_path());
        while let Some(empty) = directory.filter(|path| !path.ends_with("kubepods")) {
            for _ in 0..100 {
                if fs::remove_dir(empty).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            directory = empty.parent();
        }
        let _ = directory.map(fs::remove_dir);
    }
}
