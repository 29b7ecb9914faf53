//! Acting.

mod act;
mod connect;
mod deliver;

use async_graphql::MergedObject;

/// What can be done.
#[derive(MergedObject, Default)]
pub struct Mutation(connect::Connect, act::Act, deliver::Deliver);
