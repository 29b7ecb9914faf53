//! One binary for all integration tests: it links once, and its tests share the database server.

mod support;

mod actions;
mod answers;
mod bad_input;
mod batches;
mod commands;
mod egress;
mod exchanges;
mod fuzz;
mod guards;
mod health;
mod house;
mod keys;
mod killed;
mod library;
mod main_job;
mod manifests;
mod matrix;
mod oauth;
mod preview;
mod queries;
mod retention;
mod retry_all;
mod roles;
mod rotate;
mod sandbox;
mod schema;
mod secrets;
mod settings;
mod sites;
mod statistics;
mod store;
mod tokens;
mod vendors_live;
mod web;
