//! Acting.

mod act;
mod authorize;
mod connect;
mod deliver;
mod role;
mod rotate;
mod settings;

use async_graphql::MergedObject;

/// What can be done.
#[derive(MergedObject, Default)]
pub struct Mutation(
    connect::Connect,
    authorize::Authorize,
    act::Act,
    rotate::Rotate,
    deliver::Deliver,
    role::Roles,
    settings::Tuning,
);
