//! What the kernel holds the real command to, and what happens where it cannot.

mod absent;
mod taken_over;
