//! What the names of images mean now, asked of the engine as seldom as can be.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::engine::Engine;

/// Age at which a name is asked for again although no event said that it may mean another image: what a lost event costs.
const MAX_AGE: Duration = Duration::from_secs(60);

/// Remembers which image a name means until an event says otherwise, for all stacks together. Cheap to clone; clones share what is
/// known.
#[derive(Clone, Debug)]
pub struct ImageCache {
    engine: Engine,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Number of times that everything was forgotten: an answer from before is not kept.
    epoch: u64,
    /// By name; inside none when the name means no image here.
    ids: HashMap<String, (Option<String>, Instant)>,
}

impl ImageCache {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine, known: Arc::default() }
    }

    /// Forgets everything: the names may mean other images now.
    pub fn forget(&self) {
        let mut known = self.lock();
        known.epoch += 1;
        known.ids.clear();
    }

    /// The ids of the images that these names mean. Those that mean none are left out, and those that could not be asked for and were
    /// not known before.
    pub async fn resolve(&self, names: &BTreeSet<&str>) -> HashMap<String, String> {
        let (epoch, due) = {
            let mut known = self.lock();
            // What no stack has any more is not kept for ever.
            known.ids.retain(|_, (_, asked)| asked.elapsed() < 2 * MAX_AGE);
            let is_due = |name: &&&str| known.ids.get(**name).is_none_or(|(_, asked)| asked.elapsed() >= MAX_AGE);
            (known.epoch, names.iter().filter(is_due).collect::<Vec<_>>())
        };
        let asked = join_all(due.into_iter().map(|name| async move { (*name, self.engine.image_id(name).await) })).await;
        let mut known = self.lock();
        let mut ids: HashMap<&str, Option<String>> =
            names.iter().filter_map(|name| Some((*name, known.ids.get(*name)?.0.clone()))).collect();
        for (name, answer) in asked {
            match answer {
                Ok(id) => {
                    if known.epoch == epoch {
                        known.ids.insert(name.to_owned(), (id.clone(), Instant::now()));
                    }
                    ids.insert(name, id);
                }
                Err(error) => tracing::debug!(image = name, %error, "an image could not be asked for"),
            }
        }
        ids.into_iter().filter_map(|(name, id)| Some((name.to_owned(), id?))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
