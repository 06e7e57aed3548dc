//! For people: what would be sent, as lines.
