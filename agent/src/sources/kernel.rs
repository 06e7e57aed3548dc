//! What the kernel says about the clock, and when somebody sets it.
