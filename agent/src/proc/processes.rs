//! Processes of this PID namespace.

use super::{Error, ProcFs};

/// A process that existed when it was listed. It may end at any time; then nothing more is known of
/// it.
#[derive(Debug)]
pub struct Process(procfs::process::Process);

impl Process {
    /// Its name (`comm` of proc_pid_stat(5)), at most 15 bytes.
    pub fn name(&self) -> Option<String> {
        self.0.stat().ok().map(|stat| stat.comm)
    }

    /// Its command line, with the program as first argument (proc_pid_cmdline(5)).
    pub fn arguments(&self) -> Option<Vec<String>> {
        self.0.cmdline().ok()
    }
}

impl ProcFs {
    /// The processes that the agent can see: those of its own container, or with hostPID all of the
    /// node.
    pub fn processes(&self) -> Result<impl Iterator<Item = Process>, Error> {
        let listed = procfs::process::all_processes_with_root(&self.root)
            .map_err(|error| Error::new(&self.root, &error))?;
        Ok(listed.flatten().map(Process))
    }
}
