//! Confinement of the process: which paths it may read and write, and the system calls for that.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Settings;
use crate::confinement::{self, Allowed, Confinement};
use crate::environment::Environment;
use crate::sources::privileges;
use crate::sources::readers::fanotify::Access;

/// Why the process is not confined. The agent works without.
#[derive(Debug)]
pub enum ConfineError {
    /// The directory of the state file does not exist and could not be created. The process stays
    /// unconfined, so that this can be repaired while the agent runs.
    StateDirectory(PathBuf, io::Error),
    /// The kernel refused, or it has no Landlock.
    Kernel(confinement::Error),
}

impl fmt::Display for ConfineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StateDirectory(directory, error) => {
                write!(f, "cannot create {} (state.dir): {error}", directory.display())
            }
            Self::Kernel(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConfineError {}

/// Creates what the agent needs CAP_SYS_ADMIN for, and gives that up, whether it was granted or
/// not. Call it before there is a second thread.
pub fn take_fanotify() -> (Access, Result<(), confinement::Error>) {
    (privileges::fanotify(), confinement::give_up_administration())
}

/// Gives up every right that the agent does not need. Call it before there is a second thread.
/// Creates the directory of the state file if it does not exist.
pub fn confine(
    settings: &Settings,
    environment: &Environment,
) -> Result<Confinement, ConfineError> {
    if let Some(directory) = &settings.state.dir {
        std::fs::create_dir_all(directory)
            .map_err(|error| ConfineError::StateDirectory(directory.clone(), error))?;
    }
    let read = readable(settings, environment);
    confinement::confine(Allowed { write: settings.state.dir.clone(), read })
        .map_err(ConfineError::Kernel)
}

/// System paths that the agent reads. A static binary may not find getrandom(2) by its name in
/// libc; it then reads random numbers from the devices.
const SYSTEM: [&str; 7] =
    ["/etc", "/proc", "/sys", "/run/secrets", "/var/run/secrets", "/dev/random", "/dev/urandom"];

/// The paths that an agent in a container reads: the mount of the host, and what it needs for the
/// collector, the API server and itself. All kubelet roots are below that mount. Nothing means no
/// limit: on the host itself kubelet roots can be anywhere, and a kubeconfig can name any file.
fn readable(settings: &Settings, environment: &Environment) -> Option<Vec<PathBuf>> {
    if settings.host_prefix == Path::new("/") || settings.kubernetes.kubeconfig.is_some() {
        return None;
    }
    let prefix = [settings.host_prefix.clone()];
    let system = SYSTEM.map(PathBuf::from);
    let authorities = settings.kubelet.metrics_ca.clone();
    let certificates = tls_files(settings, environment).chain(authorities);
    let certificates = certificates.map(|file| directory_of(&file));
    let folders = environment.get("SSL_CERT_DIR").into_iter().flat_map(|list| list.split(':'));
    let folders = folders.map(PathBuf::from);
    Some(prefix.into_iter().chain(system).chain(certificates).chain(folders).collect())
}

/// Certificates and keys for the connection to the collector, by settings and by variables.
fn tls_files(settings: &Settings, environment: &Environment) -> impl Iterator<Item = PathBuf> {
    let otlp = &settings.otlp;
    let by_setting = [&otlp.ca_file, &otlp.client_cert_file, &otlp.client_key_file];
    let by_variable = FILE_VARIABLES.iter().filter_map(|name| environment.get(name));
    by_setting.into_iter().flatten().cloned().chain(by_variable.map(PathBuf::from))
}

/// The directory to allow for a file. Files of a mounted Secret are links into a directory that
/// changes with each update: only the volume itself stays. Any other file may be replaced in its
/// own directory. The root directory is never allowed as a whole.
fn directory_of(file: &Path) -> PathBuf {
    let volume = file.ancestors().skip(1).find(|folder| folder.join("..data").exists());
    let folder = volume.or(file.parent()).filter(|folder| folder.parent().is_some());
    folder.unwrap_or(file).to_owned()
}

/// Variables that name a file to read: those of OpenTelemetry's exporters, and OpenSSL's variable
/// for the public CA certificates.
const FILE_VARIABLES: [&str; 13] = [
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY",
    "SSL_CERT_FILE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allowed_directory_of_a_certificate_holds_its_replacement_too() {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path().join("secret");
        std::fs::create_dir_all(volume.join("..2026_11_25/otlp")).unwrap();
        std::os::unix::fs::symlink("..2026_11_25", volume.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/otlp", volume.join("otlp")).unwrap();
        let table = [
            (volume.join("ca.crt"), volume.clone()),
            (volume.join("otlp/ca.crt"), volume),
            (folder.path().join("ca.crt"), folder.path().to_owned()),
            (PathBuf::from("/ca.crt"), PathBuf::from("/ca.crt")),
            (PathBuf::from("ca.crt"), PathBuf::from("ca.crt")),
        ];
        for (file, directory) in table {
            assert_eq!(directory_of(&file), directory, "{}", file.display());
        }
    }

    #[test]
    fn reading_is_limited_only_in_a_container_without_a_kubeconfig() {
        let environment = Environment::of([
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/tls/ca.crt"),
            ("SSL_CERT_DIR", "/certs-a:/certs-b"),
        ]);
        let in_container = Settings { host_prefix: "/host".into(), ..Settings::default() };
        let paths = readable(&in_container, &environment).unwrap();
        for path in ["/host", "/etc", "/tls", "/certs-a", "/certs-b"] {
            assert!(paths.contains(&PathBuf::from(path)), "{path} in {paths:?}");
        }
        assert_eq!(readable(&Settings::default(), &environment), None, "on the host");
        let mut with_kubeconfig = in_container;
        with_kubeconfig.kubernetes.kubeconfig = Some("/kubeconfig".into());
        assert_eq!(readable(&with_kubeconfig, &environment), None, "with a kubeconfig");
    }
}
