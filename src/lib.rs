//! Kubernetes-style controllers for docker-compose stacks.
//!
//! An operator declares what should be true as versioned resources in a store that speaks the etcd v3 API. Independent,
//! level-triggered reconcilers watch them, observe Docker and take the smallest allowlisted action that reduces the drift, only
//! inside a control session that an operator opened.
//!
//! A newcomer begins with [`api::stack`], what is declared, and [`plan`], what is decided; the rest carries these two.
//!
//! # Layout
//! - [`api`]: the nouns. Data, defaults, rules. No I/O.
//! - [`store`]: keys, typed access, watches, leader election, fenced transactions, over the etcd v3 API.
//! - [`observe`]: what is true: containers, compose configuration, probes.
//! - [`plan`]: pure decisions: drift, ladder, authorisation.
//! - [`signature`]: log lines to signatures, what is known of them, and what a person should know; pure.
//! - [`soak`]: what a soak run records, and what follows from it: verdict and report.
//! - [`act`]: the allowlisted actions and their verification.
//! - [`audit`]: redaction of what is stored, logged or shown; whether the audit log is whole; snapshot packs and replay.
//! - [`clock`], [`dice`]: the one source of time and the one of chance, so that a test can hold both.
//! - [`stop_file`]: an emergency stop that needs no store.
//! - [`controllers`]: one file a reconciler.
//! - [`cli`]: `wicapctl`, one file a verb.
//!
//! Imports run one way: api ← store, plan, signature ← soak, observe, act, audit ← controllers ← the binaries.

pub mod act;
pub mod api;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod controllers;
pub mod dice;
pub mod observe;
pub mod plan;
pub mod signature;
pub mod soak;
pub mod stop_file;
pub mod store;
