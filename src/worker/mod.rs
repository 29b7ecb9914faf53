//! Loops that nobody asks for: they take what is due from the services and run it.
//!
//! `app` starts them and stops them; they know services only. A loop ends when its `stop` token is
//! cancelled and what it has begun has ended.

mod check;
mod deliver;
mod purge;
mod renew;
mod reseal;
mod watch;

pub use check::check;
pub use deliver::{DeliverLimits, deliver};
pub use purge::purge;
pub use renew::renew;
pub use reseal::reseal;
pub use watch::watch;
