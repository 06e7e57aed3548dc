//! Compares output with files in tests/golden. `UPDATE_GOLDEN=1 cargo test` overwrites them: read
//! the difference before you commit it.

use std::path::PathBuf;

/// Fails unless `text` equals tests/golden/`name`.
#[track_caller]
pub(crate) fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("tests/golden can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, wanted, "differs from tests/golden/{name}");
}
