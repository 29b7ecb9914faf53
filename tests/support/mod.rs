//! What the stories stand on: the app, the vendor, the clock, and both databases.

pub mod app;
pub mod authority;
pub mod calls;
pub mod clock;
pub mod grants;
pub mod http;
pub mod keys;
pub mod leaks;
pub mod postgres;
mod postgres_tests;
pub mod process;
pub mod rows;
mod stored;
pub mod subscription;
pub mod vendor;
