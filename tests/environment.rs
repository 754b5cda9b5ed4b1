//! Nothing in the environment chooses the program, the vault or the policy, and the real command
//! gets an environment that was made for it.

mod hijack;
mod limits;
mod variables;
