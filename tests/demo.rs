//! The demo as a newcomer runs it: off line, without settings, to its end.

use std::process::Command;

#[test]
fn everything_it_promises_arrives() {
    let output = Command::new(env!("CARGO_BIN_EXE_tokenwatch")).arg("demo").env_clear().output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{told}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("11 of 11 shown"), "{told}");
    assert!(!told.contains('\x1b'), "no colours where there is no terminal");
}
