//! The binary: everything is in the library, so that tests can reach it.

use std::process::ExitCode;

use tokenwatch::{cli, environment::Environment};

/// One thread may be busy with a TLS handshake or with gzip while the other takes a rename within
/// its 10 ms; each costs some 30 kB.
const WORKERS: usize = 2;

fn main() -> ExitCode {
    no_core_dumps();
    tokenwatch::sys::malloc_frugally();
    // Fails only when one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ExitCode::from(cli::main(std::env::args_os(), &Environment::read(), &on_threads))
}

/// Does the work on threads that are started for it: what this one gave up before, they never had.
fn on_threads(work: cli::Work<'_>) -> u8 {
    match tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // All that was to be done is done: a resolver that hangs in a thread of its own must
            // not hold up the end.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("tokenwatch: cannot start: {error}");
            1
        }
    }
}

/// Tokens pass through this process's memory: no dump of it, and no look into it by other processes
/// of the same user.
fn no_core_dumps() {
    let undumpable = nix::sys::prctl::set_dumpable(false);
    let no_core = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
    if let Err(error) = undumpable.and(no_core) {
        eprintln!("tokenwatch: core dumps cannot be switched off ({error}): going on");
    }
}
