//! Who reads the tokens: which generation each reader holds, how it reads, and on which evidence.

mod evidence;
mod generation;
mod habit;
mod habits;
pub(crate) mod learn;
pub mod libraries;
mod packages;
mod processes;
mod reader;
mod seen;
mod stale;
mod store;
mod token;
mod versions;
mod view;

pub use evidence::{Evidence, ReaderVerdict, Strength};
pub use generation::{InFile, Kept, Watched};
pub use habit::Habit;
pub use habits::{HabitKey, Habits, KnownHabit};
pub use learn::Learned;
pub(crate) use learn::looks_once;
pub(crate) use processes::may_run;
pub use processes::{Connections, PodProcesses};
pub use reader::{Proof, Reader, Visit};
pub use seen::{
    Connected, ContainersSeen, MountKind, Opener, ReaderEvent, ReadersSeen, RunningContainer,
    SeenMount,
};
pub use stale::{FrozenMount, StaleReader};
pub(crate) use store::Proven;
pub use store::{ReaderFacts, Readers};
pub use token::TokenReaders;
pub use view::{HeldGeneration, ReaderView, Who};
