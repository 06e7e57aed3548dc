//! Who reads the tokens, one folder for each means to see it.

pub mod fanotify;
