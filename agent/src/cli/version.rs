//! `tokenwatch version`: which build this is.

use serde_json::{Value, json};

use super::output::{TextOrJson, print, print_json};

/// The commit, where whoever built the program named it: the same sources give the same bytes.
const COMMIT: Option<&str> = option_env!("BUILD_COMMIT");

/// Prints the version; the exit status.
pub(super) fn report(output: TextOrJson) -> u8 {
    match output {
        TextOrJson::Text => print(&text(), 0),
        TextOrJson::Json => print_json(&value(), 0),
    }
}

fn text() -> String {
    format!(
        "tokenwatch {}\ncommit   {}\nplatform {}/{}\n",
        env!("CARGO_PKG_VERSION"),
        COMMIT.unwrap_or("not known: not built by deploy/release"),
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

/// For scripts. Keys are only ever added.
fn value() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": COMMIT,
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
    })
}
