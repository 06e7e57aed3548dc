//! The binary. All code is in the library, where tests can use it.

use std::process::ExitCode;

use tokenwatch::limits::{self, Needs};
use tokenwatch::{cli, environment::Environment, streams};

/// Threads of the runtime. While one is busy with a TLS handshake or gzip, the other handles a
/// rename within 10 ms. Each costs some 30 kB.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(streams::complain_of_panic));
    no_core_dumps();
    tokenwatch::sys::malloc_frugally();
    // Fails only if one is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let code = cli::main(std::env::args_os(), &Environment::read(), &on_threads);
    streams::finish();
    ExitCode::from(code)
}

/// Runs the work on new threads, which inherit the confinement of this one.
fn on_threads(needs: Needs, work: cli::Work<'_>) -> u8 {
    if let Err(error) = limits::check(needs) {
        streams::complain(&error.to_string());
        return 1;
    }
    match tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // All work is done. A resolver that hangs in its own thread must not delay the exit.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            streams::complain(&format!("cannot start: {error}"));
            1
        }
    }
}

/// Tokens pass through this process's memory: it writes no core dump, and other processes of the
/// same user cannot read it.
fn no_core_dumps() {
    let undumpable = nix::sys::prctl::set_dumpable(false);
    let no_core = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
    if let Err(error) = undumpable.and(no_core) {
        let why = format!("cannot switch off core dumps ({error}): continuing with them");
        streams::complain(&why);
    }
}
