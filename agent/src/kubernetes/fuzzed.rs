//! Any bytes as the kubeconfig of the agent.

use super::kubeconfig;
use crate::fuzzed::{Folder, assert_no_token};

/// It is read or refused, and no error repeats what it holds.
pub(crate) fn kubeconfig(bytes: &[u8]) {
    let Some(folder) = Folder::new() else { return };
    let file = folder.write("kubeconfig", bytes);
    match kubeconfig::read(&file) {
        Ok(_) => {
            let server = kubeconfig::server(&file);
            assert!(server.is_none_or(|server| server.len() <= bytes.len() * 4));
        }
        Err(error) => assert_no_token(bytes, &error.to_string()),
    }
}
