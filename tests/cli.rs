//! `pvm` as people and scripts use it: every verb, what it prints and what it ends with.

mod backup;
mod completions;
mod doctor;
mod doctor_environment;
mod grant;
mod help;
mod init;
mod listings;
mod manual;
mod resolve;
