//! The clients of tokens: programs that read a token file when they use the token.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::Error;

/// More than any token has.
const MOST_BYTES: usize = 16 * 1024;

/// A program that uses the token in a file.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    /// The file as it was opened at the start, by a client that keeps it.
    kept: Option<File>,
}

impl Client {
    /// Opens the file each time.
    pub fn reopening(path: &Path) -> Self {
        Self { path: path.to_owned(), kept: None }
    }

    /// Opens the file now and keeps it: it never sees another token.
    pub fn keeping(path: &Path) -> Result<Self, Error> {
        let kept = File::open(path).map_err(Error::files(path))?;
        Ok(Self { path: path.to_owned(), kept: Some(kept) })
    }

    /// Reads the token, as before a request.
    pub fn read(&self) -> Result<Vec<u8>, Error> {
        let read = match &self.kept {
            Some(file) => start_of(file),
            None => File::open(&self.path).and_then(|file| start_of(&file)),
        };
        read.map_err(Error::files(&self.path))
    }
}

fn start_of(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; MOST_BYTES];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubelet::Payload;
    use crate::root::Root;
    use tokenwatch_core::base::time::Wall;

    #[test]
    fn a_client_that_keeps_the_file_never_sees_another_token() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::at(folder.path()).unwrap();
        let volume = root.volume("0d8b", "v");
        let write = |token: &str, second| {
            let payload = Payload::from([("token".into(), token.into())]);
            volume.write(&payload, Wall::from_secs(second)).unwrap();
        };
        write("one", 1);
        let path = volume.directory().join("token");
        let clients = [Client::keeping(&path).unwrap(), Client::reopening(&path)];
        let seen = || clients.each_ref().map(|client| client.read().unwrap());
        assert_eq!(seen(), [b"one", b"one"]);
        write("two", 2);
        assert_eq!(seen(), [b"one", b"two"]);
        root.remove_pod("0d8b").unwrap();
        assert_eq!(clients[0].read().unwrap(), b"one");
        assert!(clients[1].read().is_err() && Client::keeping(&path).is_err());
    }
}
