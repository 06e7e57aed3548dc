//! System calls that no library wraps: one thin function each, and the only `unsafe` of the project.
